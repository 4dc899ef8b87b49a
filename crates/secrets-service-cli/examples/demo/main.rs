//! A Vault and a PostgreSQL on this machine, a service on top of them, an outage, a recovery.
//!
//! Everything is real: TCP, logins, database users, the `secrets-service` binary. Each step says what is expected,
//! and the first expectation that does not hold ends the demo with an error.
//!
//! ```text
//! cargo run -p secrets-service-cli --example demo
//! ```

mod command_line;
mod narrator;

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use secrets_service::{
    OnClose, ResilientVaultClient, SecretString, SecretsService, ServiceConfig, VaultConfig,
};
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;
use vault_dev::VaultDev;
use vault_dev::example::{Example, set_up_example};
use vault_dev::postgres::Cluster;

use narrator::{Narrator, Result, ensure};

/// Short, so that nobody has to wait five minutes for a value to go stale.
const CACHE_TTL: Duration = Duration::from_secs(1);

/// How long a read may take when there is nothing to fall back on; 10 s if this is not set.
const READ_DEADLINE: Duration = Duration::from_secs(3);

/// How long a read takes at most with a stale value at hand: two seconds, and a bit for a busy machine.
const STALE_DEADLINE: Duration = Duration::from_millis(2_500);

/// By when a service must have noticed that Vault is back.
const RECOVERY: Duration = Duration::from_secs(20);

const NEVER_READ: &str = "secret/never/read";

#[tokio::main]
async fn main() -> ExitCode {
    let mut narrator = Narrator::default();
    match Box::pin(demo(&mut narrator)).await {
        Ok(()) => {
            narrator.done();
            ExitCode::SUCCESS
        }
        Err(error) => {
            narrator.failed(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn demo(n: &mut Narrator) -> Result<()> {
    let binary = command_line::binary().await?;
    n.chapter("Set-up");
    let world = n.step("A Vault and a PostgreSQL start", World::start()).await?;
    let service = n.step("A service logs in by AppRole", log_in(&world)).await?;

    n.chapter("All is well");
    n.step("It reads its configuration", read_config(&service)).await?;
    n.step("It gets a database user of its own", database_user(&service)).await?;
    n.step("It connects to PostgreSQL as that user", connect(&service)).await?;
    n.step("It reads an API key", api_key(&service)).await?;
    n.step("It stores a new one, and the others survive", Box::pin(store_api_key(&service))).await?;
    n.step("It reads again, from its cache", cached(&service)).await?;
    n.step("The cached values run out", run_out(&service)).await?;

    n.chapter("Vault is frozen: it takes requests and does not answer");
    world.vault.freeze();
    n.step(
        "The configuration is still there, and labelled",
        stale(&service, &service.config().db_config_path),
    )
    .await?;
    n.step("So are the API keys", stale(&service, &service.config().api_keys_path)).await?;
    n.step("New database connections still work", connect(&service)).await?;
    n.step("What was never read is an error, and in time", never_read(&service)).await?;

    n.chapter("Vault is gone: connections are refused");
    world.vault.refuse().await;
    world.vault.thaw();
    n.step(
        "The configuration is still there, and labelled",
        stale(&service, &service.config().db_config_path),
    )
    .await?;
    n.step("What was never read is an error, and in time", never_read(&service)).await?;
    n.step("The command line says \"unavailable\"", command_line::unavailable(&binary, &world)).await?;

    n.chapter("Vault is back");
    world.vault.accept().await;
    n.step("Values are fresh again", fresh_again(&service)).await?;
    n.step("The service ends, and its database user is gone", close(&service, &world)).await?;
    n.step("Vault and PostgreSQL end", world.stop()).await
}

/// What a service finds when it is deployed.
struct World {
    vault: VaultDev,
    cluster: Cluster,
    example: Example,
}

impl World {
    async fn start() -> Result<(Self, String)> {
        let vault = VaultDev::builder().start().await?;
        let cluster = Cluster::start().await?;
        let example = set_up_example(vault.url(), vault.root_token(), Some(&cluster)).await?;
        let told = format!("Vault at {}, PostgreSQL at {}:{}", vault.url(), cluster.host(), cluster.port());
        Ok((Self { vault, cluster, example }, told))
    }

    /// The environment variables of the service.
    fn variables(&self) -> HashMap<&'static str, String> {
        HashMap::from([
            ("VAULT_ADDR", self.vault.url().to_owned()),
            ("VAULT_ROLE_ID", self.example.role_id.clone()),
            ("VAULT_SECRET_ID", self.example.secret_id.clone()),
            ("VAULT_CACHE_TTL_SECONDS", CACHE_TTL.as_secs().to_string()),
        ])
    }

    /// The database users that Vault has made and not removed.
    async fn database_users(&self) -> Result<i64> {
        let admin = self.cluster.admin_connect().await?;
        let row = admin.query_one("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'", &[]).await?;
        Ok(row.try_get(0)?)
    }

    async fn stop(self) -> Result<((), String)> {
        let report = self.vault.shutdown(Duration::from_secs(5)).await;
        ensure(report.left.is_empty(), "every lease is revoked")?;
        self.cluster.stop().await;
        Ok(((), "nothing is left behind".to_owned()))
    }
}

async fn log_in(world: &World) -> Result<(SecretsService, String)> {
    let variables = world.variables();
    let mut config = VaultConfig::from_variables(|name| variables.get(name).map(Into::into))?;
    config.read_deadline = READ_DEADLINE;
    let service = SecretsService::new(ResilientVaultClient::new(&config)?, ServiceConfig::default());
    service.vault().log_in().await?;
    let token = service.vault().vault().tokens().lookup_self().await?;
    ensure(token.policies.contains(&world.example.policy), "the token has the service's policy")?;
    Ok((
        service,
        format!("settings from VAULT_ROLE_ID, VAULT_SECRET_ID; policies {}", token.policies.join(", ")),
    ))
}

async fn read_config(service: &SecretsService) -> Result<((), String)> {
    let path = &service.config().db_config_path;
    let read = service.vault().get_secret(path).await?;
    let host = read.field("db_host").ok_or("no db_host in the configuration")?.text();
    Ok(((), format!("{path}: db_host is {}; from {}", host.expose(), read.origin().as_str())))
}

async fn database_user(service: &SecretsService) -> Result<((), String)> {
    let credentials = service.vault().get_database_credentials(&service.config().db_role).await?;
    let lease = credentials.lease().ok_or("the credentials have no lease")?;
    let told =
        format!("{}, password [redacted], lease of {} s", credentials.username(), lease.duration.as_secs());
    Ok(((), told))
}

async fn connect(service: &SecretsService) -> Result<((), String)> {
    let started = Instant::now();
    let url = service.get_database_connection_string().await?;
    ensure(started.elapsed() < STALE_DEADLINE, "the connection string comes in time")?;
    let user = service.vault().get_database_credentials(&service.config().db_role).await?;
    let (client, connection) = tokio_postgres::connect(url.expose(), NoTls).await?;
    let connection = tokio::spawn(connection);
    let row = client.query_one("SELECT current_user::text", &[]).await?;
    let current: String = row.try_get(0)?;
    drop(client);
    connection.await??;
    ensure(current == user.username(), "PostgreSQL knows us by the name that Vault gave")?;
    Ok(((), format!("SELECT current_user: {current}")))
}

async fn api_key(service: &SecretsService) -> Result<((), String)> {
    let key = service.get_api_key("stripe").await?;
    ensure(!key.is_empty(), "the key is not empty")?;
    Ok(((), format!("stripe: {key}, {} characters", key.len())))
}

async fn store_api_key(service: &SecretsService) -> Result<((), String)> {
    let before = service.get_api_key("stripe").await?;
    service.set_api_key("twilio", &SecretString::from("a new key, for this demo")).await?;
    let after = service.vault().get_secret(&service.config().api_keys_path).await?;
    ensure(
        service.get_api_key("twilio").await?.expose() == "a new key, for this demo",
        "the new key is read back",
    )?;
    ensure(service.get_api_key("stripe").await? == before, "the old key is as it was")?;
    Ok(((), format!("keys now: {}", after.data().names().collect::<Vec<_>>().join(", "))))
}

async fn cached(service: &SecretsService) -> Result<((), String)> {
    let path = &service.config().api_keys_path;
    service.vault().get_secret(path).await?;
    let hits = service.vault().stats().hits;
    let started = Instant::now();
    let read = service.vault().get_secret(path).await?;
    let took = started.elapsed();
    ensure(read.origin() == secrets_service::Origin::Cache, "it comes from the cache")?;
    let hit = service.vault().stats().hits - hits;
    Ok(((), format!("{hit} hit, in {:.1} microseconds", took.as_secs_f64() * 1e6)))
}

async fn run_out(service: &SecretsService) -> Result<((), String)> {
    // Read now, so that all of them are of one age.
    service.vault().get_secret(&service.config().db_config_path).await?;
    sleep(CACHE_TTL + CACHE_TTL / 5).await;
    let fresh = service.vault().cached(&service.config().db_config_path);
    ensure(fresh.is_none(), "the configuration is not fresh any more")?;
    Ok(((), format!("their time to live is {} s here; by default it is 300 s", CACHE_TTL.as_secs())))
}

async fn stale(service: &SecretsService, path: &str) -> Result<((), String)> {
    let started = Instant::now();
    let read = service.vault().get_secret(path).await?;
    ensure(started.elapsed() < STALE_DEADLINE, "it comes within two seconds")?;
    ensure(read.is_stale(), "it is labelled as stale")?;
    ensure(!read.data().is_empty(), "and it is all there")?;
    Ok(((), format!("{path}: {} values, STALE, {:.1} s old", read.data().len(), read.age().as_secs_f64())))
}

async fn never_read(service: &SecretsService) -> Result<((), String)> {
    let started = Instant::now();
    let Err(error) = service.vault().get_secret(NEVER_READ).await else {
        return Err("a secret that nobody has ever read".into());
    };
    ensure(started.elapsed() < READ_DEADLINE + Duration::from_secs(1), "the error comes in time")?;
    ensure(error.kind() == secrets_service::ErrorKind::Unavailable, "the error is \"unavailable\"")?;
    Ok(((), error.to_string()))
}

async fn fresh_again(service: &SecretsService) -> Result<((), String)> {
    let path = &service.config().db_config_path;
    let started = Instant::now();
    loop {
        let read = service.vault().get_secret(path).await?;
        if !read.is_stale() {
            return Ok((
                (),
                format!("{path}: from {}, {:.1} s old", read.origin().as_str(), read.age().as_secs_f64()),
            ));
        }
        ensure(started.elapsed() < RECOVERY, "the recovery is noticed")?;
        sleep(Duration::from_millis(100)).await;
    }
}

async fn close(service: &SecretsService, world: &World) -> Result<((), String)> {
    let before = world.database_users().await?;
    ensure(before > 0, "there is a database user to be removed")?;
    service.close(OnClose::Revoke).await?;
    let after = world.database_users().await?;
    ensure(after == 0, "PostgreSQL has no user left that Vault made")?;
    Ok(((), format!("database users made by Vault: {before} before, {after} after")))
}
