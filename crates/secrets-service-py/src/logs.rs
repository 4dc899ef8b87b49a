//! The core's events as records of Python's `logging`, under the logger `secrets_service`.
//!
//! Events are put into a bounded queue by whatever thread has them, without waiting for the GIL; threads that hold it
//! anyway (at the end of a call), or else a helper, hand them on. Events hold no secrets: the core never puts one into
//! an event, so there is nothing here that looks for them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};

/// More events than this, not yet handed on, are dropped, and counted.
const MOST: usize = 1_000;

/// How long an event waits for a thread that holds the GIL anyway before a helper is sent: soon enough for whoever
/// reads along, long enough that a call logs what happened in it before it returns.
const PATIENCE: Duration = Duration::from_millis(100);

/// The loggers, and the parts of the core that each one speaks for.
const LOGGERS: &[(&str, &str)] = &[
    ("secrets_service::session", "secrets_service.session"),
    ("secrets_service::upstream", "secrets_service.upstream"),
    ("secrets_service::lease", "secrets_service.lease"),
    ("secrets_service::vault_client", "secrets_service.vault_client"),
    ("secrets_service", "secrets_service"),
    ("gds_vault", "secrets_service.gds_vault"),
    ("vault_dev", "secrets_service.dev_vault"),
];

/// Replaced in a forked child: its parent's may be locked by a thread that the child does not have.
static QUEUE: LazyLock<ArcSwap<Queue>> = LazyLock::new(|| ArcSwap::from_pointee(Queue::default()));

/// The lowest level that any of the loggers lets through, as Python numbers them. Events below it cost nothing.
static LOWEST: AtomicU8 = AtomicU8::new(WARNING);
const ERROR: u8 = 40;
const WARNING: u8 = 30;
const INFO: u8 = 20;
const DEBUG: u8 = 10;

/// How long a fork waits for a handler that is slow.
const PATIENCE_BEFORE_FORK_MS: u32 = 1_000;

/// Records stay queued while a fork is under way.
static HELD: AtomicBool = AtomicBool::new(false);
/// How many are handing on records right now. Changed with the GIL held only.
static FLUSHING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's part of `FLUSHING`; more than one when a handler asks for a secret itself.
    static FLUSHES: Cell<usize> = const { Cell::new(0) };
}

struct Flushing;

impl Flushing {
    fn begin() -> Self {
        FLUSHES.set(FLUSHES.get() + 1);
        FLUSHING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Flushing {
    fn drop(&mut self) {
        FLUSHES.set(FLUSHES.get() - 1);
        FLUSHING.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Queue {
    inner: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<Record>,
    dropped: usize,
    /// A helper has been sent for.
    called: bool,
}

struct Record {
    level: u8,
    logger: &'static str,
    message: String,
    fields: Vec<(&'static str, String)>,
}

/// Sends the core's events here, for as long as the process lives.
pub(crate) fn init(py: Python<'_>) {
    // An error means that it has been done.
    let _ = tracing::subscriber::set_global_default(Bridge);
    look_at_levels(py);
}

/// Before a fork: nobody is left in the middle of handing on a record. A child would find the locks of the files that
/// handlers write to held by a thread that it does not have, and wait for ever.
pub(crate) fn hold(py: Python<'_>) {
    HELD.store(true, Ordering::SeqCst);
    let ours = FLUSHES.get();
    py.detach(|| {
        let mut left = PATIENCE_BEFORE_FORK_MS;
        while FLUSHING.load(Ordering::SeqCst) > ours && left > 0 {
            std::thread::park_timeout(Duration::from_millis(1));
            left -= 1;
        }
    });
}

/// After a fork, in the parent: what has been queued meanwhile is handed on by whoever comes next.
pub(crate) fn release() {
    HELD.store(false, Ordering::SeqCst);
}

/// After a fork, in the child. Forgets what the parent had not handed on: the parent will.
pub(crate) fn after_fork() {
    // The old queue may be locked; dropping it is no use of its lock.
    QUEUE.store(Arc::new(Queue::default()));
    FLUSHING.store(FLUSHES.get(), Ordering::SeqCst);
    release();
}

/// Hands on what has been queued. An exception of a handler is the handler's business: `logging` deals with it.
pub(crate) fn flush(py: Python<'_>) {
    let _flushing = Flushing::begin();
    while !HELD.load(Ordering::SeqCst) {
        let (record, dropped) = {
            let queue = QUEUE.load();
            let mut waiting = queue.lock();
            let record = waiting.records.pop_front();
            (record, std::mem::take(&mut waiting.dropped))
        };
        if dropped > 0 {
            let message = format!("{dropped} records were dropped: more than {MOST} at once");
            let record = Record { level: WARNING, logger: "secrets_service", message, fields: Vec::new() };
            hand_on(py, record);
        }
        let Some(record) = record else { return };
        hand_on(py, record);
    }
}

/// Follows changes that were made to the loggers' levels.
pub(crate) fn look_at_levels(py: Python<'_>) {
    let levels = LOGGERS.iter().filter_map(|(_, name)| {
        logger(py, name).and_then(|logger| logger.call_method0("getEffectiveLevel")?.extract::<u32>()).ok()
    });
    let lowest = levels.min().unwrap_or(u32::from(WARNING));
    LOWEST.store(u8::try_from(lowest).unwrap_or(u8::MAX), Ordering::Relaxed);
}

fn logger<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static GET_LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GET_LOGGER.import(py, "logging", "getLogger")?.call1((name,))
}

fn hand_on(py: Python<'_>, record: Record) {
    let told = || -> PyResult<()> {
        let logger = logger(py, record.logger)?;
        if !logger.call_method1("isEnabledFor", (record.level,))?.is_truthy()? {
            return Ok(());
        }
        let fields = PyDict::new(py);
        for (name, value) in &record.fields {
            fields.set_item(name, value)?;
        }
        let (extra, options) = (PyDict::new(py), PyDict::new(py));
        extra.set_item("vault", fields)?;
        options.set_item("extra", extra)?;
        logger.call_method("log", (record.level, "%s", record.message), Some(&options)).map(drop)
    };
    if let Err(error) = told() {
        error.write_unraisable(py, None);
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a record; says whether a helper has to be sent for.
    fn push(&self, record: Record) -> bool {
        let mut waiting = self.lock();
        if waiting.records.len() >= MOST {
            waiting.dropped += 1;
            return false;
        }
        waiting.records.push_back(record);
        !std::mem::replace(&mut waiting.called, true)
    }
}

struct Bridge;

impl Subscriber for Bridge {
    /// Levels change while the process runs, so each event is looked at.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::DEBUG
            && level_of(*metadata.level()) >= LOWEST.load(Ordering::Relaxed)
            && logger_of(metadata.target()).is_some()
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let Some(logger) = logger_of(metadata.target()) else { return };
        let mut text = Text::default();
        event.record(&mut text);
        let record = Record {
            level: level_of(*metadata.level()),
            logger,
            message: text.message(),
            fields: text.fields,
        };
        let queue = QUEUE.load_full();
        if queue.push(record) {
            send_helper(queue);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        // Spans are not enabled, so this is never called; any number will do.
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Outside of the runtime there is a thread that holds the GIL and will hand the record on itself.
fn send_helper(queue: Arc<Queue>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        queue.lock().called = false;
        return;
    };
    runtime.spawn(async move {
        tokio::time::sleep(PATIENCE).await;
        queue.lock().called = false;
        if !queue.lock().records.is_empty() {
            tokio::task::spawn_blocking(|| {
                if !py_support::is_exiting() {
                    Python::try_attach(flush);
                }
            });
        }
    });
}

fn logger_of(target: &str) -> Option<&'static str> {
    let speaks_for =
        |part: &str| target.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    LOGGERS.iter().find(|(part, _)| speaks_for(part)).map(|(_, logger)| *logger)
}

fn level_of(level: Level) -> u8 {
    match level {
        Level::ERROR => ERROR,
        Level::WARN => WARNING,
        Level::INFO => INFO,
        // Below what Python has names for.
        Level::DEBUG | Level::TRACE => DEBUG,
    }
}

#[derive(Default)]
struct Text {
    what: String,
    fields: Vec<(&'static str, String)>,
}

impl Text {
    fn message(&self) -> String {
        self.fields.iter().fold(self.what.clone(), |mut text, (name, value)| {
            let _ = write!(text, " {name}={value}");
            text
        })
    }

    fn keep(&mut self, field: &Field, value: String) {
        if field.name() == "message" { self.what = value } else { self.fields.push((field.name(), value)) }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }
}
