//! Traces of requests, for a collector of OpenTelemetry (feature `otel`).
//!
//! A span says: method, mount, status, how the cache was used, how long it took. Never a path below the mount, a query, a
//! header or a body. `traced.rs` makes spans, `context.rs` reads and writes `traceparent`, `otlp.rs` is how the collector
//! wants it. Spans wait in a bounded queue; what does not fit, or cannot be delivered, is lost, and counted in the log.

mod context;
mod otlp;
mod settings;
mod traced;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use self::otlp::Span;
use self::settings::TraceSettings;
pub(crate) use self::traced::Traced;

/// Spans that wait to be sent: a few seconds of a busy agent, about 300 KiB.
const QUEUE: usize = 2_048;

/// Spans in one request to the collector, as in OpenTelemetry's own exporters (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const BATCH_TIME: Duration = Duration::from_secs(1);

/// How long the collector may take, as in OpenTelemetry's own exporters (`OTEL_EXPORTER_OTLP_TIMEOUT`).
const EXPORT_TIME: Duration = Duration::from_secs(10);

/// How long the end of the agent waits for the last spans to be sent.
const LAST_TIME: Duration = Duration::from_secs(2);

/// Where spans go. Cheap to clone; does nothing if no collector is named.
#[derive(Clone, Default)]
pub(crate) struct Tracer(Option<Arc<Queue>>);

struct Queue {
    sender: mpsc::Sender<Message>,
    lost: AtomicU64,
}

enum Message {
    Span(Span),
    /// To be answered when all before it has been sent.
    Flush(oneshot::Sender<()>),
}

impl Tracer {
    /// As the `OTEL_…` variables say; the error says what is wrong with them.
    pub(crate) fn start(tasks: &mut JoinSet<()>) -> Result<Self, String> {
        let Some(settings) = TraceSettings::read(&|name| std::env::var(name).ok())? else {
            return Ok(Self::default());
        };
        let (sender, messages) = mpsc::channel(QUEUE);
        let queue = Arc::new(Queue { sender, lost: AtomicU64::new(0) });
        tasks.spawn(export_all(messages, Exporter::new(settings), Arc::clone(&queue)));
        Ok(Self(Some(queue)))
    }

    fn is_on(&self) -> bool {
        self.0.is_some()
    }

    fn record(&self, span: Span) {
        if let Some(queue) = &self.0
            && queue.sender.try_send(Message::Span(span)).is_err()
        {
            queue.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what there is, as far as that goes quickly.
    pub(crate) async fn flush(&self) {
        let Some(queue) = &self.0 else { return };
        let (done, is_done) = oneshot::channel();
        let sent = async {
            if queue.sender.send(Message::Flush(done)).await.is_ok() {
                let _ = is_done.await;
            }
        };
        if tokio::time::timeout(LAST_TIME, sent).await.is_err() {
            tracing::warn!("the last spans could not be sent in time");
        }
    }
}

async fn export_all(mut messages: mpsc::Receiver<Message>, mut exporter: Exporter, queue: Arc<Queue>) {
    let mut batch = Vec::new();
    loop {
        let mut flush = None;
        match messages.recv().await {
            Some(Message::Span(span)) => batch.push(span),
            Some(Message::Flush(done)) => flush = Some(done),
            None => return,
        }
        let more = async {
            while batch.len() < BATCH && flush.is_none() {
                match messages.recv().await {
                    Some(Message::Span(span)) => batch.push(span),
                    Some(Message::Flush(done)) => flush = Some(done),
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(BATCH_TIME, more).await;
        exporter.send(&batch).await;
        batch.clear();
        let lost = queue.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "spans did not fit into the queue");
        }
        if let Some(done) = flush {
            let _ = done.send(());
        }
    }
}

/// The way to the collector.
struct Exporter {
    settings: TraceSettings,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Whether the last attempt failed: told once, not each second.
    failing: bool,
}

impl Exporter {
    fn new(settings: TraceSettings) -> Self {
        Self { settings, client: Client::builder(TokioExecutor::new()).build_http(), failing: false }
    }

    async fn send(&mut self, batch: &[Span]) {
        if batch.is_empty() {
            return;
        }
        let body = otlp::request(&self.settings.service, batch);
        let problem = match tokio::time::timeout(EXPORT_TIME, self.post(body)).await {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some("it does not answer in time".to_owned()),
        };
        if let Some(problem) = &problem
            && !self.failing
        {
            tracing::warn!(problem, "the collector of traces takes no spans; they are lost until it does");
        }
        self.failing = problem.is_some();
    }

    async fn post(&self, body: String) -> Result<(), String> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.settings.endpoint.clone();
        request.headers_mut().clone_from(&self.settings.headers);
        let answer = self.client.request(request).await.map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("it answers {}", answer.status())) }
    }
}
