//! Which connections of a pool belong to users that have been replaced.
//!
//! sqlx tells a hook how old a connection is, and nothing else that would tell one from another. So:
//!
//! - made before the last rotation: **retired**;
//! - made more than a second after it: **of the newest user**, because
//! - a connection that is completed shortly after a rotation is asked for its user first, and made again if need be;
//! - made within that second: **asked for its user** each time it is acquired. sqlx notes a connection's birth after that
//!   first question, so that a rotation may come between the two. The question takes the place of sqlx's own ping.

use std::sync::Arc;
use std::time::Duration;

use ::sqlx::postgres::PgPoolOptions;
use ::sqlx::{Connection as _, PgConnection, Row as _};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::AfterConnect;
use crate::lease::Rotation;

/// Between the question after connecting and sqlx's noting of the time nothing is awaited: a second is thousands of
/// times what that takes.
const UNCERTAIN: Duration = Duration::from_secs(1);

/// So many users are remembered. A connection of one that came before them is older than the last rotation by far.
const MOST_RETIRED: usize = 4;

pub(super) struct Users {
    state: Mutex<State>,
    /// A connection takes at most that long to be made.
    connect_within: Duration,
    /// Whether the pool is to ping a connection before it hands it out.
    ping: bool,
}

struct State {
    generation: u64,
    newest: String,
    retired: Vec<String>,
    /// When `newest` came; `None` for the first.
    since: Option<Instant>,
}

/// Whose a connection is, by its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Newest,
    Retired,
    AskIt,
}

impl State {
    /// `None`: older than the clock.
    fn owner(&self, made: Option<Instant>) -> Owner {
        let Some(since) = self.since else { return Owner::Newest };
        match made {
            Some(made) if made >= since + UNCERTAIN => Owner::Newest,
            Some(made) if made >= since => Owner::AskIt,
            _ => Owner::Retired,
        }
    }

    fn rotated(&mut self, generation: u64, newest: &str, now: Instant) {
        self.generation = generation;
        if self.newest != newest {
            let retired = std::mem::replace(&mut self.newest, newest.to_owned());
            self.retired.push(retired);
            if self.retired.len() > MOST_RETIRED {
                self.retired.remove(0);
            }
            self.since = Some(now);
        }
    }

    fn is_retired(&self, user: &str) -> bool {
        self.retired.iter().any(|retired| retired == user)
    }
}

impl Users {
    pub(super) fn new(rotation: &Rotation, options: &PgPoolOptions) -> Self {
        let state = State {
            generation: rotation.generation,
            newest: rotation.credentials.username().to_owned(),
            retired: Vec::new(),
            since: None,
        };
        Self {
            state: Mutex::new(state),
            connect_within: options.get_acquire_timeout(),
            ping: options.get_test_before_acquire(),
        }
    }

    /// If these credentials are newer than those before: retires the user before, then calls `set`, which makes the
    /// pool use them. In this order no connection of the new user is older than the rotation.
    pub(super) fn rotated(&self, rotation: &Rotation, set: impl FnOnce()) {
        let mut state = self.state.lock();
        if rotation.generation <= state.generation {
            return;
        }
        state.rotated(rotation.generation, rotation.credentials.username(), Instant::now());
        set();
    }

    /// Hooks that close the connections of retired users.
    pub(super) fn watch(
        self: &Arc<Self>,
        options: PgPoolOptions,
        then: Option<Arc<AfterConnect>>,
    ) -> PgPoolOptions {
        let (connected, acquired, released) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        options
            .test_before_acquire(false)
            .after_connect(move |connection, metadata| {
                let (users, then) = (Arc::clone(&connected), then.clone());
                Box::pin(async move {
                    users.check_new(connection).await?;
                    match then {
                        Some(then) => then(connection, metadata).await,
                        None => Ok(()),
                    }
                })
            })
            .before_acquire(move |connection, metadata| {
                let users = Arc::clone(&acquired);
                Box::pin(async move {
                    match users.owner(metadata.age) {
                        Owner::Newest if users.ping => connection.ping().await.map(|()| true),
                        owner => users.may_stay(owner, connection).await,
                    }
                })
            })
            .after_release(move |connection, metadata| {
                let users = Arc::clone(&released);
                Box::pin(async move { users.may_stay(users.owner(metadata.age), connection).await })
            })
    }

    /// An error if the connection was begun with credentials that have been replaced meanwhile: the pool makes another.
    async fn check_new(&self, connection: &mut PgConnection) -> Result<(), ::sqlx::Error> {
        let since = self.state.lock().since;
        let may_be_old = since.is_some_and(|since| Instant::now() < since + self.connect_within);
        if may_be_old && self.is_retired(&user_of(connection).await?) {
            let what = "the credentials were replaced while connecting; connecting again";
            return Err(::sqlx::Error::Protocol(what.to_owned()));
        }
        Ok(())
    }

    async fn may_stay(&self, owner: Owner, connection: &mut PgConnection) -> Result<bool, ::sqlx::Error> {
        match owner {
            Owner::Newest => Ok(true),
            Owner::Retired => Ok(false),
            Owner::AskIt => Ok(!self.is_retired(&user_of(connection).await?)),
        }
    }

    fn owner(&self, age: Duration) -> Owner {
        let made = Instant::now().checked_sub(age);
        self.state.lock().owner(made)
    }

    /// Not "is not the newest": a proxy in between may have users of its own.
    fn is_retired(&self, user: &str) -> bool {
        self.state.lock().is_retired(user)
    }
}

/// Whom the database takes this connection for, whatever `SET ROLE` says. One round trip, without a prepared statement.
async fn user_of(connection: &mut PgConnection) -> Result<String, ::sqlx::Error> {
    use ::sqlx::Executor as _;
    let row = connection.fetch_one(::sqlx::raw_sql("SELECT session_user::text")).await?;
    row.try_get(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn first() -> State {
        State { generation: 1, newest: "u1".into(), retired: Vec::new(), since: None }
    }

    #[test]
    fn nobody_is_retired_before_the_first_rotation() {
        let state = first();
        assert_eq!(state.owner(Some(Instant::now())), Owner::Newest);
        assert_eq!(state.owner(None), Owner::Newest);
    }

    #[test]
    fn the_age_tells_the_owner_but_for_a_second() {
        let (mut state, now) = (first(), Instant::now() + 100 * MS);
        state.rotated(2, "u2", now);
        assert_eq!(state.owner(None), Owner::Retired);
        assert_eq!(state.owner(Some(now - MS)), Owner::Retired);
        assert_eq!(state.owner(Some(now)), Owner::AskIt);
        assert_eq!(state.owner(Some(now + UNCERTAIN - MS)), Owner::AskIt);
        assert_eq!(state.owner(Some(now + UNCERTAIN)), Owner::Newest);
        assert!(state.is_retired("u1") && !state.is_retired("u2"));
        assert!(!state.is_retired("a proxy's own"));
    }

    #[test]
    fn a_new_password_retires_nobody() {
        let (mut state, now) = (first(), Instant::now());
        state.rotated(2, "u1", now);
        assert_eq!(state.owner(Some(now - MS)), Owner::Newest);
        assert!(!state.is_retired("u1"));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut state = first();
        for n in 2..20 {
            state.rotated(n, &format!("u{n}"), Instant::now());
        }
        assert_eq!(state.retired, ["u15", "u16", "u17", "u18"]);
    }
}
