//! How a request travels: connections, TLS, several servers, redirects, limits.

mod body;
mod failure;
mod forward;
mod outbound;
mod redirect;
mod roots;
mod servers;
mod tls;

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};

use crate::address::Address;
use crate::error::{Error, ErrorKind, Scrubber};
use crate::response::Response;
pub(crate) use failure::of_body as failure_of_body;
pub(crate) use outbound::Outbound;
use servers::Servers;
pub use tls::TlsConfig;

/// Idle connections kept per server: more than any sane number of concurrent requests leaves behind.
const MAX_IDLE_PER_SERVER: usize = 64;

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
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// Encoded, from `/v1/` on.
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body is wanted whatever the status. If not, one that is too large does not hide the status.
    pub(crate) any_status: bool,
    /// Instead of the client's.
    pub(crate) timeout: Option<Duration>,
    pub(crate) operation: Cow<'static, str>,
    /// Plain, for errors and logs.
    pub(crate) path: String,
}

/// An answer before it is known whether it is one to the request or a redirect.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    address: Address,
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
    http: HttpClient<HttpsConnector<HttpConnector>, Outbound>,
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
        let http = HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits.pool_idle_timeout)
            .pool_max_idle_per_host(MAX_IDLE_PER_SERVER)
            .build(connector);
        Ok(Self { servers, http, limits })
    }

    pub(crate) fn addresses(&self) -> &[Address] {
        self.servers.addresses()
    }

    /// Asks a server last for a while: what it answered was not Vault's.
    pub(crate) fn demote(&self, address: &Address) {
        self.servers.demote(address);
    }

    /// Sends the request to the first server that can be reached, and returns whatever it answers.
    pub(crate) async fn exchange(&self, outgoing: Outgoing) -> Result<Response, Error> {
        let started = Instant::now();
        let outcome = self.try_servers(&outgoing, started).await;
        let ms = started.elapsed().as_millis();
        let Outgoing { operation, path, .. } = outgoing;
        match outcome {
            Ok(Answer { status, headers, body, address }) => {
                let status = status.as_u16();
                tracing::debug!(%operation, path = Scrubber::default().path(&path), %address, status, ms, "vault request");
                Ok(Response { status, headers, body, address, operation, path })
            }
            Err(error) => {
                let error = error.with_operation(operation).with_path(path);
                tracing::debug!(%error, ms, "vault request");
                Err(error)
            }
        }
    }

    async fn try_servers(&self, outgoing: &Outgoing, started: Instant) -> Result<Answer, Error> {
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
        for (server, others) in self.servers.in_order() {
            let now = Instant::now();
            // An equal share of what is left, so that a dead server leaves time for the others.
            let share = answered.saturating_duration_since(now) / (1 + others);
            let connected = now + share.min(self.limits.connect_timeout);
            let outcome = ask(server, Deadlines { connected, answered, timeout }).await;
            self.servers.note(server, outcome.as_ref().map(&status));
            match outcome {
                Err(error) if failure::is_before_sending(&error) && others > 0 => {
                    failed = Some(failure::after(failed, error));
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
        outgoing: &Outgoing,
        deadlines: Deadlines,
    ) -> Result<Answer, Error> {
        let mut address = self.servers.addresses()[server].clone();
        let mut path_and_query = Cow::Borrowed(outgoing.path_and_query.as_str());
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
        outgoing: &Outgoing,
        deadlines: Deadlines,
    ) -> Result<Answer, Error> {
        let mut request = http::Request::new(Outbound::Whole(Full::new(outgoing.body.clone())));
        *request.method_mut() = outgoing.method.clone();
        *request.headers_mut() = outgoing.headers.clone();
        *request.uri_mut() = address
            .join(path_and_query)
            .map_err(|_| Error::new(ErrorKind::Configuration, "the path is too long for a URL"))?;
        match self.answer(request, outgoing.any_status, deadlines).await {
            Ok((status, headers, body)) => Ok(Answer { status, headers, body, address }),
            Err(error) => Err(error.with_address(&address)),
        }
    }

    async fn answer(
        &self,
        mut request: http::Request<Outbound>,
        any_status: bool,
        deadlines: Deadlines,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Error> {
        let connection = capture_connection(&mut request);
        let is_connected = || connection.connection_metadata().is_some();
        let mut answer = pin!(self.http.request(request));
        let head = match timeout_at(deadlines.connected, &mut answer).await {
            Ok(head) => head,
            Err(_) if !is_connected() => return Err(failure::not_connected_in_time()),
            Err(_) => match timeout_at(deadlines.answered, answer).await {
                Ok(head) => head,
                Err(_) => return Err(failure::not_answered_in_time(deadlines.timeout)),
            },
        };
        let head: http::Response<Incoming> =
            head.map_err(|error| failure::of_request(&error, is_connected()))?;
        let (parts, incoming) = head.into_parts();
        let whole = body::read(incoming, self.limits.max_response_bytes);
        let body = match timeout_at(deadlines.answered, whole).await {
            Ok(Ok(body)) => body,
            Ok(Err(error))
                if error.kind() == ErrorKind::AnswerTooLarge && !any_status && !parts.status.is_success() =>
            {
                Bytes::new()
            }
            Ok(Err(error)) => return Err(error.with_status(parts.status.as_u16())),
            Err(_) => return Err(failure::not_answered_in_time(deadlines.timeout)),
        };
        Ok((parts.status, parts.headers, body))
    }
}
