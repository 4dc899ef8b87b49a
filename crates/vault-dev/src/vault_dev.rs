//! The server as its user holds it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::error::Error;
use crate::faults::{Fault, FaultGuard, FaultRule, Faults};
use crate::requests::{RequestLog, RequestRecord};
use crate::server::{MAX_CONNECTIONS, Shared, bind};

/// The token that [`Builder::root_token`] replaces: the one everybody uses in development.
const ROOT_TOKEN: &str = "root";

/// A running development server. Dropping it stops it at once and leaves database roles behind;
/// [`shutdown`](Self::shutdown) revokes them first.
pub struct VaultDev {
    shared: Arc<Shared>,
    url: String,
    address: SocketAddr,
    root_token: String,
    /// What the accept loop has done about refusing.
    applied: watch::Receiver<bool>,
    open: watch::Receiver<bool>,
    accepting: parking_lot::Mutex<Option<JoinHandle<()>>>,
    timer: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

/// How a server shall be started.
#[derive(Clone)]
pub struct Builder {
    root_token: String,
    address: SocketAddr,
}

/// What [`VaultDev::shutdown`] achieved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Leases that were revoked: their database roles are gone.
    pub revoked: usize,
    /// Ids of the leases that were not, because of an error or the deadline.
    pub left: Vec<String>,
}

impl Builder {
    /// Default `root`.
    pub fn root_token(mut self, token: impl Into<String>) -> Self {
        self.root_token = token.into();
        self
    }

    /// Default `127.0.0.1:0`, any free port. Only loopback addresses are taken.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Starts the server on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[allow(clippy::unused_async, reason = "needs a runtime, and says so by being async")]
    pub async fn start(self) -> Result<VaultDev, Error> {
        if !self.address.ip().is_loopback() {
            return Err(Error::NotLoopback(self.address));
        }
        let listening =
            bind(self.address).map_err(|source| Error::Listen { address: self.address, source })?;
        let address = listening.address();
        let core = Arc::new(Core::new(&self.root_token));
        let (open_sender, open) = watch::channel(true);
        let (applied_sender, applied) = watch::channel(true);
        let shared = Arc::new(Shared {
            faults: Arc::new(Faults::new(&core, open_sender)),
            requests: RequestLog::default(),
            working: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            stop: CancellationToken::new(),
            core: Arc::clone(&core),
        });
        let accepting = tokio::spawn(listening.run(Arc::clone(&shared), open.clone(), applied_sender));
        let timer = tokio::spawn(core.run_timer());
        tracing::warn!(
            %address,
            "DEVELOPMENT Vault: data only in memory, unsealed, no TLS, a root token that everybody knows"
        );
        Ok(VaultDev {
            shared,
            url: format!("http://{address}"),
            address,
            root_token: self.root_token,
            applied,
            open,
            accepting: parking_lot::Mutex::new(Some(accepting)),
            timer: parking_lot::Mutex::new(Some(timer)),
        })
    }
}

impl VaultDev {
    /// Defaults: any free port of 127.0.0.1, root token `root`.
    pub fn builder() -> Builder {
        Builder { root_token: ROOT_TOKEN.to_owned(), address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root token.
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// The key for `sys/unseal`, base64.
    pub fn unseal_key(&self) -> &str {
        &self.shared.core.unseal_key
    }

    /// Puts a fault in force until the guard is dropped. When this returns, the fault is effective: with
    /// [`Fault::Refused`] the listener is closed and open connections are gone.
    pub async fn fault(&self, fault: impl Into<FaultRule>) -> FaultGuard {
        let guard = FaultGuard::new(&self.shared.faults, self.shared.install(fault.into()));
        self.settled().await;
        guard
    }

    /// Lifts all faults (also [`Fault::Sealed`]; a seal by [`seal`](Self::seal) stays). When this returns, the
    /// server listens.
    pub async fn clear_faults(&self) {
        self.shared.faults.clear();
        self.settled().await;
    }

    /// Takes requests and answers none of them, until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.shared.install(Fault::Frozen.into());
    }

    /// Ends [`freeze`](Self::freeze) and every other [`Fault::Frozen`]; the waiting requests are answered now.
    pub fn thaw(&self) {
        self.shared.faults.remove_all(&Fault::Frozen);
    }

    /// Seals, as `sys/seal` does. Leases do not end while sealed; they do as soon as it is unsealed.
    pub fn seal(&self) {
        self.shared.core.set_sealed(true);
    }

    /// Unseals, without a key.
    pub fn unseal(&self) {
        self.shared.core.set_sealed(false);
    }

    /// Whether it is sealed.
    pub fn is_sealed(&self) -> bool {
        self.shared.core.is_sealed()
    }

    /// Refuses connections and drops the open ones, until [`accept`](Self::accept). The port stays ours.
    pub async fn refuse(&self) {
        self.shared.install(Fault::Refused.into());
        self.settled().await;
    }

    /// Ends [`refuse`](Self::refuse) and every other [`Fault::Refused`]: listens again on the same port.
    pub async fn accept(&self) {
        self.shared.faults.remove_all(&Fault::Refused);
        self.settled().await;
    }

    /// The most recent requests (at most 10,000), oldest first, including those that a fault swallowed.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.requests.all()
    }

    /// How many requests with this method (`*`: any; `LIST` for lists) to paths (without `/v1/`) starting so.
    pub fn count(&self, method: &str, path_prefix: &str) -> u64 {
        self.shared.requests.count(method, path_prefix)
    }

    /// How many TCP connections were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.requests.connections()
    }

    /// Forgets all requests and counts.
    pub fn reset_counts(&self) {
        self.shared.requests.reset();
    }

    /// Lets the server believe that `by` has passed, and waits until everything that is due by then has been
    /// done: expired tokens and leases are revoked, static roles rotated. Nobody else's clock moves.
    pub async fn advance_clock(&self, by: Duration) {
        self.shared.core.clock.skip(by);
        self.shared.core.do_what_is_due().await;
        self.shared.core.wake.notify_one();
    }

    /// Stops listening, lets running requests finish, and revokes every lease, so that no database role is left.
    /// All of it takes at most `deadline`. A second call reports nothing.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let until = tokio::time::Instant::now() + deadline;
        self.shared.stop.cancel();
        let accepting = self.accepting.lock().take();
        if let Some(accepting) = accepting {
            let _ = tokio::time::timeout_at(until, accepting).await;
        }
        let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout_at(until, self.shared.working.acquire_many(all)).await;
        self.shared.working.close();
        let timer = self.timer.lock().take();
        if let Some(timer) = timer {
            timer.abort();
            let _ = timer.await;
        }
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let drained = self.shared.core.drain(left).await;
        if !drained.left.is_empty() {
            tracing::warn!(leases = ?drained.left, "leases were not revoked before the deadline");
        }
        ShutdownReport { revoked: drained.revoked, left: drained.left }
    }

    /// Waits until the accept loop has followed the faults.
    async fn settled(&self) {
        let wanted = *self.open.borrow();
        let mut applied = self.applied.clone();
        // An error means that the loop has ended: there is nothing to wait for.
        let _ = applied.wait_for(|applied| *applied == wanted).await;
    }
}

impl Drop for VaultDev {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        if let Some(timer) = self.timer.lock().take() {
            timer.abort();
        }
    }
}

/// Without the token.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for VaultDev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultDev").field("url", &self.url).finish_non_exhaustive()
    }
}
