//! The connections to the servers: one request at a time on each, kept for the next.
//!
//! hyper speaks HTTP on a connection; which one a request goes out on is decided here. (hyper-util's client decides it,
//! too, for any number of hosts and protocols: that costs a fifth of all that a request costs.)

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::Service as _;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::outbound::Attempt;
use crate::address::Address;

/// Idle connections kept per server: more than any sane number of concurrent requests leaves behind.
const MAX_IDLE_PER_SERVER: usize = 64;

/// At least this long between two looks for connections that have been idle for too long. One that is wanted before is
/// looked at anyway.
const LEAST_SWEEP: Duration = Duration::from_millis(90);

type Sender = SendRequest<Attempt>;
type BoxError = Box<dyn StdError + Send + Sync>;

/// Why there is no answer.
pub(super) enum Failed {
    /// There was no connection.
    Connecting(BoxError),
    /// There was one.
    Sending(hyper::Error),
}

/// The connections. Clones are the same.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    connector: TowerToHyperService<HttpsConnector<HttpConnector>>,
    idle_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Only servers with something to remember.
    servers: Vec<Server>,
    /// Whether there is a task that lets go of what has been idle for too long.
    is_swept: bool,
}

struct Server {
    address: Address,
    /// The one used last comes last, and is used first: so that what is not needed grows old.
    idle: Vec<Idle>,
    /// Those who would rather have a connection that becomes idle than wait for their own.
    waiting: VecDeque<oneshot::Sender<Sender>>,
}

struct Idle {
    sender: Sender,
    since: Instant,
}

/// A connection that carries an answer. Dropped, it goes back to the pool as soon as the answer's end has come.
pub(super) struct Lent {
    sender: Option<Sender>,
    address: Address,
    pool: Weak<Shared>,
}

impl Pool {
    pub(super) fn new(connector: HttpsConnector<HttpConnector>, idle_timeout: Duration) -> Self {
        let connector = TowerToHyperService::new(connector);
        Self(Arc::new(Shared { connector, idle_timeout, state: Mutex::default() }))
    }

    /// Sends a request on an idle connection or a new one.
    pub(super) async fn send(
        &self,
        address: Address,
        mut request: Request<Attempt>,
    ) -> Result<(Response<Incoming>, Lent), Failed> {
        loop {
            let (mut sender, is_reused) = match self.0.take_idle(&address) {
                Some(sender) => (sender, true),
                None => self.0.connection(&address).await.map_err(Failed::Connecting)?,
            };
            let mut error = match sender.try_send_request(request).await {
                Ok(answer) => {
                    let pool = Arc::downgrade(&self.0);
                    return Ok((answer, Lent { sender: Some(sender), address, pool }));
                }
                Err(error) => error,
            };
            // The server had closed it, and has not seen the request.
            match error.take_message() {
                Some(unsent) if is_reused => request = unsent,
                _ => return Err(Failed::Sending(error.into_error())),
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self, address: &Address) -> Option<Sender> {
        let mut state = self.state();
        let server = state.servers.iter_mut().find(|server| server.address == *address)?;
        let mut now = None;
        while let Some(Idle { sender, since }) = server.idle.pop() {
            let now = *now.get_or_insert_with(Instant::now);
            if sender.is_ready() && now.saturating_duration_since(since) <= self.idle_timeout {
                return Some(sender);
            }
        }
        None
    }

    /// A new connection, or one that has become idle before it was there; says whether it is such a one.
    async fn connection(self: &Arc<Self>, address: &Address) -> Result<(Sender, bool), BoxError> {
        let mut waiting = self.wait(address);
        let mut connecting = Box::pin(connect(Arc::clone(self), address.root()));
        let idle = tokio::select! {
            biased;
            idle = &mut waiting.given => idle.ok().filter(SendRequest::is_ready),
            connected = &mut connecting => return connected.map(|sender| (sender, false)),
        };
        let Some(sender) = idle else { return connecting.await.map(|sender| (sender, false)) };
        // Whoever comes next can use it.
        let (pool, address) = (Arc::downgrade(self), address.clone());
        tokio::spawn(async move {
            if let (Ok(sender), Some(pool)) = (connecting.await, pool.upgrade()) {
                pool.put(&address, sender);
            }
        });
        Ok((sender, true))
    }

    fn wait<'a>(self: &'a Arc<Self>, address: &'a Address) -> Waiting<'a> {
        let (give, given) = oneshot::channel();
        self.state().server(address).waiting.push_back(give);
        Waiting { pool: self, address, given }
    }

    fn put(self: &Arc<Self>, address: &Address, mut sender: Sender) {
        let mut state = self.state();
        let server = state.server(address);
        while let Some(waiting) = server.waiting.pop_front() {
            match waiting.send(sender) {
                Ok(()) => return,
                Err(back) => sender = back,
            }
        }
        if server.idle.len() < MAX_IDLE_PER_SERVER {
            server.idle.push(Idle { sender, since: Instant::now() });
        }
        if state.is_swept {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            state.is_swept = true;
            // A runtime that is shutting down drops it at once, and that takes the lock.
            drop(state);
            runtime.spawn(sweep(Sweeping { pool: Arc::downgrade(self), ended: false }, self.idle_timeout));
        }
    }
}

impl State {
    fn server(&mut self, address: &Address) -> &mut Server {
        let known = self.servers.iter().position(|server| server.address == *address);
        let at = known.unwrap_or_else(|| {
            let address = address.clone();
            self.servers.push(Server { address, idle: Vec::new(), waiting: VecDeque::new() });
            self.servers.len() - 1
        });
        &mut self.servers[at]
    }

    /// Lets go of what is closed or has been idle since before `then`.
    fn sweep(&mut self, then: Option<Instant>) {
        let is_old = |since| then.is_some_and(|then| since < then);
        for server in &mut self.servers {
            server.idle.retain(|idle| idle.sender.is_ready() && !is_old(idle.since));
        }
        self.tidy();
    }

    /// Forgets those who no longer wait, and servers of which there is nothing to remember.
    fn tidy(&mut self) {
        self.servers.retain_mut(|server| {
            server.waiting.retain(|waiting| !waiting.is_closed());
            !(server.idle.is_empty() && server.waiting.is_empty())
        });
    }
}

async fn connect(pool: Arc<Shared>, server: Uri) -> Result<Sender, BoxError> {
    let io = pool.connector.call(server).await?;
    drop(pool);
    let (mut sender, connection) = http1::handshake(io).await?;
    // What ends it later is told to the request that it carries.
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            let _ = tell.send(error);
        }
    });
    match sender.ready().await {
        Ok(()) => Ok(sender),
        Err(closed) => Err(told.await.unwrap_or(closed).into()),
    }
}

/// Someone who waits for a connection to become idle. Leaves nothing behind, and passes on what came too late.
struct Waiting<'a> {
    pool: &'a Arc<Shared>,
    address: &'a Address,
    given: oneshot::Receiver<Sender>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.given.close();
        if let Ok(sender) = self.given.try_recv() {
            self.pool.put(self.address, sender);
        }
        self.pool.state().tidy();
    }
}

/// The task that sweeps. When it ends before there is nothing left, as with its runtime, there can be another.
struct Sweeping {
    pool: Weak<Shared>,
    ended: bool,
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade().filter(|_| !self.ended) {
            pool.state().is_swept = false;
        }
    }
}

async fn sweep(mut sweeping: Sweeping, idle_timeout: Duration) {
    while !sweeping.ended {
        sleep(idle_timeout.max(LEAST_SWEEP)).await;
        let Some(pool) = sweeping.pool.upgrade() else { return };
        let mut state = pool.state();
        state.sweep(Instant::now().checked_sub(idle_timeout));
        state.is_swept = !state.servers.is_empty();
        sweeping.ended = !state.is_swept;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let (Some(mut sender), Some(pool)) = (self.sender.take(), self.pool.upgrade()) else { return };
        if sender.is_ready() {
            pool.put(&self.address, sender);
        } else if !sender.is_closed()
            && let Ok(runtime) = Handle::try_current()
        {
            let (pool, address) = (Weak::clone(&self.pool), self.address.clone());
            runtime.spawn(async move {
                if sender.ready().await.is_ok()
                    && let Some(pool) = pool.upgrade()
                {
                    pool.put(&address, sender);
                }
            });
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
