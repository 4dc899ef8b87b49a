//! A [deadpool](https://docs.rs/deadpool) of [tokio-postgres](https://docs.rs/tokio-postgres) clients whose credentials
//! rotate.
//!
//! ```no_run
//! use deadpool_postgres::{ConfigConnectImpl, PoolConfig, tokio_postgres::NoTls};
//! use secrets_service::SecretsService;
//! use secrets_service::pool::deadpool::RotatingManager;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let secrets = SecretsService::from_environment()?;
//! let (database, credentials) = (secrets.database().await?, secrets.rotating_credentials().await?);
//! let connector = ConfigConnectImpl { tls: NoTls };
//! let pool = RotatingManager::new(&database, credentials, connector)?.into_pool(PoolConfig::new(20))?;
//! let client = pool.get().await?;
//! let statement = client.prepare_cached("SELECT 1").await?;
//! let one: i32 = client.query_one(&statement, &[]).await?.get(0);
//! # Ok(()) }
//! ```

use std::fmt;
use std::ops::{ControlFlow, Deref, DerefMut};
use std::sync::OnceLock;
use std::time::Duration;

use ::deadpool::Runtime;
use ::deadpool::managed::{self, BuildError, Metrics, Object, PoolConfig, RecycleError, RecycleResult};
use deadpool_postgres::tokio_postgres::{self, Config};
use deadpool_postgres::{ClientWrapper, Connect};
use tokio::task::AbortHandle;

use super::{ConnectError, Following, REFUSED_LOGIN, connect_with, follow};
use crate::connection_string::DatabaseTarget;
use crate::error::{Error, ErrorKind};
use crate::lease::{RotatingCredentials, Rotation};

/// A pool of [`RotatingClient`]s.
pub type RotatingPool = managed::Pool<RotatingManager, RotatingClient>;

/// Unless the connection parameters have a `connect_timeout`: as long as a read of Vault may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// So often a connection is made anew that was overtaken by a rotation while it was made.
const MOST_OVERTAKEN: u32 = 2;

/// Makes connections with the newest credentials, and does not hand out those that have to go.
pub struct RotatingManager {
    credentials: RotatingCredentials,
    config: Config,
    connector: Box<dyn Connect>,
    /// Set with the pool. It ends with it.
    following: OnceLock<Following>,
}

impl RotatingManager {
    /// Connections to `database`, which [`SecretsService::database`](crate::SecretsService::database) knows.
    ///
    /// `connector` is `ConfigConnectImpl { tls }`, with `NoTls` or a TLS connector for tokio-postgres. It is that
    /// connector which verifies the server's certificate: `sslmode` here only says whether there has to be one.
    pub fn new(
        database: &DatabaseTarget,
        credentials: RotatingCredentials,
        connector: impl Connect + 'static,
    ) -> Result<Self, Error> {
        let rotation = credentials.current();
        let url = database.clone().without_verifying_modes().connection_string(&rotation.credentials);
        let config: Result<Config, _> = url.expose().parse();
        let mut config = config.map_err(|error| {
            let what = format!("tokio-postgres does not understand the database's settings: {error}");
            Error::new(ErrorKind::InvalidSecret, credentials.path(), what)
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        Ok(Self { credentials, config, connector: Box::new(connector), following: OnceLock::new() })
    }

    /// Sets something else for each connection, such as an `application_name`. User and password are replaced.
    #[must_use]
    pub fn configure(mut self, set: impl FnOnce(&mut Config)) -> Self {
        set(&mut self.config);
        self
    }

    /// The pool. No connection is made yet. Within a tokio runtime.
    pub fn into_pool(self, config: PoolConfig) -> Result<RotatingPool, BuildError> {
        let credentials = self.credentials.clone();
        let pool = RotatingPool::builder(self).config(config).runtime(Runtime::Tokio1).build()?;
        let weak = pool.weak();
        let following = follow(credentials, move |rotation| match weak.upgrade() {
            Some(pool) if !pool.is_closed() => {
                // Those that are removed here are closed when they are dropped.
                drop(pool.retain(|connection, _| rotation.keeps(connection.generation)));
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(()),
        });
        // Nobody else has set it: there was no pool before.
        drop(pool.manager().following.set(following));
        Ok(pool)
    }

    async fn connect(&self, rotation: Rotation) -> Result<Connection, tokio_postgres::Error> {
        let credentials = &rotation.credentials;
        let mut config = self.config.clone();
        config.user(credentials.username()).password(credentials.password().expose());
        let (client, task) = self.connector.connect(&config).await?;
        let abort = task.abort_handle();
        let (client, generation) = (ClientWrapper::new(client, task), rotation.generation);
        Ok(Connection { client, generation, abort, given_up: false })
    }
}

impl managed::Manager for RotatingManager {
    type Type = Connection;
    type Error = ConnectError<tokio_postgres::Error>;

    async fn create(&self) -> Result<Connection, Self::Error> {
        let is_refused = |error: &tokio_postgres::Error| {
            error.code().is_some_and(|state| REFUSED_LOGIN.contains(&state.code()))
        };
        let connect = || connect_with(&self.credentials, is_refused, |rotation| self.connect(rotation));
        for _ in 0..MOST_OVERTAKEN {
            let connection = connect().await?;
            if self.credentials.keeps(connection.generation) {
                return Ok(connection);
            }
        }
        connect().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Self::Error> {
        if !self.credentials.keeps(connection.generation) {
            return Err(RecycleError::message("its credentials have been replaced"));
        }
        if connection.given_up || connection.client.is_closed() {
            return Err(RecycleError::message("it has been closed"));
        }
        Ok(())
    }
}

impl fmt::Debug for RotatingManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatingManager").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// A connection, and the generation of the credentials that it was made with.
#[derive(Debug)]
pub struct Connection {
    client: ClientWrapper,
    generation: u64,
    abort: AbortHandle,
    /// It is being closed, which takes a moment.
    given_up: bool,
}

impl Connection {
    /// Closes it. The pool gets it back, refuses it, and makes another in its place when one is wanted.
    fn give_up(&mut self) {
        self.given_up = true;
        self.abort.abort();
    }
}

/// A connection of a [`RotatingPool`]: `deadpool_postgres`'s client, with its statement cache, by `Deref`. Returned to
/// the pool when dropped, or closed if its credentials have been replaced.
#[derive(Debug)]
pub struct RotatingClient {
    object: Object<RotatingManager>,
}

impl RotatingClient {
    /// The generation of its credentials: see [`Rotation::generation`].
    pub fn generation(&self) -> u64 {
        self.object.generation
    }

    /// Closes the connection instead of returning it to the pool.
    pub fn close(mut self) {
        self.object.give_up();
    }
}

impl From<Object<RotatingManager>> for RotatingClient {
    fn from(object: Object<RotatingManager>) -> Self {
        Self { object }
    }
}

impl Drop for RotatingClient {
    fn drop(&mut self) {
        let pool = Object::pool(&self.object);
        let may_stay = pool.is_some_and(|pool| pool.manager().credentials.keeps(self.object.generation));
        if !may_stay {
            self.object.give_up();
        }
    }
}

impl Deref for RotatingClient {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.object.client
    }
}

impl DerefMut for RotatingClient {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        &mut self.object.client
    }
}
