//! The one connection that the engine keeps per configured database.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use super::statements::quote;

/// PostgreSQL answers in milliseconds or not at all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is opened when it is needed, and again after PostgreSQL has restarted.
#[derive(Default)]
pub(super) struct Connection {
    client: Mutex<Option<Client>>,
}

/// Where and as whom.
pub(super) struct Login {
    pub(super) url: String,
    pub(super) username: String,
    pub(super) password: String,
}

/// Something to do on a connection.
#[derive(Clone, Copy)]
enum Work<'a> {
    Ping,
    /// All of these in one transaction.
    Execute(&'a [String]),
    /// Vault's default revocation of this role.
    DropRole(&'a str),
}

impl Connection {
    /// Closes it.
    pub(super) fn reset(&self) {
        // Busy: then whoever is at work finds out by itself whether it is still good.
        if let Ok(mut client) = self.client.try_lock() {
            *client = None;
        }
    }

    pub(super) async fn ping(&self, login: &Login) -> Result<(), String> {
        let outcome = self.run(login, Work::Ping).await;
        outcome.map_err(|failure| format!("ping failed: {}", failure.text))
    }

    /// Executes statements in one transaction: all or none.
    pub(super) async fn execute(&self, login: &Login, statements: &[String]) -> Result<(), String> {
        self.run(login, Work::Execute(statements)).await.map_err(|failure| match failure.stage {
            Stage::Connect => format!("unable to start transaction: {}", failure.text),
            Stage::Work => format!("failed to execute query: {}", failure.text),
        })
    }

    /// Vault's default revocation: takes away as many privileges as there are, then drops the role.
    pub(super) async fn drop_role(&self, login: &Login, username: &str) -> Result<(), String> {
        self.run(login, Work::DropRole(username)).await.map_err(|failure| failure.text)
    }

    /// Works, connecting first if need be. A connection that turns out to be dead is replaced, once.
    async fn run(&self, login: &Login, work: Work<'_>) -> Result<(), Failure> {
        let attempts = async {
            let failed =
                |error: tokio_postgres::Error| Failure { stage: Stage::Work, text: complaint(&error) };
            let mut slot = self.client.lock().await;
            // Taken out while in use: if this future is dropped, the connection in its unknown state goes with it.
            if let Some(mut client) = slot.take().filter(|client| !client.is_closed()) {
                match perform(&mut client, work).await {
                    Err(error) if error.is_closed() || client.is_closed() => {}
                    outcome => {
                        *slot = Some(client);
                        return outcome.map_err(failed);
                    }
                }
            }
            let mut client = connect(login).await.map_err(|text| Failure { stage: Stage::Connect, text })?;
            let outcome = perform(&mut client, work).await;
            *slot = Some(client);
            outcome.map_err(failed)
        };
        let late = || Failure { stage: Stage::Work, text: "context deadline exceeded".to_owned() };
        tokio::time::timeout(TIMEOUT, attempts).await.unwrap_or_else(|_| Err(late()))
    }
}

async fn perform(client: &mut Client, work: Work<'_>) -> Result<(), tokio_postgres::Error> {
    match work {
        Work::Ping => client.simple_query("").await.map(drop),
        Work::Execute(statements) => {
            let transaction = client.transaction().await?;
            for statement in statements {
                transaction.batch_execute(statement).await?;
            }
            transaction.commit().await
        }
        Work::DropRole(username) => drop_role(client, username).await,
    }
}

struct Failure {
    stage: Stage,
    text: String,
}

enum Stage {
    Connect,
    Work,
}

async fn drop_role(client: &mut Client, username: &str) -> Result<(), tokio_postgres::Error> {
    let exists = client.query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&username]).await?;
    if exists.is_none() {
        return Ok(());
    }
    let grants = "SELECT DISTINCT table_schema FROM information_schema.role_column_grants WHERE grantee = $1";
    let mut schemas: Vec<String> =
        client.query(grants, &[&username]).await?.iter().map(|row| row.get::<_, String>(0)).collect();
    schemas.push("public".to_owned());
    let database: String = client.query_one("SELECT current_database()::text", &[]).await?.get(0);
    let user = quote(username);
    let mut statements = Vec::new();
    for schema in schemas.iter().map(|schema| quote(schema)) {
        statements.push(format!("REVOKE ALL PRIVILEGES ON ALL TABLES IN SCHEMA {schema} FROM {user}"));
        statements.push(format!("REVOKE ALL PRIVILEGES ON ALL SEQUENCES IN SCHEMA {schema} FROM {user}"));
        statements.push(format!("REVOKE USAGE ON SCHEMA {schema} FROM {user}"));
    }
    statements.push(format!("REVOKE CONNECT ON DATABASE {} FROM {user}", quote(&database)));
    let mut failed = None;
    for statement in statements {
        // One privilege that cannot be taken does not keep the others.
        failed = client.batch_execute(&statement).await.err().or(failed);
    }
    match failed {
        Some(error) => Err(error),
        None => client.batch_execute(&format!("DROP ROLE IF EXISTS {user}")).await,
    }
}

async fn connect(login: &Login) -> Result<Client, String> {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let url = login
        .url
        .replace("{{username}}", &encode(&login.username))
        .replace("{{password}}", &encode(&login.password));
    // The parser's own words could quote the password.
    let config: Config =
        url.parse().map_err(|_| "cannot parse connection_url: it is not a PostgreSQL URL".to_owned())?;
    match config.connect(NoTls).await {
        Ok((client, connection)) => {
            // Ends when the client is dropped, or when PostgreSQL goes away.
            tokio::spawn(connection);
            Ok(client)
        }
        Err(error) => {
            Err(format!("failed to connect to `{}`: {}", target(&config), connect_complaint(&config, &error)))
        }
    }
}

fn target(config: &Config) -> String {
    format!(
        "host={} user={} database={}",
        host(config),
        config.get_user().unwrap_or_default(),
        config.get_dbname().unwrap_or_default()
    )
}

fn host(config: &Config) -> String {
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    }
}

/// In the words of the driver that Vault uses.
fn connect_complaint(config: &Config, error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!(
            "server error ({}: {} (SQLSTATE {}))",
            error.severity(),
            error.message(),
            error.code().code()
        );
    }
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let cause = if cause.contains("onnection refused") { "connection refused".to_owned() } else { cause };
    format!("dial error (dial tcp {}:{port}: connect: {cause})", host(config))
}

/// An error of PostgreSQL in one line. Its message quotes names, never passwords.
pub(crate) fn complaint(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{}: {} (SQLSTATE {})", error.severity(), error.message(), error.code().code());
    }
    let mut text = error.to_string();
    if let Some(cause) = error.source() {
        let _ = write!(text, ": {cause}");
    }
    text
}
