//! Simulated time: what happens next, and when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tokio::time::Instant;

/// Events in the order of their time; those of the same time in the order in which they were added.
#[derive(Debug)]
pub struct Agenda<E> {
    heap: BinaryHeap<Planned<E>>,
    serial: u64,
}

#[derive(Debug)]
struct Planned<E> {
    at: Instant,
    serial: u64,
    event: E,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), serial: 0 }
    }
}

impl<E> Agenda<E> {
    /// `event` will happen at `at`.
    pub fn add(&mut self, at: Instant, event: E) {
        self.serial += 1;
        self.heap.push(Planned { at, serial: self.serial, event });
    }
}

impl<E> Iterator for Agenda<E> {
    type Item = (Instant, E);

    fn next(&mut self) -> Option<Self::Item> {
        self.heap.pop().map(|planned| (planned.at, planned.event))
    }
}

/// The heap gives the greatest first; the earliest is wanted.
impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.serial).cmp(&(self.at, self.serial))
    }
}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Planned<E> {}
