//! `secrets-service dev`

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use vault_dev::VaultDev;
use vault_dev::example::{Example, set_up_example};
use vault_dev::postgres::Cluster;

use crate::failure::{Exit, Failure};
use crate::signals::Signals;
use crate::{env_format, notice, output};

/// How long the end may take: revoking a database user takes milliseconds.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Run a development Vault with an example in it, and a throw-away PostgreSQL.
///
/// Prints `export` lines to paste into another shell. Runs until Ctrl-C or SIGTERM; then all that it made is gone.
/// Everything is kept in memory, the root token is "root", and only this machine can connect: for development.
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service dev
  secrets-service dev --listen 127.0.0.1:0 --no-postgres >settings.sh

Then, in another shell with those lines pasted:
  secrets-service get secret/myapp/config
  DATABASE_URL=$(secrets-service db-url) ./migrate

An outage of ten seconds:
  curl \"$VAULT_ADDR/vault-dev/v1/faults\" -d '{\"fault\": \"refused\", \"for\": \"10s\"}'")]
pub(crate) struct DevArgs {
    /// Where Vault listens; port 0 is any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8200")]
    listen: SocketAddr,
    /// No PostgreSQL: without database credentials.
    #[arg(long)]
    no_postgres: bool,
}

pub(crate) async fn run(args: &DevArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::ending()?;
    let running = Box::pin(Running::start(args));
    let running = signals.unless(notice::with_progress("PostgreSQL to start", running)).await?;
    let result = running.tell();
    if result.is_ok() {
        signals.next().await;
    }
    running.stop().await;
    result.map(|()| Exit::Ok)
}

struct Running {
    vault: VaultDev,
    cluster: Option<Cluster>,
    example: Example,
}

impl Running {
    async fn start(args: &DevArgs) -> Result<Self, Failure> {
        let vault = VaultDev::builder().listen(args.listen).start().await?;
        let cluster = if args.no_postgres { None } else { start_postgres().await? };
        let example = set_up_example(vault.url(), vault.root_token(), cluster.as_ref()).await?;
        Ok(Self { vault, cluster, example })
    }

    fn tell(&self) -> Result<(), Failure> {
        let settings = [
            ("VAULT_ADDR", self.vault.url()),
            ("VAULT_TOKEN", self.vault.root_token()),
            ("VAULT_ROLE_ID", &self.example.role_id),
            ("VAULT_SECRET_ID", &self.example.secret_id),
        ];
        let lines =
            settings.map(|(name, value)| format!("export {name}={}\n", env_format::quoted(value).as_str()));
        output::write(&lines.concat())?;
        let postgres = match &self.cluster {
            Some(cluster) => format!("PostgreSQL at {}:{}", cluster.host(), cluster.port()),
            None => "no PostgreSQL".to_owned(),
        };
        notice::say(format_args!(
            "Vault for development at {}, {postgres}; Ctrl-C ends both",
            self.vault.url()
        ));
        Ok(())
    }

    async fn stop(self) {
        let report = self.vault.shutdown(SHUTDOWN).await;
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
        notice::say(format_args!("ended; {} leases revoked", report.revoked));
    }
}

/// `None`, and a word about it, if there is none on this machine.
async fn start_postgres() -> Result<Option<Cluster>, Failure> {
    match Cluster::start().await {
        Ok(cluster) => Ok(Some(cluster)),
        Err(error @ vault_dev::Error::NoPostgres) => {
            notice::say(format_args!("warning: without database credentials: {error}"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
