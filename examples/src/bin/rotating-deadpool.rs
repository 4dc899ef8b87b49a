//! A deadpool of tokio-postgres clients whose credentials rotate: prints who PostgreSQL thinks we are, once a second.
//!
//! ```text
//! secrets-service dev &                                  # a Vault and a PostgreSQL; prints what to export
//! cargo run -p examples --bin rotating-deadpool -- 60    # for a minute
//! ```

#![allow(clippy::print_stdout, reason = "that is what it does")]

use std::time::Duration;

use anyhow::Context as _;
use deadpool_postgres::tokio_postgres::NoTls;
use deadpool_postgres::{ConfigConnectImpl, PoolConfig};
use secrets_service::pool::deadpool::RotatingManager;
use secrets_service::{OnClose, SecretsService};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let seconds: u64 =
        std::env::args().nth(1).map_or(Ok(10), |text| text.parse()).context("how many seconds?")?;

    let secrets = SecretsService::from_environment()?;
    let (database, credentials) = (secrets.database().await?, secrets.rotating_credentials().await?);
    let pool = RotatingManager::new(&database, credentials, ConfigConnectImpl { tls: NoTls })?
        .configure(|config| {
            config.application_name("rotating-deadpool");
        })
        .into_pool(PoolConfig::new(4))?;

    for _ in 0..seconds {
        // Nothing here knows of Vault, leases or rotations.
        let client = pool.get().await?;
        let statement = client.prepare_cached("SELECT session_user::text").await?;
        let user: String = client.query_one(&statement, &[]).await?.get(0);
        println!("{user}");
        drop(client);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    pool.close();
    secrets.close(OnClose::Revoke).await?; // the user is gone from the database
    Ok(())
}
