//! A sqlx pool whose credentials rotate: prints who PostgreSQL thinks we are, once a second.
//!
//! ```text
//! secrets-service dev &                              # a Vault and a PostgreSQL; prints what to export
//! cargo run -p examples --bin rotating-sqlx -- 60    # for a minute
//! ```

#![allow(clippy::print_stdout, reason = "that is what it does")]

use std::time::Duration;

use anyhow::Context as _;
use secrets_service::pool::sqlx::RotatingPgPool;
use secrets_service::{OnClose, SecretsService};
use sqlx::postgres::PgPoolOptions;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let seconds: u64 =
        std::env::args().nth(1).map_or(Ok(10), |text| text.parse()).context("how many seconds?")?;

    let secrets = SecretsService::from_environment()?;
    let pool = RotatingPgPool::builder(&secrets.database().await?, secrets.rotating_credentials().await?)
        .pool_options(PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(10)))
        .connect_options(|options| options.application_name("rotating-sqlx"))
        .build()?;

    for _ in 0..seconds {
        // Nothing here knows of Vault, leases or rotations.
        let user: String = sqlx::query_scalar("SELECT session_user::text").fetch_one(&*pool).await?;
        println!("{user}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    pool.close().await;
    secrets.close(OnClose::Revoke).await?; // the user is gone from the database
    Ok(())
}
