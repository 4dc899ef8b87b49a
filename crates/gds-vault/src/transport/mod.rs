//! How a request travels: connections, TLS, several servers, redirects, limits.

mod answer;
mod body;
mod failure;
mod forward;
mod outbound;
mod pool;
mod redirect;
mod roots;
mod servers;
mod tls;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::Instant;

use crate::address::Address;
use crate::client::Headers;
use crate::error::{Error, ErrorKind, Scrubber};
pub(crate) use failure::of_body as failure_of_body;
pub(crate) use outbound::Outbound;
use pool::Pool;
use servers::Servers;
pub use tls::TlsConfig;

/// Redirects followed in one request: a standby names the active node, which may have changed meanwhile.
const MAX_REDIRECTS: usize = 2;

/// What bounds a request. The setters of [`ClientBuilder`](crate::ClientBuilder) say why these are the defaults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_response_bytes: usize,
    pub(crate) pool_idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            max_response_bytes: 32 << 20,
            pool_idle_timeout: Duration::from_secs(30),
        }
    }
}

/// A request as it goes out.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a Method,
    /// Encoded, from `/v1/` on.
    pub(crate) path_and_query: &'a str,
    pub(crate) headers: &'a Headers,
    pub(crate) body: &'a Bytes,
    /// Whether the body is wanted whatever the status. If not, one that is too large does not hide the status.
    pub(crate) any_status: bool,
    /// Instead of the client's.
    pub(crate) timeout: Option<Duration>,
    pub(crate) operation: &'a Cow<'static, str>,
    /// Plain, for errors and logs.
    pub(crate) path: &'a str,
}

/// What a server answered. Until it is known otherwise, it may be a redirect.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) address: Address,
}

/// By when what must have happened.
#[derive(Clone, Copy)]
struct Deadlines {
    connected: Instant,
    answered: Instant,
    /// The length of the time until `answered`, for messages.
    timeout: Duration,
}

/// The connections to the servers of one Vault.
pub(crate) struct Transport {
    servers: Servers,
    pool: Pool,
    limits: Limits,
}

impl Transport {
    pub(crate) fn new(addresses: Vec<Address>, tls: &TlsConfig, limits: Limits) -> Result<Self, Error> {
        if limits.timeout.is_zero() || limits.connect_timeout.is_zero() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "a timeout of 0 leaves no time for any request",
            ));
        }
        let servers = Servers::new(addresses)?;
        let encrypted = servers.addresses().iter().any(Address::is_https);
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        // Shared among the addresses of one name, so that one dead address of a name does not hide the others.
        connector.set_connect_timeout(Some(limits.connect_timeout));
        let connector = tls::connector(connector, tls, encrypted)?;
        let pool = Pool::new(connector, limits.pool_idle_timeout);
        Ok(Self { servers, pool, limits })
    }

    pub(crate) fn addresses(&self) -> &[Address] {
        self.servers.addresses()
    }

    /// Asks a server last for a while: what it answered was not Vault's.
    pub(crate) fn demote(&self, address: &Address) {
        self.servers.demote(address);
    }

    /// Sends the request to the first server that can be reached, and returns whatever it answers.
    pub(crate) async fn exchange(&self, outgoing: &Outgoing<'_>) -> Result<Answer, Error> {
        let started = Instant::now();
        let outcome = self.try_servers(outgoing, started).await;
        let Outgoing { operation, path, .. } = outgoing;
        // Asked only if somebody listens.
        let ms = || started.elapsed().as_millis();
        match outcome {
            Ok(answer) => {
                let (address, status) = (&answer.address, answer.status.as_u16());
                tracing::debug!(%operation, path = Scrubber::default().path(path), %address, status, ms = ms(), "vault request");
                Ok(answer)
            }
            Err(error) => {
                let error = error.with_operation(Cow::clone(operation)).with_path(path);
                tracing::debug!(%error, ms = ms(), "vault request");
                Err(error)
            }
        }
    }

    async fn try_servers(&self, outgoing: &Outgoing<'_>, started: Instant) -> Result<Answer, Error> {
        let timeout = outgoing.timeout.unwrap_or(self.limits.timeout);
        let ask = |server, deadlines| self.follow_redirects(server, outgoing, deadlines);
        self.one_after_another(started, timeout, ask, |answer| answer.status).await
    }

    /// Has one server after the other asked, until a request has reached one. `status` is that of its answer.
    async fn one_after_another<T, F: Future<Output = Result<T, Error>>>(
        &self,
        started: Instant,
        timeout: Duration,
        ask: impl Fn(usize, Deadlines) -> F,
        status: impl Fn(&T) -> StatusCode,
    ) -> Result<T, Error> {
        let answered = started + timeout;
        let mut failed: Option<Error> = None;
        let mut now = started;
        for (server, others) in self.servers.in_order() {
            // An equal share of what is left, so that a dead server leaves time for the others.
            let share = answered.saturating_duration_since(now) / (1 + others);
            let connected = now + share.min(self.limits.connect_timeout);
            let outcome = ask(server, Deadlines { connected, answered, timeout }).await;
            self.servers.note(server, outcome.as_ref().map(&status));
            match outcome {
                Err(error) if failure::is_before_sending(&error) && others > 0 => {
                    failed = Some(failure::after(failed, error));
                    now = Instant::now();
                }
                Err(error) => return Err(failure::after(failed, error)),
                Ok(answer) => return Ok(answer),
            }
        }
        // Not reached: the last server returns.
        Err(failed.unwrap_or_else(|| Error::new(ErrorKind::Configuration, "no Vault address is configured")))
    }

    async fn follow_redirects(
        &self,
        server: usize,
        outgoing: &Outgoing<'_>,
        deadlines: Deadlines,
    ) -> Result<Answer, Error> {
        let mut address = self.servers.addresses()[server].clone();
        let mut path_and_query = Cow::Borrowed(outgoing.path_and_query);
        let mut redirected_by = None;
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send(address, &path_and_query, outgoing, deadlines).await;
            let answer = answer.map_err(|error| redirect::failed(error, redirected_by.as_ref()))?;
            match redirect::target(&answer)? {
                None => return Ok(answer),
                Some((next, rest)) => (address, path_and_query) = (next, Cow::Owned(rest)),
            }
            redirected_by = Some(answer.address);
        }
        Err(redirect::too_many(&address, MAX_REDIRECTS))
    }

    async fn send(
        &self,
        address: Address,
        path_and_query: &str,
        outgoing: &Outgoing<'_>,
        deadlines: Deadlines,
    ) -> Result<Answer, Error> {
        let uri = address
            .target(path_and_query)
            .map_err(|_| Error::new(ErrorKind::Configuration, "the path is too long for a URL"))?;
        let headers = outgoing.headers.for_server(&address);
        let body = Outbound::Whole(Full::new(outgoing.body.clone()));
        let under_way = self.start(address.clone(), outgoing.method.clone(), uri, headers, body);
        match self.whole(under_way, outgoing.any_status, deadlines).await {
            Ok((status, headers, body)) => Ok(Answer { status, headers, body, address }),
            Err(error) => Err(error.with_address(&address)),
        }
    }
}
