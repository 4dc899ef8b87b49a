//! The body of a request on its way out.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};

type Failure = Box<dyn StdError + Send + Sync>;
type Stream = BoxBody<Bytes, Failure>;

/// All there, or coming piece by piece.
pub(crate) enum Outbound {
    Whole(Full<Bytes>),
    Streamed(Streamed),
}

/// A body that is taken from its place when it is first asked for. Until then the request has not been sent, and the
/// body can go to another server.
pub(crate) struct Streamed {
    place: Arc<Mutex<Option<Stream>>>,
    taken: Option<Stream>,
    size: SizeHint,
}

/// A body on its way with one request, which notices when a connection takes that request.
///
/// No head can be written before the body has been asked whether there is one and how long it is, and nobody asks before
/// there is a connection to write to.
pub(crate) struct Attempt {
    body: Outbound,
    taken: Taken,
}

/// Whether a connection has taken the request, so that some of it may have been sent. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Taken(Arc<AtomicBool>);

impl Taken {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Attempt {
    pub(crate) fn new(body: Outbound, taken: Taken) -> Self {
        Self { body, taken }
    }
}

impl Body for Attempt {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.taken.set();
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.taken.set();
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.taken.set();
        self.body.size_hint()
    }
}

impl Outbound {
    pub(crate) fn streamed(body: Stream) -> Self {
        let size = body.size_hint();
        Self::Streamed(Streamed { place: Arc::new(Mutex::new(Some(body))), taken: None, size })
    }

    /// The same body once more, if it is all there.
    pub(crate) fn replay(&self) -> Option<Self> {
        match self {
            Self::Whole(body) => Some(Self::Whole(body.clone())),
            Self::Streamed(_) => None,
        }
    }

    /// The same body for a further attempt, whose predecessor must not have begun to send it.
    pub(crate) fn attempt(&self) -> Self {
        match self {
            Self::Whole(body) => Self::Whole(body.clone()),
            Self::Streamed(streamed) => Self::Streamed(Streamed {
                place: Arc::clone(&streamed.place),
                taken: None,
                size: streamed.size,
            }),
        }
    }
}

impl Streamed {
    fn body(&mut self) -> Option<&mut Stream> {
        if self.taken.is_none() {
            self.taken = self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        self.taken.as_mut()
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match &mut *self {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Streamed(streamed) => match streamed.body() {
                Some(body) => Pin::new(body).poll_frame(context),
                None => Poll::Ready(Some(Err("the body has been sent to another server".into()))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(streamed) => streamed.taken.as_ref().is_some_and(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(streamed) => {
                streamed.taken.as_ref().map_or_else(|| streamed.size, Body::size_hint)
            }
        }
    }
}
