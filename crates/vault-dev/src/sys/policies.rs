//! `sys/policies/acl` and the older `sys/policy`.

use crate::core::{Answer, Call, MAX_ENTRIES, Operation, Refusal, Reply};
use crate::json::{Json, object};
use crate::policy::Policy;

/// The two endpoints name the text differently.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `sys/policy`: `rules`.
    Old,
    /// `sys/policies/acl`: `policy`.
    New,
}

pub(super) fn handle(call: &Call<'_>, name: &str, style: Style) -> Reply {
    match (name, call.operation()) {
        ("", Operation::List) => Ok(list(call, style)),
        ("", Operation::Read) if style == Style::Old => Ok(list(call, style)),
        ("", _) => Err(Refusal::unsupported_operation()),
        (_, Operation::Read) => Ok(read(call, &name.to_lowercase(), style)),
        (_, Operation::Create | Operation::Update) => write(call, name, style),
        (_, Operation::Delete) => delete(call, &name.to_lowercase()),
        _ => Err(Refusal::unsupported_operation()),
    }
}

fn list(call: &Call<'_>, style: Style) -> Answer {
    let state = call.core.state.lock();
    let known = state.namespaces.get(&call.request.namespace);
    let mut names: Vec<String> = known
        .map(|namespace| namespace.policies.keys().filter(|name| !is_internal(name)).cloned().collect())
        .unwrap_or_default();
    if call.request.namespace.is_empty() {
        names.push("root".to_owned());
    }
    names.sort();
    let mut data = object! { "keys" => names.clone() };
    if style == Style::Old {
        data.insert("policies".to_owned(), Json::from(names));
    }
    Answer::data(data)
}

fn read(call: &Call<'_>, name: &str, style: Style) -> Answer {
    let state = call.core.state.lock();
    let namespace = state.namespaces.get(&call.request.namespace);
    let text = match namespace.and_then(|namespace| namespace.policies.get(name)) {
        Some(policy) => policy.text.as_str(),
        None if name == "root" => "",
        None => return Answer::nothing(),
    };
    let member = if style == Style::Old { "rules" } else { "policy" };
    Answer::data(object! { "name" => name, member => text })
}

fn write(call: &Call<'_>, name: &str, style: Style) -> Reply {
    let fields = call.fields(&["name", "policy", "rules"]);
    let text = fields.string("policy")?.or(fields.string("rules")?).unwrap_or_default();
    if text.is_empty() {
        return Err(Refusal::bad_request("'policy' parameter not supplied or empty"));
    }
    let text = decode_base64(&text).unwrap_or(text);
    let lower = name.to_lowercase();
    if lower == "root" || is_internal(&lower) {
        return Err(Refusal::bad_request(format!("cannot update {lower:?} policy")));
    }
    let policy = Policy::parse(&text).map_err(Refusal::bad_request)?;
    {
        let mut state = call.core.state.lock();
        if let Some(namespace) = state.namespaces.get_mut(&call.request.namespace) {
            Refusal::unless_room(namespace.policies.len(), MAX_ENTRIES, "policies")?;
            namespace.policies.insert(lower.clone(), policy);
        }
    }
    let answer = match fields.get("rules") {
        Some(_) if style == Style::Old => {
            Answer::warning("'rules' is deprecated, please use 'policy' instead")
        }
        _ => Answer::nothing(),
    };
    Ok(if lower == name { answer } else { answer.warn(format!("policy name was converted to {lower}")) })
}

/// A policy may come base64-encoded; HCL never looks like that, because of its spaces and quotes.
fn decode_base64(text: &str) -> Option<String> {
    use base64::Engine as _;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).ok()?).ok()
}

fn delete(call: &Call<'_>, name: &str) -> Reply {
    if name == "default" {
        return Err(Refusal::bad_request("cannot delete default policy"));
    }
    if name == "root" || is_internal(name) {
        return Err(Refusal::bad_request(format!("cannot delete {name:?} policy")));
    }
    let mut state = call.core.state.lock();
    if let Some(namespace) = state.namespaces.get_mut(&call.request.namespace) {
        namespace.policies.remove(name);
    }
    Ok(Answer::nothing())
}

fn is_internal(name: &str) -> bool {
    name == "response-wrapping"
}
