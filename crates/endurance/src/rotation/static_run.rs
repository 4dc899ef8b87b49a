//! Workers that log in without pause while a password changes.

use std::sync::Arc;
use std::time::Duration;

use gds_vault::SecretString;
use parking_lot::Mutex;
use secrets_service::{OnClose, RotatingCredentials};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::load::{Load, Work};
use super::pools::Pool;
use super::stage::{STATIC_ROLE, Stage};
use crate::scale::tell;

const WORKERS: u32 = 8;
/// Between two logins of a worker: PostgreSQL takes several milliseconds of processor time for each.
const PAUSE: Duration = Duration::from_millis(20);
/// How often Vault is asked from outside for the password: how exactly the moment is known at which it changed.
const LOOK: Duration = Duration::from_millis(25);

/// A load of logins through one pool.
#[derive(Debug, Clone, Copy)]
pub struct StaticRun {
    /// How often the password changes.
    pub period: Duration,
    /// How long the load lasts.
    pub length: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct StaticReport {
    /// What the workers did; each login is one.
    pub work: Work,
    /// For each change of the password: from the moment that Vault had the new one until the service had it, as far
    /// as looking every 25 ms can tell.
    pub served_after: Vec<Duration>,
}

type FirstSeen = Arc<Mutex<Vec<(SecretString, Instant)>>>;

impl StaticRun {
    /// Runs it through a pool of this sort.
    pub async fn run<P: Pool>(self, stage: &Stage) -> StaticReport {
        stage.static_role(self.period).await;
        let service = stage.service();
        let credentials = service.vault().rotating_static_database_credentials(STATIC_ROLE).await.unwrap();
        let database = service.database().await.unwrap();
        let pool = P::new(&database, credentials.clone(), WORKERS);
        let served = FirstSeen::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(note_served(credentials, Arc::clone(&served)));
        let mut load = Load::new();
        for _ in 0..WORKERS {
            let pool = pool.clone();
            load.worker(PAUSE, move || {
                let pool = pool.clone();
                async move { pool.query_and_close().await }
            });
        }
        let in_vault = watch_vault(stage, self.length).await;
        let work = load.stop().await;
        pool.close().await;
        service.close(OnClose::Revoke).await.unwrap();
        drop(tasks);
        let served = served.lock();
        let when = |password: &SecretString| {
            served.iter().find(|(other, _)| other.expose() == password.expose()).map(|(_, at)| *at)
        };
        // The last may have changed a moment ago, and the first was there from the start.
        let until = Instant::now() - Duration::from_secs(3);
        let changes = in_vault.iter().skip(1).filter(|(_, at)| *at < until);
        let served_after = changes.map(|(password, changed)| {
            when(password).map_or(Duration::MAX, |served| served.saturating_duration_since(*changed))
        });
        let report = StaticReport { work, served_after: served_after.collect() };
        report.tell(&format!("static role, {}, {} s, {WORKERS} workers", P::NAME, self.length.as_secs()));
        report
    }
}

impl StaticReport {
    /// The longest that a new password took.
    pub fn latest(&self) -> Duration {
        self.served_after.iter().copied().max().unwrap_or_default()
    }

    fn tell(&self, what: &str) {
        let Work { done, failed, slowest, failures, .. } = &self.work;
        let mut sorted = self.served_after.clone();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        tell(&format!(
            "endurance: rotation: {what}: {} rotations, {done} logins, {failed} failed; slowest login {:.0} ms; the new \
             password served after {:.2} s (median), {:.2} s (at most)",
            self.served_after.len(),
            slowest.as_secs_f64() * 1e3,
            median.as_secs_f64(),
            self.latest().as_secs_f64(),
        ));
        for (failure, at) in failures {
            tell(&format!("  failed first at {:.1} s: {failure}", at.as_secs_f64()));
        }
    }
}

async fn note_served(mut credentials: RotatingCredentials, served: FirstSeen) {
    loop {
        let Ok(rotation) = credentials.changed().await else { return };
        served.lock().push((rotation.credentials.password().clone(), Instant::now()));
    }
}

/// Each password that Vault had, and when it was first seen.
async fn watch_vault(stage: &Stage, length: Duration) -> Vec<(SecretString, Instant)> {
    let until = Instant::now() + length;
    let mut seen: Vec<(SecretString, Instant)> = Vec::new();
    while Instant::now() < until {
        let password = stage.static_password().await;
        if seen.last().is_none_or(|(last, _)| last.expose() != password.expose()) {
            seen.push((password, Instant::now()));
        }
        sleep(LOOK).await;
    }
    seen
}
