//! Single flight: concurrent misses on one key make one upstream request, whose result *and error* all share.
//!
//! Who does the work? As long as nobody else wants its result, the caller that came first does it within its own
//! future: a task of its own would cost each uncached read two more trips through the scheduler. The work is handed
//! over to a task of its own as soon as that future can no longer be relied on:
//!
//! - someone joins: the first caller may be alive and never be polled again (a `select!` that is busy with another
//!   branch), which must not hold up the others;
//! - the first caller leaves (its deadline, a closed connection): the answer still reaches the cache;
//! - it takes longer than `PATIENCE`: nobody may have joined, but the work may hold a permit that others want.
//!
//! So a flight never depends on what a caller does for longer than that. If the work itself dies (a panic, the
//! runtime shutting down) everyone waiting is told [`Lost`] rather than left waiting.
//!
//! Lock order: the table's lock may be held while taking a flight's lock, never the other way round. Neither is held
//! while work is polled, dropped or handed over.
//! `tests/flight_model.rs` runs this very file under a model checker, with that checker's `crate::sync`.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::sync::{Alarm, Arc, Home, Mutex, alarm, lock, uncaught};

/// How long the work stays with the caller that came first. Longer than most answers of a Vault nearby take; short
/// enough that a caller that is not polled holds up nobody for a time that they would notice.
const PATIENCE: Duration = Duration::from_millis(10);

/// The flights under way, by key. Cheap to clone; clones share the table.
#[derive(Debug)]
pub struct Flights<K, T> {
    table: Arc<Table<K, T>>,
}

#[derive(Debug)]
struct Table<K, T> {
    /// The cache's hash: a read asks here four times.
    flights: Mutex<HashMap<K, Arc<Flight<T>>, RandomState>>,
    most: usize,
}

#[derive(Debug)]
pub(crate) struct Flight<T> {
    pub(crate) outcome: Mutex<Outcome<T>>,
}

#[derive(Debug)]
pub(crate) enum Outcome<T> {
    Pending(Aloft),
    Landed(T),
    Lost,
}

/// A flight that has not landed.
#[derive(Debug, Default)]
pub(crate) struct Aloft {
    pub(crate) waiters: Waiters,
    hands: Hands,
}

/// In whose hands the work is.
#[derive(Debug)]
enum Hands {
    /// The first caller's, between two polls.
    Caller(Work),
    /// The first caller's, and being put together or polled right now.
    Busy {
        /// It is to be handed over after that.
        wanted: bool,
    },
    /// Those of a task of its own.
    Task,
}

impl Default for Hands {
    fn default() -> Self {
        Self::Busy { wanted: false }
    }
}

/// What a flight does, and where it does it once it is on its own. Ends the flight itself.
struct Work {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    home: Home,
}

impl Work {
    fn hand_over(self) {
        self.home.spawn(self.future);
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
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
        Self { table: Arc::new(Table { flights: Mutex::new(HashMap::default()), most }) }
    }

    /// Joins the flight for `key`, or starts one with `work`. The work runs to its end whether or not anyone
    /// still waits, so it must bound itself in time. It begins when the wait is first polled or dropped, or when
    /// someone else joins.
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
            // The guard comes first: if `work` panics before there is any future, the flight ends as well.
            let landing = Landing::of(ticket.clone());
            // Boxed apart: inside the future that lands it, it would take its size twice.
            let future = Box::pin(landing.after(Box::pin(work(ticket))));
            waiting.flight.give_back(Work { future, home: Home::here() });
        }
        Ok(waiting)
    }

    /// The step that decides who leads: a ticket for the first to come, none for those who join.
    pub fn enter(&self, key: K) -> Result<Entered<K, T>, Full> {
        let mut flights = lock(&self.table.flights);
        if let Some(flight) = flights.get(&key) {
            let flight = Arc::clone(flight);
            drop(flights);
            flight.hand_over();
            return Ok((Waiting::new(flight, false), None));
        }
        if flights.len() >= self.table.most {
            return Err(Full);
        }
        let flight = Arc::new(Flight { outcome: Mutex::new(Outcome::Pending(Aloft::default())) });
        flights.insert(key.clone(), Arc::clone(&flight));
        drop(flights);
        let ticket = Ticket { table: Arc::clone(&self.table), flight: Arc::clone(&flight), key };
        Ok((Waiting::new(flight, true), Some(ticket)))
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

    /// The body of the flight: `work`, and then its landing.
    pub fn run(self, work: impl Future<Output = T>) -> impl Future<Output = ()> {
        Landing::of(self).after(work)
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
        if let Outcome::Pending(aloft) = before {
            aloft.waiters.wake_all();
        }
    }
}

impl<T> Flight<T> {
    /// The work, if it is in the first caller's hands; [`give_back`](Self::give_back) follows unless it ends. The
    /// caller leaves its place: it need not be woken by what it does itself.
    fn take(&self, place: &mut Option<usize>) -> Option<Work> {
        let mut outcome = lock(&self.outcome);
        let Outcome::Pending(Aloft { hands: hands @ Hands::Caller(_), waiters }) = &mut *outcome else {
            return None;
        };
        if let Some(place) = place.take() {
            waiters.leave(place);
        }
        match std::mem::take(hands) {
            Hands::Caller(work) => Some(work),
            Hands::Busy { .. } | Hands::Task => None,
        }
    }

    /// Puts the work into the first caller's hands; into those of a task if that was asked for meanwhile.
    fn give_back(&self, work: Work) {
        {
            let mut outcome = lock(&self.outcome);
            let Outcome::Pending(Aloft { hands, .. }) = &mut *outcome else { return };
            if !matches!(hands, Hands::Busy { wanted: true }) {
                *hands = Hands::Caller(work);
                return;
            }
            *hands = Hands::Task;
        }
        work.hand_over();
    }

    /// Sees to it that the work no longer depends on the first caller. Does nothing if it does not, or has ended.
    fn hand_over(&self) {
        let work = {
            let mut outcome = lock(&self.outcome);
            let Outcome::Pending(Aloft { hands, .. }) = &mut *outcome else { return };
            match std::mem::replace(hands, Hands::Task) {
                Hands::Caller(work) => work,
                Hands::Busy { .. } => {
                    *hands = Hands::Busy { wanted: true };
                    return;
                }
                Hands::Task => return,
            }
        };
        work.hand_over();
    }
}

/// Ends the flight whatever becomes of the work: dropped without [`land`](Self::land), everyone is told [`Lost`].
struct Landing<K: Hash + Eq, T> {
    ticket: Ticket<K, T>,
    landed: bool,
}

impl<K: Hash + Eq, T> Landing<K, T> {
    fn of(ticket: Ticket<K, T>) -> Self {
        Self { ticket, landed: false }
    }

    /// `work`, then the landing. Work that is dropped before it is ever polled ends the flight as well.
    async fn after(self, work: impl Future<Output = T>) {
        let value = work.await;
        self.land(value);
    }

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

/// A caller's wait for a flight to land. Dropping it does not end the flight.
#[derive(Debug)]
#[must_use = "dropped, the work goes on in a task of its own, and nobody hears of its result"]
pub struct Waiting<T> {
    pub(crate) flight: Arc<Flight<T>>,
    place: Option<usize>,
    /// Whether the work is, or was, in our hands.
    leads: bool,
    /// Hands the work over, should we keep it for too long.
    alarm: Option<Alarm>,
}

impl<T> Waiting<T> {
    fn new(flight: Arc<Flight<T>>, leads: bool) -> Self {
        Self { flight, place: None, leads, alarm: None }
    }
}

impl<T: Send + 'static> Waiting<T> {
    /// One step of the work, if it is in our hands. A panic in it ends the flight, not the caller.
    fn step(&mut self, cx: &mut Context<'_>) {
        let Some(mut work) = self.flight.take(&mut self.place) else { return };
        if uncaught(|| work.future.as_mut().poll(cx)).is_some_and(|poll| poll.is_pending()) {
            self.flight.give_back(work);
            if self.alarm.is_none() {
                let flight = Arc::clone(&self.flight);
                self.alarm = Some(alarm(PATIENCE, move || flight.hand_over()));
            }
        }
    }
}

impl<T: Clone + Send + 'static> Future for Waiting<T> {
    type Output = Result<T, Lost>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.leads {
            this.step(cx);
        }
        match &mut *lock(&this.flight.outcome) {
            Outcome::Landed(value) => Poll::Ready(Ok(value.clone())),
            Outcome::Lost => Poll::Ready(Err(Lost)),
            Outcome::Pending(aloft) => {
                this.place = Some(aloft.waiters.register(this.place, cx.waker()));
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        if let (Some(place), Outcome::Pending(aloft)) = (self.place, &mut *lock(&self.flight.outcome)) {
            aloft.waiters.leave(place);
        }
        if self.leads {
            self.flight.hand_over();
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
        if place + 1 == self.places.len() {
            // So that one caller alone, who comes and goes with every step of the work, needs no list of free places.
            self.places.pop();
        } else {
            self.places[place] = None;
            self.free.push(place);
        }
    }

    fn wake_all(self) {
        self.places.into_iter().flatten().for_each(Waker::wake);
    }
}
