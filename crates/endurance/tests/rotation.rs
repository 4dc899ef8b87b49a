//! Credentials rotate under connection pools on a real Vault and a real PostgreSQL, and no query fails. Short: half a
//! minute each. Long: three minutes for each pool, two for static roles.

use std::time::Duration;

use endurance::rotation::{Deadpool, DynamicRun, Logins, Pool, Sqlx, Stage, StaticRun};
use endurance::{Scale, real_vault_or_skip, unless_held_up};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queries_through_sqlx() {
    queries_while_leases_end::<Sqlx>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queries_through_deadpool() {
    queries_while_leases_end::<Deadpool>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logins_through_sqlx() {
    logins_while_the_password_changes::<Sqlx>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logins_through_deadpool() {
    logins_while_the_password_changes::<Deadpool>().await;
}

async fn queries_while_leases_end<P: Pool>() {
    unless_held_up(|| async {
        if !real_vault_or_skip("rotation") {
            return;
        }
        let (length, rotations, logins) = match Scale::from_environment() {
            Scale::Short => (35 * SECOND, 1, Logins::Cheap),
            Scale::Long => (180 * SECOND, 5, Logins::Scram),
        };
        let run = DynamicRun { default_ttl: 10 * SECOND, max_ttl: 30 * SECOND, length };
        let report = run.run::<P>(&Stage::real(logins).await).await;
        assert_eq!(report.work.failed, 0, "{:#?}", report.work.failures);
        assert!(report.retired.len() >= rotations, "{:#?}", report.retired);
        assert!(report.work.by_user.len() > rotations, "new users were used: {:#?}", report.work.by_user);
        assert!(report.closest_to_the_end() > Duration::ZERO, "{:#?}", report.retired);
        assert_eq!(report.orphans, 0, "no session outlived its user");
    })
    .await;
}

async fn logins_while_the_password_changes<P: Pool>() {
    unless_held_up(|| async {
        if !real_vault_or_skip("rotation") {
            return;
        }
        let (length, rotations, logins) = match Scale::from_environment() {
            Scale::Short => (20 * SECOND, 1, Logins::Cheap),
            Scale::Long => (120 * SECOND, 8, Logins::Scram),
        };
        // The shortest that Vault allows.
        let report = StaticRun { period: 5 * SECOND, length }.run::<P>(&Stage::real(logins).await).await;
        assert_eq!(report.work.failed, 0, "{:#?}", report.work.failures);
        assert!(report.served_after.len() >= rotations, "{:?}", report.served_after);
        // What is demanded is a second; the rest is for a machine that is busy with other tests.
        assert!(report.latest() < 3 * SECOND, "{:?}", report.served_after);
    })
    .await;
}
