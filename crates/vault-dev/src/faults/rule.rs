//! Which fault, where, how often, how long.

use std::time::Duration;

/// One way in which a Vault fails. All of them also hit connections that are open already.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Really seals the server: everything but the status endpoints answers 503 "Vault is sealed". Concerns the
    /// whole server: path and count of the rule mean nothing.
    Sealed,
    /// Takes requests and does not answer them. Once the fault is lifted the waiting requests are answered, as
    /// after SIGSTOP and SIGCONT.
    Frozen,
    /// Nobody listens: connections are refused, open ones are dropped. The port stays reserved. Concerns the whole
    /// server: path and count of the rule mean nothing.
    Refused,
    /// Answers with this status, e.g. 500, 502, 503, or 429 (with `Retry-After`).
    Status {
        /// The HTTP status.
        status: u16,
        /// Sent as `Retry-After`, in whole seconds, rounded up.
        retry_after: Option<Duration>,
    },
    /// Answers correctly, but only after this long.
    Slow(Duration),
    /// Answers 200 with a body that is not JSON (a captive portal, a proxy's page).
    Garbage,
    /// Answers with bytes that are not HTTP, then closes.
    NotHttp,
    /// Sends half of the true answer under a `Content-Length` of the whole, then closes. What was asked for has
    /// happened.
    CutBody,
    /// Resets the connection (RST) instead of answering. Nothing has happened.
    Reset,
    /// Sends half of the true answer, then resets the connection. What was asked for has happened.
    ResetMidBody,
    /// Sends the true answer byte by byte, with this pause between any two.
    Drip(Duration),
    /// Pretends to be a standby: `sys/health` answers with this status (429 standby, 472 disaster-recovery
    /// secondary, 473 performance standby), and so does everything else.
    Standby(u16),
    /// Sends the client elsewhere: 307 to this base URL (`http://127.0.0.1:8202`) plus the path, as a standby does.
    Redirect(String),
}

/// A fault with its limits. By itself a [`Fault`] hits every request until it is lifted.
///
/// ```
/// use std::time::Duration;
/// use vault_dev::{Fault, FaultRule};
///
/// let rule = FaultRule::new(Fault::Reset).on("secret/data/").times(3).lasting(Duration::from_secs(5));
/// # let _ = rule;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    pub(super) fault: Fault,
    pub(super) path: String,
    pub(super) times: Option<u32>,
    pub(super) lasting: Option<Duration>,
}

impl FaultRule {
    /// Hits every request, for as long as it is not lifted.
    pub fn new(fault: Fault) -> Self {
        Self { fault, path: String::new(), times: None, lasting: None }
    }

    /// Only requests whose path starts so; `/v1/` may be left out.
    pub fn on(mut self, path: &str) -> Self {
        path.trim_start_matches('/').trim_start_matches("v1/").clone_into(&mut self.path);
        self
    }

    /// Only so many requests.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Lifts itself after this long, on tokio's clock.
    pub fn lasting(mut self, duration: Duration) -> Self {
        self.lasting = Some(duration);
        self
    }

    /// For how long, if it lifts itself.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.lasting
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}
