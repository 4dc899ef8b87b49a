//! One process of the service: what it reads, keeps alive and logs in for.
//!
//! Follows secrets-service's `vault_client/read.rs` and `trouble.rs` (static secrets), `vault_client/renew.rs` and
//! `keep.rs` (leases) and `session.rs` (logins).

use std::time::Duration;

use fastrand::Rng;
use secrets_service::cache::Lifetime;
use secrets_service::lease::engine::{Due, Engine, Grant, Sort};
use secrets_service::retry::{Backoff, patience};
use tokio::time::Instant;

use super::policy::Policy;
use super::request::{Operation, Permission, Requests, Task, report};
use super::scenario::Scenario;
use super::{Event, World};

/// How long a stale value may be served: longer than any simulation.
const MAX_STALE: Duration = Duration::from_secs(86_400);

/// Between logins that got no answer (`AFTER_SILENCE` in session.rs).
const AFTER_SILENCE: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));

/// A token is not used in the last part of its life (`margin` in session.rs).
const TOKEN_MARGIN: Duration = Duration::from_secs(30);

/// One process.
#[derive(Debug)]
pub struct Instance {
    number: usize,
    requests: Requests,
    engine: Engine<Kept>,
    secrets: Vec<Secret>,
    /// The login that each lease hangs on; `None` before the first.
    leases: Vec<Option<u64>>,
    login: Login,
    /// Since when Vault has not answered (the breakers know it too, but not every variant has them).
    failing_since: Option<Instant>,
    wakes_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kept {
    Token(u64),
    Lease(usize),
}

#[derive(Debug)]
struct Secret {
    /// One of the moments at which the application reads it.
    rhythm: Instant,
    lifetime: Option<Lifetime>,
}

#[derive(Debug, Default)]
struct Login {
    generation: u64,
    grant: Option<Grant>,
    under_way: bool,
    failures: u32,
    not_before: Option<Instant>,
    /// What cannot go on without a login.
    waiting: Vec<Task>,
}

impl Login {
    fn is_usable(&self, now: Instant) -> bool {
        self.grant.is_some_and(|grant| {
            let life = grant.ends.saturating_duration_since(grant.at);
            now + (life / 10).min(TOKEN_MARGIN) < grant.ends
        })
    }
}

impl Instance {
    /// A process that has not started yet.
    pub fn new(
        number: usize,
        start: Instant,
        scenario: &Scenario,
        policy: &Policy,
        random: &mut Rng,
    ) -> Self {
        let seed = if policy.jitter { random.u64(..) } else { 0 };
        let secrets = (0..scenario.secrets).map(|_| {
            // Also without jitter: applications are not in step to the millisecond.
            let rhythm = start + scenario.read_every.mul_f64(random.f64());
            Secret { rhythm, lifetime: None }
        });
        Self {
            number,
            requests: Requests::new(number, policy),
            engine: Engine::with_random(Rng::with_seed(seed)),
            secrets: secrets.collect(),
            leases: vec![None; scenario.leases],
            login: Login::default(),
            failing_since: None,
            wakes_at: None,
        }
    }

    /// Whether nothing is stale, lost or missing.
    pub fn is_healthy(&self, now: Instant) -> bool {
        let fresh = |secret: &Secret| secret.lifetime.is_some_and(|lifetime| now < lifetime.fresh_until);
        let alive =
            |lease: usize| self.engine.grant(&Kept::Lease(lease)).is_some_and(|grant| now < grant.ends);
        self.secrets.iter().all(fresh) && (0..self.leases.len()).all(alive)
    }

    /// Carries out an event.
    pub fn happens(&mut self, event: Event, now: Instant, world: &mut World) {
        match event {
            Event::Start => {
                (0..self.leases.len()).for_each(|lease| self.start(Task::Lease(lease), now, world));
                (0..self.secrets.len()).for_each(|secret| self.start(Task::Secret(secret), now, world));
            }
            // Planned for a moment at which it is due for a refresh, not troubled, and not being asked for.
            Event::Read(secret) => self.start(Task::Secret(secret), now, world),
            Event::Due if self.wakes_at == Some(now) => self.attend(now, world),
            Event::Due => {}
            Event::Attempt(operation) => self.attempt(operation, now, world),
            Event::Outcome(operation, permission, answered) => {
                self.outcome(operation, permission, answered, now, world);
            }
        }
        self.plan_to_wake(world);
    }

    fn start(&mut self, task: Task, now: Instant, world: &mut World) {
        let needs_login = matches!(task, Task::Lease(_) | Task::Secret(_));
        if needs_login && !self.login.is_usable(now) {
            self.login.waiting.push(task);
            self.log_in(now, world);
        } else {
            self.attempt(Operation { task, number: 0 }, now, world);
        }
    }

    fn log_in(&mut self, now: Instant, world: &mut World) {
        if self.login.under_way {
            return;
        }
        if self.login.not_before.is_some_and(|at| now < at) {
            self.fail_the_waiting(now, world);
            return;
        }
        self.login.under_way = true;
        self.start(Task::LogIn, now, world);
    }

    fn attempt(&mut self, operation: Operation, now: Instant, world: &mut World) {
        if !self.requests.attempt(operation, now, world) {
            self.failed(operation.task, now, world);
        }
    }

    fn outcome(
        &mut self,
        operation: Operation,
        permission: Permission,
        answered: bool,
        now: Instant,
        world: &mut World,
    ) {
        report(permission, answered, now);
        self.failing_since = if answered { None } else { self.failing_since.or(Some(now)) };
        if answered {
            self.succeeded(operation.task, now, world);
        } else if !self.requests.again(operation, now, world) {
            self.failed(operation.task, now, world);
        }
    }

    fn succeeded(&mut self, task: Task, now: Instant, world: &mut World) {
        let scenario = &world.scenario;
        match task {
            Task::LogIn => {
                let grant = Grant::new(now, scenario.token_ttl, Sort::Renewable);
                self.logged_in(grant, now);
                for waiting in std::mem::take(&mut self.login.waiting) {
                    self.start(waiting, now, world);
                }
            }
            Task::RenewToken(generation) => {
                if generation != self.login.generation {
                    return;
                }
                if self.login.grant.is_none_or(|grant| grant.ends <= now) {
                    // Vault says that it is dead.
                    self.engine.forget(&Kept::Token(generation));
                    self.log_in(now, world);
                    return;
                }
                let grant = Grant::new(now, scenario.token_ttl, Sort::Renewable);
                self.login.grant = Some(grant);
                self.engine.extended(Kept::Token(generation), grant);
            }
            Task::Lease(lease) => self.granted(lease, now, world),
            Task::Secret(secret) => self.fetched(secret, now, world),
        }
    }

    fn failed(&mut self, task: Task, now: Instant, world: &mut World) {
        match task {
            Task::LogIn => {
                self.login.under_way = false;
                self.login.not_before = Some(now + AFTER_SILENCE.delay(self.login.failures));
                self.login.failures = self.login.failures.saturating_add(1);
                self.fail_the_waiting(now, world);
            }
            Task::RenewToken(generation) => self.engine.failed(&Kept::Token(generation), now),
            // The first of all is asked for again by the application, every second.
            Task::Lease(lease) if self.leases[lease].is_none() => {
                let again = Operation { task, number: 0 };
                world.agenda.add(now + world.scenario.read_every, (self.number, Event::Attempt(again)));
            }
            Task::Lease(lease) => self.engine.failed(&Kept::Lease(lease), now),
            Task::Secret(secret) => {
                let wait = self.leave_alone_for(secret, now, world);
                self.plan_to_read(secret, now + wait, world);
            }
        }
    }

    fn fail_the_waiting(&mut self, now: Instant, world: &mut World) {
        for task in std::mem::take(&mut self.login.waiting) {
            self.failed(task, now, world);
        }
    }

    /// Leases that hang on an earlier login are replaced while they still work, as the keeper does it.
    fn logged_in(&mut self, grant: Grant, now: Instant) {
        self.engine.forget(&Kept::Token(self.login.generation));
        let waiting = std::mem::take(&mut self.login.waiting);
        let generation = self.login.generation + 1;
        self.login = Login { generation, grant: Some(grant), waiting, ..Login::default() };
        self.engine.granted(Kept::Token(generation), grant);
        for lease in 0..self.leases.len() {
            let kept = Kept::Lease(lease);
            let left = self.engine.grant(&kept).map(|grant| grant.ends.saturating_duration_since(now));
            self.engine.hasten(&kept, now, left.unwrap_or_default() / 2);
        }
    }

    /// A lease ends with the token that it was made with.
    fn granted(&mut self, lease: usize, now: Instant, world: &mut World) {
        let Some(token) = self.login.grant else { return };
        let kept = Kept::Lease(lease);
        let before = self.engine.grant(&kept);
        if let Some(before) = before.filter(|grant| grant.ends <= now) {
            world.vault.healed(before.at, now);
        }
        let life = world.scenario.lease_ttl.min(token.ends.saturating_duration_since(now));
        let grant = Grant::new(now, life, Sort::Renewable);
        let same_lease =
            self.leases[lease] == Some(self.login.generation) && before.is_some_and(|grant| now < grant.ends);
        self.leases[lease] = Some(self.login.generation);
        if same_lease {
            self.engine.extended(kept, grant);
        } else {
            self.engine.granted(kept, grant);
        }
    }

    fn fetched(&mut self, secret: usize, now: Instant, world: &mut World) {
        let ttl = world.scenario.cache_ttl;
        let mut lifetime = Lifetime::new(now, ttl, MAX_STALE);
        if let Some(share) = world.policy.refreshed_at {
            lifetime.refresh_from = now + ttl.mul_f64(share);
        }
        let before = self.secrets[secret].lifetime.replace(lifetime);
        if let Some(before) = before.filter(|before| before.fresh_until <= now) {
            world.vault.healed(before.fetched_at, now);
        }
        self.plan_to_read(secret, lifetime.refresh_from, world);
    }

    /// How long a secret that could not be read is not asked for again.
    fn leave_alone_for(&self, secret: usize, now: Instant, world: &World) -> Duration {
        let policy = &world.policy;
        let remembered = policy.remembered_for.mul_f64(1.0 + fastrand::f64() / 4.0);
        let away = self.failing_since.map_or(Duration::ZERO, |since| now - since);
        if policy.patience && self.secrets[secret].lifetime.is_some() {
            remembered.max(patience(away, world.scenario.cache_ttl))
        } else {
            remembered
        }
    }

    /// The application's first read after `not_before`. Those until then change nothing.
    fn plan_to_read(&self, secret: usize, not_before: Instant, world: &mut World) {
        let rhythm = self.secrets[secret].rhythm;
        let every = world.scenario.read_every;
        let passed = not_before.saturating_duration_since(rhythm).div_duration_f64(every).floor();
        let next = rhythm + every.mul_f64(passed + 1.0);
        world.agenda.add(next, (self.number, Event::Read(secret)));
    }

    fn attend(&mut self, now: Instant, world: &mut World) {
        self.wakes_at = None;
        while let Some((kept, due)) = self.engine.pop(now) {
            match (kept, due) {
                (Kept::Token(generation), Due::Attend) => {
                    self.start(Task::RenewToken(generation), now, world);
                }
                // The next request logs in.
                (token @ Kept::Token(_), Due::Ended) => drop(self.engine.forget(&token)),
                (Kept::Lease(lease), Due::Attend) => self.start(Task::Lease(lease), now, world),
                (_, Due::Expiring) | (Kept::Lease(_), Due::Ended) => {}
            }
        }
    }

    fn plan_to_wake(&mut self, world: &mut World) {
        if let Some(next) = self.engine.next()
            && self.wakes_at.is_none_or(|at| next < at)
        {
            self.wakes_at = Some(next);
            world.agenda.add(next, (self.number, Event::Due));
        }
    }
}
