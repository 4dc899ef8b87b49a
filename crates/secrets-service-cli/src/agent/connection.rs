//! One connection: HTTP/1.1 over whatever the listener accepted, watched so that it cannot stay for nothing.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::AnswerBody;

/// Longer heads come from no client of Vault: its own limit is 1 MiB for all, ours is for one.
const MOST_HEADERS: usize = 100;

/// What a connection may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// The largest request head, in bytes.
    pub(crate) head_bytes: usize,
    /// How long a head may take from its first byte on.
    pub(crate) head_time: Duration,
    /// How long a connection may lie idle between requests.
    pub(crate) idle_time: Duration,
    /// How long nothing may move within a request and its answer.
    pub(crate) stall_time: Duration,
}

/// What answers the requests of connections; each gets a clone.
pub(crate) trait Handler:
    Service<
        Request<Incoming>,
        Response = Response<AnswerBody>,
        Error = Infallible,
        Future: Future<Output = Result<Response<AnswerBody>, Infallible>> + Unpin + Send,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<H> Handler for H where
    H: Service<
            Request<Incoming>,
            Response = Response<AnswerBody>,
            Error = Infallible,
            Future: Future<Output = Result<Response<AnswerBody>, Infallible>> + Unpin + Send,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// Serves requests until the client goes, overstays, or `draining` becomes true and the last answer is out.
pub(crate) async fn serve<S, H>(
    stream: S,
    handler: H,
    limits: ConnectionLimits,
    mut draining: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Service<Request<Incoming>, Response = Response<AnswerBody>, Error = Infallible>,
    H::Future: Unpin,
{
    let activity = Arc::new(Activity::new());
    let io = Watched { io: TokioIo::new(stream), activity: Arc::clone(&activity) };
    let service = Watching { handler, activity: Arc::clone(&activity) };
    let mut http = http1::Builder::new();
    http.max_headers(MOST_HEADERS)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(16 * 1024));
    // Ours tells an idle connection from a slow one.
    http.header_read_timeout(None);
    let mut connection = pin!(http.serve_connection(io, service));
    let mut watch = pin!(tokio::time::sleep(limits.head_time));
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = watch.as_mut() => match activity.overdue_at(&limits) {
                at if at <= Instant::now() => {
                    tracing::debug!("connection closed: too slow, or idle for too long");
                    return;
                }
                at => watch.as_mut().reset(at),
            },
            () = begins(&mut draining) => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    // From here on only the answer under way matters.
    let _ = tokio::time::timeout(limits.stall_time, connection).await;
}

/// Waits until draining begins.
pub(crate) async fn begins(draining: &mut watch::Receiver<bool>) {
    // An agent that is gone without a word is draining as well.
    let _ = draining.wait_for(|draining| *draining).await;
}

const IDLE: u8 = 0;
const IN_HEAD: u8 = 1;
const IN_REQUEST: u8 = 2;

/// What the connection is at, and since when nothing has moved.
#[derive(Debug)]
struct Activity {
    epoch: Instant,
    phase: AtomicU8,
    /// Milliseconds since `epoch`: of a head its first byte, else the last movement.
    since: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { epoch: Instant::now(), phase: AtomicU8::new(IN_HEAD), since: AtomicU64::new(0) }
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Ordering::Relaxed);
        self.moved();
    }

    fn moved(&self) {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(now, Ordering::Relaxed);
    }

    fn has_read(&self) {
        match self.phase.load(Ordering::Relaxed) {
            IDLE => self.enter(IN_HEAD),
            IN_REQUEST => self.moved(),
            _ => {}
        }
    }

    fn has_written(&self) {
        if self.phase.load(Ordering::Relaxed) == IN_REQUEST {
            self.moved();
        }
    }

    fn overdue_at(&self, limits: &ConnectionLimits) -> Instant {
        let time = match self.phase.load(Ordering::Relaxed) {
            IDLE => limits.idle_time,
            IN_HEAD => limits.head_time,
            _ => limits.stall_time,
        };
        self.epoch + Duration::from_millis(self.since.load(Ordering::Relaxed)) + time
    }
}

/// While it lives, a request or its answer is under way.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(IDLE);
    }
}

/// Notes when requests begin.
struct Watching<H> {
    handler: H,
    activity: Arc<Activity>,
}

impl<H> Service<Request<Incoming>> for Watching<H>
where
    H: Service<Request<Incoming>, Response = Response<AnswerBody>, Error = Infallible>,
    H::Future: Unpin,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Marked<H::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.activity.enter(IN_REQUEST);
        let busy = Some(Busy(Arc::clone(&self.activity)));
        Marked { answering: self.handler.call(request), busy }
    }
}

/// Hands the mark on to the answer's body.
struct Marked<F> {
    answering: F,
    busy: Option<Busy>,
}

impl<F> Future for Marked<F>
where
    F: Future<Output = Result<Response<AnswerBody>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = std::task::ready!(Pin::new(&mut self.answering).poll(context));
        let busy = self.busy.take();
        Poll::Ready(answer.map(|answer| match busy {
            Some(busy) => answer.map(|body| body.with_busy(busy)),
            None => answer,
        }))
    }
}

/// Notes when bytes move.
struct Watched<S> {
    io: TokioIo<S>,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> hyper::rt::Read for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if read.is_ready() {
            self.activity.has_read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        if written.is_ready() {
            self.activity.has_written();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        if written.is_ready() {
            self.activity.has_written();
        }
        written
    }
}
