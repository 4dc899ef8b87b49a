//! A fault that ends with its guard.

use std::fmt;
use std::sync::{Arc, Weak};

use super::registry::Faults;

/// Lifts the fault when dropped.
#[must_use = "dropping the guard lifts the fault; `keep()` lets it stay"]
pub struct FaultGuard {
    faults: Weak<Faults>,
    id: Option<u64>,
}

impl FaultGuard {
    pub(crate) fn new(faults: &Arc<Faults>, id: Option<u64>) -> Self {
        Self { faults: Arc::downgrade(faults), id }
    }

    /// Lifts the fault now.
    pub fn lift(self) {}

    /// Lets the fault stay until [`clear_faults`](crate::VaultDev::clear_faults).
    pub fn keep(mut self) {
        self.id = None;
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if let (Some(id), Some(faults)) = (self.id.take(), self.faults.upgrade()) {
            faults.remove(id);
        }
    }
}

impl fmt::Debug for FaultGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultGuard").field("id", &self.id).finish_non_exhaustive()
    }
}
