//! Connection pools whose credentials rotate, with no query failing for it.
//!
//! | feature | pool |
//! |---|---|
//! | `sqlx` | `pool::sqlx`: a `PgPool` |
//! | `deadpool-postgres` | `pool::deadpool`: a pool of `tokio-postgres` clients |
//!
//! Both do the same three things, and so does any other pool on top of what is here:
//!
//! 1. **A new connection is made with the newest credentials**, and if the database refuses them (a static role's
//!    password has just changed, or someone revoked the lease), once more with newer ones: [`connect_with`].
//! 2. **Each connection knows its generation**, or can be asked for its user. What [`Rotation::keeps`] not, is closed
//!    when it is returned to the pool, and not handed out again. Nothing in use is cut off.
//! 3. **At a rotation the idle ones are closed**, and once more shortly before the old lease ends: [`follow`].
//!
//! Work that holds a connection for longer than the rest of a lease (see
//! [`LeaseChange::Rotated`](crate::LeaseChange::Rotated), `old_ends_in`) is not cut off by the pool either. At the end
//! of the lease Vault takes the user's rights and then the user away, and the work fails in the database.
//!
//! # Another pool
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::sync::{Arc, Mutex};
//!
//! use secrets_service::pool::{ConnectError, Following, connect_with, follow};
//! use secrets_service::{DatabaseTarget, RotatingCredentials, Rotation};
//! # struct Connection;
//! # #[derive(Debug)] struct Refused;
//! # impl Connection { async fn open(_url: &str) -> Result<Self, Refused> { Ok(Self) } }
//!
//! struct SmallPool {
//!     database: DatabaseTarget,
//!     credentials: RotatingCredentials,
//!     /// Each with the generation that it was made with.
//!     idle: Arc<Mutex<Vec<(u64, Connection)>>>,
//!     /// Ends with the pool.
//!     _following: Following,
//! }
//!
//! impl SmallPool {
//!     fn new(database: DatabaseTarget, credentials: RotatingCredentials) -> Self {
//!         let idle = Arc::new(Mutex::new(Vec::<(u64, Connection)>::new()));
//!         let swept = Arc::downgrade(&idle);
//!         let following = follow(credentials.clone(), move |rotation| {
//!             let Some(idle) = swept.upgrade() else { return ControlFlow::Break(()) };
//!             idle.lock().unwrap().retain(|(generation, _)| rotation.keeps(*generation));
//!             ControlFlow::Continue(())
//!         });
//!         Self { database, credentials, idle, _following: following }
//!     }
//!
//!     async fn take(&self) -> Result<(u64, Connection), ConnectError<Refused>> {
//!         while let Some((generation, connection)) = self.idle.lock().unwrap().pop() {
//!             if self.credentials.keeps(generation) {
//!                 return Ok((generation, connection));
//!             }
//!         }
//!         connect_with(&self.credentials, |Refused| true, |rotation: Rotation| async move {
//!             let url = self.database.connection_string(&rotation.credentials);
//!             Ok((rotation.generation, Connection::open(url.expose()).await?))
//!         })
//!         .await
//!     }
//!
//!     fn give_back(&self, (generation, connection): (u64, Connection)) {
//!         if self.credentials.keeps(generation) {
//!             self.idle.lock().unwrap().push((generation, connection));
//!         }
//!     }
//! }
//! ```

#[cfg(feature = "deadpool-postgres")]
pub mod deadpool;
#[cfg(feature = "sqlx")]
pub mod sqlx;

use std::ops::ControlFlow;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::error::Error;
use crate::lease::{RotatingCredentials, Rotation};

/// What PostgreSQL calls a login with credentials that do not work (PostgreSQL documentation, "PostgreSQL Error Codes"):
/// `invalid_password`, also of a user who is not there or past its time, and `invalid_authorization_specification`, of
/// one who was removed in the middle of it.
pub const REFUSED_LOGIN: [&str; 2] = ["28P01", "28000"];

/// So many credentials are tried for one connection, each newer than the one that was refused. The second nearly always
/// succeeds. Every further one stands for a password that was changed once more between Vault's answer and the end of
/// the login: Vault does that every five seconds at the most (`rotation_period`), an operator at any moment, and on an
/// overloaded machine a login takes its time. Five: far more than has been needed; yet more would only hide that
/// something else changes the password all the time.
const MOST_TRIED: u32 = 5;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError<E> {
    /// The database refused the credentials, and there are no newer ones.
    #[error("the database refuses the credentials ({database}), and there are no newer ones: {vault}")]
    Refused {
        /// What the database said.
        database: E,
        /// Why there are no newer ones.
        vault: Error,
    },
    /// The database's own error.
    #[error(transparent)]
    Database(E),
}

/// Connects with the newest credentials, and if `is_refused` says that the database does not take them, with newer
/// ones. Waits for those at most the client's read deadline.
pub async fn connect_with<T, E, F>(
    credentials: &RotatingCredentials,
    is_refused: impl Fn(&E) -> bool,
    mut connect: impl FnMut(Rotation) -> F,
) -> Result<T, ConnectError<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut rotation = credentials.current();
    for _ in 1..MOST_TRIED {
        let generation = rotation.generation;
        let database = match connect(rotation).await {
            Err(error) if is_refused(&error) => error,
            result => return result.map_err(ConnectError::Database),
        };
        tracing::info!(path = credentials.path(), generation, "the database refuses the credentials");
        rotation = match credentials.newer_than(generation).await {
            Ok(newer) => newer,
            Err(vault) => return Err(ConnectError::Refused { database, vault }),
        };
    }
    connect(rotation).await.map_err(ConnectError::Database)
}

/// Calls `retire` at each rotation, and once more when its [`Rotation::retire_by`] has come: it closes what is idle and
/// does not [belong](Rotation::keeps) any more. Ends when that says so, when the client is closed, or with the returned
/// guard, which belongs into the pool. (Not beside it: the credentials are kept alive as long as this goes on.)
pub fn follow(
    credentials: RotatingCredentials,
    retire: impl FnMut(&Rotation) -> ControlFlow<()> + Send + 'static,
) -> Following {
    Following(tokio::spawn(retire_in_time(credentials, retire)).abort_handle())
}

/// [`follow`] goes on until this is dropped.
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn retire_in_time(
    mut credentials: RotatingCredentials,
    mut retire: impl FnMut(&Rotation) -> ControlFlow<()>,
) {
    let mut last_call: Option<(Instant, Rotation)> = None;
    loop {
        let at = last_call.as_ref().map(|(at, _)| *at);
        tokio::select! {
            changed = credentials.changed() => {
                let Ok(rotation) = changed else { return };
                if retire(&rotation).is_break() {
                    return;
                }
                last_call = rotation.retire_by().map(|at| (at, rotation));
            }
            () = sleep_until(at.unwrap_or_else(Instant::now)), if at.is_some() => {
                let Some((_, rotation)) = last_call.take() else { continue };
                if retire(&rotation).is_break() {
                    return;
                }
            }
        }
    }
}
