//! The thread that writes: appends what waits, and now and then writes all of the file anew.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Weak};

use gds_vault::KnownMounts;
use zeroize::Zeroizing;

use super::file::CacheFile;
use super::journal::{Batch, Change, Inner, LINGER, Login, Queue, RETRY, Source};
use super::moment::Moment;
use super::record::{Encoder, LONGEST_BODY, SecretParts, StoredHold};
use super::seal::TAG;
use crate::cache::Entry;
use crate::secret_read::CachedSecret;

/// A batch is sealed when it has grown to this, so that no more than a few of its size are in memory at once.
const BATCH: usize = 256 << 10;

/// A file that has grown by this much, and to more than twice of what it was when it was new, is written anew.
const WORTH_A_REWRITE: u64 = 1 << 20;

pub(super) struct Writer {
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
    pub(super) fn new(inner: Arc<Inner>, file: CacheFile, source: Weak<dyn Source>) -> Self {
        let bytes_when_new = file.length();
        let mounts = KnownMounts::default();
        Self { inner, file, source, mounts, bytes_when_new, broken: false, at_the_end: false }
    }

    pub(super) fn run(mut self) {
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
            None if batch.rekey.is_some() || self.broken => Err(io::Error::other("the client is gone")),
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
        self.inner.queue.lock().in_flight = 0;
        self.inner.done.send_modify(|done| {
            done.ticket = done.ticket.max(batch.ticket);
            done.writes += u64::from(problem.is_none());
            done.bytes = bytes;
            done.problem = problem;
        });
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
