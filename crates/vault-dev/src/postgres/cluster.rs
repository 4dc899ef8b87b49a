//! The cluster: its directory, its port, its superuser.

use std::fmt;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use nix::unistd::{User, chown};
use tempfile::TempDir;
use tokio_postgres::{Config, NoTls};

use super::install;
use super::server::{Server, StartFailure, command};
use crate::error::Error;
use crate::random;

const SUPERUSER: &str = "postgres";
const DATABASE: &str = "postgres";

/// Between choosing a port and PostgreSQL's taking it, somebody else may be faster. More than once in a row would
/// be strange.
const PORT_ATTEMPTS: usize = 5;

/// The kernel's limit for the path of a Unix socket is 107 bytes; PostgreSQL appends `/.s.PGSQL.65535`.
const LONGEST_SOCKET_DIR: usize = 107 - 16;

/// A PostgreSQL of our own, on 127.0.0.1 and on a Unix socket, for as long as this value lives.
///
/// Dropping it ends PostgreSQL and removes its directory. That also happens when this process panics, exits
/// without dropping, or is killed.
pub struct Cluster {
    server: Option<Server>,
    programs: PathBuf,
    account: Option<User>,
    dir: TempDir,
    port: u16,
    password: String,
}

impl Cluster {
    /// Creates and starts a cluster (about a second). Works under a paused tokio clock.
    pub async fn start() -> Result<Self, Error> {
        in_background(Self::start_blocking).await
    }

    /// [`start`](Self::start) for use outside of a runtime.
    pub fn start_blocking() -> Result<Self, Error> {
        let programs = install::programs()?;
        let account = install::account()?;
        let dir = tempfile::Builder::new()
            .prefix("vault-dev-pg-")
            .tempdir()
            .map_err(|error| Error::Postgres(format!("could not make a temporary directory: {error}")))?;
        if dir.path().as_os_str().len() > LONGEST_SOCKET_DIR {
            return Err(Error::Postgres(format!(
                "{} is too long for a Unix socket; set TMPDIR to something shorter",
                dir.path().display()
            )));
        }
        if let Some(user) = &account {
            chown(dir.path(), Some(user.uid), Some(user.gid))
                .map_err(|error| Error::Postgres(format!("could not give the directory away: {error}")))?;
        }
        let password = random::base62(32);
        let mut cluster = Self { server: None, programs, account, dir, port: 0, password };
        cluster.initialise()?;
        cluster.first_start()?;
        Ok(cluster)
    }

    fn initialise(&self) -> Result<(), Error> {
        // Not in the argument list, where everybody could read it.
        let password_file = self.dir.path().join("password");
        write_private(&password_file, &self.password, self.account.as_ref())?;
        let output = command(&self.programs.join("initdb"), self.account.as_ref())
            .arg("--pgdata")
            .arg(self.data_dir())
            .args(["--username", SUPERUSER, "--auth=scram-sha-256", "--pwfile"])
            .arg(&password_file)
            .args(["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"])
            .env("LC_ALL", "C")
            .output()
            .map_err(|error| Error::Postgres(format!("could not run initdb: {error}")))?;
        let _ = std::fs::remove_file(&password_file);
        if output.status.success() {
            return Ok(());
        }
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Error::Postgres(format!("initdb failed: {}", complaint.trim())))
    }

    fn first_start(&mut self) -> Result<(), Error> {
        for _ in 0..PORT_ATTEMPTS {
            self.port = free_port()?;
            match self.launch() {
                Ok(server) => {
                    self.server = Some(server);
                    return Ok(());
                }
                Err(StartFailure::PortTaken) => {}
                Err(StartFailure::Other(error)) => return Err(error),
            }
        }
        Err(Error::Postgres(format!("no free port in {PORT_ATTEMPTS} attempts")))
    }

    fn launch(&self) -> Result<Server, StartFailure> {
        let program = self.programs.join("postgres");
        Server::start(&program, self.account.as_ref(), self.dir.path(), &self.arguments())
    }

    fn arguments(&self) -> Vec<String> {
        let settings = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", self.dir.path().display()),
            // Nothing here has to survive a power failure; a crash of PostgreSQL alone loses nothing.
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "shared_buffers=16MB".to_owned(),
            "max_connections=200".to_owned(),
            "password_encryption=scram-sha-256".to_owned(),
            "log_statement=none".to_owned(),
            // A failed CREATE ROLE would put its password into the log.
            "log_min_error_statement=panic".to_owned(),
        ];
        let mut arguments = vec!["-D".to_owned(), self.data_dir().display().to_string()];
        arguments.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        arguments
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// `127.0.0.1`.
    #[allow(clippy::unused_self, reason = "one fact of the cluster among others")]
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The TCP port, the same for the cluster's whole life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the Unix socket is: what libpq calls the host.
    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The superuser, `postgres`.
    #[allow(clippy::unused_self, reason = "one fact of the cluster among others")]
    pub fn user(&self) -> &'static str {
        SUPERUSER
    }

    /// The superuser's random password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The database that is there from the start, `postgres`.
    #[allow(clippy::unused_self, reason = "one fact of the cluster among others")]
    pub fn database(&self) -> &'static str {
        DATABASE
    }

    /// `postgresql://postgres:PASSWORD@127.0.0.1:PORT/postgres?sslmode=disable`.
    pub fn url(&self) -> String {
        format!(
            "postgresql://{SUPERUSER}:{}@{}:{}/{DATABASE}?sslmode=disable",
            self.password,
            self.host(),
            self.port
        )
    }

    /// What the database engine's `connection_url` has to be for this cluster.
    pub fn connection_url_template(&self) -> String {
        format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@{}:{}/{DATABASE}?sslmode=disable",
            self.host(),
            self.port
        )
    }

    /// A connection as the superuser.
    pub async fn admin_connect(&self) -> Result<tokio_postgres::Client, Error> {
        self.connect_as(SUPERUSER, &self.password).await
    }

    /// A connection as anybody. The password may be wrong: that is an error.
    pub async fn connect_as(&self, user: &str, password: &str) -> Result<tokio_postgres::Client, Error> {
        let mut config = Config::new();
        config.host(self.host()).port(self.port).dbname(DATABASE).user(user).password(password);
        let (client, connection) = config
            .connect(NoTls)
            .await
            .map_err(|error| Error::Postgres(crate::engines::complaint(&error)))?;
        // Ends when the client is dropped or the server goes away.
        tokio::spawn(connection);
        Ok(client)
    }

    /// Ends PostgreSQL, as a crash would, and starts it again: same port, same data. All connections break.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop_server().await;
        self.start_server().await
    }

    /// Ends PostgreSQL, as a crash would. Port and data stay for [`start_server`](Self::start_server).
    pub async fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            let _ = in_background(move || {
                server.stop();
                Ok(())
            })
            .await;
        }
    }

    /// Starts PostgreSQL again after [`stop_server`](Self::stop_server).
    pub async fn start_server(&mut self) -> Result<(), Error> {
        if self.server.is_some() {
            return Ok(());
        }
        // Cheap to clone, and the start blocks: it must not run on the runtime's own threads.
        let (program, account) = (self.programs.join("postgres"), self.account.clone());
        let arguments = self.arguments();
        let dir = self.dir.path().to_owned();
        let started = in_background(move || {
            Server::start(&program, account.as_ref(), &dir, &arguments).map_err(|failure| match failure {
                StartFailure::PortTaken => Error::Postgres("somebody took the port meanwhile".to_owned()),
                StartFailure::Other(error) => error,
            })
        });
        self.server = Some(started.await?);
        Ok(())
    }

    /// Ends PostgreSQL and removes its directory, without blocking the runtime as `drop` would.
    pub async fn stop(self) {
        let _ = in_background(move || {
            drop(self);
            Ok(())
        })
        .await;
    }
}

/// Without the password.
impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("dir", &self.dir.path())
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Runs blocking work. tokio does not let a paused clock run ahead meanwhile.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.unwrap_or_else(|error| Err(Error::Postgres(format!("the task failed: {error}"))))
}

fn free_port() -> Result<u16, Error> {
    let probe = TcpListener::bind(("127.0.0.1", 0));
    let address = probe.and_then(|probe| probe.local_addr());
    address.map(|address| address.port()).map_err(|error| Error::Postgres(format!("no free port: {error}")))
}

fn write_private(path: &Path, content: &str, owner: Option<&User>) -> Result<(), Error> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    written
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .map_err(|error| Error::Postgres(format!("could not write the password file: {error}")))?;
    if let Some(user) = owner {
        chown(path, Some(user.uid), Some(user.gid))
            .map_err(|error| Error::Postgres(format!("could not give the password file away: {error}")))?;
    }
    Ok(())
}
