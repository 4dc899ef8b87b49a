//! The answers that the agent gives itself: cached secrets, and errors in Vault's own form.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use secrets_service::gds_vault::{self, ForwardedBody};
use secrets_service::{Error, ErrorKind, Origin, SecretRead};
use tokio::sync::OwnedSemaphorePermit;

use super::connection::Busy;
use super::guard::Refusal;

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const AGE: HeaderName = http::header::AGE;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// As Vault has it on every answer.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const ONE_SECOND: HeaderValue = HeaderValue::from_static("1");

/// Where an answer came from, as told in `X-Cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cached {
    /// From the cache, fresh.
    Hit,
    /// Asked of Vault for this request, and kept.
    Miss,
    /// From the cache, past its time, because Vault is unavailable.
    Stale,
    /// Not for the cache: passed through, or answered by the agent.
    Bypass,
}

impl Cached {
    pub(crate) const ALL: [Self; 4] = [Self::Hit, Self::Miss, Self::Stale, Self::Bypass];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Miss => "MISS",
            Self::Stale => "STALE",
            Self::Bypass => "BYPASS",
        }
    }

    pub(crate) fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }

    pub(crate) fn of(origin: Origin) -> Self {
        match origin {
            Origin::Cache => Self::Hit,
            Origin::Stale => Self::Stale,
            _ => Self::Miss,
        }
    }
}

/// Marks an answer with where it came from.
pub(crate) fn mark(response: &mut Response<AnswerBody>, cached: Cached) {
    response.body_mut().cached = cached;
    response.headers_mut().insert(X_CACHE, cached.value());
}

/// A secret, the body as Vault sent it.
pub(crate) fn secret(read: &SecretRead) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(read.raw_body().clone()));
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(AGE, age(read.age().as_secs()));
    mark(&mut response, Cached::of(read.origin()));
    response
}

/// The first seconds are the usual ones, and cost nothing.
fn age(seconds: u64) -> HeaderValue {
    const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let digit = usize::try_from(seconds).ok().and_then(|seconds| DIGITS.get(seconds));
    digit.map_or_else(|| HeaderValue::from(seconds), |digit| HeaderValue::from_static(digit))
}

/// `{"errors": […]}`, as Vault's clients expect.
pub(crate) fn error(status: StatusCode, message: &str) -> Response<AnswerBody> {
    let body = serde_json::json!({ "errors": [message] }).to_string();
    json(status, Bytes::from(body))
}

pub(crate) fn json(status: StatusCode, body: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    mark(&mut response, Cached::Bypass);
    response
}

pub(crate) fn refusal(refusal: Refusal) -> Response<AnswerBody> {
    error(refusal.status, refusal.message)
}

pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<AnswerBody> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "there is no such method here");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// More is under way than allowed.
pub(crate) fn busy() -> Response<AnswerBody> {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, "too many requests to Vault are under way");
    response.headers_mut().insert(RETRY_AFTER, ONE_SECOND);
    response
}

/// What a failed read comes to. `own`: it was made with the agent's own login, whose failure is not the fault of
/// whoever asked.
pub(crate) fn failure(failed: &Error, own: bool) -> Response<AnswerBody> {
    let told = failed.vault_error();
    let login_failed = failed.kind() == ErrorKind::Authentication;
    if let Some((status, body)) = told.and_then(said_by_vault)
        && !(own && login_failed)
    {
        // Vault's own words, to the letter: a deleted version's 404 has its metadata in it.
        let mut response = json(status, body.clone());
        if let Some(wait) = told.and_then(gds_vault::Error::retry_after) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        return response;
    }
    error(status_of(failed, own), &failed.to_string())
}

fn said_by_vault(error: &gds_vault::Error) -> Option<(StatusCode, &Bytes)> {
    let status = StatusCode::from_u16(error.status()?).ok().filter(|status| status.as_u16() >= 400)?;
    error.answer_body().filter(|body| body.starts_with(b"{")).map(|body| (status, body))
}

fn status_of(error: &Error, own: bool) -> StatusCode {
    match error.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::Authentication if !own => StatusCode::FORBIDDEN,
        ErrorKind::InvalidRequest | ErrorKind::Conflict => StatusCode::BAD_REQUEST,
        ErrorKind::InvalidSecret => StatusCode::BAD_GATEWAY,
        ErrorKind::Unavailable if is_timeout(error) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Asked, and no answer came in time; as opposed to not asked at all, or answered badly.
fn is_timeout(error: &Error) -> bool {
    match error.vault_error() {
        Some(error) => error.kind() == gds_vault::ErrorKind::Timeout,
        None => error.attempts() > 0,
    }
}

/// The body of an answer.
pub(crate) struct AnswerBody {
    source: Source,
    /// The connection is busy until the body has been taken.
    busy: Option<Busy>,
    /// What `X-Cache` says.
    cached: Cached,
}

enum Source {
    Whole(Option<Bytes>),
    Passed {
        body: Box<ForwardedBody>,
        /// One of the requests under way, until the answer's end.
        _turn: OwnedSemaphorePermit,
    },
}

impl AnswerBody {
    pub(crate) fn whole(body: Bytes) -> Self {
        let source = Source::Whole(Some(body).filter(|body| !body.is_empty()));
        Self { source, busy: None, cached: Cached::Bypass }
    }

    pub(crate) fn passed(body: ForwardedBody, turn: OwnedSemaphorePermit) -> Self {
        let source = Source::Passed { body: Box::new(body), _turn: turn };
        Self { source, busy: None, cached: Cached::Bypass }
    }

    pub(crate) fn cached(&self) -> Cached {
        self.cached
    }

    pub(crate) fn with_busy(mut self, busy: Busy) -> Self {
        self.busy = Some(busy);
        self
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Arc<gds_vault::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.source {
            Source::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Source::Passed { body, .. } => Pin::new(&mut **body).poll_frame(context).map_err(Arc::new),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(body) => body.is_none(),
            Source::Passed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Source::Passed { body, .. } => body.size_hint(),
        }
    }
}
