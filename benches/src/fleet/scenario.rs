//! The sizes of a simulation.

use std::time::Duration;

/// A fleet, what it holds, and the outage.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Processes of the service.
    pub instances: usize,
    /// They start at random moments within this; zero: all at once, which is the worst case.
    pub started_over: Duration,
    /// Static secrets that each one reads, each read once in `read_every`.
    pub secrets: usize,
    /// How long a static secret is fresh.
    pub cache_ttl: Duration,
    /// How often the application reads each secret.
    pub read_every: Duration,
    /// Database credentials that each one keeps alive.
    pub leases: usize,
    /// What Vault grants a lease, each time that it is renewed.
    pub lease_ttl: Duration,
    /// What Vault grants a token, each time that it is renewed.
    pub token_ttl: Duration,
    /// From the start to the outage.
    pub steady_for: Duration,
    /// How long Vault is away.
    pub outage: Duration,
    /// From the end of the outage to the end of the simulation.
    pub afterwards: Duration,
}

impl Scenario {
    /// Five hundred instances, all started at once, running for two hours when Vault goes away for five minutes.
    pub fn usual() -> Self {
        Self {
            instances: 500,
            started_over: Duration::ZERO,
            secrets: 20,
            cache_ttl: Duration::from_secs(300),
            read_every: Duration::from_secs(1),
            leases: 2,
            lease_ttl: Duration::from_secs(3_600),
            token_ttl: Duration::from_secs(3_600),
            steady_for: Duration::from_secs(2 * 3_600),
            outage: Duration::from_secs(300),
            afterwards: Duration::from_secs(1_800),
        }
    }

    /// Started over a minute, as in a deployment.
    pub fn deployed() -> Self {
        Self { started_over: Duration::from_secs(60), ..Self::usual() }
    }

    /// Tokens of four minutes: every login is dead when Vault returns, and with it every lease.
    pub fn short_tokens() -> Self {
        Self { token_ttl: Duration::from_secs(240), ..Self::usual() }
    }
}
