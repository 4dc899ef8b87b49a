//! `sys/leases/…` and the older `sys/renew`, `sys/revoke`, …

use std::time::Duration;

use crate::clock::{after, rfc3339, seconds_until};
use crate::core::{Answer, Call, Leased, OnFailure, Operation, Refusal, Reply};
use crate::json::object;

pub(super) async fn handle(call: &Call<'_>, rest: &str) -> Reply {
    let (endpoint, argument) = rest.split_once('/').unwrap_or((rest, ""));
    let is_write = call.operation().is_write();
    match endpoint {
        "lookup" if call.operation() == Operation::List => Ok(list(call, argument)),
        "lookup" if is_write && argument.is_empty() => lookup(call),
        "renew" if is_write => renew(call, argument).await,
        "revoke" if is_write => revoke(call, argument).await,
        "revoke-prefix" | "revoke-force" if is_write => revoke_prefix(call, argument, endpoint).await,
        "tidy" if is_write && argument.is_empty() => Ok(Answer::with_status(202, None).warn(
            "Tidy operation successfully started. Any information from the operation will be printed to Vault's server logs.",
        )),
        "lookup" | "renew" | "revoke" | "revoke-prefix" | "revoke-force" | "tidy" => Err(Refusal::unsupported_operation()),
        _ => Err(Refusal::unsupported_path()),
    }
}

fn lease_id(call: &Call<'_>, in_path: &str) -> Result<String, Refusal> {
    let fields = call.fields(&["lease_id", "url_lease_id", "increment", "sync"]);
    let id = if in_path.is_empty() { fields.text("lease_id")? } else { in_path.to_owned() };
    if id.is_empty() { Err(Refusal::bad_request("lease_id must be specified")) } else { Ok(id) }
}

fn lookup(call: &Call<'_>) -> Reply {
    let id = lease_id(call, "")?;
    let now = call.now();
    let state = call.core.state.lock();
    if let Some(lease) = state.leases.live(&id, now).filter(|lease| lease.namespace == call.request.namespace)
    {
        return Ok(Answer::data(object! {
            "id" => lease.id.as_str(),
            "issue_time" => rfc3339(lease.issued),
            "expire_time" => rfc3339(lease.expires),
            "last_renewal" => lease.last_renewal.map(rfc3339),
            "renewable" => lease.renewable,
            "ttl" => seconds_until(now, lease.expires),
        }));
    }
    let token = state.tokens.by_lease_id(&id, now);
    let token = token.ok_or_else(|| Refusal::bad_request("invalid lease"))?;
    Ok(Answer::data(object! {
        "id" => id,
        "issue_time" => rfc3339(token.issued),
        "expire_time" => token.expires.map(rfc3339),
        "last_renewal" => token.last_renewal.map(rfc3339),
        "renewable" => token.renewable,
        "ttl" => token.expires.map_or(0, |end| seconds_until(now, end)),
    }))
}

/// The next path segments below `prefix`, as in a folder.
fn list(call: &Call<'_>, prefix: &str) -> Answer {
    let prefix = if prefix.is_empty() { String::new() } else { format!("{}/", prefix.trim_end_matches('/')) };
    let state = call.core.state.lock();
    let namespace = &call.request.namespace;
    let tokens = state.tokens.all().filter(|token| token.namespace == *namespace && !token.batch);
    let ids = state
        .leases
        .ids_under(namespace, &prefix)
        .into_iter()
        .chain(tokens.map(crate::core::Token::lease_id));
    let mut keys: Vec<String> = ids
        .filter_map(|id| {
            let below = id.strip_prefix(prefix.as_str())?;
            Some(below.split_once('/').map_or_else(|| below.to_owned(), |(folder, _)| format!("{folder}/")))
        })
        .collect();
    keys.sort();
    keys.dedup();
    Answer::keys(keys)
}

async fn renew(call: &Call<'_>, in_path: &str) -> Reply {
    let id = lease_id(call, in_path)?;
    let increment = call.request.fields().duration("increment")?.unwrap_or_default();
    let now = call.now();
    let (lease, engine) = {
        let state = call.core.state.lock();
        let Some(lease) =
            state.leases.live(&id, now).filter(|lease| lease.namespace == call.request.namespace)
        else {
            let is_token = state.tokens.by_lease_id(&id, now).is_some();
            return Err(Refusal::bad_request(if is_token {
                "tokens cannot be renewed through this endpoint"
            } else {
                "lease not found"
            }));
        };
        (lease.clone(), state.engine_of(lease))
    };
    if !lease.renewable {
        return Err(Refusal::bad_request("lease is not renewable"));
    }
    let (ttl, warnings) = lease.limits.ttl(increment, lease.issued, now).map_err(Refusal::bad_request)?;
    if let Some(engine) = engine {
        let expires = after(now, ttl);
        engine.renew(&lease.internal, expires).await.map_err(|complaint| {
            Refusal::bad_request(format!("failed to renew entry: {NIL} err: {complaint}"))
        })?;
    }
    let mut state = call.core.state.lock();
    if state.leases.live(&id, now).is_none() {
        return Err(Refusal::bad_request("lease not found"));
    }
    state.leases.renewed(&id, ttl, now);
    call.core.wake.notify_one();
    Ok(Answer { leased: Some(Leased { id, renewable: true, ttl }), warnings, ..Answer::default() })
}

/// How long a revocation without `sync` may keep its caller waiting. Vault answers at once and works in the
/// background; waiting a little makes tests simple, and a dead PostgreSQL does not hang anybody.
const PATIENCE: Duration = Duration::from_secs(2);

async fn revoke(call: &Call<'_>, in_path: &str) -> Reply {
    let id = lease_id(call, in_path)?;
    let wait = call.request.fields().boolean("sync")?.unwrap_or(false);
    let (leases, tokens) = {
        let state = call.core.state.lock();
        let owned =
            state.leases.live(&id, call.now()).filter(|lease| lease.namespace == call.request.namespace);
        let token = state.tokens.by_lease_id(&id, call.now()).map(|token| token.id.clone());
        (owned.map(|lease| lease.id.clone()).into_iter().collect(), token.into_iter().collect())
    };
    end(call, leases, tokens, wait, false).await
}

async fn revoke_prefix(call: &Call<'_>, prefix: &str, endpoint: &str) -> Reply {
    // By default this one waits.
    let wait = call.fields(&["prefix", "sync"]).boolean("sync")?.unwrap_or(true);
    if prefix.is_empty() {
        return Err(Refusal::unsupported_path());
    }
    let prefix = format!("{}/", prefix.trim_end_matches('/'));
    let namespace = &call.request.namespace;
    let (leases, tokens) = {
        let state = call.core.state.lock();
        let tokens = state.tokens.all().filter(|token| {
            token.namespace == *namespace && token.expires.is_some() && token.lease_id().starts_with(&prefix)
        });
        let tokens = tokens.map(|token| token.id.clone()).collect();
        (state.leases.ids_under(namespace, &prefix), tokens)
    };
    if endpoint == "revoke-force" {
        // Whatever the engine says: the leases are gone.
        let outcome = end(call, leases.clone(), tokens, true, true).await;
        let mut state = call.core.state.lock();
        for id in &leases {
            state.leases.revoked(id);
        }
        return outcome.or(Ok(Answer::nothing()));
    }
    end(call, leases, tokens, wait, true).await
}

/// Go's way to print the answer that an engine did not give; Vault shows it.
const NIL: &str = "resp: (*logical.Response)(nil)";

async fn end(
    call: &Call<'_>,
    leases: Vec<String>,
    tokens: Vec<String>,
    wait: bool,
    by_prefix: bool,
) -> Reply {
    let count = leases.len();
    let core = std::sync::Arc::clone(call.core);
    let work = tokio::spawn(async move {
        for token in tokens {
            core.revoke_token(&token, false).await;
        }
        core.revoke_leases(leases, if wait { OnFailure::Restore } else { OnFailure::Retry }).await
    });
    if !wait {
        // The work goes on by itself; the timer repeats what fails.
        let _ = tokio::time::timeout(PATIENCE, work).await;
        return Ok(Answer::nothing());
    }
    match work.await.unwrap_or_default().first() {
        None => Ok(Answer::nothing()),
        Some((id, complaint)) => {
            let one = if count > 1 || by_prefix {
                format!("failed to revoke {id:?} (1 / {count}): ")
            } else {
                String::new()
            };
            Err(Refusal::bad_request(format!("{one}failed to revoke entry: {NIL} err: {complaint}")))
        }
    }
}
