//! When each lease is attended to: renewed, replaced, warned about, given up.
//!
//! Pure state: the caller brings the time and carries out what is due, so that the whole life of a hundred thousand
//! leases can be run through in a test in no time. Every event costs O(log n).
//!
//! - **Spread.** A fleet that started together must not renew together. A new lease is renewed for the first time
//!   somewhere between a sixth and two thirds of its life: of two random moments the one in the less busy second
//!   ("the power of two choices", Mitzenmacher, 1996: it takes the random peaks off). From then on it is renewed
//!   between a half and two thirds of each grant. What cannot be renewed is replaced between two thirds and five
//!   sixths of its life.
//! - **Outages.** After a failed attempt the next comes after an eighth of the time that is left, ± 25 %: many tries
//!   for a long lease, still several for a short one, and the same lease lives on if Vault returns before its end.
//! - **The end.** A tenth of its life before the end (at most a minute) a lease is told to be expiring, at the end to
//!   have ended. It stays on the agenda, tried for at growing intervals, until the caller forgets it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::LONGEST;
use crate::retry::{Backoff, JITTER};

/// The parts of a grant's life in which it is attended to.
const FIRST_RENEWAL: (f64, f64) = (1.0 / 6.0, 2.0 / 3.0);
const NEXT_RENEWAL: (f64, f64) = (1.0 / 2.0, 2.0 / 3.0);
const REPLACEMENT: (f64, f64) = (2.0 / 3.0, 5.0 / 6.0);

/// After the end: 1 s, doubling, at most 30 s, which is what a person who has just mended something can wait.
const AFTER_THE_END: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// The share of what is left of a lease that passes before the next attempt.
const SHARE_BETWEEN_TRIES: f64 = 1.0 / 8.0;
/// Not more often than this: a request to a Vault that is slow takes about as long.
const SHORTEST_BETWEEN_TRIES: Duration = Duration::from_millis(500);
/// Not less often than this: so long may the end of an outage go unnoticed.
const LONGEST_BETWEEN_TRIES: Duration = Duration::from_secs(300);

/// Vault counts the time to a static role's rotation in whole seconds, and carries it out a little later than
/// announced: until the new password is there it is looked for twice a second.
pub(crate) const ROTATION_POLL: Duration = Duration::from_millis(500);

/// How a value comes to its end, and what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A lease or token that Vault extends on request.
    Renewable,
    /// A lease or token that can only be replaced.
    Fixed,
    /// A static role's password: it does not end, it changes at `ends` or soon after.
    Rotating,
}

/// What Vault granted, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// When it was granted.
    pub at: Instant,
    /// When it ends (for [`Sort::Rotating`]: when it changes).
    pub ends: Instant,
    /// What can be done about that.
    pub sort: Sort,
}

impl Grant {
    /// `duration` is cut to ten years: longer means nothing to a process and could overflow a clock.
    pub fn new(at: Instant, duration: Duration, sort: Sort) -> Self {
        Self { at, ends: at + duration.min(LONGEST), sort }
    }

    fn life(&self) -> Duration {
        self.ends.saturating_duration_since(self.at)
    }

    /// When half of it has passed: a lease that is renewed regularly is not attended to before that.
    pub(super) fn half_time(&self) -> Instant {
        self.at + self.life() / 2
    }

    fn warn_at(&self) -> Instant {
        self.ends - margin(self.life())
    }
}

/// How long before the end of its `life` something is no longer handed out to new users: a tenth of it, at most a
/// minute, so that whoever gets it has time to open a connection with it.
pub fn margin(life: Duration) -> Duration {
    (life / 10).min(Duration::from_secs(60))
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Renew or replace it, and say how that went: [`Engine::granted`], [`Engine::extended`] or [`Engine::failed`].
    /// Until then it is not due again.
    Attend,
    /// It is about to end, and nothing has come of the attempts so far.
    Expiring,
    /// It has ended.
    Ended,
}

/// The next thing that will happen to a lease if nobody attends to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Milestone {
    Warning,
    End,
    Past,
}

#[derive(Debug)]
struct Tracked {
    grant: Grant,
    /// `None` while an attempt is under way.
    attempt_at: Option<Instant>,
    milestone: Milestone,
    failures: u32,
    /// Where it stands on the agenda.
    slot: (Instant, u64),
}

impl Tracked {
    fn milestone_at(&self) -> Option<Instant> {
        match self.milestone {
            _ if self.grant.sort == Sort::Rotating => None,
            Milestone::Warning => Some(self.grant.warn_at()),
            Milestone::End => Some(self.grant.ends),
            Milestone::Past => None,
        }
    }

    /// `None`: nothing, until the attempt under way is reported on.
    fn next(&self) -> Option<Instant> {
        match (self.attempt_at, self.milestone_at()) {
            (Some(attempt), Some(milestone)) => Some(attempt.min(milestone)),
            (attempt, milestone) => attempt.or(milestone),
        }
    }
}

/// The agenda of everything with an end.
#[derive(Debug)]
pub struct Engine<K> {
    tracked: HashMap<K, Tracked>,
    agenda: BTreeMap<(Instant, u64), K>,
    busy: BusySeconds,
    random: fastrand::Rng,
    serial: u64,
}

impl<K: Clone + Eq + Hash> Default for Engine<K> {
    fn default() -> Self {
        Self::with_random(fastrand::Rng::new())
    }
}

impl<K: Clone + Eq + Hash> Engine<K> {
    /// An empty agenda, with the random numbers that spread the attempts.
    pub fn with_random(random: fastrand::Rng) -> Self {
        Self {
            tracked: HashMap::new(),
            agenda: BTreeMap::new(),
            busy: BusySeconds::default(),
            random,
            serial: 0,
        }
    }

    /// How many leases are tracked.
    pub fn len(&self) -> usize {
        self.tracked.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.tracked.is_empty()
    }

    /// The grant of `key`, if it is tracked.
    pub fn grant(&self, key: &K) -> Option<Grant> {
        self.tracked.get(key).map(|tracked| tracked.grant)
    }

    /// How many attempts in a row have failed.
    pub fn failures(&self, key: &K) -> u32 {
        self.tracked.get(key).map_or(0, |tracked| tracked.failures)
    }

    /// Whether an attempt is under way.
    pub fn is_attended(&self, key: &K) -> bool {
        self.tracked.get(key).is_some_and(|tracked| tracked.attempt_at.is_none())
    }

    /// When something is due next; `None`: never, as things stand.
    pub fn next(&self) -> Option<Instant> {
        self.agenda.keys().next().map(|slot| slot.0)
    }

    /// A new lease (the first under this key, or one in place of another).
    pub fn granted(&mut self, key: K, grant: Grant) {
        let attempt_at = match grant.sort {
            Sort::Renewable => {
                let (one, other) = (self.moment(grant, FIRST_RENEWAL), self.moment(grant, FIRST_RENEWAL));
                if self.busy.at(one) <= self.busy.at(other) { one } else { other }
            }
            Sort::Fixed => self.moment(grant, REPLACEMENT),
            Sort::Rotating => {
                grant.ends.max(grant.at + ROTATION_POLL.mul_f64(1.0 - JITTER * self.random.f64()))
            }
        };
        self.set(key, grant, attempt_at);
    }

    /// The same lease, renewed.
    pub fn extended(&mut self, key: K, grant: Grant) {
        if grant.sort == Sort::Rotating {
            return self.granted(key, grant);
        }
        let attempt_at = self.moment(grant, NEXT_RENEWAL);
        self.set(key, grant, attempt_at);
    }

    /// It cannot be renewed after all. Says whether there is still time to replace it later; if not, an attempt that
    /// is under way stays so.
    pub fn cannot_be_renewed(&mut self, key: &K, now: Instant) -> bool {
        let Some(grant) = self.grant(key) else { return false };
        let grant = Grant { sort: Sort::Fixed, ..grant };
        let early = now < grant.at + grant.life().mul_f64(REPLACEMENT.0);
        if early {
            self.granted(key.clone(), grant);
        }
        early
    }

    /// The attempt failed; there will be another.
    pub fn failed(&mut self, key: &K, now: Instant) {
        let Some(mut tracked) = self.take(key) else { return };
        tracked.failures = tracked.failures.saturating_add(1);
        let delay = if tracked.grant.sort == Sort::Rotating || tracked.grant.ends <= now {
            AFTER_THE_END.delay_with(tracked.failures - 1, self.random.f64())
        } else {
            let left = tracked.grant.ends - now;
            let share =
                left.mul_f64(SHARE_BETWEEN_TRIES).clamp(SHORTEST_BETWEEN_TRIES, LONGEST_BETWEEN_TRIES);
            share.mul_f64(1.0 - JITTER + 2.0 * JITTER * self.random.f64())
        };
        tracked.attempt_at = Some(now + delay);
        self.put(key.clone(), tracked);
    }

    /// Attend to it within `within` from now (at a random moment, so that many hastened at once do not come at
    /// once), unless it is due even earlier or an attempt is under way.
    pub fn hasten(&mut self, key: &K, now: Instant, within: Duration) {
        let Some(mut tracked) = self.take(key) else { return };
        let moment = now + within.min(LONGEST).mul_f64(self.random.f64());
        tracked.attempt_at = tracked.attempt_at.map(|at| at.min(moment));
        self.put(key.clone(), tracked);
    }

    /// It is as good as ended: Vault has revoked it. Says whether it was tracked.
    pub fn ended(&mut self, key: &K, now: Instant) -> bool {
        let Some(mut tracked) = self.take(key) else { return false };
        tracked.grant.ends = tracked.grant.ends.min(now);
        tracked.milestone = Milestone::Past;
        tracked.attempt_at = tracked.attempt_at.map(|_| now);
        self.put(key.clone(), tracked);
        true
    }

    /// No longer of interest.
    pub fn forget(&mut self, key: &K) -> bool {
        self.take(key).is_some()
    }

    /// The next thing that is due at `now`, if anything is.
    pub fn pop(&mut self, now: Instant) -> Option<(K, Due)> {
        let (slot, _) = self.agenda.first_key_value()?;
        if slot.0 > now {
            return None;
        }
        let key = self.agenda.first_entry()?.get().clone();
        let mut tracked = self.take(&key)?;
        // The end before the warning before an attempt: nobody should be told that something dead is expiring.
        let due = match tracked.milestone_at() {
            Some(milestone) if milestone <= now => {
                let ended = tracked.grant.ends <= now;
                tracked.milestone = if ended { Milestone::Past } else { Milestone::End };
                if ended { Due::Ended } else { Due::Expiring }
            }
            _ => {
                tracked.attempt_at = None;
                Due::Attend
            }
        };
        self.put(key.clone(), tracked);
        Some((key, due))
    }

    /// A random moment of a part of a grant's life.
    fn moment(&mut self, grant: Grant, (from, to): (f64, f64)) -> Instant {
        grant.at + grant.life().mul_f64(from + (to - from) * self.random.f64())
    }

    fn set(&mut self, key: K, grant: Grant, attempt_at: Instant) {
        self.take(&key);
        let (milestone, slot) = (Milestone::Warning, (attempt_at, 0));
        self.put(key, Tracked { grant, attempt_at: Some(attempt_at), milestone, failures: 0, slot });
    }

    /// Onto the agenda, at the next thing that will happen to it.
    fn put(&mut self, key: K, mut tracked: Tracked) {
        if let Some(attempt) = tracked.attempt_at {
            self.busy.add(attempt);
        }
        if let Some(next) = tracked.next() {
            self.serial += 1;
            tracked.slot = (next, self.serial);
            self.agenda.insert(tracked.slot, key.clone());
        }
        self.tracked.insert(key, tracked);
    }

    /// Off the agenda.
    fn take(&mut self, key: &K) -> Option<Tracked> {
        let tracked = self.tracked.remove(key)?;
        self.agenda.remove(&tracked.slot);
        if let Some(attempt) = tracked.attempt_at {
            self.busy.remove(attempt);
        }
        Some(tracked)
    }
}

/// How many attempts are planned for each second.
#[derive(Debug, Default)]
struct BusySeconds {
    /// Seconds are counted from the first moment that was asked about.
    start: Option<Instant>,
    attempts: HashMap<i64, u32>,
}

impl BusySeconds {
    fn second(&mut self, moment: Instant) -> i64 {
        let start = *self.start.get_or_insert(moment);
        let seconds = |length: Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        match moment.checked_duration_since(start) {
            Some(after) => seconds(after),
            None => -1 - seconds(start - moment),
        }
    }

    fn at(&mut self, moment: Instant) -> u32 {
        let second = self.second(moment);
        self.attempts.get(&second).copied().unwrap_or(0)
    }

    fn add(&mut self, moment: Instant) {
        let second = self.second(moment);
        *self.attempts.entry(second).or_insert(0) += 1;
    }

    fn remove(&mut self, moment: Instant) {
        let second = self.second(moment);
        if let Some(count) = self.attempts.get_mut(&second) {
            *count -= 1;
            if *count == 0 {
                self.attempts.remove(&second);
            }
        }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
