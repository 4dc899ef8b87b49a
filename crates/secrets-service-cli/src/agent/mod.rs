//! `secrets-service agent`: Vault's own API on localhost, answered from a cache that outlives Vault's outages.
//!
//! A face over [`ResilientVaultClient`], which decides what is cached, for how long, and what an outage changes.
//! Top down: `listener.rs` accepts, `connection.rs` serves, `proxy.rs` decides about each request: `guard.rs` whether
//! it is looked at, `identity.rs` who asks, `cacheable.rs` whether it is a read for the cache, `forward.rs` how it is
//! passed through if not, `purge.rs` what it changes. Beside it `admin.rs`, `status.rs`, `metrics.rs` and the page in
//! `ui/` tell how it goes, and `config.rs` knows every setting.

mod admin;
mod answer;
mod cacheable;
pub(crate) mod config;
mod connection;
mod facts;
mod forward;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guard;
mod health;
mod identity;
mod listener;
mod metrics;
mod proxy;
mod purge;
mod socket;
mod stale;
mod status;
pub(crate) mod systemd;
#[cfg(feature = "otel")]
mod telemetry;
mod tls;
mod ui;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use secrets_service::{OnClose, ResilientVaultClient};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use self::admin::Admin;
use self::config::{AgentConfig, Settings};
use self::guard::{AllowList, Hosts};
use self::identity::Identities;
use self::listener::{Listener, Room};
use self::metrics::Metrics;
use self::proxy::{Proxy, Rules, Shared};
use self::stale::StaleServed;
use self::tls::Tls;

/// Probes and a Prometheus or two.
const ADMIN_CONNECTIONS: usize = 64;

/// How often forgotten identities are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How often it is seen to that there is a login: about as long as a recovered Vault may go unnoticed.
const LOGIN_CHECK_EVERY: Duration = Duration::from_secs(5);

/// An agent that listens.
pub(crate) struct Agent {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    all_places: u32,
    tls: Vec<Arc<Tls>>,
    addresses: Vec<String>,
    admin_address: Option<String>,
    drain: watch::Sender<bool>,
    tasks: JoinSet<()>,
    config: AgentConfig,
    #[cfg(feature = "otel")]
    tracer: telemetry::Tracer,
}

impl Agent {
    /// Opens everything, then begins to serve. Makes no request to Vault: that Vault is away is no reason not to
    /// start. The error says what to change.
    pub(crate) async fn start(settings: Settings) -> Result<Self, String> {
        let Settings { agent: config, vault } = settings;
        let own = ResilientVaultClient::new(&vault).map_err(|error| error.to_string())?;
        let identities = Identities::new(own, vault, config.tokens)
            .map_err(|_| "the system gives no random numbers".to_owned())?;
        let shared = Arc::new(Shared {
            identities: Arc::new(identities),
            rules: ArcSwap::from_pointee(rules(&config)),
            limits: config.forward,
            turns: Arc::new(Semaphore::new(config.requests)),
            metrics: Metrics::default(),
            stale: StaleServed::default(),
        });
        let places = raise_open_files(config.connections);
        let mut agent = Self {
            shared,
            places: Arc::new(Semaphore::new(places)),
            all_places: u32::try_from(places).unwrap_or(u32::MAX),
            tls: Vec::new(),
            addresses: Vec::new(),
            admin_address: None,
            drain: watch::Sender::new(false),
            tasks: JoinSet::new(),
            config,
            #[cfg(feature = "otel")]
            tracer: telemetry::Tracer::default(),
        };
        agent.listen().await?;
        Ok(agent)
    }

    /// Where clients find it, in the order of the settings.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub(crate) fn admin_address(&self) -> Option<&str> {
        self.admin_address.as_deref()
    }

    /// Takes over what can be changed while running: rules, and certificates from the files named at the start.
    pub(crate) fn reload(&mut self, settings: &Settings) -> Vec<String> {
        let mut complaints = Vec::new();
        self.shared.rules.store(Arc::new(rules(&settings.agent)));
        let now = &self.config;
        let reloadable = AgentConfig {
            allowed_hosts: now.allowed_hosts.clone(),
            lend_own: now.lend_own,
            own_paths: now.own_paths.clone(),
            ..settings.agent.clone()
        };
        if reloadable != *now {
            complaints.push("listeners, limits and tokens.* are changed by a restart only".to_owned());
        }
        complaints.extend(self.tls.iter().filter_map(|tls| tls.reload().err()));
        complaints
    }

    /// No more connections, no more requests; those under way may end. Then the login is given back, if it should.
    pub(crate) async fn stop(mut self) {
        self.drain.send_replace(true);
        let all_gone = self.places.acquire_many(self.all_places);
        if tokio::time::timeout(self.config.drain_time, all_gone).await.is_err() {
            tracing::warn!("requests were still under way at the end of drain_seconds");
        }
        #[cfg(feature = "otel")]
        self.tracer.flush().await;
        self.tasks.shutdown().await;
        let on_close = if self.config.revoke_on_stop { OnClose::Revoke } else { OnClose::Keep };
        if let Err(error) = self.shared.identities.own().client.close(on_close).await {
            tracing::warn!(%error, "could not tidy up in Vault");
        }
    }

    async fn listen(&mut self) -> Result<(), String> {
        #[cfg(feature = "otel")]
        {
            self.tracer = telemetry::Tracer::start(&mut self.tasks)?;
        }
        let room = self.room(Arc::clone(&self.places));
        for wanted in &self.config.listen {
            for listener in Listener::open(wanted).await? {
                self.addresses.push(listener.address());
                self.tls.extend(listener.tls().cloned());
                let proxy = Proxy::new(Arc::clone(&self.shared), listener.reach());
                #[cfg(feature = "otel")]
                let proxy = telemetry::Traced::new(proxy, self.tracer.clone());
                self.tasks.spawn(listener.serve(proxy, room.clone()));
            }
        }
        if let Some(address) = self.config.admin {
            let listener = Listener::tcp(address, None).await.map_err(|error| format!("admin: {error}"))?;
            self.admin_address = Some(listener.address());
            let admin = Admin::new(Arc::clone(&self.shared), Arc::clone(&room.connections));
            // Of its own, so that clients cannot shut out probes.
            let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS));
            self.tasks.spawn(listener.serve(admin, self.room(places)));
        }
        let identities = Arc::clone(&self.shared.identities);
        self.tasks.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                identities.sweep();
            }
        });
        self.tasks.spawn(stay_logged_in(Arc::clone(&self.shared)));
        if let Some(interval) = systemd::watchdog_interval() {
            self.tasks.spawn(async move {
                loop {
                    systemd::notify("WATCHDOG=1");
                    tokio::time::sleep(interval).await;
                }
            });
        }
        Ok(())
    }

    fn room(&self, places: Arc<Semaphore>) -> Room {
        let (limits, draining) = (self.config.connection, self.drain.subscribe());
        Room { places, limits, draining, connections: Arc::default() }
    }
}

/// Logs in before the first request wants it, and again after a refusal: an agent that is not ready gets no requests
/// that would make it try. Refused logins are spaced by the client itself.
async fn stay_logged_in(shared: Arc<Shared>) {
    loop {
        let own = &shared.identities.own().client;
        if shared.rules.load().lend_own && !own.status().logged_in {
            // Readiness tells why, if it fails.
            let _ = own.log_in().await;
        }
        tokio::time::sleep(LOGIN_CHECK_EVERY).await;
    }
}

fn rules(config: &AgentConfig) -> Rules {
    Rules {
        hosts: Hosts::new(&config.allowed_hosts),
        lend_own: config.lend_own,
        own_paths: AllowList::new(&config.own_paths),
    }
}

/// Raises the limit of open files as far as allowed, and says how many connections fit into it.
fn raise_open_files(wanted: usize) -> usize {
    /// For listeners, connections to Vault, files of certificates.
    const OTHERS: u64 = 256;
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let raised = needed.clamp(soft, hard.max(soft));
    if raised > soft && setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_err() {
        tracing::warn!(soft, "the limit of open files cannot be raised");
    }
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(soft, |(soft, _)| soft);
    let fits = usize::try_from(limit.saturating_sub(OTHERS)).unwrap_or(usize::MAX).max(16);
    if fits < wanted {
        tracing::warn!(
            connections = fits,
            "fewer connections than limits.connections: open files are limited"
        );
    }
    fits.min(wanted)
}
