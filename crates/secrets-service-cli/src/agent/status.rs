//! What the agent tells of itself: how it goes, and what it has. Never a value.

use std::time::Duration;

use secrets_service::breaker::BreakerState;
use secrets_service::{CachedEntry, DiskStatus, Status};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::answer::Cached;
use super::health::Health;
use super::identity::Identity;
use super::proxy::Shared;
use super::stale::Served;

/// Entries shown at most, so that the answer stays readable and bounded.
const MOST_SHOWN: usize = 10_000;

/// Whether there is a login or something to serve, and what is not as it should be. Vault being away is no reason to
/// be taken out of service while there is something to serve.
pub(super) fn ready(shared: &Shared) -> (bool, Value) {
    let own = &shared.identities.own().client;
    let status = own.status();
    let mut degraded = Vec::new();
    if let Some(error) = &status.login_error {
        degraded.push(json!({ "what": "login", "why": error.to_string() }));
    }
    for (mount, _, since) in troubled(&status) {
        let why = format!("Vault has not answered for {} s", since.as_secs());
        degraded.push(json!({ "what": format!("mount {mount}"), "why": why }));
    }
    let entries = own.entries();
    for entry in entries.iter().filter(|entry| is_stale(entry)).take(MOST_SHOWN) {
        let why =
            format!("stale: {} s old, usable for {} s", entry.age.as_secs(), entry.usable_for.as_secs());
        degraded.push(json!({ "what": entry.path, "version": entry.version, "why": why }));
    }
    let lends = shared.rules.load().lend_own;
    let ready = !lends || status.logged_in || !entries.is_empty() || status.login_error.is_none();
    let body = json!({
        "ready": ready,
        "degraded": degraded,
        "logged_in": status.logged_in,
        "cached": entries.len(),
    });
    (ready, body)
}

/// What is cached, as far as `show` wants it: by identity, path and version.
pub(super) fn cache(shared: &Shared, show: impl Fn(&CachedEntry) -> bool) -> Value {
    let mut shown = Vec::new();
    for identity in shared.identities.all() {
        let room = MOST_SHOWN.saturating_sub(shown.len());
        if room == 0 {
            break;
        }
        let mut entries: Vec<_> = identity.client.entries().into_iter().filter(&show).collect();
        entries.sort_by(|a, b| (&a.path, a.version).cmp(&(&b.path, b.version)));
        shown.extend(entries.iter().take(room).map(|entry| described(&identity, entry)));
    }
    json!({ "entries": shown })
}

/// How it goes, in one look.
pub(super) fn overview(shared: &Shared, health: &Health, started: Instant) -> Value {
    let own = &shared.identities.own().client;
    let vault = own.vault();
    let status = own.status();
    let lends = shared.rules.load().lend_own;
    let addresses: Vec<_> = vault.addresses().iter().map(ToString::to_string).collect();
    let mut about_vault = about(health);
    about_vault["addresses"] = json!(addresses);
    let served = shared.stale.all();
    let mut overview = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "running_seconds": started.elapsed().as_secs(),
        "vault": about_vault,
        "login": login(&status, lends),
        "breakers": troubled(&status).map(breaker).collect::<Vec<_>>(),
        "requests": requests(shared),
        "cache": counted(shared),
        "stale_served": served.iter().map(stale).collect::<Vec<_>>(),
    });
    if let Some(disk) = own.disk_status() {
        overview["disk"] = on_disk(&disk);
    }
    overview
}

fn about(health: &Health) -> Value {
    let mut about = json!({ "state": health.state.as_str() });
    set(&mut about, "version", health.version.as_deref());
    set(&mut about, "why", health.why.as_deref());
    set(&mut about, "asked_seconds_ago", health.asked_at.map(|at| at.elapsed().as_secs()));
    about
}

fn login(status: &Status, lends: bool) -> Value {
    let state = match (&status.login_error, status.logged_in) {
        _ if !lends => "none",
        (_, true) => "valid",
        (Some(_), false) => "failed",
        (None, false) => "pending",
    };
    let mut login = json!({ "state": state });
    set(&mut login, "why", status.login_error.as_ref().map(ToString::to_string));
    login
}

/// The mounts that Vault does not answer for.
fn troubled(status: &Status) -> impl Iterator<Item = &(String, BreakerState, Duration)> {
    status.troubled_mounts.iter().filter(|(_, state, _)| *state != BreakerState::Closed)
}

fn breaker((mount, state, since): &(String, BreakerState, Duration)) -> Value {
    let state = if *state == BreakerState::Open { "open" } else { "half_open" };
    json!({ "mount": mount, "state": state, "failing_for_seconds": since.as_secs() })
}

/// Answers by where they came from; and how many of those that a cache can give it gave, Vault being well.
fn requests(shared: &Shared) -> Value {
    let count = |cached| shared.metrics.answers_that_were(cached);
    let [hit, miss, stale, bypass] = Cached::ALL.map(count);
    let cacheable = hit + miss + stale;
    #[allow(clippy::cast_precision_loss, reason = "a share, for people")]
    let rate = (cacheable > 0).then(|| hit as f64 / cacheable as f64);
    json!({ "hit": hit, "miss": miss, "stale": stale, "bypass": bypass, "hit_rate": rate })
}

fn counted(shared: &Shared) -> Value {
    let (mut fresh, mut stale, mut leases) = (0, 0, 0);
    for identity in shared.identities.all() {
        for entry in identity.client.entries() {
            *(if is_stale(&entry) { &mut stale } else { &mut fresh }) += 1;
            leases += usize::from(entry.lease.is_some());
        }
    }
    json!({ "fresh": fresh, "stale": stale, "leases": leases, "tokens": shared.identities.len() })
}

fn stale(served: &Served) -> Value {
    let mut value = json!({
        "path": served.path,
        "identity": whose(served.own),
        "times": served.times,
        "seconds_ago": served.at.elapsed().as_secs(),
        "age_seconds": served.age.as_secs(),
        "why": served.why,
    });
    set(&mut value, "namespace", served.namespace.as_deref());
    set(&mut value, "version", served.version);
    value
}

fn on_disk(disk: &DiskStatus) -> Value {
    let mut value = json!({ "secrets": disk.secrets, "pending": disk.pending });
    set(&mut value, "problem", disk.problem.as_deref());
    value
}

fn described(identity: &Identity, entry: &CachedEntry) -> Value {
    let mut value = json!({
        "path": entry.path,
        "identity": whose(identity.is_own()),
        "state": if is_stale(entry) { "stale" } else { "fresh" },
        "age_seconds": entry.age.as_secs(),
        "fresh_for_seconds": entry.fresh_for.as_secs(),
        "usable_for_seconds": entry.usable_for.as_secs(),
    });
    set(&mut value, "namespace", identity.namespace.as_deref());
    set(&mut value, "version", entry.version);
    let lease = entry.lease.as_ref();
    set(&mut value, "lease", lease.map(|lease| json!({ "id": lease.id, "renewable": lease.renewable })));
    value
}

fn is_stale(entry: &CachedEntry) -> bool {
    entry.fresh_for.is_zero()
}

fn whose(own: bool) -> &'static str {
    if own { "own" } else { "token" }
}

/// Adds what there is.
fn set(object: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    let object: Option<&mut Map<_, _>> = object.as_object_mut();
    if let (Some(object), Some(value)) = (object, value) {
        object.insert(name.to_owned(), value.into());
    }
}
