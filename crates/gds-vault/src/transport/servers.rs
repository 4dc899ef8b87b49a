//! The configured servers, and which of them to ask first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

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
    pub(super) fn note(&self, server: usize, outcome: Result<StatusCode, &Error>) {
        let failed = match outcome {
            Ok(status) => match status.as_u16() {
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

    /// Puts a server behind the others, if it is one of them.
    pub(super) fn demote(&self, address: &Address) {
        if let Some(server) = self.addresses.iter().position(|known| known == address) {
            self.demoted_until[server].store(self.now() + millis(DEMOTED_FOR), Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(count: u16) -> Servers {
        let address = |port| Address::parse(&format!("http://127.0.0.1:{}", 1 + port)).unwrap();
        Servers::new((0..count).map(address).collect()).unwrap()
    }

    fn order(servers: &Servers) -> Vec<usize> {
        servers.in_order().map(|(server, _)| server).collect()
    }

    fn fail(servers: &Servers, server: usize, kind: ErrorKind) {
        servers.note(server, Err(&Error::new(kind, "")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_server_goes_last_for_five_seconds() {
        let servers = servers(3);
        assert_eq!(order(&servers), [0, 1, 2]);
        fail(&servers, 0, ErrorKind::Timeout);
        assert_eq!(order(&servers), [1, 2, 0]);
        tokio::time::advance(Duration::from_millis(2_500)).await;
        fail(&servers, 1, ErrorKind::Sealed);
        assert_eq!(order(&servers), [2, 0, 1]);
        tokio::time::advance(Duration::from_millis(2_500)).await;
        assert_eq!(order(&servers), [0, 2, 1]);
        tokio::time::advance(Duration::from_millis(2_500)).await;
        assert_eq!(order(&servers), [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_is_good_again_at_once() {
        let servers = servers(2);
        fail(&servers, 0, ErrorKind::Connect);
        assert_eq!(order(&servers), [1, 0]);
        fail(&servers, 0, ErrorKind::AnswerTooLarge);
        assert_eq!(order(&servers), [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_server_comes_once_and_knows_how_many_follow() {
        for count in [1, 2, 32] {
            let servers = servers(count);
            for server in (0..usize::from(count)).step_by(3) {
                fail(&servers, server, ErrorKind::ServerError);
            }
            let mut all = order(&servers);
            let after: Vec<u32> = servers.in_order().map(|(_, after)| after).collect();
            assert_eq!(after, (0..u32::from(count)).rev().collect::<Vec<_>>());
            all.sort_unstable();
            assert_eq!(all, (0..usize::from(count)).collect::<Vec<_>>());
        }
    }
}
