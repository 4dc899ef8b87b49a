//! A fleet of services before, during and after an outage of Vault, simulated: what reaches Vault in each second.
//!
//! A discrete-event simulation. Time is simulated ([`agenda`]); nothing sleeps, nothing is sent. The rules under test
//! are not modelled but used as they are: [`Engine`](secrets_service::lease::engine::Engine),
//! [`Breaker`](secrets_service::breaker::Breaker), [`RetryBudget`](secrets_service::retry::RetryBudget),
//! [`Backoff`](secrets_service::retry::Backoff), [`Lifetime`](secrets_service::cache::Lifetime). What joins them in the
//! product is private to it and written again here, in as few lines as possible: [`request`] (attempt, retry) and
//! [`instance`] (what is read, renewed and logged in for when, and how long a failed read is remembered).

pub mod agenda;
pub mod figures;
pub mod instance;
pub mod plot;
pub mod policy;
pub mod request;
pub mod scenario;
#[cfg(test)]
mod tests;
pub mod vault;

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use self::agenda::Agenda;
pub use self::figures::Figures;
use self::instance::Instance;
pub use self::policy::Policy;
use self::request::Permission;
pub use self::scenario::Scenario;
use self::vault::Vault;

/// What can happen to an instance.
#[derive(Debug)]
pub enum Event {
    /// The process starts.
    Start,
    /// The application reads that secret.
    Read(usize),
    /// Something is due by the lease engine.
    Due,
    /// An attempt is made.
    Attempt(request::Operation),
    /// The answer to an attempt, or its failure, arrives.
    Outcome(request::Operation, Permission, bool),
}

/// Everything that is not an instance.
#[derive(Debug)]
pub struct World {
    /// What will happen when, to which instance.
    pub agenda: Agenda<(usize, Event)>,
    /// The server.
    pub vault: Vault,
    /// The rules that every instance follows.
    pub policy: Policy,
    /// The sizes of it all.
    pub scenario: Scenario,
}

/// Runs `scenario` under `policy`; the same seed gives the same figures.
pub fn run(scenario: &Scenario, policy: &Policy, seed: u64) -> Figures {
    // The policies draw from the thread's generator.
    fastrand::seed(seed);
    let mut random = Rng::with_seed(seed);
    let start = Instant::now();
    let (gone, back) = (start + scenario.steady_for, start + scenario.steady_for + scenario.outage);
    let end = back + scenario.afterwards;
    let mut world = World {
        agenda: Agenda::default(),
        vault: Vault::new(start, gone, back, scenario.instances),
        policy: policy.clone(),
        scenario: scenario.clone(),
    };
    let mut instances: Vec<Instance> = (0..scenario.instances)
        .map(|number| Instance::new(number, start, scenario, policy, &mut random))
        .collect();
    for number in 0..scenario.instances {
        let delay = scenario.started_over.mul_f64(random.f64());
        world.agenda.add(start + delay, (number, Event::Start));
    }
    while let Some((now, (number, event))) = world.agenda.next().filter(|(now, _)| *now < end) {
        if !policy.jitter {
            // Every instance draws the same numbers: the rules are those shipped, only chance is taken out.
            fastrand::seed(seed);
        }
        instances[number].happens(event, now, &mut world);
    }
    let healthy = instances.iter().filter(|instance| instance.is_healthy(end)).count();
    Figures::of(&world.vault, healthy == scenario.instances)
}

/// The mean of a few runs with different seeds would hide the worst of them: the run with the highest peak.
pub fn worst_of(seeds: std::ops::Range<u64>, scenario: &Scenario, policy: &Policy) -> Option<Figures> {
    seeds.map(|seed| run(scenario, policy, seed)).max_by_key(|figures| figures.recovery_peak)
}

/// So long after the end of the outage the recovery is looked at.
pub const RECOVERY: Duration = Duration::from_secs(600);
