//! How Vault is, asked only while somebody looks.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use secrets_service::gds_vault::{self, Client};
use tokio::time::Instant;

/// An answer counts for so long: a page that is looked at asks every two seconds, and Vault should hardly notice.
const BELIEVED_FOR: Duration = Duration::from_secs(5);

/// Vault answers this question from memory. If it takes longer, that is the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long whoever looks is kept waiting for it; after that they get what was known before.
const HOLD_UP: Duration = Duration::from_millis(300);

/// What Vault last said of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    pub(crate) state: State,
    /// Vault's version, if it has told.
    pub(crate) version: Option<String>,
    /// Why it is not well.
    pub(crate) why: Option<String>,
    /// When it was asked; never, at first.
    pub(crate) asked_at: Option<Instant>,
}

/// Vault's state in a word (Vault API, "/sys/health").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    Active,
    Standby,
    Sealed,
    Uninitialized,
    Unavailable,
    /// Nobody has asked yet, or the first answer is on its way.
    #[default]
    Unknown,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Sealed => "sealed",
            Self::Uninitialized => "uninitialized",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

/// Asks Vault now and then. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct HealthCheck {
    last: Arc<Mutex<Health>>,
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl HealthCheck {
    /// What is known, no older than some seconds if Vault answers quickly. One question at a time.
    pub(crate) async fn look(&self, vault: &Client) -> Health {
        let known = self.last.lock().clone();
        let recent = known.asked_at.is_some_and(|at| at.elapsed() < BELIEVED_FOR);
        let turn = Arc::clone(&self.asking).try_lock_owned();
        if let (false, Ok(turn)) = (recent, turn) {
            let (vault, last) = (vault.clone(), Arc::clone(&self.last));
            // On its own, so that its answer is kept when whoever looked is gone.
            let asking = tokio::spawn(async move {
                let _turn = turn;
                let found = tokio::time::timeout(PATIENCE, vault.sys().health()).await;
                *last.lock() = told(found.ok());
            });
            let _ = tokio::time::timeout(HOLD_UP, asking).await;
            return self.last.lock().clone();
        }
        known
    }
}

/// `None`: it has not answered in time.
fn told(answer: Option<Result<gds_vault::Health, gds_vault::Error>>) -> Health {
    let asked_at = Some(Instant::now());
    let unavailable =
        |why: String| Health { state: State::Unavailable, version: None, why: Some(why), asked_at };
    let health = match answer {
        Some(Ok(health)) => health,
        Some(Err(error)) => return unavailable(error.to_string()),
        None => return unavailable(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    let (state, why) = if !health.initialized {
        (State::Uninitialized, Some("it has never been set up"))
    } else if health.sealed {
        (State::Sealed, Some("it has to be unsealed before it gives anything"))
    } else if health.standby && !health.performance_standby {
        (State::Standby, None)
    } else {
        (State::Active, None)
    };
    let version = Some(health.version).filter(|version| !version.is_empty());
    Health { state, version, why: why.map(str::to_owned), asked_at }
}
