//! A Vault that is there, is away, and is back; it counts what reaches it, answered or not.

use std::time::Duration;

use tokio::time::Instant;

/// How long an answer takes, and a refused connection too: what a busy network and a busy Vault take.
pub const LATENCY: Duration = Duration::from_millis(5);

/// The server.
#[derive(Debug)]
pub struct Vault {
    start: Instant,
    /// The outage.
    gone: Instant,
    back: Instant,
    /// Requests and refused attempts in each second since the start.
    pub per_second: Vec<u32>,
    /// Which instances have had an answer since the outage.
    noticed: Vec<bool>,
    noticed_last: Option<Instant>,
    healed_last: Option<Instant>,
}

impl Vault {
    /// A Vault that is away from `gone` to `back`.
    pub fn new(start: Instant, gone: Instant, back: Instant, instances: usize) -> Self {
        Self {
            start,
            gone,
            back,
            per_second: Vec::new(),
            noticed: vec![false; instances],
            noticed_last: None,
            healed_last: None,
        }
    }

    /// A request of that instance arrives. Says whether it is answered.
    pub fn ask(&mut self, instance: usize, now: Instant) -> bool {
        let second = second(now - self.start);
        if self.per_second.len() <= second {
            self.per_second.resize(second + 1, 0);
        }
        self.per_second[second] += 1;
        let answered = now < self.gone || now >= self.back;
        if now >= self.back && !self.noticed[instance] {
            self.noticed[instance] = true;
            self.noticed_last = Some(now);
        }
        answered
    }

    /// An instance has something again that was stale or lost since before Vault's return: got at `got`.
    pub fn healed(&mut self, got: Instant, now: Instant) {
        if now >= self.back && got < self.back {
            self.healed_last = Some(now);
        }
    }

    /// The seconds in which Vault went away and came back.
    pub fn outage(&self) -> std::ops::Range<usize> {
        second(self.gone - self.start)..second(self.back - self.start)
    }

    /// How long after its return the last instance had an answer.
    pub fn noticed_after(&self) -> Option<Duration> {
        let all = self.noticed.iter().all(|noticed| *noticed);
        self.noticed_last.filter(|_| all).map(|at| at - self.back)
    }

    /// How long after its return the last stale or lost value was replaced; zero if there was none.
    pub fn healed_after(&self) -> Duration {
        self.healed_last.map_or(Duration::ZERO, |at| at - self.back)
    }
}

fn second(since_start: Duration) -> usize {
    usize::try_from(since_start.as_secs()).unwrap_or(usize::MAX)
}
