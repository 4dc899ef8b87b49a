//! `auth/token/`: tokens that make, look up, renew and revoke tokens.

mod create;

use crate::clock::{rfc3339, seconds_until};
use crate::core::{Answer, BoxFuture, Call, Caller, Engine, Operation, Refusal, Reply, Token};
use crate::json::{Json, Object, object};

/// The token method. All its state is the core's.
pub(crate) struct TokenAuth;

impl Engine for TokenAuth {
    fn handle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Reply> {
        Box::pin(answer(call))
    }

    fn needs_sudo(&self, path: &str) -> bool {
        path == "revoke-orphan" || path == "accessors/"
    }
}

async fn answer(call: &Call<'_>) -> Reply {
    let caller = call.caller.ok_or_else(Refusal::missing_token)?;
    let is_write = call.operation().is_write();
    match call.path {
        "create" | "create-orphan" if is_write => create::create(call, caller, call.path == "create-orphan"),
        "lookup-self" if call.operation() == Operation::Read || is_write => Ok(lookup_self(call, caller)),
        "lookup" if is_write || call.operation() == Operation::Read => lookup(call, caller),
        "lookup-accessor" if is_write => lookup_accessor(call),
        "renew-self" if is_write => renew(call, &caller.token.id, true),
        "renew" if is_write => renew_other(call),
        "renew-accessor" if is_write => renew_accessor(call),
        "revoke-self" if is_write => revoke_self(call, caller).await,
        "revoke" | "revoke-orphan" if is_write => revoke(call, call.path == "revoke-orphan").await,
        "revoke-accessor" if is_write => revoke_accessor(call).await,
        "accessors" if call.operation() == Operation::List => Ok(accessors(call)),
        "create" | "create-orphan" | "lookup-self" | "lookup" | "lookup-accessor" | "renew-self"
        | "renew" | "renew-accessor" | "revoke-self" | "revoke" | "revoke-orphan" | "revoke-accessor"
        | "accessors" => Err(Refusal::unsupported_operation()),
        _ => Err(Refusal::unsupported_path()),
    }
}

fn lookup_self(call: &Call<'_>, caller: &Caller) -> Answer {
    // The snapshot is from before this request's own use was counted.
    let uses_left = match caller.token.uses_left {
        0 => 0,
        1 => -1,
        more => more - 1,
    };
    Answer::data(describe(call, &Token { uses_left, ..caller.token.clone() }))
}

fn lookup(call: &Call<'_>, caller: &Caller) -> Reply {
    let id = call.fields(&["token"]).text("token")?;
    if id.is_empty() {
        return Ok(lookup_self(call, caller));
    }
    let state = call.core.state.lock();
    let token = state.tokens.live(&id, call.now()).filter(|token| reachable(call, token));
    let token = token.ok_or_else(|| Refusal::new(403, "bad token"))?;
    Ok(Answer::data(describe(call, token)))
}

fn lookup_accessor(call: &Call<'_>) -> Reply {
    let token = by_accessor(call)?;
    let mut data = describe(call, &token);
    data.insert("id".to_owned(), "".into());
    Ok(Answer::data(data))
}

/// A token belongs to one namespace; from elsewhere it cannot be managed.
fn reachable(call: &Call<'_>, token: &Token) -> bool {
    token.namespace == call.request.namespace
}

fn by_accessor(call: &Call<'_>) -> Result<Token, Refusal> {
    let accessor = call.fields(&["accessor", "increment"]).text("accessor")?;
    if accessor.is_empty() {
        return Err(Refusal::multi(400, "missing accessor"));
    }
    let state = call.core.state.lock();
    let token = state.tokens.by_accessor(&accessor, call.now()).filter(|token| reachable(call, token));
    token.cloned().ok_or_else(|| Refusal::multi(400, "invalid accessor"))
}

fn describe(call: &Call<'_>, token: &Token) -> Object {
    let meta = token.meta.as_ref().map(|meta| -> Object {
        meta.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
    });
    let mut data = object! {
        "accessor" => token.accessor.as_str(),
        "creation_time" => unix(token.issued),
        "creation_ttl" => token.creation_ttl.as_secs(),
        "display_name" => token.display_name.as_str(),
        "entity_id" => token.entity_id.as_str(),
        "expire_time" => token.expires.map(rfc3339),
        "explicit_max_ttl" => token.limits.explicit_max_ttl.as_secs(),
        "id" => token.id.as_str(),
        "issue_time" => rfc3339(token.issued),
        "meta" => meta.map(Json::Object),
        "num_uses" => Json::Number(token.uses_left.to_string()),
        "orphan" => token.orphan,
        "path" => token.path.as_str(),
        "policies" => token.policies.clone(),
        "renewable" => token.renewable,
        "ttl" => token.expires.map_or(0, |end| seconds_until(call.now(), end)),
        "type" => if token.batch { "batch" } else { "service" },
    };
    if !token.limits.period.is_zero() {
        data.insert("period".to_owned(), token.limits.period.as_secs().into());
    }
    if let Some(at) = token.last_renewal {
        data.insert("last_renewal".to_owned(), rfc3339(at).into());
        data.insert("last_renewal_time".to_owned(), unix(at).into());
    }
    if !token.namespace.is_empty() {
        data.insert("namespace_path".to_owned(), token.namespace.as_str().into());
    }
    data
}

fn unix(at: crate::clock::Timestamp) -> u64 {
    u64::try_from(at.unix_timestamp()).unwrap_or(0)
}

fn renew(call: &Call<'_>, id: &str, show_token: bool) -> Reply {
    let increment =
        call.fields(&["token", "increment", "accessor"]).duration("increment")?.unwrap_or_default();
    let (mut auth, warnings) = call.core.state.lock().tokens.renew(id, increment, call.now())?;
    if !show_token {
        auth.client_token.clear();
    }
    call.core.wake.notify_one();
    Ok(Answer { auth: Some(auth), warnings, ..Answer::default() })
}

fn renew_other(call: &Call<'_>) -> Reply {
    let id = token_in_body(call)?;
    let known = {
        let state = call.core.state.lock();
        state.tokens.live(&id, call.now()).is_some_and(|token| reachable(call, token))
    };
    if known { renew(call, &id, true) } else { Err(Refusal::bad_request("token not found")) }
}

fn renew_accessor(call: &Call<'_>) -> Reply {
    let token = by_accessor(call)?;
    renew(call, &token.id, false)
}

fn token_in_body(call: &Call<'_>) -> Result<String, Refusal> {
    let id = call.fields(&["token", "increment"]).text("token")?;
    if id.is_empty() { Err(Refusal::bad_request("missing token ID")) } else { Ok(id) }
}

async fn revoke_self(call: &Call<'_>, caller: &Caller) -> Reply {
    end(call, &caller.token, false).await
}

async fn revoke(call: &Call<'_>, spare_children: bool) -> Reply {
    let id = token_in_body(call)?;
    let token =
        call.core.state.lock().tokens.live(&id, call.now()).filter(|token| reachable(call, token)).cloned();
    match token {
        None if spare_children => Err(Refusal::bad_request("token to revoke not found")),
        // Gone already is as good as revoked.
        None => Ok(Answer::nothing()),
        Some(token) => end(call, &token, spare_children).await,
    }
}

async fn revoke_accessor(call: &Call<'_>) -> Reply {
    match by_accessor(call) {
        Ok(token) => end(call, &token, false).await,
        Err(refusal) if refusal.errors.iter().any(|error| error.contains("invalid accessor")) => {
            Ok(Answer::warning("No token found with this accessor"))
        }
        Err(refusal) => Err(refusal),
    }
}

async fn end(call: &Call<'_>, token: &Token, spare_children: bool) -> Reply {
    if token.batch {
        return Err(Refusal::bad_request("batch tokens cannot be revoked"));
    }
    call.core.revoke_token(&token.id, spare_children).await;
    Ok(Answer::nothing())
}

fn accessors(call: &Call<'_>) -> Answer {
    let state = call.core.state.lock();
    let listed = state.tokens.all().filter(|token| !token.accessor.is_empty() && reachable(call, token));
    Answer::keys(listed.map(|token| token.accessor.clone()).collect())
}
