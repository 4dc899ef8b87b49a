//! A `PgPool` of [sqlx](https://docs.rs/sqlx) whose credentials rotate.
//!
//! ```no_run
//! use secrets_service::SecretsService;
//! use secrets_service::pool::sqlx::RotatingPgPool;
//! use sqlx::postgres::PgPoolOptions;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let secrets = SecretsService::from_environment()?;
//! let pool = RotatingPgPool::builder(&secrets.database().await?, secrets.rotating_credentials().await?)
//!     .pool_options(PgPoolOptions::new().max_connections(20))
//!     .build()?;
//! let mut connection = pool.acquire().await?;
//! let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut *connection).await?;
//! let two: i32 = sqlx::query_scalar("SELECT 2").fetch_one(&*pool).await?; // any code that takes a `&PgPool`
//! # Ok(()) }
//! ```

mod users;

use std::fmt;
use std::ops::{ControlFlow, Deref};
use std::pin::Pin;
use std::sync::Arc;

use ::sqlx::error::DatabaseError;
use ::sqlx::pool::{PoolConnection, PoolConnectionMetadata};
use ::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use ::sqlx::{Acquire, PgConnection, PgPool, Postgres, Transaction};
use tokio::time::timeout;

use self::users::Users;
use super::{ConnectError, Following, REFUSED_LOGIN, connect_with, follow};
use crate::connection_string::DatabaseTarget;
use crate::error::{Error, ErrorKind};
use crate::lease::{RotatingCredentials, Rotation};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type AfterConnect = dyn for<'c> Fn(&'c mut PgConnection, PoolConnectionMetadata) -> BoxFuture<'c, Result<(), ::sqlx::Error>>
    + Send
    + Sync;

/// A pool that makes new connections with the newest credentials and retires the others before their lease ends.
/// Cheap to clone; clones share everything.
///
/// It is a [`PgPool`] by `Deref`, for all code that takes one. [`acquire`](Self::acquire) and [`begin`](Self::begin) do
/// more: if the database refuses the password, which happens within a second of a static role's rotation, they connect
/// again with the new one, where `PgPool` fails.
///
/// The pool is closed when the last of the clones is dropped, even if there are clones of the `PgPool` inside: better
/// that than a pool whose credentials end one day.
#[derive(Clone)]
pub struct RotatingPgPool {
    shared: Arc<Shared>,
}

struct Shared {
    pool: PgPool,
    credentials: RotatingCredentials,
    turner: Arc<Turner>,
    /// Before it the pool is closed, see `drop`.
    _following: Following,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Closed at once; awaiting it would only wait for the connections that are in use.
        drop(self.pool.close());
    }
}

/// See [`RotatingPgPool::builder`].
#[must_use]
pub struct Builder {
    database: DatabaseTarget,
    credentials: RotatingCredentials,
    pool_options: PgPoolOptions,
    connect_options: Box<dyn FnOnce(PgConnectOptions) -> PgConnectOptions + Send>,
    after_connect: Option<Arc<AfterConnect>>,
}

impl RotatingPgPool {
    /// A pool of connections to `database`, which [`SecretsService::database`](crate::SecretsService::database) knows.
    pub fn builder(database: &DatabaseTarget, credentials: RotatingCredentials) -> Builder {
        Builder {
            database: database.clone(),
            credentials,
            pool_options: PgPoolOptions::new(),
            connect_options: Box::new(|options| options),
            after_connect: None,
        }
    }

    /// A connection, within the pool's `acquire_timeout`. If there are no credentials that the database takes, the error
    /// is `Configuration`, with a [`ConnectError`] inside that says why.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>, ::sqlx::Error> {
        self.with_newest(|| self.shared.pool.acquire()).await
    }

    /// A transaction on a connection of its own.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, ::sqlx::Error> {
        self.with_newest(|| self.shared.pool.begin()).await
    }

    /// Closes all connections, waiting for those in use. Whoever acquires one is refused. (`PgPool::close` does the
    /// same, but the credentials are kept alive until the last clone is gone.)
    pub async fn close(self) {
        self.shared.pool.close().await;
    }

    async fn with_newest<T, F>(&self, connect: impl Fn() -> F) -> Result<T, ::sqlx::Error>
    where
        F: Future<Output = Result<T, ::sqlx::Error>>,
    {
        let Shared { pool, credentials, turner, .. } = &*self.shared;
        let is_refused = |error: &::sqlx::Error| {
            let code = error.as_database_error().and_then(DatabaseError::code);
            code.is_some_and(|code| REFUSED_LOGIN.contains(&&*code))
        };
        let connected = connect_with(credentials, is_refused, |rotation| {
            // The task that follows may not have come to it yet.
            turner.turn(&rotation);
            connect()
        });
        match timeout(pool.options().get_acquire_timeout(), connected).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(ConnectError::Database(error))) => Err(error),
            Ok(Err(refused)) => Err(::sqlx::Error::Configuration(Box::new(refused))),
            Err(_) => Err(::sqlx::Error::PoolTimedOut),
        }
    }
}

impl Deref for RotatingPgPool {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.shared.pool
    }
}

impl fmt::Debug for RotatingPgPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, idle) = (self.size(), self.num_idle());
        let credentials = &self.shared.credentials;
        f.debug_struct("RotatingPgPool")
            .field("credentials", credentials)
            .field("size", &size)
            .field("idle", &idle)
            .finish()
    }
}

/// As `&PgPool` does, for code that is generic over it.
impl<'a> Acquire<'a> for &RotatingPgPool {
    type Database = Postgres;
    type Connection = PoolConnection<Postgres>;

    fn acquire(self) -> BoxFuture<'a, Result<Self::Connection, ::sqlx::Error>> {
        let pool = self.clone();
        Box::pin(async move { pool.acquire().await })
    }

    fn begin(self) -> BoxFuture<'a, Result<Transaction<'a, Postgres>, ::sqlx::Error>> {
        let pool = self.clone();
        Box::pin(async move { pool.begin().await })
    }
}

impl Builder {
    /// Sizes and timeouts. The hooks `after_connect`, `before_acquire` and `after_release` of these options are
    /// replaced: the pool needs them; there is [`after_connect`](Self::after_connect) for the first.
    pub fn pool_options(mut self, options: PgPoolOptions) -> Self {
        self.pool_options = options;
        self
    }

    /// What else is to be set for each connection, such as an `application_name`. User and password are replaced.
    pub fn connect_options(
        mut self,
        set: impl FnOnce(PgConnectOptions) -> PgConnectOptions + Send + 'static,
    ) -> Self {
        self.connect_options = Box::new(set);
        self
    }

    /// What is to be done with each new connection: as `PgPoolOptions::after_connect`.
    pub fn after_connect<F>(mut self, hook: F) -> Self
    where
        for<'c> F: Fn(&'c mut PgConnection, PoolConnectionMetadata) -> BoxFuture<'c, Result<(), ::sqlx::Error>>
            + Send
            + Sync
            + 'static,
    {
        self.after_connect = Some(Arc::new(hook));
        self
    }

    /// The pool. No connection is made yet. Within a tokio runtime.
    pub fn build(self) -> Result<RotatingPgPool, Error> {
        let Self { database, credentials, pool_options, connect_options, after_connect } = self;
        let rotation = credentials.current();
        let url = database.connection_string(&rotation.credentials);
        let parsed: Result<PgConnectOptions, _> = url.expose().parse();
        let parsed = parsed.map_err(|error| {
            let what = format!("sqlx does not understand the database's settings: {error}");
            Error::new(ErrorKind::InvalidSecret, credentials.path(), what)
        })?;
        let base = connect_options(parsed);
        let users = Arc::new(Users::new(&rotation, &pool_options));
        let pool = users.watch(pool_options, after_connect).connect_lazy_with(with_user(&base, &rotation));
        let turner = Arc::new(Turner { pool: pool.clone(), base, users });
        let turn = Arc::clone(&turner);
        let following = follow(credentials.clone(), move |rotation| {
            if turn.pool.is_closed() {
                return ControlFlow::Break(());
            }
            turn.turn(rotation);
            turn.sweep();
            ControlFlow::Continue(())
        });
        let shared = Shared { pool, credentials, turner, _following: following };
        Ok(RotatingPgPool { shared: Arc::new(shared) })
    }
}

fn with_user(base: &PgConnectOptions, rotation: &Rotation) -> PgConnectOptions {
    let credentials = &rotation.credentials;
    base.clone().username(credentials.username()).password(credentials.password().expose())
}

/// What a rotation does to the pool.
struct Turner {
    pool: PgPool,
    base: PgConnectOptions,
    users: Arc<Users>,
}

impl Turner {
    /// New connections are made with these credentials from now on. Does nothing if they have been for long.
    fn turn(&self, rotation: &Rotation) {
        let set = || self.pool.set_connect_options(with_user(&self.base, rotation));
        self.users.rotated(rotation, set);
    }

    /// Has each idle connection looked at, as if it had just been used: what is retired is closed.
    fn sweep(&self) {
        for _ in 0..self.pool.num_idle() {
            let Some(connection) = self.pool.try_acquire() else { return };
            drop(connection);
        }
    }
}
