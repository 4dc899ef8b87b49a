//! `sys/capabilities*`: what a token may do on given paths.

use crate::core::{Answer, Call, Refusal, Reply};
use crate::json::{Json, Object};
use crate::policy::Acl;

pub(super) fn handle(call: &Call<'_>, endpoint: &str) -> Reply {
    if !call.operation().is_write() {
        return Err(Refusal::unsupported_operation());
    }
    let fields = call.fields(&["path", "paths", "token", "accessor"]);
    let id = subject(call, endpoint)?;
    let paths = fields.list("paths")?.or(fields.list("path")?).unwrap_or_default();
    if paths.is_empty() {
        return Err(Refusal::bad_request("paths must be supplied"));
    }
    let acl = acl_of(call, &id)?;
    let mut data = Object::new();
    for path in &paths {
        let full = format!("{}{}", call.request.namespace, path.trim_start_matches('/'));
        let names = acl.capabilities(&full).map_or(vec!["root"], crate::policy::Capabilities::names);
        data.insert(path.clone(), Json::from(names));
    }
    if let [path] = paths.as_slice()
        && let Some(names) = data.get(path).cloned()
    {
        data.insert("capabilities".to_owned(), names);
    }
    Ok(Answer::data(data))
}

/// The id of the token that is asked about.
fn subject(call: &Call<'_>, endpoint: &str) -> Result<String, Refusal> {
    let fields = call.request.fields();
    match endpoint {
        "capabilities" => {
            let id = fields.text("token")?;
            if id.is_empty() { Err(Refusal::multi(500, "no token found")) } else { Ok(id) }
        }
        "capabilities-accessor" => {
            let accessor = fields.text("accessor")?;
            if accessor.is_empty() {
                return Err(Refusal::bad_request("missing accessor"));
            }
            let state = call.core.state.lock();
            state.tokens.id_of(&accessor).cloned().ok_or_else(|| Refusal::multi(400, "invalid accessor"))
        }
        _ => Ok(call.caller.ok_or_else(Refusal::missing_token)?.token.id.clone()),
    }
}

/// The token is looked up anew: one whose last use is this very request has ended already.
fn acl_of(call: &Call<'_>, id: &str) -> Result<Acl, Refusal> {
    let state = call.core.state.lock();
    let token = state.tokens.live(id, call.now()).ok_or_else(|| Refusal::multi(400, "invalid token"))?;
    Ok(state.acl_of(token))
}
