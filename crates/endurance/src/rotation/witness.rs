//! Looks at PostgreSQL from outside: whose sessions there are, and whether their lease has ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use secrets_service::{LeaseChange, RotatingCredentials, SecretsService};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::stage::Stage;

/// Between two looks at the sessions.
const LOOK: Duration = Duration::from_millis(50);

/// A user that has been replaced.
#[derive(Debug, Clone)]
pub struct Retired {
    /// Its name.
    pub user: String,
    /// When it was replaced.
    pub rotated_at: Instant,
    /// When its lease ends.
    pub lease_ends: Instant,
    /// When a session of it was seen last.
    pub last_session: Option<Instant>,
}

#[derive(Default)]
struct Seen {
    sessions: HashMap<String, Instant>,
    /// The most sessions of users who are gone: PostgreSQL lets them go on.
    orphans: i64,
    retired: Vec<(String, Instant, Instant)>,
}

pub(super) struct Witness {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

impl Witness {
    pub(super) async fn new(
        stage: &Stage,
        service: &SecretsService,
        credentials: RotatingCredentials,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(watch_sessions(stage.admin().await, Arc::clone(&seen)));
        tasks.spawn(watch_leases(service.clone(), credentials, Arc::clone(&seen)));
        Self { seen, _tasks: tasks }
    }

    /// The users that were replaced, in order.
    pub(super) fn retired(&self) -> Vec<Retired> {
        let seen = self.seen.lock();
        let retired = seen.retired.iter().map(|(user, rotated_at, lease_ends)| Retired {
            user: user.clone(),
            rotated_at: *rotated_at,
            lease_ends: *lease_ends,
            last_session: seen.sessions.get(user).copied(),
        });
        retired.collect()
    }

    pub(super) fn orphans(&self) -> i64 {
        self.seen.lock().orphans
    }
}

async fn watch_sessions(admin: tokio_postgres::Client, seen: Arc<Mutex<Seen>>) {
    // The name of a user who is gone is null.
    let asked = "SELECT usename::text, count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND (usename LIKE 'v-%' OR usename IS NULL) GROUP BY 1";
    loop {
        let rows = admin.query(asked, &[]).await.unwrap();
        let now = Instant::now();
        for row in rows {
            let mut seen = seen.lock();
            match row.get::<_, Option<String>>(0) {
                Some(user) => drop(seen.sessions.insert(user, now)),
                None => seen.orphans = seen.orphans.max(row.get(1)),
            }
        }
        sleep(LOOK).await;
    }
}

async fn watch_leases(service: SecretsService, credentials: RotatingCredentials, seen: Arc<Mutex<Seen>>) {
    let mut events = service.vault().lease_events();
    let mut user = credentials.current().credentials.username().to_owned();
    while let Some(event) = events.next().await {
        if let LeaseChange::Rotated { old_ends_in, .. } = event.change {
            let now = Instant::now();
            let newest = credentials.current().credentials.username().to_owned();
            let old = std::mem::replace(&mut user, newest);
            seen.lock().retired.push((old, now, now + old_ends_in));
        }
    }
}
