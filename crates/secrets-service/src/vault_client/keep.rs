//! The task that keeps leases and the login alive: it waits for the next thing that is due and has it done.
//!
//! It holds the client weakly and ends with it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::fetch::Ask;
use super::{ResilientVaultClient, Shared};
use crate::error::{Error, ErrorKind};
use crate::flight::Lost;
use crate::key::Key;
use crate::lease::engine::{Grant, Sort};
use crate::lease::keeper::{Kept, Next};
use crate::lease::{LeaseEvents, LeaseStatus, RotatingCredentials, Rotation};
use crate::session::{Login, TokenRenewal};

/// With nothing due the task still looks now and then: a sleeping machine's clock may have jumped.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Between two questions for newer credentials: a static role's new password is there within a second.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Credentials younger than this that a database refuses are not replaced by new ones: the trouble lies elsewhere, and
/// each attempt would leave another user in the database.
const YOUNGEST_REPLACED: Duration = Duration::from_secs(30);

impl ResilientVaultClient {
    /// Credentials of a dynamic role (`database/creds/ROLE`) that are renewed, and replaced before they end, as long
    /// as the handle lives.
    pub async fn rotating_database_credentials(&self, role: &str) -> Result<RotatingCredentials, Error> {
        self.rotating("creds", role).await
    }

    /// Credentials of a static role (`database/static-creds/ROLE`), whose password Vault rotates: read again as soon
    /// as it does.
    pub async fn rotating_static_database_credentials(
        &self,
        role: &str,
    ) -> Result<RotatingCredentials, Error> {
        self.rotating("static-creds", role).await
    }

    /// What happens to this client's leases from now on. Bounded: a listener that is 256 events behind misses the
    /// oldest, and is told how many.
    pub fn lease_events(&self) -> LeaseEvents {
        self.shared.keeper.events()
    }

    /// The leases that are kept alive (and the static roles that a handle waits on), in no order.
    pub fn leases(&self) -> Vec<LeaseStatus> {
        self.shared.keeper.list(Instant::now())
    }

    async fn rotating(&self, sort: &str, role: &str) -> Result<RotatingCredentials, Error> {
        let path = self.credentials_path(sort, role)?;
        let credentials = self.credentials_at(&path).await?;
        let key = self.credentials_key(&path)?;
        self.check_open()?;
        let receiver = self.shared.keeper.watch(&key, credentials, Instant::now());
        Ok(RotatingCredentials::new(self.clone(), path, receiver))
    }

    pub(crate) fn read_deadline(&self) -> Duration {
        self.shared.read_deadline
    }

    /// Has the credentials at `path` checked with Vault, and replaced if need be. Returns when `receiver` has others,
    /// or when it is time to ask again.
    pub(crate) async fn check_credentials(
        &self,
        path: &str,
        receiver: &mut watch::Receiver<Rotation>,
        deadline: Instant,
    ) -> Result<(), Error> {
        self.check_open()?;
        let refused = || {
            let what = "the database refuses the credentials that Vault calls valid";
            Error::new(ErrorKind::Unavailable, path, what)
        };
        if Instant::now() >= deadline {
            return Err(refused());
        }
        let key = self.credentials_key(path)?;
        let live = self.shared.keeper.live(&key, Instant::now());
        let too_young = live.as_ref().is_some_and(|entry| entry.age(Instant::now()) < YOUNGEST_REPLACED);
        let ask = if live.is_some() && !too_young { Ask::Anew } else { Ask::Refresh };
        self.refresh(&key, ask, deadline).await?;
        if receiver.has_changed().unwrap_or(true) {
            return Ok(());
        }
        if too_young {
            return Err(refused());
        }
        let pause = ASK_AGAIN.mul_f64(0.75 + 0.5 * fastrand::f64());
        // Changed or not: the caller looks. A closed client is noticed by the next round.
        let _ = timeout_at(deadline.min(Instant::now() + pause), receiver.changed()).await;
        Ok(())
    }

    fn credentials_key(&self, path: &str) -> Result<Key, Error> {
        let mount = self.shared.database_mount.as_ref();
        let known = self.shared.client.mounts().known(path, Some(mount));
        known.map(|path| Key::new(&path, None)).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, path, "the mount of these credentials is no longer known")
        })
    }

    /// Renews or replaces what is under `key`, together with all who want the same.
    async fn refresh(&self, key: &Key, ask: Ask, deadline: Instant) -> Result<(), Error> {
        let known = self.shared.client.mounts().known(key.path(), None);
        let path =
            known.ok_or_else(|| Error::new(ErrorKind::Unavailable, key.path(), "its mount is not known"))?;
        let waiting = self
            .launch(&path, key, None, ask)
            .map_err(|full| Error::new(ErrorKind::Unavailable, key.path(), full.to_string()))?;
        match timeout_at(deadline, waiting).await {
            Ok(Ok(result)) => result.map(|_| ()),
            Ok(Err(Lost)) => Err(Error::new(ErrorKind::Unavailable, key.path(), Lost.to_string())),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, key.path(), "no answer from Vault in time")),
        }
    }

    async fn attend(&self, kept: Kept) {
        match kept {
            Kept::Secret(key) => self.attend_to_secret(&key).await,
            Kept::Token(generation) => self.shared.attend_to_token(generation).await,
            Kept::SecretId => self.shared.attend_to_secret_id().await,
        }
    }

    async fn attend_to_secret(&self, key: &Key) {
        let keeper = &self.shared.keeper;
        let result = if keeper.may_rest(key, Instant::now()) {
            Ok(())
        } else {
            // The flight bounds itself; this is a little longer.
            let deadline = Instant::now() + self.shared.read_deadline * 3;
            self.refresh(key, Ask::Refresh, deadline).await
        };
        keeper.attended(key, result.err(), Instant::now());
    }
}

impl Shared {
    /// To be called with every login that a request was made with.
    pub(super) fn saw_login(self: &Arc<Self>, login: &Login) {
        self.keeper.logged_in(login, self.secret_id.is_some(), Instant::now());
        self.keeper.start(|| {
            let task = keep(Arc::downgrade(self), Arc::clone(&self.keeper.wake));
            tokio::spawn(task).abort_handle()
        });
    }

    async fn attend_to_token(self: &Arc<Self>, generation: u64) {
        let outcome = match self.session.renew(generation).await {
            Ok(TokenRenewal::Renewed(grant)) => Ok(Some(grant)),
            Ok(TokenRenewal::AtItsEnd) => self.replace_token(generation).await.map(|()| None),
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(|error| {
            tracing::warn!(generation, %error, "the login to Vault could not be kept alive");
        });
        self.keeper.kept_alive(Kept::Token(generation), outcome, Instant::now());
    }

    async fn attend_to_secret_id(self: &Arc<Self>) {
        let outcome = self.keep_secret_id().await.or_else(|error| {
            tracing::warn!(%error, "the secret_id could not be looked after");
            // What is not allowed, or not possible, will not be so in a minute: not again before the next login.
            if error.kind() == ErrorKind::Unavailable { Err(()) } else { Ok(None) }
        });
        let now = Instant::now();
        let next = outcome.map(|wait| wait.map(|wait| Grant::new(now, wait, Sort::Rotating)));
        self.keeper.kept_alive(Kept::SecretId, next, now);
    }

    /// If something hangs on it. Otherwise the next request logs in, if there ever is one.
    async fn replace_token(self: &Arc<Self>, generation: u64) -> Result<(), Error> {
        let Some(login) = self.session.current() else { return Ok(()) };
        if !login.ours {
            // It was given to us, and whoever gave it knows when to give another one.
            let ends_in = login.expires_at().map(|end| end.saturating_duration_since(Instant::now()));
            tracing::info!(
                generation,
                ?ends_in,
                "the token that was given to us cannot be renewed any further"
            );
        } else if login.was_used() || self.keeper.holds_anything() {
            let login = self.session.replace(generation, Instant::now() + self.read_deadline).await?;
            self.saw_login(&login);
        }
        Ok(())
    }
}

async fn keep(shared: Weak<Shared>, wake: Arc<tokio::sync::Notify>) {
    loop {
        let until = {
            let Some(shared) = shared.upgrade() else { return };
            let client = ResilientVaultClient { shared };
            loop {
                match client.shared.keeper.next(Instant::now()) {
                    Next::Wait(until) => break until,
                    Next::Attend(kept) => {
                        let client = client.clone();
                        tokio::spawn(async move { client.attend(kept).await });
                    }
                }
            }
        };
        let look_again = Instant::now() + LOOK_AGAIN;
        tokio::select! {
            () = sleep_until(until.map_or(look_again, |until| until.min(look_again))) => {}
            () = wake.notified() => {}
        }
    }
}
