//! Passing a request through: what goes on, what stays behind, and how much of it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use secrets_service::gds_vault::{Forward, Forwarded};
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{self, AnswerBody, Cached};

/// Bodies up to this size are read before anything is sent: only then can a request go to another server, or be made
/// again after a new login. Nearly all of Vault's are smaller.
const READ_FIRST: u64 = 64 * 1024;

/// What bounds a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForwardLimits {
    /// The largest request body.
    pub(crate) body_bytes: u64,
    /// How long Vault may take to begin its answer, and how long it may then pause.
    pub(crate) answer_time: Duration,
    /// How long the client may pause within its body.
    pub(crate) body_pause: Duration,
}

/// The request as it goes on; and its body, if that is all there.
pub(crate) struct Outgoing {
    pub(crate) forward: Forward,
    pub(crate) body: Option<Bytes>,
    too_large: Arc<AtomicBool>,
}

impl Outgoing {
    /// Set if, after the request has gone out, its body turned out to be larger than allowed.
    pub(crate) fn too_large(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.too_large)
    }
}

/// Why a request cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    TooLarge,
    TooSlow,
    CutShort,
}

impl Unfit {
    pub(crate) fn answer(self) -> Response<AnswerBody> {
        let (status, message) = match self {
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "the request body is larger than limits.body_bytes allows")
            }
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the request body did not come in time"),
            Self::CutShort => (StatusCode::BAD_REQUEST, "the request body is not whole"),
        };
        answer::error(status, message)
    }
}

/// Makes ready what goes on to Vault. Without `keep_token` the token is left out.
pub(crate) async fn outgoing(
    head: &Parts,
    body: Incoming,
    keep_token: bool,
    limits: &ForwardLimits,
) -> Result<Outgoing, Unfit> {
    let mut headers = end_to_end(&head.headers);
    headers.remove(header::HOST);
    headers.remove(header::EXPECT);
    if !keep_token {
        headers.remove("x-vault-token");
        headers.remove(header::AUTHORIZATION);
    }
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let forward = Forward::new(head.method.clone(), target, headers);
    let forward = forward.timeouts(limits.answer_time, limits.answer_time);
    let too_large = Arc::default();
    let announced = body.size_hint();
    if announced.lower() > limits.body_bytes {
        return Err(Unfit::TooLarge);
    }
    if announced.upper().is_some_and(|most| most <= READ_FIRST) {
        let body = read(body, limits.body_pause).await?;
        return Ok(Outgoing { forward: forward.body(body.clone()), body: Some(body), too_large });
    }
    let bounded = Bounded { body, left: limits.body_bytes, too_large: Arc::clone(&too_large) };
    Ok(Outgoing { forward: forward.streamed(bounded), body: None, too_large })
}

/// Vault's answer as it goes on to the client.
pub(crate) fn passed(answer: Forwarded, turn: OwnedSemaphorePermit) -> Response<AnswerBody> {
    let Forwarded { status, headers, body, .. } = answer;
    let mut response = Response::new(AnswerBody::passed(body, turn));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = end_to_end(&headers);
    answer::mark(&mut response, Cached::Bypass);
    response
}

/// The headers without those that concern one connection only (RFC 9110, 7.6.1).
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    const HOP_BY_HOP: [HeaderName; 7] = [
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    let mut kept = headers.clone();
    let named = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    for name in named.flat_map(|names| names.split(',')) {
        // What the end must see does not go missing because someone names it here.
        let name = name.trim().to_ascii_lowercase();
        if !name.starts_with("x-vault")
            && !matches!(&*name, "authorization" | "content-length" | "content-type")
        {
            kept.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        kept.remove(name);
    }
    kept
}

/// All of a body that is known to be small.
async fn read(mut body: Incoming, pause: Duration) -> Result<Bytes, Unfit> {
    let mut whole = Vec::new();
    loop {
        let frame = tokio::time::timeout(pause, body.frame()).await.map_err(|_| Unfit::TooSlow)?;
        match frame {
            None => break,
            Some(Err(_)) => return Err(Unfit::CutShort),
            Some(Ok(frame)) => {
                if let Some(chunk) = frame.data_ref() {
                    if whole.is_empty() && body.is_end_stream() {
                        // Usual: it is all there, in one piece.
                        return Ok(chunk.clone());
                    }
                    whole.extend_from_slice(chunk);
                }
            }
        }
    }
    Ok(Bytes::from_owner(zeroize::Zeroizing::new(whole)))
}

/// A body that may not become larger than `left`.
struct Bounded {
    body: Incoming,
    left: u64,
    too_large: Arc<AtomicBool>,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        let Some(Ok(frame)) = frame else { return Poll::Ready(frame.map(|frame| frame.map_err(Into::into))) };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(left) = self.left.checked_sub(length) else {
            self.too_large.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err("the request body is larger than allowed".into())));
        };
        self.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_connection_stays_behind() {
        let lines = [
            ("connection", "close, X-Extra, X-Vault-Token"),
            ("keep-alive", "timeout=5"),
            ("x-extra", "1"),
            ("transfer-encoding", "chunked"),
            ("x-vault-token", "t"),
            ("x-vault-index", "i"),
            ("content-type", "application/json"),
        ];
        let headers: HeaderMap = lines
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let mut kept: Vec<_> = end_to_end(&headers).keys().map(ToString::to_string).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["content-type", "x-vault-index", "x-vault-token"]);
    }
}
