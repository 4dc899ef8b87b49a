//! What is waiting to be written, and the thread that writes it.
//!
//! Whoever changes the cache says so here, under the same lock that orders changes of one key (`flight.rs`), and goes
//! on: nobody waits for the disk. Of several changes of one secret only the last is kept, so that at most as many
//! wait as there are secrets. New secrets may wait [`LINGER`] for others to go with them; what must not be served any
//! more is written at once.
//!
//! Now and then, when more than half of the file is out of date, it is written anew from what the cache has.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gds_vault::{KnownMounts, SecretString};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::DiskStatus;
use super::file::CacheFile;
use super::moment::Moment;
use super::record::{Encoder, LONGEST_BODY, SecretParts, StoredHold, StoredLogin};
use super::seal::{Material, TAG};
use crate::cache::Entry;
use crate::error::{Error, ErrorKind};
use crate::secret_read::CachedSecret;

/// How long a new secret waits for others, to be written with them: no loss, should the machine fail meanwhile, that
/// Vault could not make good. So the disk is waited for at most 20 times a second.
const LINGER: Duration = Duration::from_millis(50);

/// After a failure to write: so long may it go unnoticed that there is room again.
const RETRY: Duration = Duration::from_secs(10);

/// A batch is sealed when it has grown to this, so that no more than a few of its size are in memory at once.
const BATCH: usize = 256 << 10;

/// A file that has grown by this much, and to more than twice of what it was when it was new, is written anew.
const WORTH_A_REWRITE: u64 = 1 << 20;

/// More changes than secrets fit in the cache can wait only if they are about secrets that are no longer there; with
/// this many more, what waits is thrown away and all is written anew.
const SPARE: usize = 1_024;

/// What the file should say, asked when it is written anew. It must not block for long.
pub(crate) trait Source: Send + Sync {
    fn entries(&self) -> Vec<Entry<CachedSecret>>;
    fn mounts(&self) -> KnownMounts;
}

/// The way to the copy on disk; does nothing if there is none. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Journal(Option<Arc<Owner>>);

/// The thread ends with the last of these.
struct Owner(Arc<Inner>);

struct Inner {
    queue: Mutex<Queue>,
    wake: Condvar,
    done: watch::Sender<Done>,
    path: PathBuf,
    most: usize,
    /// Whether the key is derived from the secret_id.
    by_secret_id: bool,
}

#[derive(Default)]
struct Queue {
    changes: HashMap<Box<str>, Change>,
    /// Everything is forgotten before the changes.
    clear: bool,
    login: Login,
    login_changed: bool,
    /// Write all of it anew, whatever the changes.
    rewrite: bool,
    /// What waited was thrown away, and with it perhaps what was to be forgotten.
    overflowed: bool,
    rekey: Option<Material>,
    /// What will be in the file once nothing waits: so that it can be told by something else than its key.
    index: HashMap<Box<str>, About>,
    /// Counts changes.
    ticket: u64,
    urgent: bool,
    stop: bool,
    file: Option<CacheFile>,
    restored: usize,
}

enum Change {
    Put(Entry<CachedSecret>),
    Delete,
}

#[derive(Clone, Default)]
enum Login {
    #[default]
    None,
    Rejected,
    Some(StoredLogin),
}

/// What is known of a secret in the file.
#[derive(Default)]
struct About {
    lease: Option<Box<str>>,
    /// The login that its lease hangs on.
    login: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct Done {
    ticket: u64,
    writes: u64,
    bytes: u64,
    problem: Option<Arc<str>>,
    ended: bool,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Journal").field(&self.0.as_ref().map(|owner| &owner.0.path)).finish()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.queue.lock().stop = true;
        self.0.wake.notify_all();
    }
}

impl Journal {
    /// For a file that has just been opened; `keys` are those in it. Nothing is written before [`start`](Self::start).
    pub(crate) fn new(
        file: CacheFile,
        keys: impl Iterator<Item = String>,
        capacity: usize,
        by_secret_id: bool,
    ) -> Self {
        let index = keys.map(|key| (key.into(), About::default())).collect();
        let (path, bytes) = (file.path().to_owned(), file.length());
        let inner = Inner {
            queue: Mutex::new(Queue { file: Some(file), index, ..Queue::default() }),
            wake: Condvar::new(),
            done: watch::Sender::new(Done { bytes, ..Done::default() }),
            path,
            most: capacity.saturating_add(SPARE),
            by_secret_id,
        };
        Self(Some(Arc::new(Owner(Arc::new(inner)))))
    }

    /// Starts the thread; with `anew` it begins by writing all of the file again from `source`.
    pub(crate) fn start(&self, source: Weak<dyn Source>, restored: usize, anew: bool) {
        let Some(inner) = self.inner() else { return };
        let file = {
            let mut queue = inner.queue.lock();
            queue.restored = restored;
            queue.rewrite |= anew;
            queue.file.take()
        };
        let Some(file) = file else { return };
        let bytes_when_new = file.length();
        let writer = Writer {
            inner: Arc::clone(inner),
            file,
            source,
            mounts: KnownMounts::default(),
            bytes_when_new,
            broken: false,
            at_the_end: false,
        };
        let thread = std::thread::Builder::new().name("secrets-cache-disk".to_owned());
        if let Err(error) = thread.spawn(move || writer.run()) {
            tracing::error!(%error, "no thread for the cache on disk; it is not written");
            inner.done.send_modify(|done| done.ended = true);
        }
    }

    /// Vault gave us this, or it is known to be stale now. A secret too large for the disk is forgotten there.
    pub(crate) fn put(&self, entry: &Entry<CachedSecret>) {
        let Some(inner) = self.inner() else { return };
        let secret = entry.value();
        if secret.secret.raw_body().len() > LONGEST_BODY {
            return self.delete(entry.key());
        }
        let about = About {
            lease: secret.secret.lease().map(|lease| lease.id.as_str().into()),
            login: secret.bound_to(),
        };
        let mut queue = inner.queue.lock();
        queue.index.insert(entry.key().into(), about);
        queue.changes.insert(entry.key().into(), Change::Put(entry.clone()));
        inner.changed(queue, false);
    }

    /// This must not be served any more.
    pub(crate) fn delete(&self, key: &str) {
        let Some(inner) = self.inner() else { return };
        let mut queue = inner.queue.lock();
        queue.index.remove(key);
        queue.changes.insert(key.into(), Change::Delete);
        inner.changed(queue, true);
    }

    /// [`delete`](Self::delete) for all that `gone` knows by key, lease and the number of the login it hangs on.
    pub(crate) fn delete_where(&self, gone: impl Fn(&str, Option<&str>, Option<u64>) -> bool) {
        let Some(inner) = self.inner() else { return };
        let mut queue = inner.queue.lock();
        let about = |about: &About, key: &str| gone(key, about.lease.as_deref(), about.login);
        let keys: Vec<Box<str>> =
            queue.index.iter().filter(|(key, value)| about(value, key)).map(|(key, _)| key.clone()).collect();
        if keys.is_empty() {
            return;
        }
        for key in keys {
            queue.index.remove(&key);
            queue.changes.insert(key, Change::Delete);
        }
        inner.changed(queue, true);
    }

    /// Nothing must be served any more.
    pub(crate) fn clear(&self) {
        let Some(inner) = self.inner() else { return };
        let mut queue = inner.queue.lock();
        queue.index.clear();
        queue.changes.clear();
        queue.clear = true;
        inner.changed(queue, true);
    }

    /// That is the login now.
    pub(crate) fn logged_in(&self, login: impl FnOnce(Moment) -> StoredLogin) {
        let Some(inner) = self.inner() else { return };
        let login = login(Moment::now());
        inner.set_login(Login::Some(login));
    }

    /// There is none any more; it has been given back.
    pub(crate) fn logged_out(&self) {
        let Some(inner) = self.inner() else { return };
        inner.set_login(Login::None);
    }

    /// Vault has called the login of this number dead (`None`: whichever it was). A later one is not touched.
    pub(crate) fn rejected(&self, number: Option<u64>) {
        let Some(inner) = self.inner() else { return };
        let mut queue = inner.queue.lock();
        let another = |login: &StoredLogin| number.is_some_and(|number| number != login.number);
        if !matches!(&queue.login, Login::Some(login) if another(login)) {
            queue.login = Login::Rejected;
            queue.login_changed = true;
            inner.changed(queue, true);
        }
    }

    /// The secret_id has been replaced by this one: a file whose key is derived from it gets a new key.
    pub(crate) fn rekey(&self, secret_id: &SecretString) {
        let Some(inner) = self.inner().filter(|inner| inner.by_secret_id) else { return };
        let mut queue = inner.queue.lock();
        queue.rekey = Some(Zeroizing::new(secret_id.expose().trim().as_bytes().to_vec()));
        queue.rewrite = true;
        inner.changed(queue, true);
    }

    /// Returns when everything said so far is on disk for good; the error says why it is not.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let Some(inner) = self.inner() else { return Ok(()) };
        let ticket = {
            let mut queue = inner.queue.lock();
            queue.urgent = true;
            queue.ticket
        };
        inner.wake.notify_all();
        inner.settled(ticket).await
    }

    /// Writes what is left and ends the thread: then another process may have the file.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let Some(inner) = self.inner() else { return Ok(()) };
        let ticket = {
            let mut queue = inner.queue.lock();
            queue.stop = true;
            queue.ticket
        };
        inner.wake.notify_all();
        let mut done = inner.done.subscribe();
        // The sender is ours: it cannot go away.
        let _ = done.wait_for(|done| done.ended).await;
        inner.settled(ticket).await
    }

    /// `None`: there is no copy on disk.
    pub(crate) fn status(&self) -> Option<DiskStatus> {
        let inner = self.inner()?;
        let done = inner.done.borrow().clone();
        let queue = inner.queue.lock();
        Some(DiskStatus {
            file: inner.path.clone(),
            secrets: queue.index.len(),
            restored: queue.restored,
            pending: queue.changes.len(),
            writes: done.writes,
            bytes: done.bytes,
            problem: done.problem.as_deref().map(str::to_owned),
        })
    }

    fn inner(&self) -> Option<&Arc<Inner>> {
        self.0.as_ref().map(|owner| &owner.0)
    }
}

impl Inner {
    fn set_login(&self, login: Login) {
        let mut queue = self.queue.lock();
        queue.login = login;
        queue.login_changed = true;
        self.changed(queue, true);
    }

    fn changed(&self, mut queue: MutexGuard<'_, Queue>, urgent: bool) {
        queue.ticket += 1;
        queue.urgent |= urgent;
        if queue.changes.len() > self.most {
            queue.changes.clear();
            (queue.rewrite, queue.overflowed, queue.urgent) = (true, true, true);
        }
        drop(queue);
        self.wake.notify_all();
    }

    async fn settled(&self, ticket: u64) -> Result<(), Error> {
        let mut done = self.done.subscribe();
        let settled = done.wait_for(|done| done.ended || done.ticket >= ticket).await;
        let problem = match settled {
            Ok(done) => match &done.problem {
                Some(problem) => problem.to_string(),
                None if done.ticket >= ticket => return Ok(()),
                None => "nothing is written any more".to_owned(),
            },
            Err(_) => "nothing is written any more".to_owned(),
        };
        Err(Error::new(ErrorKind::Unavailable, self.path.display().to_string(), problem))
    }
}

/// What is taken from the queue at once.
struct Batch {
    changes: HashMap<Box<str>, Change>,
    clear: bool,
    login: Login,
    login_changed: bool,
    rewrite: bool,
    overflowed: bool,
    rekey: Option<Material>,
    ticket: u64,
}

impl Batch {
    /// Whether something in the file must not be read again.
    fn forgets(&self) -> bool {
        self.clear
            || self.overflowed
            || self.login_changed && !matches!(self.login, Login::Some(_))
            || self.changes.values().any(|change| matches!(change, Change::Delete))
    }
}

struct Writer {
    inner: Arc<Inner>,
    file: CacheFile,
    source: Weak<dyn Source>,
    /// What the file says of them.
    mounts: KnownMounts,
    bytes_when_new: u64,
    /// The file is not what it should be and has to be written anew.
    broken: bool,
    /// All that follows is the last.
    at_the_end: bool,
}

impl Writer {
    fn run(mut self) {
        while let Some(batch) = self.next() {
            let result = self.write(&batch);
            self.report(&batch, result);
        }
        let inner = Arc::clone(&self.inner);
        // The lock is given up before anyone hears of the end.
        drop(self);
        inner.done.send_modify(|done| done.ended = true);
    }

    /// Waits for something to do; `None` when there will be nothing more.
    fn next(&mut self) -> Option<Batch> {
        let mut queue = self.inner.queue.lock();
        loop {
            let idle = |queue: &mut Queue| !queue.has_work() && !queue.urgent && !queue.stop;
            let may_wait = |queue: &mut Queue| !queue.urgent && !queue.stop;
            if self.broken {
                self.inner.wake.wait_while_for(&mut queue, may_wait, RETRY);
            } else {
                self.inner.wake.wait_while(&mut queue, idle);
                self.inner.wake.wait_while_for(&mut queue, may_wait, LINGER);
            }
            queue.urgent = false;
            if queue.stop && std::mem::replace(&mut self.at_the_end, queue.stop) && self.broken {
                return None; // it has been tried once more
            }
            if queue.has_work() || self.broken {
                return Some(queue.take());
            }
            if queue.stop {
                return None;
            }
        }
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        if let Some(material) = &batch.rekey {
            self.file.rekey(material.clone());
        }
        let grown = self.file.length();
        let outgrown = grown > self.bytes_when_new * 2 + WORTH_A_REWRITE;
        match self.source.upgrade() {
            Some(source) if batch.rewrite || self.broken || outgrown => self.rewrite(&*source, batch),
            // What is in the cache can no longer be asked: nothing is better than something wrong.
            None if batch.overflowed => self.file.replace(std::iter::empty()),
            None if batch.rewrite || self.broken => Err(io::Error::other("the client is gone")),
            source => self.append(batch, source.map(|source| source.mounts())),
        }
    }

    fn append(&mut self, batch: &Batch, mounts: Option<KnownMounts>) -> io::Result<()> {
        let now = Moment::now();
        let mut batches = Batches::default();
        batches.now.written(now.wall());
        if batch.clear {
            batches.now.clear();
        }
        if batch.login_changed {
            batches.login(&batch.login);
        }
        if let Some(mounts) = mounts.filter(|mounts| *mounts != self.mounts) {
            batches.now.mounts(&mounts);
            self.mounts = mounts;
        }
        for (key, change) in &batch.changes {
            match change {
                Change::Delete => batches.now.delete(key),
                Change::Put(entry) => batches.put(entry, now),
            }
        }
        self.file.append(batches.finish())
    }

    fn rewrite(&mut self, source: &dyn Source, batch: &Batch) -> io::Result<()> {
        let now = Moment::now();
        let mounts = source.mounts();
        let entries = source.entries();
        let mut first = Batches::default();
        first.now.written(now.wall());
        first.now.mounts(&mounts);
        first.login(&batch.login);
        let alive = entries.iter().filter(|entry| {
            now.wall() < now.wall_at(entry.lifetime().stale_until)
                && entry.value().secret.raw_body().len() <= LONGEST_BODY
        });
        let mut alive = alive.peekable();
        let rest = std::iter::from_fn(|| {
            alive.peek()?;
            let mut encoder = Encoder::new();
            while encoder.len() < BATCH {
                let Some(entry) = alive.next() else { break };
                encoder.put(&parts(entry, now));
            }
            Some(encoder.finish(TAG))
        });
        self.file.replace(first.finish().into_iter().chain(rest))?;
        self.bytes_when_new = self.file.length();
        self.mounts = mounts;
        let in_file: HashSet<&str> = entries.iter().map(Entry::key).collect();
        let mut queue = self.inner.queue.lock();
        let Queue { index, changes, .. } = &mut *queue;
        index.retain(|key, _| in_file.contains(&**key) || matches!(changes.get(key), Some(Change::Put(_))));
        Ok(())
    }

    fn report(&mut self, batch: &Batch, result: io::Result<()>) {
        let file = self.inner.path.display();
        let problem = match result {
            Ok(()) => {
                if std::mem::take(&mut self.broken) {
                    tracing::info!(%file, "the cache on disk is written again");
                }
                None
            }
            Err(error) => {
                // What it holds may be older than it should be, but must not hold what was to be forgotten.
                let removed = batch.forgets().then(|| self.file.remove());
                if !self.broken {
                    tracing::warn!(%file, %error, ?removed, "the cache on disk cannot be written; trying again");
                }
                self.broken = true;
                Some(error.to_string().into())
            }
        };
        let bytes = self.file.length();
        self.inner.done.send_modify(|done| {
            done.ticket = done.ticket.max(batch.ticket);
            done.writes += u64::from(problem.is_none());
            done.bytes = bytes;
            done.problem = problem;
        });
    }
}

impl Queue {
    fn has_work(&self) -> bool {
        self.clear || self.login_changed || self.rewrite || !self.changes.is_empty()
    }

    fn take(&mut self) -> Batch {
        Batch {
            changes: std::mem::take(&mut self.changes),
            clear: std::mem::take(&mut self.clear),
            login: self.login.clone(),
            login_changed: std::mem::take(&mut self.login_changed),
            rewrite: std::mem::take(&mut self.rewrite),
            overflowed: std::mem::take(&mut self.overflowed),
            rekey: self.rekey.take(),
            ticket: self.ticket,
        }
    }
}

/// Records, cut into batches of a sensible size.
struct Batches {
    full: Vec<Zeroizing<Vec<u8>>>,
    now: Encoder,
}

impl Default for Batches {
    fn default() -> Self {
        Self { full: Vec::new(), now: Encoder::new() }
    }
}

impl Batches {
    fn put(&mut self, entry: &Entry<CachedSecret>, now: Moment) {
        if self.now.len() >= BATCH {
            self.full.push(std::mem::replace(&mut self.now, Encoder::new()).finish(TAG));
        }
        self.now.put(&parts(entry, now));
    }

    fn login(&mut self, login: &Login) {
        match login {
            Login::None => self.now.no_login(false),
            Login::Rejected => self.now.no_login(true),
            Login::Some(login) => self.now.login(login),
        }
    }

    fn finish(mut self) -> Vec<Zeroizing<Vec<u8>>> {
        self.full.push(self.now.finish(TAG));
        self.full
    }
}

fn parts(entry: &Entry<CachedSecret>, now: Moment) -> SecretParts<'_> {
    let lifetime = entry.lifetime();
    let hold = entry.value().hold.as_ref();
    SecretParts {
        key: entry.key(),
        fetched_at: now.wall_at(lifetime.fetched_at),
        refresh_from: now.wall_at(lifetime.refresh_from),
        fresh_until: now.wall_at(lifetime.fresh_until),
        stale_until: now.wall_at(lifetime.stale_until),
        hold: hold
            .map(|hold| StoredHold { login: hold.generation, granted_at: now.wall_at(hold.granted_at) }),
        body: entry.value().secret.raw_body(),
    }
}
