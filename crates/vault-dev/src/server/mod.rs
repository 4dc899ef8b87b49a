//! HTTP over our own accept loop: the bare sockets stay in reach, for the faults that need them.

mod connection;
mod exchange;
mod listener;
mod read_request;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::faults::{FaultRule, Faults};
use crate::requests::RequestLog;

pub(crate) use listener::bind;

/// Requests under way at a time. More connections than any test opens; beyond it, clients wait.
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) requests: RequestLog,
    /// A permit per request that the core is working on; shutdown waits for all of them.
    pub(crate) working: Arc<Semaphore>,
    /// Ends everything.
    pub(crate) stop: CancellationToken,
}

impl Shared {
    /// Puts a fault in force, and sees to it that it ends in time. `None`: there are too many.
    pub(crate) fn install(self: &Arc<Self>, rule: FaultRule) -> Option<u64> {
        let lasting = rule.duration();
        let id = self.faults.add(rule)?;
        if let Some(lasting) = lasting {
            let (faults, stop) = (Arc::clone(&self.faults), self.stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(lasting) => {}
                    () = stop.cancelled() => {}
                }
                faults.remove(id);
            });
        }
        Some(id)
    }
}
