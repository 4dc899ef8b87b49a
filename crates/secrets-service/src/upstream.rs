//! One operation on Vault, carried through: gate, attempt, retry within the budget and the deadline.
//!
//! What each failure does is decided here and nowhere else; `docs/architecture.md` has the table.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use gds_vault::ErrorKind as Vault;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::breaker::{Breaker, BreakerSettings, BreakerState, Permit, Refusal};
use crate::error::{Error, ErrorKind};
use crate::retry::{Backoff, RetryBudget};
use crate::stats::Stats;

/// The longest pause that a `Retry-After` can impose: five minutes. A server (or something in between) that
/// says "tomorrow" must not switch the service off.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Between attempts while the nodes of a cluster elect a leader: they are well and will soon have one, which takes
/// longer than the usual attempts do, so these go on until the operation's deadline. A second at most, for that is how
/// long a new leader goes unnoticed.
const WHILE_ELECTING: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(1));

/// Breakers are kept for this many mounts; beyond it mounts share one. Mounts come from paths, which come
/// from callers, so their number must be bounded.
const MOST_GATES: usize = 256;

/// How an operation may be repeated when it is not known whether Vault carried it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A read: any time.
    Safe,
    /// A login, or a read that makes something (`database/creds`): only when Vault did not act, for a repeat could
    /// leave a second credential.
    OnlyIfUndone,
    /// A write: only when Vault certainly did not act. That a standby sends us to its leader is no proof: it may have
    /// passed the request on to a leader that carried it out and died.
    OnlyIfSurelyUndone,
}

/// What is being done, for logs, errors and the choice of breaker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation<'a> {
    /// "read", "put", "login"…
    pub(crate) name: &'static str,
    pub(crate) path: &'a str,
    /// What shares a breaker: one engine whose backend is down must not shut out the others.
    pub(crate) mount: &'a str,
    pub(crate) repeat: Repeat,
    pub(crate) deadline: Instant,
}

/// The way to Vault.
#[derive(Debug)]
pub(crate) struct Upstream {
    gates: Mutex<HashMap<Box<str>, Breaker, foldhash::fast::RandomState>>,
    breaker: BreakerSettings,
    backoff: Backoff,
    max_attempts: u32,
    /// With several addresses no single attempt may use up the time that the next address needs.
    addresses: usize,
    budget: RetryBudget,
    pub(crate) stats: Stats,
}

impl Upstream {
    pub(crate) fn new(max_attempts: u32, backoff: Backoff, addresses: usize) -> Arc<Self> {
        Arc::new(Self {
            gates: Mutex::default(),
            breaker: BreakerSettings::default(),
            backoff,
            max_attempts: max_attempts.max(1),
            addresses: addresses.max(1),
            budget: RetryBudget::new(),
            stats: Stats::default(),
        })
    }

    /// Runs `attempt` until it succeeds, fails for good, or may not be repeated. `attempt` is given its number.
    pub(crate) async fn run<T, A, F>(&self, operation: Operation<'_>, attempt: A) -> Result<T, Error>
    where
        A: Fn(u32) -> F,
        F: Future<Output = Result<T, gds_vault::Error>>,
    {
        let gate = self.gate(operation.mount);
        let started = Instant::now();
        let (mut number, mut last, mut now) = (0, None, started);
        loop {
            let permit = match gate.acquire(now) {
                Ok(permit) => permit,
                Err(refusal) => {
                    let error: Error = last.unwrap_or_else(|| refused(operation.path, refusal));
                    return Err(error.tried(number, started.elapsed()));
                }
            };
            if number == 0 {
                self.budget.record_request(started);
            }
            let failure = match self.once(operation, number, permit, now, &gate, &attempt).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let next = self.next_delay(operation, number, &failure);
            let error = failure.into_error(operation.path);
            number += 1;
            let Some(delay) = next else {
                return Err(error.tried(number, started.elapsed()));
            };
            last = Some(error);
            tokio::time::sleep(delay).await;
            now = Instant::now();
        }
    }

    async fn once<T, A, F>(
        &self,
        operation: Operation<'_>,
        number: u32,
        permit: Permit,
        started: Instant,
        gate: &Breaker,
        attempt: &A,
    ) -> Result<T, Failure>
    where
        A: Fn(u32) -> F,
        F: Future<Output = Result<T, gds_vault::Error>>,
    {
        if operation.name != crate::session::LOGIN {
            self.stats.request(number);
        }
        let left = operation.deadline.saturating_duration_since(started);
        let share = if self.addresses > 1 { left / 2 } else { left };
        // Pinned where it is made: these futures are large.
        let request = pin!(attempt(number));
        let result = match timeout_at(started + share, request).await {
            Ok(result) => result.map_err(Failure::Vault),
            Err(_) => Err(Failure::OutOfTime(started.elapsed())),
        };
        let now = Instant::now();
        match &result {
            Err(failure) if failure.counts_for_the_breaker() => {
                if self.addresses > 1 && failure.is_of_one_server() {
                    drop(permit); // says nothing about the others, one of which is asked next
                } else {
                    permit.failure(now);
                }
            }
            Err(failure) if failure.is_unavailable() => permit.turned_away(now),
            _ => permit.success(),
        }
        if let Err(Failure::Vault(error)) = &result
            && let Some(wait) = error.retry_after()
        {
            gate.pause(now, wait.min(LONGEST_PAUSE));
        }
        let outcome = result.as_ref().map_or_else(Failure::word, |_| "ok");
        tracing::info!(
            operation = operation.name,
            path = operation.path,
            outcome,
            ms = u64::try_from((now - started).as_millis()).unwrap_or(u64::MAX),
            attempt = number + 1,
            "vault"
        );
        result
    }

    /// How long to wait before the next attempt; `None` when there must not be one.
    fn next_delay(&self, operation: Operation<'_>, number: u32, failure: &Failure) -> Option<Duration> {
        let electing = failure.is_an_election() && self.max_attempts > 1;
        if (number + 1 >= self.max_attempts && !electing) || !failure.may_be_repeated(operation.repeat) {
            return None;
        }
        let own = if electing { WHILE_ELECTING.delay(number) } else { self.backoff.delay(number) };
        let delay = match failure {
            Failure::Vault(error) => {
                error.retry_after().map_or(own, |wait| wait.min(LONGEST_PAUSE) + own / 4)
            }
            Failure::OutOfTime(_) => own,
        };
        let now = Instant::now();
        let in_time = now + delay < operation.deadline;
        (in_time && self.budget.try_retry(now)).then_some(delay)
    }

    fn gate(&self, mount: &str) -> Breaker {
        let mut gates = self.gates.lock();
        if let Some(gate) = gates.get(mount) {
            return gate.clone();
        }
        let name = if gates.len() < MOST_GATES { mount } else { "" };
        gates.entry(name.into()).or_insert_with(|| Breaker::new(self.breaker)).clone()
    }

    /// How long it is that no request to `mount`, or no login, has had a good answer, those under way included; zero
    /// when the last one had.
    pub(crate) fn unserved_for(&self, mount: &str, now: Instant) -> Duration {
        let gates = self.gates.lock();
        let since =
            [mount, crate::session::LOGIN].into_iter().filter_map(|name| gates.get(name)?.unserved_since());
        since.min().map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// The mounts that are not answering, and since when.
    pub(crate) fn troubled_mounts(&self) -> Vec<(String, BreakerState, Instant)> {
        let gates = self.gates.lock();
        let troubled = gates.iter().filter_map(|(mount, gate)| {
            gate.failing_since().map(|since| (mount.to_string(), gate.state(), since))
        });
        troubled.collect()
    }
}

/// How one attempt failed.
#[derive(Debug)]
enum Failure {
    Vault(gds_vault::Error),
    /// The operation's own deadline cut the attempt short.
    OutOfTime(Duration),
}

impl Failure {
    /// Unavailable, and not for a reason that Vault itself gives while it is well.
    fn counts_for_the_breaker(&self) -> bool {
        let told = |kind| matches!(kind, Vault::Standby | Vault::RateLimited | Vault::NotYetThere);
        self.is_unavailable() && !matches!(self, Self::Vault(error) if told(error.kind()))
    }

    /// Whether it was Vault that could not, rather than we that must not.
    fn is_unavailable(&self) -> bool {
        match self {
            Self::OutOfTime(_) => true,
            Self::Vault(error) => error.kind().is_unavailable(),
        }
    }

    fn may_be_repeated(&self, repeat: Repeat) -> bool {
        let Self::Vault(error) = self else { return repeat == Repeat::Safe };
        match error.kind() {
            // Answered before anything was done.
            Vault::Sealed | Vault::RateLimited | Vault::NotYetThere => true,
            Vault::Standby => repeat != Repeat::OnlyIfSurelyUndone,
            kind if kind.is_unavailable() => repeat == Repeat::Safe || !error.was_sent(),
            _ => false,
        }
    }

    /// A connection was lost: all requests on the way to that server fail at once. If the others are gone, too, the
    /// next attempt finds out, and is then one that was not sent.
    fn is_of_one_server(&self) -> bool {
        let lost = |kind| matches!(kind, Vault::Connect | Vault::Interrupted);
        matches!(self, Self::Vault(error) if error.was_sent() && lost(error.kind()))
    }

    /// Servers answer, and none of them leads.
    fn is_an_election(&self) -> bool {
        matches!(self, Self::Vault(error) if error.kind() == Vault::Standby)
    }

    fn word(&self) -> &'static str {
        match self {
            Self::OutOfTime(_) => "out_of_time",
            Self::Vault(error) => match error.kind() {
                Vault::Connect => "connect",
                Vault::Tls => "tls",
                Vault::Timeout => "timeout",
                Vault::Interrupted => "interrupted",
                Vault::MalformedAnswer => "malformed",
                Vault::ServerError => "server_error",
                Vault::Sealed => "sealed",
                Vault::Standby => "standby",
                Vault::RateLimited => "rate_limited",
                Vault::NotYetThere => "not_yet_there",
                Vault::PermissionDenied => "permission_denied",
                Vault::InvalidToken => "invalid_token",
                Vault::NotFound => "not_found",
                Vault::LoginRefused => "login_refused",
                Vault::CheckAndSet => "check_and_set",
                _ => "refused",
            },
        }
    }

    fn into_error(self, path: &str) -> Error {
        match self {
            Self::Vault(error) => Error::from_vault(path, error),
            Self::OutOfTime(after) => {
                let what = format!("no answer from Vault within {:.1} s", after.as_secs_f64());
                Error::new(ErrorKind::Unavailable, path, what)
            }
        }
    }
}

fn refused(path: &str, refusal: Refusal) -> Error {
    let what = match refusal {
        Refusal::Open { since, retry_in } => format!(
            "Vault has not answered for {:.1} s; not asked now, the next try is in {:.1} s",
            since.elapsed().as_secs_f64(),
            retry_in.as_secs_f64()
        ),
        Refusal::Paused { retry_in } => {
            format!(
                "Vault asked for a pause; not asked now, the next try is in {:.1} s",
                retry_in.as_secs_f64()
            )
        }
    };
    Error::new(ErrorKind::Unavailable, path, what)
}
