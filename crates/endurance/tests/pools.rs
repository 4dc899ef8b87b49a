//! Pools whose credentials rotate, on the development server and a real PostgreSQL, with leases of seconds. What is
//! measured at length, on a real Vault, is in `rotation.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use endurance::rotation::{Deadpool, DynamicRun, Pool, Sqlx, Stage, StaticRun};
use endurance::unless_held_up;
use futures::future::join_all;
use secrets_service::{OnClose, SecretsService};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// Renewed once or twice, then replaced.
const SHORT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));
/// As good as for ever.
const LONG: (Duration, Duration) = (Duration::from_secs(3_600), Duration::from_secs(86_400));

async fn stage_with_role((default_ttl, max_ttl): (Duration, Duration)) -> Stage {
    let stage = Stage::dev().await;
    stage.dynamic_role(default_ttl, max_ttl).await;
    stage
}

async fn pool<P: Pool>(service: &SecretsService) -> P {
    let credentials = service.rotating_credentials().await.unwrap();
    P::new(&service.database().await.unwrap(), credentials, 4)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row11_a_valid_credential_at_every_instant() {
    unless_held_up(|| async {
        let stage = stage_with_role(SHORT).await;
        let service = stage.service();
        let handle = service.rotating_credentials().await.unwrap();
        let until = Instant::now() + 20 * SECOND;
        let mut logins = 0;
        while Instant::now() < until {
            let credentials = handle.current().credentials;
            assert!(!credentials.usable_for().is_zero(), "{credentials:?}");
            let login = stage.log_in(credentials.username(), credentials.password()).await;
            login.unwrap_or_else(|error| panic!("{credentials:?}: {error}"));
            logins += 1;
        }
        let generations = handle.current().generation;
        assert!(generations >= 3, "{generations} generations, {logins} logins");
        service.close(OnClose::Revoke).await.unwrap();
        stage.no_users().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row13_no_query_fails_through_sqlx() {
    no_query_fails::<Sqlx>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row13_no_query_fails_through_deadpool() {
    no_query_fails::<Deadpool>().await;
}

async fn no_query_fails<P: Pool>() {
    unless_held_up(|| async {
        let run = DynamicRun { default_ttl: SHORT.0, max_ttl: SHORT.1, length: 20 * SECOND };
        let report = run.run::<P>(&Stage::dev().await).await;
        assert_eq!(report.work.failed, 0, "{:#?}", report.work.failures);
        assert!(report.retired.len() >= 2 && report.work.by_user.len() >= 3, "{report:#?}");
        assert!(report.closest_to_the_end() > Duration::ZERO, "{:#?}", report.retired);
        assert_eq!(report.orphans, 0, "no session outlived its user");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row14_no_login_fails_when_a_static_password_changes() {
    unless_held_up(|| async {
        let run = StaticRun { period: 5 * SECOND, length: 14 * SECOND };
        let (one, other) = (Stage::dev().await, Stage::dev().await);
        let (sqlx, deadpool) = tokio::join!(run.run::<Sqlx>(&one), run.run::<Deadpool>(&other));
        for report in [sqlx, deadpool] {
            assert_eq!(report.work.failed, 0, "{:#?}", report.work.failures);
            assert!(!report.served_after.is_empty(), "{report:#?}");
            assert!(report.latest() < 5 * SECOND, "before the next change: {:?}", report.served_after);
        }
    })
    .await;
}

#[tokio::test]
async fn row14_connections_outlive_a_static_password() {
    async fn connections_stay<P: Pool>(stage: &Stage) {
        let service = stage.service();
        let mut credentials = service.vault().rotating_static_database_credentials("legacy").await.unwrap();
        let pool = P::new(&service.database().await.unwrap(), credentials.clone(), 1);
        pool.query().await.unwrap();
        let before = stage.sessions("legacy").await;
        assert_eq!(before.len(), 1);
        stage.rotate_static_role().await;
        // Only who needs it asks for it.
        let newer = credentials.newer_than(credentials.current().generation).await.unwrap();
        assert_eq!(newer.generation, credentials.changed().await.unwrap().generation);
        pool.query().await.unwrap();
        assert_eq!(stage.sessions("legacy").await, before);
        pool.close().await;
    }
    let stage = Stage::dev().await;
    stage.static_role(3_600 * SECOND).await;
    connections_stay::<Sqlx>(&stage).await;
    connections_stay::<Deadpool>(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row15_one_lease_shared_by_workers() {
    let stage = stage_with_role(LONG).await;
    for restart in 0..10 {
        let service = stage.service();
        let workers = join_all((0..8).map(|worker| {
            let service = service.clone();
            async move {
                // Half of them through pools of their own.
                if worker % 2 == 0 {
                    return pool::<Sqlx>(&service).await.query().await.unwrap();
                }
                let credentials = service.vault().get_database_credentials("myapp").await.unwrap();
                credentials.username().to_owned()
            }
        }));
        let users = workers.await;
        assert_eq!(stage.users().await, [users[0].as_str()], "restart {restart}");
        assert!(users.iter().all(|user| *user == users[0]), "restart {restart}: {users:?}");
        service.close(OnClose::Revoke).await.unwrap();
        stage.no_users().await;
    }
}

#[tokio::test]
async fn revoked_credentials_are_replaced_when_the_database_refuses_them() {
    async fn new_user<P: Pool>(stage: &Stage) {
        let service = stage.service();
        let pool = pool::<P>(&service).await;
        let revoked = stage.users().await;
        stage.revoke_all().await;
        let user = pool.query_and_close().await.unwrap();
        assert!(!revoked.contains(&user), "{user}");
        assert_eq!(stage.users().await, [user]);
        service.close(OnClose::Revoke).await.unwrap();
        stage.no_users().await;
    }
    let stage = stage_with_role(LONG).await;
    new_user::<Sqlx>(&stage).await;
    new_user::<Deadpool>(&stage).await;
}

#[tokio::test]
async fn work_that_began_before_a_rotation_is_finished() {
    unless_held_up(|| async {
        async fn is_finished<P: Pool>(stage: &Stage) {
            let service = stage.service();
            let pool = pool::<P>(&service).await;
            let first = pool.query().await.unwrap();
            let mut credentials = service.rotating_credentials().await.unwrap();
            let (user, rotation) = tokio::join!(pool.change(1, 6 * SECOND), credentials.changed());
            assert_eq!(user.unwrap(), first);
            assert_ne!(rotation.unwrap().credentials.username(), first);
            // Closed when it was given back, and not used again.
            assert_ne!(pool.query().await.unwrap(), first);
            stage.no_session(&first).await;
            pool.close().await;
            service.close(OnClose::Revoke).await.unwrap();
        }
        // Not renewed but replaced.
        let stage = stage_with_role((8 * SECOND, 8 * SECOND)).await;
        tokio::join!(is_finished::<Sqlx>(&stage), is_finished::<Deadpool>(&stage));
    })
    .await;
}

/// A connection that is completed after a rotation, with the credentials of before, is made again.
#[tokio::test]
async fn a_connection_overtaken_by_a_rotation_is_not_handed_out() {
    async fn is_made_again<P: Pool>(stage: &Stage) {
        stage.keep_waiting(2 * SECOND).await;
        let service = stage.service();
        let pool = pool::<P>(&service).await;
        let first = service.rotating_credentials().await.unwrap().current();
        let rotation = async {
            sleep(SECOND / 2).await;
            service.vault().invalidate("database/creds/myapp");
            service.vault().get_database_credentials("myapp").await.unwrap()
        };
        let started = Instant::now();
        let (user, newest) = tokio::join!(pool.query(), rotation);
        assert!(started.elapsed() >= 2 * SECOND, "the first connection was kept waiting");
        assert_ne!(newest.username(), first.credentials.username());
        assert_eq!(user.unwrap(), newest.username());
        stage.no_session(first.credentials.username()).await;
        service.close(OnClose::Revoke).await.unwrap();
        stage.no_users().await;
    }
    let stage = stage_with_role(LONG).await;
    is_made_again::<Sqlx>(&stage).await;
    is_made_again::<Deadpool>(&stage).await;
}

/// A pool that is gone keeps no lease alive.
#[tokio::test]
async fn the_lease_is_let_go_with_the_pool() {
    async fn is_let_go<P: Pool>(stage: &Stage) {
        let service = stage.service();
        let pool = pool::<P>(&service).await;
        pool.query().await.unwrap();
        let watched = || service.vault().leases().iter().any(|lease| lease.watched);
        assert!(watched());
        drop(pool);
        while watched() {
            sleep(Duration::from_millis(10)).await;
        }
        let user = stage.users().await.remove(0);
        stage.no_session(&user).await;
        service.close(OnClose::Revoke).await.unwrap();
        stage.no_users().await;
    }
    let stage = stage_with_role(LONG).await;
    is_let_go::<Sqlx>(&stage).await;
    is_let_go::<Deadpool>(&stage).await;
}

#[tokio::test]
async fn a_pg_pool_does_not_outlive_what_rotates_it() {
    let stage = stage_with_role(LONG).await;
    let Sqlx(rotating) = pool(&stage.service()).await;
    let inner = sqlx::PgPool::clone(&rotating);
    sqlx::query("SELECT 1").execute(&inner).await.unwrap();
    drop(rotating.clone());
    sqlx::query("SELECT 1").execute(&inner).await.unwrap();
    drop(rotating);
    let error = sqlx::query("SELECT 1").execute(&inner).await.unwrap_err();
    assert!(matches!(error, sqlx::Error::PoolClosed), "{error}");
}

/// With Vault away and the credentials refused, the error is Vault's.
#[tokio::test]
async fn without_credentials_the_error_says_why() {
    async fn error_of<P: Pool>(stage: &Stage) -> String {
        let service = stage.service();
        let pool = pool::<P>(&service).await;
        stage.drop_users().await;
        let _outage = stage.outage().await;
        pool.query_and_close().await.unwrap_err()
    }
    let stage = stage_with_role(LONG).await;
    for error in [error_of::<Sqlx>(&stage).await, error_of::<Deadpool>(&stage).await] {
        assert!(error.contains("database/creds/myapp"), "{error}");
    }
}
