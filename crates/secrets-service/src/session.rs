//! The login: one token for everyone, found to be dead once, replaced once, never in a storm.
//!
//! When it is renewed or replaced ahead of its end is the lease keeper's business (`lease/`); how, is here.

#[cfg(feature = "disk")]
mod restored;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use gds_vault::{AuthInfo, AuthMethod, Client, SecretString};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::cache::LONGEST;
use crate::disk::Journal;
use crate::error::{Error, ErrorKind};
use crate::flight::{Flights, Full, Waiting};
use crate::lease::engine::{Grant, Sort};
use crate::renewal;
use crate::retry::Backoff;
use crate::upstream::{Operation, Repeat, Upstream};

/// The name of a login in logs and errors.
pub(crate) const LOGIN: &str = "login";

/// The longest that a login may take, retries included. Longer than a read's 10 s would only hold up readers
/// that have given up already.
const LOGIN_TIME: Duration = Duration::from_secs(10);

/// Between refused logins: 1 s, doubling, at most 30 s. All callers share it. Thirty seconds is what a person who
/// has just put a new secret_id in place can wait.
const AFTER_REFUSAL: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// Between logins that got no answer: at most 5 s, for this is how long a recovered Vault may go unnoticed.
const AFTER_SILENCE: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));

/// How long a token that was just found to be alive is believed to be: for that long a 403 is a genuine
/// "permission denied", and no question about the token is asked again.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// A successful login.
#[derive(Debug)]
pub(crate) struct Login {
    /// Counts logins: tells the token that a request was made with from the one that is current.
    pub(crate) generation: u64,
    token: SecretString,
    /// The time that Vault gave the token at the login.
    ttl: Duration,
    /// What Vault granted last; `None` for a token that never ends.
    grant: Mutex<Option<Grant>>,
    /// Whether a request was made with it since that grant.
    used: AtomicBool,
    /// Whether the token is ours to revoke: made by our login, not handed to us.
    pub(crate) ours: bool,
    /// The AppRole that Vault says we logged in as.
    pub(crate) role: Option<String>,
}

impl Login {
    /// When Vault will end the token; `None` for one that never ends.
    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.grant().map(|grant| grant.ends)
    }

    /// What Vault granted last.
    pub(crate) fn grant(&self) -> Option<Grant> {
        *self.grant.lock()
    }

    /// Whether a request was made with it since the last grant.
    pub(crate) fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// A little before its end a token is no longer used: a request that starts with it should end with it.
    fn is_usable(&self, now: Instant) -> bool {
        self.grant()
            .is_none_or(|grant| now < grant.ends - margin(grant.ends.saturating_duration_since(grant.at)))
    }
}

/// What came of an attempt to renew a token.
#[derive(Debug)]
pub(crate) enum TokenRenewal {
    /// It lives on.
    Renewed(Grant),
    /// It cannot be renewed, or not for long.
    AtItsEnd,
}

/// What to do about a 403.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The token was dead; there is a new one: try once more.
    TryAgain,
    /// The token is alive: the policies do not allow it.
    Genuine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    LogIn,
    /// Ask whether the token of this generation is alive.
    Verify(u64),
}

/// The state shared by all users of one login.
pub(crate) struct Session {
    client: Client,
    auth: Arc<dyn AuthMethod>,
    upstream: Arc<Upstream>,
    current: ArcSwapOption<Login>,
    flights: Flights<Task, Result<bool, Error>>,
    generations: AtomicU64,
    state: Mutex<State>,
    journal: Journal,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// No login before that; until then everyone gets `last_error`.
    not_before: Option<Instant>,
    last_error: Option<Error>,
    /// Vault called our token dead (rather than it running out): if it refuses the next login too, access has
    /// been taken away, and cached secrets must not be handed out in its place.
    token_was_rejected: bool,
    /// The last time that the current token was known to be alive.
    verified_at: Option<Instant>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("auth", &self.auth.name()).finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(
        client: Client,
        auth: Arc<dyn AuthMethod>,
        upstream: Arc<Upstream>,
        journal: Journal,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            auth,
            upstream,
            current: ArcSwapOption::empty(),
            flights: Flights::new(16),
            generations: AtomicU64::new(0),
            state: Mutex::default(),
            journal,
        })
    }

    /// The current login, made now if there is none or it is about to end.
    pub(crate) async fn login(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Login>, Error> {
        let now = Instant::now();
        if let Some(login) = self.usable(now) {
            login.used.store(true, Ordering::Relaxed);
            return Ok(login);
        }
        self.fly(Task::LogIn, deadline).await?;
        self.usable(Instant::now()).ok_or_else(|| {
            Error::new(ErrorKind::Authentication, LOGIN, "the token that Vault issued has no lifetime left")
        })
    }

    /// The login if there is a current one; makes no request.
    pub(crate) fn current(&self) -> Option<Arc<Login>> {
        self.current.load_full()
    }

    /// Why the last login failed, if none has succeeded since.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.state.lock().last_error.clone()
    }

    /// A request made with `used` was answered 403: is the token dead, and if so, is there a new one?
    ///
    /// Every caller with the same dead token shares one login. A genuine 403 costs one question about the token
    /// a minute, however many callers meet it.
    pub(crate) async fn denied(
        self: &Arc<Self>,
        used: &Login,
        surely_dead: bool,
        deadline: Instant,
    ) -> Result<Verdict, Error> {
        if self.generation() != Some(used.generation) {
            self.login(deadline).await?;
            return Ok(Verdict::TryAgain);
        }
        if !surely_dead {
            let believed = self.state.lock().verified_at.is_some_and(|at| at.elapsed() < BELIEVED_FOR);
            if believed || self.fly(Task::Verify(used.generation), deadline).await? {
                return Ok(Verdict::Genuine);
            }
        }
        self.drop_dead(used.generation);
        self.login(deadline).await?;
        Ok(Verdict::TryAgain)
    }

    /// Forgets the login and hands it out, to be revoked.
    pub(crate) fn take(&self) -> Option<Arc<Login>> {
        self.client.set_token(None);
        self.current.swap(None)
    }

    fn generation(&self) -> Option<u64> {
        self.current.load().as_ref().map(|login| login.generation)
    }

    fn usable(&self, now: Instant) -> Option<Arc<Login>> {
        self.current.load_full().filter(|login| login.is_usable(now))
    }

    /// Runs one task at a time of each sort, shared by all who need it.
    async fn fly(self: &Arc<Self>, task: Task, deadline: Instant) -> Result<bool, Error> {
        let waiting =
            self.launch(task).map_err(|full| Error::new(ErrorKind::Unavailable, LOGIN, full.to_string()))?;
        match timeout_at(deadline, waiting).await {
            Ok(Ok(result)) => result,
            Ok(Err(lost)) => Err(Error::new(ErrorKind::Unavailable, LOGIN, lost.to_string())),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, LOGIN, "the login got no answer in time")),
        }
    }

    fn launch(self: &Arc<Self>, task: Task) -> Result<Waiting<Result<bool, Error>>, Full> {
        let session = Arc::clone(self);
        self.flights.join(task, |_| async move {
            match task {
                Task::LogIn => session.log_in_if_needed().await.map(|()| true),
                Task::Verify(generation) => session.verify(generation).await,
            }
        })
    }

    async fn log_in_if_needed(&self) -> Result<(), Error> {
        if self.usable(Instant::now()).is_some() {
            return Ok(()); // the flight before this one landed between the caller's look and its joining
        }
        self.log_in().await
    }

    async fn log_in(&self) -> Result<(), Error> {
        let now = Instant::now();
        {
            let state = self.state.lock();
            if let (Some(not_before), Some(error)) = (state.not_before, &state.last_error)
                && now < not_before
            {
                return Err(error.clone());
            }
        }
        let operation = Operation {
            name: LOGIN,
            path: LOGIN,
            mount: LOGIN,
            // A login makes a token (and may use up a secret_id): after a timeout it is not repeated blindly.
            repeat: Repeat::OnlyIfUndone,
            deadline: now + LOGIN_TIME,
        };
        let result = self.upstream.run(operation, |_| self.auth.login(&self.client)).await;
        self.upstream.stats.login(result.is_ok());
        match result {
            Ok(auth) => {
                self.accept(auth);
                Ok(())
            }
            Err(error) => Err(self.refused(error)),
        }
    }

    fn accept(&self, auth: AuthInfo) {
        let now = Instant::now();
        let ttl = auth.lease_duration.min(LONGEST);
        let sort = if auth.renewable { Sort::Renewable } else { Sort::Fixed };
        let login = Login {
            generation: self.generations.fetch_add(1, Ordering::Relaxed) + 1,
            ttl,
            grant: Mutex::new((!ttl.is_zero()).then(|| Grant::new(now, ttl, sort))),
            used: AtomicBool::new(false),
            ours: self.auth.can_log_in_again(),
            role: auth.metadata.get("role_name").cloned(),
            token: auth.client_token,
        };
        tracing::info!(
            method = self.auth.name(),
            ttl_seconds = ttl.as_secs(),
            renewable = auth.renewable,
            generation = login.generation,
            "logged in to Vault"
        );
        self.client.set_token(Some(login.token.clone()));
        self.note(&login);
        self.current.store(Some(Arc::new(login)));
        *self.state.lock() = State { verified_at: Some(now), ..State::default() };
    }

    /// Renews the current token, if it is that of `generation`.
    pub(crate) async fn renew(&self, generation: u64) -> Result<TokenRenewal, Error> {
        let current = self.current.load_full().filter(|login| login.generation == generation);
        let Some((login, grant)) = current.and_then(|login| login.grant().map(|grant| (login, grant))) else {
            return Ok(TokenRenewal::AtItsEnd);
        };
        if grant.sort != Sort::Renewable {
            return Ok(TokenRenewal::AtItsEnd);
        }
        let operation = Operation {
            name: "renew-self",
            path: "auth/token/renew-self",
            mount: LOGIN,
            repeat: Repeat::Safe,
            deadline: Instant::now() + LOGIN_TIME,
        };
        let client = &self.client;
        let wanted = Some(login.ttl);
        let renewed =
            self.upstream.run(operation, |_| async move { client.tokens().renew_self(wanted).await }).await;
        let auth = match renewed {
            Ok(auth) => auth,
            // Its policies do not let it renew itself, or it has been revoked: either way there is a new login.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Authentication) => {
                return Ok(TokenRenewal::AtItsEnd);
            }
            Err(error) => return Err(error),
        };
        let at_its_end = renewal::is_shortened(auth.lease_duration, login.ttl);
        let sort = if at_its_end { Sort::Fixed } else { Sort::Renewable };
        let grant = Grant::new(Instant::now(), auth.lease_duration, sort);
        *login.grant.lock() = Some(grant);
        login.used.store(false, Ordering::Relaxed);
        self.note(&login);
        Ok(if at_its_end { TokenRenewal::AtItsEnd } else { TokenRenewal::Renewed(grant) })
    }

    /// Logs in although the token of `generation` still works, so that what hangs on it can move to the new one.
    pub(crate) async fn replace(
        self: &Arc<Self>,
        generation: u64,
        deadline: Instant,
    ) -> Result<Arc<Login>, Error> {
        if self.generation() == Some(generation) {
            self.log_in().await?;
        }
        self.login(deadline).await
    }

    fn refused(&self, error: Error) -> Error {
        let mut state = self.state.lock();
        let may_stand_in = match error.kind() {
            ErrorKind::Unavailable => true,
            ErrorKind::Authentication => !state.token_was_rejected,
            _ => false,
        };
        let error = error.set_allows_stale(may_stand_in);
        let spacing = if error.kind() == ErrorKind::Unavailable { AFTER_SILENCE } else { AFTER_REFUSAL };
        let wait = spacing.delay(state.failures);
        state.failures = state.failures.saturating_add(1);
        state.not_before = Some(Instant::now() + wait);
        state.last_error = Some(error.clone());
        tracing::warn!(
            method = self.auth.name(),
            error = %error,
            next_try_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "login to Vault failed"
        );
        error
    }

    /// Asks Vault about the token of `generation`: true if it is alive.
    async fn verify(&self, generation: u64) -> Result<bool, Error> {
        if self.generation() != Some(generation) {
            return Ok(false);
        }
        let operation = Operation {
            name: "lookup-self",
            path: "auth/token/lookup-self",
            mount: LOGIN,
            repeat: Repeat::Safe,
            deadline: Instant::now() + LOGIN_TIME,
        };
        let client = &self.client;
        let result =
            self.upstream.run(operation, |_| async move { client.tokens().lookup_self().await }).await;
        match result {
            Ok(_) => {
                self.state.lock().verified_at = Some(Instant::now());
                Ok(true)
            }
            // Either the token is dead, or its policies do not let it look at itself and it was too long ago
            // that it was known to be alive. One login settles it, and `accept` then vouches for a minute.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Authentication) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// So that a process started anew goes on with this login.
    fn note(&self, login: &Login) {
        #[cfg(feature = "disk")]
        self.journal.logged_in(|now| login.stored(now));
        #[cfg(not(feature = "disk"))]
        let _ = (login, &self.journal);
    }

    fn drop_dead(&self, generation: u64) {
        let current = self.current.load();
        if current.as_ref().is_some_and(|login| login.generation == generation) {
            self.state.lock().token_was_rejected = true;
            // Compare-and-swap: a login that landed meanwhile must not be thrown away.
            let dropped = self.current.compare_and_swap(&*current, None);
            if dropped.as_ref().is_some_and(|login| login.generation == generation) {
                tracing::warn!(generation, "Vault no longer accepts our token; logging in again");
                self.journal.rejected(Some(generation));
            }
        }
    }
}

/// How long before its end a token is replaced: a tenth of its life, at most 30 s, so that a request that starts
/// with it also ends with it, and a token of any length has a usable life.
fn margin(ttl: Duration) -> Duration {
    (ttl / 10).min(Duration::from_secs(30))
}
