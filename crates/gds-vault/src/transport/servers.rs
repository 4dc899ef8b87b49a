//! The configured servers, and which of them to ask first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Answer;
use crate::address::Address;
use crate::error::{Error, ErrorKind};

/// Most servers of one client. A Raft cluster has 3 to 7; each is a bit in a mask here.
const MAX_SERVERS: usize = 32;

/// How long a server that failed is asked last: about the time a leader election takes.
const DEMOTED_FOR: Duration = Duration::from_secs(5);

/// Servers in the configured order. One that failed goes behind the others for a while.
pub(super) struct Servers {
    addresses: Box<[Address]>,
    /// Until when each is demoted, in milliseconds since `epoch`; 0 = it is not.
    demoted_until: Box<[AtomicU64]>,
    epoch: Instant,
}

impl Servers {
    pub(super) fn new(mut addresses: Vec<Address>) -> Result<Self, Error> {
        let mut seen = Vec::with_capacity(addresses.len());
        addresses.retain(|address| {
            let new = !seen.contains(address);
            seen.push(address.clone());
            new
        });
        match addresses.len() {
            0 => Err(Error::new(ErrorKind::Configuration, "no Vault address is configured")),
            1..=MAX_SERVERS => Ok(Self {
                demoted_until: addresses.iter().map(|_| AtomicU64::new(0)).collect(),
                addresses: addresses.into(),
                epoch: Instant::now(),
            }),
            _ => Err(Error::new(ErrorKind::Configuration, "more than 32 Vault addresses are configured")),
        }
    }

    pub(super) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Every server once, the best first, each with the number of those that come after it.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (usize, u32)> + use<> {
        let demoted = if self.addresses.len() > 1 { self.demoted() } else { 0 };
        let count = self.addresses.len();
        let is_demoted = move |server: &usize| demoted & (1 << server) != 0;
        let order = (0..count).filter(move |server| !is_demoted(server)).chain((0..count).filter(is_demoted));
        order.zip((0..u32::try_from(count).unwrap_or(u32::MAX)).rev())
    }

    /// Learns from what a server did.
    pub(super) fn note(&self, server: usize, outcome: &Result<Answer, Error>) {
        let failed = match outcome {
            Ok(answer) => match answer.status.as_u16() {
                // Health answers of a standby and of a recovery node; elsewhere, a node that cannot serve this.
                472 | 473 | 412 => true,
                // Not 429: each node keeps its own quota, and spreading the excess over the others defeats it.
                status => status >= 500,
            },
            Err(error) => error.is_unavailable(),
        };
        let until = &self.demoted_until[server];
        if failed {
            until.store(self.now() + millis(DEMOTED_FOR), Ordering::Relaxed);
        } else if until.load(Ordering::Relaxed) != 0 {
            until.store(0, Ordering::Relaxed);
        }
    }

    /// A bit for each demoted server.
    fn demoted(&self) -> u32 {
        let now = self.now();
        let late = |(server, until): (usize, &AtomicU64)| {
            if until.load(Ordering::Relaxed) > now { 1 << server } else { 0 }
        };
        self.demoted_until.iter().enumerate().map(late).sum()
    }

    fn now(&self) -> u64 {
        millis(self.epoch.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
