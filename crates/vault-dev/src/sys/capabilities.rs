//! `sys/capabilities*`: what a token may do on given paths.

use crate::core::{Answer, Call, Refusal, Reply};
use crate::json::{Json, Object};
use crate::policy::Acl;

pub(super) fn handle(call: &Call<'_>, endpoint: &str) -> Reply {
    if !call.operation().is_write() {
        return Err(Refusal::unsupported_operation());
    }
    let fields = call.fields(&["path", "paths", "token", "accessor"]);
    let paths = fields.list("paths")?.or(fields.list("path")?).unwrap_or_default();
    if paths.is_empty() {
        return Err(Refusal::bad_request("paths must be supplied"));
    }
    let acl = subject(call, endpoint)?;
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

fn subject(call: &Call<'_>, endpoint: &str) -> Result<Acl, Refusal> {
    let fields = call.request.fields();
    let state = call.core.state.lock();
    let now = call.now();
    let token = match endpoint {
        "capabilities" => {
            let id = fields.text("token")?;
            if id.is_empty() {
                return Err(Refusal::multi(500, "no token found"));
            }
            state.tokens.live(&id, now).ok_or_else(|| Refusal::multi(400, "invalid token"))?
        }
        "capabilities-accessor" => {
            let accessor = fields.text("accessor")?;
            state.tokens.by_accessor(&accessor, now).ok_or_else(|| Refusal::multi(400, "invalid accessor"))?
        }
        _ => &call.caller.ok_or_else(Refusal::missing_token)?.token,
    };
    Ok(state.acl_of(token))
}
