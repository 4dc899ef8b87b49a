//! Single flight: concurrent misses on one key make one upstream request, whose result *and error* all share.
//!
//! The work runs in a task of its own, not in the caller that happened to come first. So a caller may give
//! up (its deadline, a closed connection) without taking the others down, and the answer still reaches the
//! cache. If the task itself dies (a panic, the runtime shutting down) everyone waiting is told [`Lost`]
//! rather than left waiting.
//!
//! Lock order: the table's lock may be held while taking a flight's lock, never the other way round.
//! `tests/flight_model.rs` runs this very file under a model checker, with that checker's `crate::sync`.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::sync::{Arc, Mutex, lock, spawn};

/// The flights under way, by key. Cheap to clone; clones share the table.
#[derive(Debug)]
pub struct Flights<K, T> {
    table: Arc<Table<K, T>>,
}

#[derive(Debug)]
struct Table<K, T> {
    flights: Mutex<HashMap<K, Arc<Flight<T>>>>,
    most: usize,
}

#[derive(Debug)]
pub(crate) struct Flight<T> {
    pub(crate) outcome: Mutex<Outcome<T>>,
}

#[derive(Debug)]
pub(crate) enum Outcome<T> {
    Pending(Waiters),
    Landed(T),
    Lost,
}

/// The work ended without an answer: it panicked, or the runtime shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request that this read was waiting for ended without an answer")]
pub struct Lost;

/// As many different keys are being fetched as allowed; nothing was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many different reads are under way at once")]
pub struct Full;

impl<K, T> Clone for Flights<K, T> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table) }
    }
}

impl<K, T> Flights<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + 'static,
{
    /// A table for at most `most` keys at once.
    pub fn new(most: usize) -> Self {
        Self { table: Arc::new(Table { flights: Mutex::new(HashMap::new()), most }) }
    }

    /// Joins the flight for `key`, or starts one with `work`. The work runs to its end whether or not anyone
    /// still waits, so it must bound itself in time.
    ///
    /// The work should look into the cache once more before it asks upstream: the flight before it may have
    /// landed between the caller's miss and this call.
    pub fn join<W, F>(&self, key: K, work: W) -> Result<Waiting<T>, Full>
    where
        W: FnOnce(Ticket<K, T>) -> F,
        F: Future<Output = T> + Send + 'static,
    {
        let (waiting, ticket) = self.enter(key)?;
        if let Some(ticket) = ticket {
            spawn(ticket.clone().run(work(ticket)));
        }
        Ok(waiting)
    }

    /// The step that decides who leads: a ticket for the first to come, none for those who join.
    pub fn enter(&self, key: K) -> Result<Entered<K, T>, Full> {
        let mut flights = lock(&self.table.flights);
        if let Some(flight) = flights.get(&key) {
            return Ok((Waiting { flight: Arc::clone(flight), place: None }, None));
        }
        if flights.len() >= self.table.most {
            return Err(Full);
        }
        let flight = Arc::new(Flight { outcome: Mutex::new(Outcome::Pending(Waiters::default())) });
        flights.insert(key.clone(), Arc::clone(&flight));
        let ticket = Ticket { table: Arc::clone(&self.table), flight: Arc::clone(&flight), key };
        Ok((Waiting { flight, place: None }, Some(ticket)))
    }

    /// Runs `change` (a purge, a write's own result) so that no flight now under way can undo it: later
    /// readers of `key` start a new flight, and the old one's [`Ticket::commit`] does nothing.
    pub fn supersede<R>(&self, key: &K, change: impl FnOnce() -> R) -> R {
        let mut flights = lock(&self.table.flights);
        flights.remove(key);
        change()
    }

    /// [`supersede`](Self::supersede) for every key.
    pub fn supersede_all<R>(&self, change: impl FnOnce() -> R) -> R {
        let mut flights = lock(&self.table.flights);
        flights.clear();
        change()
    }

    /// How many keys are being fetched.
    pub fn len(&self) -> usize {
        lock(&self.table.flights).len()
    }

    /// Whether nothing is being fetched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A wait for the flight, and the ticket if it is ours to fly.
type Entered<K, T> = (Waiting<T>, Option<Ticket<K, T>>);

/// The work's own hold on its flight.
#[derive(Debug)]
pub struct Ticket<K, T> {
    table: Arc<Table<K, T>>,
    flight: Arc<Flight<T>>,
    key: K,
}

impl<K: Clone, T> Clone for Ticket<K, T> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table), flight: Arc::clone(&self.flight), key: self.key.clone() }
    }
}

impl<K: Hash + Eq, T> Ticket<K, T> {
    /// Runs `store` unless the flight has been superseded; says whether it ran.
    pub fn commit(&self, store: impl FnOnce()) -> bool {
        let flights = lock(&self.table.flights);
        let current = flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight));
        if current {
            store();
        }
        current
    }

    /// The body of the flight's task. The guard is made before the first poll, so that a task dropped before
    /// it ever ran ends the flight as well.
    pub fn run(self, work: impl Future<Output = T>) -> impl Future<Output = ()> {
        let landing = Landing { ticket: self, landed: false };
        async move {
            let value = work.await;
            landing.land(value);
        }
    }

    fn finish(&self, outcome: Outcome<T>) {
        // Off the table before it lands: whoever has the answer may rely on the next read starting afresh.
        {
            let mut flights = lock(&self.table.flights);
            if flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
                flights.remove(&self.key);
            }
        }
        let before = std::mem::replace(&mut *lock(&self.flight.outcome), outcome);
        if let Outcome::Pending(waiters) = before {
            waiters.wake_all();
        }
    }
}

/// Ends the flight whatever becomes of the task: dropped without [`land`](Self::land), everyone is told [`Lost`].
struct Landing<K: Hash + Eq, T> {
    ticket: Ticket<K, T>,
    landed: bool,
}

impl<K: Hash + Eq, T> Landing<K, T> {
    fn land(mut self, value: T) {
        self.landed = true;
        self.ticket.finish(Outcome::Landed(value));
    }
}

impl<K: Hash + Eq, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        if !self.landed {
            self.ticket.finish(Outcome::Lost);
        }
    }
}

/// A caller's wait for a flight to land. Dropping it leaves the flight alone.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Waiting<T> {
    pub(crate) flight: Arc<Flight<T>>,
    place: Option<usize>,
}

impl<T: Clone> Future for Waiting<T> {
    type Output = Result<T, Lost>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match &mut *lock(&this.flight.outcome) {
            Outcome::Landed(value) => Poll::Ready(Ok(value.clone())),
            Outcome::Lost => Poll::Ready(Err(Lost)),
            Outcome::Pending(waiters) => {
                this.place = Some(waiters.register(this.place, cx.waker()));
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        if let (Some(place), Outcome::Pending(waiters)) = (self.place, &mut *lock(&self.flight.outcome)) {
            waiters.leave(place);
        }
    }
}

/// The wakers of those waiting; places are reused, so that callers who come and go do not add up.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    pub(crate) places: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Waiters {
    fn register(&mut self, place: Option<usize>, waker: &Waker) -> usize {
        let place = place.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        match &mut self.places[place] {
            Some(known) if known.will_wake(waker) => {}
            slot => *slot = Some(waker.clone()),
        }
        place
    }

    fn leave(&mut self, place: usize) {
        self.places[place] = None;
        self.free.push(place);
    }

    fn wake_all(self) {
        self.places.into_iter().flatten().for_each(Waker::wake);
    }
}
