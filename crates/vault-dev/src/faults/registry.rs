//! The faults in force.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::rule::{Fault, FaultRule};
use crate::core::Core;

/// More at a time than anybody can reason about.
const MAX_FAULTS: usize = 1000;

pub(crate) struct Faults {
    core: Weak<Core>,
    active: Mutex<Active>,
    /// Whether the listener shall be open.
    open: watch::Sender<bool>,
}

#[derive(Default)]
struct Active {
    next_id: u64,
    rules: Vec<Installed>,
}

struct Installed {
    id: u64,
    rule: FaultRule,
    left: Option<u32>,
    lifted: CancellationToken,
}

/// A fault that hits one request.
pub(crate) struct Hit {
    pub(crate) fault: Fault,
    /// Ends the waiting of [`Fault::Frozen`].
    pub(crate) lifted: CancellationToken,
}

/// A fault as the HTTP API lists it.
pub(crate) struct Listed {
    pub(crate) id: u64,
    pub(crate) rule: FaultRule,
    pub(crate) left: Option<u32>,
}

impl Faults {
    pub(crate) fn new(core: &Arc<Core>, open: watch::Sender<bool>) -> Self {
        Self { core: Arc::downgrade(core), active: Mutex::default(), open }
    }

    /// Puts a fault in force. `None`: there are too many.
    pub(crate) fn add(&self, rule: FaultRule) -> Option<u64> {
        let mut active = self.active.lock();
        // Used up, and nobody waits for it to be lifted.
        active.rules.retain(|installed| installed.left != Some(0) || installed.rule.fault == Fault::Frozen);
        if active.rules.len() >= MAX_FAULTS {
            return None;
        }
        active.next_id += 1;
        let id = active.next_id;
        let left = rule.times;
        active.rules.push(Installed { id, rule, left, lifted: CancellationToken::new() });
        self.apply(&active, None);
        Some(id)
    }

    /// Lifts one. Lifting it twice does nothing.
    pub(crate) fn remove(&self, id: u64) -> bool {
        self.remove_where(|installed| installed.id == id) > 0
    }

    pub(crate) fn clear(&self) {
        self.remove_where(|_| true);
    }

    pub(crate) fn remove_all(&self, fault: &Fault) {
        self.remove_where(|installed| installed.rule.fault == *fault);
    }

    fn remove_where(&self, doomed: impl Fn(&Installed) -> bool) -> usize {
        let mut active = self.active.lock();
        let before = active.rules.len();
        let was_sealed = active.has(&Fault::Sealed);
        active.rules.retain(|installed| {
            let doomed = doomed(installed);
            if doomed {
                installed.lifted.cancel();
            }
            !doomed
        });
        self.apply(&active, Some(was_sealed));
        before - active.rules.len()
    }

    /// Makes seal and listener follow the rules. Unseals only what a fault had sealed.
    fn apply(&self, active: &Active, was_sealed: Option<bool>) {
        let sealed = active.has(&Fault::Sealed);
        if let Some(core) = self.core.upgrade() {
            if sealed {
                core.set_sealed(true);
            } else if was_sealed == Some(true) {
                core.set_sealed(false);
            }
        }
        self.open.send_if_modified(|open| std::mem::replace(open, !active.has(&Fault::Refused)) != *open);
    }

    /// The fault that hits a request to `path` (without `/v1/`): the youngest that fits. Counts the hit.
    pub(crate) fn hit(&self, path: &str) -> Option<Hit> {
        let mut active = self.active.lock();
        let fits = |installed: &&mut Installed| {
            installed.left != Some(0)
                && !matches!(installed.rule.fault, Fault::Sealed | Fault::Refused)
                && path.starts_with(installed.rule.path.as_str())
        };
        let installed = active.rules.iter_mut().rev().find(fits)?;
        if let Some(left) = installed.left.as_mut() {
            *left -= 1;
        }
        Some(Hit { fault: installed.rule.fault.clone(), lifted: installed.lifted.clone() })
    }

    pub(crate) fn list(&self) -> Vec<Listed> {
        let active = self.active.lock();
        let listed = |installed: &Installed| Listed {
            id: installed.id,
            rule: installed.rule.clone(),
            left: installed.left,
        };
        active.rules.iter().map(listed).collect()
    }
}

impl Active {
    fn has(&self, fault: &Fault) -> bool {
        self.rules.iter().any(|installed| installed.rule.fault == *fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults() -> (Arc<Core>, Faults, watch::Receiver<bool>) {
        let core = Arc::new(Core::new("root"));
        let (open, is_open) = watch::channel(true);
        let faults = Faults::new(&core, open);
        (core, faults, is_open)
    }

    #[tokio::test]
    async fn the_youngest_that_fits_hits_so_often() {
        let (_core, faults, _) = faults();
        faults.add(FaultRule::new(Fault::Garbage));
        faults.add(FaultRule::new(Fault::Reset).on("/v1/secret/").times(2));
        for _ in 0..2 {
            assert_eq!(faults.hit("secret/data/x").unwrap().fault, Fault::Reset);
        }
        assert_eq!(faults.hit("secret/data/x").unwrap().fault, Fault::Garbage);
        assert_eq!(faults.hit("sys/health").unwrap().fault, Fault::Garbage);
        faults.clear();
        assert!(faults.hit("sys/health").is_none());
    }

    #[tokio::test]
    async fn seal_and_listener_follow() {
        let (core, faults, is_open) = faults();
        let one = faults.add(Fault::Sealed.into()).unwrap();
        let other = faults.add(Fault::Sealed.into()).unwrap();
        faults.add(Fault::Refused.into());
        assert!(core.is_sealed());
        assert!(!*is_open.borrow());
        assert!(faults.remove(one));
        assert!(core.is_sealed(), "another one still seals");
        assert!(faults.remove(other));
        assert!(!core.is_sealed());
        faults.clear();
        assert!(*is_open.borrow());
    }

    #[tokio::test]
    async fn lifting_a_fault_does_not_unseal_what_it_did_not_seal() {
        let (core, faults, _) = faults();
        core.set_sealed(true);
        let id = faults.add(Fault::Garbage.into()).unwrap();
        faults.remove(id);
        assert!(core.is_sealed());
    }
}
