//! Workers that query without pause while leases come and go.

use std::time::Duration;

use secrets_service::OnClose;
use tokio::time::{Instant, sleep, sleep_until};

use super::load::{Load, Work};
use super::pools::Pool;
use super::stage::Stage;
use super::witness::{Retired, Witness};
use crate::scale::tell;

/// Short queries, one after the other.
const READERS: i32 = 6;
/// Transactions that hold their connection for a while.
const WRITERS: i32 = 2;
const HELD_FOR: Duration = Duration::from_millis(250);

/// A load on the database through one pool.
#[derive(Debug, Clone, Copy)]
pub struct DynamicRun {
    /// How long a lease is granted for.
    pub default_ttl: Duration,
    /// How long it can be made by renewals.
    pub max_ttl: Duration,
    /// How long the load lasts.
    pub length: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct DynamicReport {
    /// What the workers did.
    pub work: Work,
    /// The users that were replaced.
    pub retired: Vec<Retired>,
    /// Sessions at a time, at most, of users who were gone.
    pub orphans: i64,
}

impl DynamicRun {
    /// Runs it through a pool of this sort, and waits until Vault has removed all users.
    pub async fn run<P: Pool>(self, stage: &Stage) -> DynamicReport {
        stage.dynamic_role(self.default_ttl, self.max_ttl).await;
        let service = stage.service();
        let credentials = service.rotating_credentials().await.unwrap();
        let witness = Witness::new(stage, &service, credentials.clone()).await;
        let workers = READERS + WRITERS;
        let database = service.database().await.unwrap();
        let pool = P::new(&database, credentials, workers.unsigned_abs());
        let mut load = Load::new();
        for _ in 0..READERS {
            let pool = pool.clone();
            load.worker(Duration::ZERO, move || {
                let pool = pool.clone();
                async move { pool.query().await }
            });
        }
        for item in 1..=WRITERS {
            let pool = pool.clone();
            load.worker(Duration::ZERO, move || {
                let pool = pool.clone();
                async move { pool.change(item, HELD_FOR).await }
            });
        }
        sleep(self.length).await;
        // Until the last lease that was replaced has ended, so that no connection of it was seen after that.
        if let Some(last) = witness.retired().last() {
            sleep_until(last.lease_ends + Duration::from_secs(1)).await;
        }
        let work = load.stop().await;
        let report = DynamicReport { work, retired: witness.retired(), orphans: witness.orphans() };
        pool.close().await;
        service.close(OnClose::Revoke).await.unwrap();
        stage.no_users().await;
        report.tell(&format!("{}, {} s, {workers} workers", P::NAME, self.length.as_secs()));
        report
    }
}

impl DynamicReport {
    /// From the rotation until the last session of the old user was seen: the longest.
    pub fn slowest_retirement(&self) -> Duration {
        let last = |retired: &Retired| {
            retired.last_session.map(|at| at.saturating_duration_since(retired.rotated_at))
        };
        self.retired.iter().filter_map(last).max().unwrap_or_default()
    }

    /// What was left of a lease when the last session of its user was seen: the shortest. Zero if one outlived it.
    pub fn closest_to_the_end(&self) -> Duration {
        let left = |retired: &Retired| {
            retired.last_session.map(|at| retired.lease_ends.saturating_duration_since(at))
        };
        self.retired
            .iter()
            .filter(|retired| retired.lease_ends < Instant::now())
            .filter_map(left)
            .min()
            .unwrap_or_default()
    }

    fn tell(&self, what: &str) {
        let Work { done, failed, slowest, failures, .. } = &self.work;
        tell(&format!(
            "endurance: rotation: {what}: {} rotations, {done} queries, {failed} failed; slowest query {:.0} ms; old \
             sessions gone within {:.2} s, at least {:.2} s before their lease ended; sessions of removed users: {}; \
             users left at the end: 0",
            self.retired.len(),
            slowest.as_secs_f64() * 1e3,
            self.slowest_retirement().as_secs_f64(),
            self.closest_to_the_end().as_secs_f64(),
            self.orphans,
        ));
        for (failure, at) in failures {
            tell(&format!("  failed first at {:.1} s: {failure}", at.as_secs_f64()));
        }
    }
}
