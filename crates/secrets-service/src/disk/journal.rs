//! What is waiting to be written.
//!
//! Whoever changes the cache says so here, under the same lock that orders changes of one key (`flight.rs`), and goes
//! on: nobody waits for the disk. Of several changes of one secret only the last is kept, so that at most as many
//! wait as there are secrets. New secrets may wait [`LINGER`] for others to go with them; what must not be served any
//! more is written at once. `writer.rs` is the thread that does it.

use std::collections::HashMap;
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
use super::record::{LONGEST_BODY, StoredLogin};
use super::seal::Material;
use super::writer::Writer;
use crate::cache::Entry;
use crate::error::{Error, ErrorKind};
use crate::secret_read::CachedSecret;

/// How long a new secret waits for others, to be written with them: no loss, should the machine fail meanwhile, that
/// Vault could not make good. So the disk is waited for at most 20 times a second.
pub(super) const LINGER: Duration = Duration::from_millis(50);

/// After a failure to write: so long may it go unnoticed that there is room again.
pub(super) const RETRY: Duration = Duration::from_secs(10);

/// More changes than secrets fit in the cache can wait only if they are about secrets that are no longer there; with
/// this many more, what waits is thrown away and all is written anew.
const SPARE: usize = 1_024;

/// What the file should say, asked when it is written anew. It must not block for long.
pub(crate) trait Source: Send + Sync {
    fn entries(&self) -> Vec<Entry<CachedSecret>>;
    fn mounts(&self) -> KnownMounts;
}

/// The way to the copy on disk; does nothing if there is none. Clones are the same.
#[derive(Clone)]
pub(crate) struct Journal(Option<Arc<Owner>>);

/// The thread ends with the last of these.
struct Owner(Arc<Inner>);

pub(super) struct Inner {
    pub(super) queue: Mutex<Queue>,
    pub(super) wake: Condvar,
    pub(super) done: watch::Sender<Done>,
    pub(super) path: PathBuf,
    most: usize,
    /// Whether the key is derived from the secret_id.
    by_secret_id: bool,
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each can be so without the others")]
pub(super) struct Queue {
    pub(super) changes: HashMap<Box<str>, Change>,
    /// How many are being written right now.
    pub(super) in_flight: usize,
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
    pub(super) index: HashMap<Box<str>, About>,
    /// Counts changes.
    ticket: u64,
    pub(super) urgent: bool,
    pub(super) stop: bool,
    file: Option<CacheFile>,
    restored: usize,
}

pub(super) enum Change {
    Put(Entry<CachedSecret>),
    Delete,
}

#[derive(Clone, Default)]
pub(super) enum Login {
    #[default]
    None,
    Rejected,
    Some(StoredLogin),
}

/// What is known of a secret in the file.
#[derive(Default)]
pub(super) struct About {
    lease: Option<Box<str>>,
    /// The login that its lease hangs on.
    login: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    pub(super) ticket: u64,
    pub(super) writes: u64,
    pub(super) bytes: u64,
    pub(super) problem: Option<Arc<str>>,
    pub(super) ended: bool,
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
    /// Of a client that keeps nothing on disk.
    pub(crate) fn none() -> Self {
        Self(None)
    }

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
        let writer = Writer::new(Arc::clone(inner), file, source);
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
        // What is not there need not be written: a program may well ask for what does not exist, over and over.
        if queue.index.remove(key).is_some() {
            queue.changes.insert(key.into(), Change::Delete);
            inner.changed(queue, true);
        }
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
            pending: queue.changes.len() + queue.in_flight,
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
#[allow(clippy::struct_excessive_bools, reason = "each can be so without the others")]
pub(super) struct Batch {
    pub(super) changes: HashMap<Box<str>, Change>,
    pub(super) clear: bool,
    pub(super) login: Login,
    pub(super) login_changed: bool,
    pub(super) rewrite: bool,
    pub(super) overflowed: bool,
    pub(super) rekey: Option<Material>,
    pub(super) ticket: u64,
}

impl Batch {
    /// Whether something in the file must not be read again.
    pub(super) fn forgets(&self) -> bool {
        self.clear
            || self.overflowed
            || self.login_changed && !matches!(self.login, Login::Some(_))
            || self.changes.values().any(|change| matches!(change, Change::Delete))
    }
}

impl Queue {
    pub(super) fn has_work(&self) -> bool {
        self.clear || self.login_changed || self.rewrite || !self.changes.is_empty()
    }

    pub(super) fn take(&mut self) -> Batch {
        self.in_flight = self.changes.len();
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
