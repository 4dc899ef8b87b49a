//! [`Forward`] and [`Forwarded`]: requests passed on as they came, and their answers, both streamed. For proxies.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{Client, TRUE, TokenHeader, X_VAULT_NAMESPACE, X_VAULT_REQUEST, X_VAULT_TOKEN};
use crate::error::{Error, ErrorKind};
use crate::secret_string::SecretString;
use crate::transport::{self, Outbound};
use crate::wiped::WipedBuffer;

/// A request to be passed on. Method, target and headers go out as they are given: the caller has taken out what
/// concerns one connection only (`Host`, `Connection`, `Transfer-Encoding`, …).
pub struct Forward {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Outbound,
    pub(crate) head_timeout: Duration,
    pub(crate) idle_timeout: Duration,
}

impl Forward {
    /// A request without a body. `target` is path and query, percent-encoded, from `/v1/` on.
    pub fn new(method: Method, target: impl Into<String>, headers: HeaderMap) -> Self {
        Self {
            method,
            target: target.into(),
            headers,
            body: Outbound::Whole(Full::default()),
            head_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
        }
    }

    /// A body that is all there. Only then can the request be sent again, to another server or after a redirect.
    pub fn body(mut self, body: Bytes) -> Self {
        self.body = Outbound::Whole(Full::new(body));
        self
    }

    /// A body that comes piece by piece.
    pub fn streamed<B>(mut self, body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.body = Outbound::streamed(body.map_err(Into::into).boxed());
        self
    }

    /// Sends this token, whatever the headers hold.
    pub fn token(mut self, token: &SecretString) -> Self {
        // A token that no header can hold is one that Vault never made.
        match TokenHeader::new(token.clone()).header() {
            Ok(value) => self.headers.insert(X_VAULT_TOKEN, value),
            Err(_) => self.headers.remove(X_VAULT_TOKEN),
        };
        self
    }

    /// Until the head of the answer is there, 60 s by default as for Vault's own command; and how long the answer
    /// may then pause, 60 s by default.
    pub fn timeouts(mut self, head: Duration, idle: Duration) -> Self {
        (self.head_timeout, self.idle_timeout) = (head, idle);
        self
    }

    /// The path, without query and without `v1/`, still percent-encoded.
    pub fn path(&self) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        path.strip_prefix("/v1/").unwrap_or(path)
    }

    /// A second one, if the body is all there.
    pub fn try_clone(&self) -> Option<Self> {
        Some(Self {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            body: self.body.replay()?,
            head_timeout: self.head_timeout,
            idle_timeout: self.idle_timeout,
        })
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("method", &self.method)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// The answer to a [`Forward`], whatever its status.
#[non_exhaustive]
pub struct Forwarded {
    /// The HTTP status.
    pub status: u16,
    /// The headers, as they came.
    pub headers: HeaderMap,
    /// The body, as it comes.
    pub body: ForwardedBody,
}

impl Forwarded {
    /// Waits for the whole body, if it is no longer than `most` bytes.
    pub async fn collect(self, most: usize) -> Result<Self, Error> {
        let Self { status, headers, body } = self;
        let mut whole = WipedBuffer::default();
        let mut body = Limited::new(body, most);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.downcast::<Error>() {
                Ok(error) => *error,
                Err(_) => Error::new(ErrorKind::AnswerTooLarge, format!("the limit is {most} bytes")),
            })?;
            if let Some(chunk) = frame.data_ref() {
                whole.extend(chunk);
            }
        }
        Ok(Self { status, headers, body: ForwardedBody::whole(whole.into_bytes()) })
    }

    /// The body, once it has been [collected](Self::collect).
    pub fn collected(&self) -> Option<&Bytes> {
        match &self.body.source {
            Source::Whole(body) => Some(body),
            Source::Incoming(_) => None,
        }
    }

    /// Whether a collected refusal says that the token itself is not valid, as Vault does since 1.15.
    pub fn says_that_the_token_is_dead(&self) -> bool {
        let says =
            |words: &[u8]| self.collected().is_some_and(|body| body.windows(words.len()).any(|w| w == words));
        self.status == 403 && (says(b"invalid token") || says(b"bad token"))
    }
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarded").field("status", &self.status).finish_non_exhaustive()
    }
}

/// The body of an answer, as it comes. Fails if the server falls silent.
pub struct ForwardedBody {
    source: Source,
    idle_timeout: Duration,
    silence: Option<Pin<Box<Sleep>>>,
}

enum Source {
    Incoming(Incoming),
    Whole(Bytes),
}

impl ForwardedBody {
    pub(crate) fn incoming(body: Incoming, idle_timeout: Duration) -> Self {
        Self { source: Source::Incoming(body), idle_timeout, silence: None }
    }

    fn whole(body: Bytes) -> Self {
        Self { source: Source::Whole(body), idle_timeout: Duration::ZERO, silence: None }
    }
}

impl Body for ForwardedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let incoming = match &mut this.source {
            Source::Incoming(incoming) => incoming,
            Source::Whole(body) if body.has_remaining() => {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(body)))));
            }
            Source::Whole(_) => return Poll::Ready(None),
        };
        if let Poll::Ready(frame) = Pin::new(incoming).poll_frame(context) {
            this.silence = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| transport::failure_of_body(&error))));
        }
        let until = Instant::now() + this.idle_timeout;
        let silence = this.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        ready!(silence.as_mut().poll(context));
        Poll::Ready(Some(Err(Error::new(ErrorKind::Timeout, "the server fell silent in mid-answer"))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Incoming(incoming) => incoming.is_end_stream(),
            Source::Whole(body) => body.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Incoming(incoming) => incoming.size_hint(),
            Source::Whole(body) => SizeHint::with_exact(body.len() as u64),
        }
    }
}

impl fmt::Debug for ForwardedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardedBody").finish_non_exhaustive()
    }
}

impl Client {
    /// Passes a request on to the first server that can be reached, and returns whatever it answers. The token is
    /// the request's own: this client's is not added. A namespace is, if the request names none.
    pub async fn forward(&self, mut request: Forward) -> Result<Forwarded, Error> {
        request.headers.insert(X_VAULT_REQUEST, TRUE);
        if let Some(namespace) = &self.handle.namespace {
            let value: HeaderValue = namespace.header()?;
            request.headers.entry(X_VAULT_NAMESPACE).or_insert(value);
        }
        self.transport.forward(request).await
    }
}
