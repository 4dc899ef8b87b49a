//! The end of tokens and leases: by time, on demand, and all at once at shutdown.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::engine::Engine;
use super::leases::Lease;
use super::{Core, State};
use crate::clock::Timestamp;

/// One revocation may take this long. PostgreSQL answers in milliseconds, or is down.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(10);

/// Revocations at a time: each is a connection to PostgreSQL, of which a small one allows a hundred.
const CONCURRENT_REVOCATIONS: usize = 8;

/// What becomes of a lease whose revocation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// It is over all the same; the timer tries again.
    Retry,
    /// It lives on: whoever asked is told that it failed.
    Restore,
}

/// What `shutdown` achieved.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drained {
    pub(crate) revoked: usize,
    pub(crate) left: Vec<String>,
}

impl Core {
    /// The timer: runs until it is dropped.
    pub(crate) async fn run_timer(self: Arc<Self>) {
        loop {
            // Armed before looking, so that a deadline that appears meanwhile is not missed.
            let woken = self.wake.notified();
            self.do_what_is_due().await;
            match self.next_due() {
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(self.clock.instant_of(at)) => {}
                        () = woken => {}
                    }
                }
                None => woken.await,
            }
        }
    }

    /// Ends whatever is past its end. A sealed Vault lets things lie until it is unsealed.
    pub(crate) async fn do_what_is_due(self: &Arc<Self>) {
        if self.is_sealed() {
            return;
        }
        let now = self.clock.now();
        let (tokens, leases) = {
            let state = self.state.lock();
            (state.tokens.due(now), state.leases.due(now))
        };
        for token in tokens {
            self.revoke_token(&token, false).await;
        }
        self.revoke_leases(leases, OnFailure::Retry).await;
        for engine in self.engines() {
            engine.work(now).await;
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        if self.is_sealed() {
            return None;
        }
        let engines = self.engines();
        let state = self.state.lock();
        let own = [state.tokens.next_due(), state.leases.next_due()];
        own.into_iter().chain(engines.iter().map(|engine| engine.next_due())).flatten().min()
    }

    fn engines(&self) -> Vec<Arc<dyn Engine>> {
        let state = self.state.lock();
        let mounts = state.namespaces.iter().flat_map(|(_, namespace)| namespace.secrets.iter());
        mounts.map(|mount| Arc::clone(&mount.engine)).collect()
    }

    /// Ends a token, what it made, and the leases of all of them.
    pub(crate) async fn revoke_token(self: &Arc<Self>, id: &str, spare_children: bool) {
        let (gone, leases) = {
            let mut state = self.state.lock();
            let gone = state.tokens.remove(id, spare_children);
            let leases = state.leases.ids_of_tokens(&gone);
            (gone, leases)
        };
        for engine in self.engines() {
            for token in &gone {
                engine.token_ended(token);
            }
        }
        self.revoke_leases(leases, OnFailure::Retry).await;
    }

    /// Revokes these leases, a few at a time. Returns those that failed, and why.
    pub(crate) async fn revoke_leases(
        self: &Arc<Self>,
        ids: Vec<String>,
        on_failure: OnFailure,
    ) -> Vec<(String, String)> {
        let mut failed = Vec::new();
        let mut waiting = ids.into_iter();
        let mut running = JoinSet::new();
        loop {
            while running.len() < CONCURRENT_REVOCATIONS
                && let Some(id) = waiting.next()
            {
                let core = Arc::clone(self);
                running.spawn(async move {
                    let outcome = core.revoke_lease(&id, on_failure).await;
                    (id, outcome)
                });
            }
            match running.join_next().await {
                None => return failed,
                Some(Ok((id, Err(complaint)))) => failed.push((id, complaint)),
                Some(_) => {}
            }
        }
    }

    async fn revoke_lease(self: &Arc<Self>, id: &str, on_failure: OnFailure) -> Result<(), String> {
        let (lease, engine) = {
            let mut state = self.state.lock();
            let Some(lease) = state.leases.begin_revocation(id) else { return Ok(()) };
            let engine = state.engine_of(&lease);
            (lease, engine)
        };
        let outcome = match engine {
            // The mount is gone, and everything it made went with it.
            None => Ok(()),
            Some(engine) => tokio::time::timeout(REVOCATION_TIMEOUT, engine.revoke(&lease.internal))
                .await
                .unwrap_or_else(|_| Err("timed out".to_owned())),
        };
        let mut state = self.state.lock();
        match &outcome {
            Ok(()) => state.leases.revoked(id),
            Err(_) if on_failure == OnFailure::Restore => {
                state.leases.restore(id);
                self.wake.notify_one();
            }
            Err(complaint) => {
                let again = state.leases.revocation_failed(id, self.clock.now());
                tracing::warn!(lease = id, complaint, again, "could not revoke a lease");
                self.wake.notify_one();
            }
        }
        outcome
    }

    /// Revokes every lease there is, as far as the deadline allows. Nobody else may be at work any more.
    pub(crate) async fn drain(self: &Arc<Self>, deadline: Duration) -> Drained {
        let ids = {
            let mut state = self.state.lock();
            state.leases.take_over();
            state.leases.all_ids()
        };
        let all = ids.len();
        // On a timeout the unfinished revocations are aborted with their JoinSet.
        let _ = tokio::time::timeout(deadline, self.revoke_leases(ids, OnFailure::Retry)).await;
        let left = self.state.lock().leases.all_ids();
        Drained { revoked: all.saturating_sub(left.len()), left }
    }
}

impl State {
    /// The engine that made the lease, if it is still mounted.
    pub(crate) fn engine_of(&self, lease: &Lease) -> Option<Arc<dyn Engine>> {
        let namespace = self.namespaces.get(&lease.namespace)?;
        namespace.secrets.matching(&lease.path).map(|mount| Arc::clone(&mount.engine))
    }
}
