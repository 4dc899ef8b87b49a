//! The rules that instances follow: as shipped, with one of them taken away, or with one changed.

use std::time::Duration;

use secrets_service::breaker::BreakerSettings;
use secrets_service::retry::Backoff;

/// As shipped ([`Policy::shipped`]) or changed.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What it is called in tables.
    pub name: String,
    /// Without: every instance draws the same random numbers.
    pub jitter: bool,
    /// Retries are bounded for the whole process.
    pub budget: bool,
    /// `None`: Vault is asked whether it answers or not.
    pub breaker: Option<BreakerSettings>,
    /// Between the attempts of one operation.
    pub backoff: Backoff,
    /// Attempts of one operation, the first included.
    pub attempts: u32,
    /// A failed read is remembered for so long, plus up to a quarter (`REMEMBERED_FOR`).
    pub remembered_for: Duration,
    /// If given: a secret is refreshed from this share of its TTL on, not from a random one.
    pub refreshed_at: Option<f64>,
    /// A stale secret is left alone for the longer, the longer Vault has been away.
    pub patience: bool,
}

impl Policy {
    /// What the crate does, with its defaults.
    pub fn shipped() -> Self {
        Self {
            name: "as shipped".to_owned(),
            jitter: true,
            budget: true,
            breaker: Some(BreakerSettings::default()),
            backoff: Backoff::default(),
            attempts: 3,
            remembered_for: Duration::from_secs(1),
            refreshed_at: None,
            patience: true,
        }
    }

    /// What is written in an afternoon: a cache with a TTL, three attempts at once, timers without jitter.
    pub fn naive() -> Self {
        Self {
            name: "naive client".to_owned(),
            jitter: false,
            budget: false,
            breaker: None,
            backoff: Backoff::new(Duration::ZERO, Duration::ZERO),
            attempts: 3,
            remembered_for: Duration::ZERO,
            refreshed_at: Some(1.0),
            patience: false,
        }
    }

    /// Those that are compared, each with one thing different from another.
    pub fn compared() -> Vec<Self> {
        let shipped = Self::shipped;
        vec![
            Self::naive(),
            shipped().refreshing_at(0.8).without_patience().called("refreshes at 80 %, no patience"),
            shipped().refreshing_at(0.8).called("refreshes at 80 %"),
            shipped().without_patience(),
            shipped(),
            shipped().without_jitter(),
            shipped().without_budget(),
            shipped().without_breaker(),
            shipped().without_breaker().without_budget(),
        ]
    }

    /// The same under another name.
    pub fn called(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Every instance draws the same random numbers.
    pub fn without_jitter(self) -> Self {
        Self { name: format!("{}, without jitter", self.name), jitter: false, ..self }
    }

    /// Every operation may be retried.
    pub fn without_budget(self) -> Self {
        Self { name: format!("{}, without budget", self.name), budget: false, ..self }
    }

    /// Vault is asked whether it answers or not.
    pub fn without_breaker(self) -> Self {
        Self { name: format!("{}, without breaker", self.name), breaker: None, ..self }
    }

    /// Stale secrets are asked for again a second after each failure.
    pub fn without_patience(self) -> Self {
        Self { name: format!("{}, without patience", self.name), patience: false, ..self }
    }

    /// Secrets are refreshed from this share of their TTL on.
    pub fn refreshing_at(self, share: f64) -> Self {
        Self { refreshed_at: Some(share), ..self }
    }
}
