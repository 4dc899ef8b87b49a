//! One operation on Vault, carried through: gate, attempt, retry. Follows `upstream.rs` of secrets-service, whose parts
//! are the real ones; only the joining of them is written again.

use secrets_service::breaker::{Breaker, Permit};
use secrets_service::retry::RetryBudget;
use tokio::time::Instant;

use super::policy::Policy;
use super::vault::LATENCY;
use super::{Event, World};

/// What Vault is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Log in.
    LogIn,
    /// Renew the token of that login.
    RenewToken(u64),
    /// Renew that lease or, where it cannot be, make another.
    Lease(usize),
    /// Read that static secret.
    Secret(usize),
}

/// A task, and which attempt at it.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// What Vault is asked for.
    pub task: Task,
    /// Counted from 0.
    pub number: u32,
}

/// Leave to ask; `None` without a breaker.
pub type Permission = Option<Permit>;

/// One instance's way to Vault.
#[derive(Debug)]
pub struct Requests {
    instance: usize,
    /// One for each mount, as in the product: logins, credentials, secrets.
    gates: Option<[Breaker; 3]>,
    budget: Option<RetryBudget>,
}

impl Requests {
    /// A way to Vault under these rules.
    pub fn new(instance: usize, policy: &Policy) -> Self {
        let gates = policy.breaker.map(|settings| std::array::from_fn(|_| Breaker::new(settings)));
        Self { instance, gates, budget: policy.budget.then(RetryBudget::new) }
    }

    /// Makes an attempt, whose outcome arrives later. `false`: refused by the breaker, nothing was sent.
    pub fn attempt(&self, operation: Operation, now: Instant, world: &mut World) -> bool {
        let permit = match self.gate(operation.task).map(|gate| gate.acquire(now)) {
            None => None,
            Some(Ok(permit)) => Some(permit),
            Some(Err(_refusal)) => return false,
        };
        if let Some(budget) = self.budget.as_ref().filter(|_| operation.number == 0) {
            budget.record_request(now);
        }
        let answered = world.vault.ask(self.instance, now);
        let outcome = Event::Outcome(operation, permit, answered);
        world.agenda.add(now + LATENCY, (self.instance, outcome));
        true
    }

    /// After a failed attempt: plans the next one, if there may be one.
    pub fn again(&self, operation: Operation, now: Instant, world: &mut World) -> bool {
        let number = operation.number + 1;
        // The product also looks at the caller's deadline; the delays of three attempts fit into any.
        let allowed =
            number < world.policy.attempts && self.budget.as_ref().is_none_or(|budget| budget.try_retry(now));
        if allowed {
            let delay = world.policy.backoff.delay(operation.number);
            let next = Operation { number, ..operation };
            world.agenda.add(now + delay, (self.instance, Event::Attempt(next)));
        }
        allowed
    }

    fn gate(&self, task: Task) -> Option<&Breaker> {
        let [logins, credentials, secrets] = self.gates.as_ref()?;
        Some(match task {
            Task::LogIn | Task::RenewToken(_) => logins,
            Task::Lease(_) => credentials,
            Task::Secret(_) => secrets,
        })
    }
}

/// Tells the breaker how the request went.
pub fn report(permission: Permission, answered: bool, now: Instant) {
    match permission {
        Some(permit) if answered => permit.success(),
        Some(permit) => permit.failure(now),
        None => {}
    }
}
