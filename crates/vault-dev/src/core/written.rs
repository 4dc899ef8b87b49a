//! An answer as it goes over the wire: status and body.

use std::fmt::Write as _;

use super::answer::{Answer, Auth, Form, Refusal, WrapInfo};
use super::request::{Operation, Request};
use crate::json::{Json, Object, encode, object};

/// Status and body of an HTTP answer. An empty body goes with 204, and with HEAD.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// The paths whose data Vault repeats outside of `data`, for clients of its first versions.
const DATA_AT_THE_TOP: &[&str] = &[
    "sys/auth",
    "sys/capabilities",
    "sys/capabilities-accessor",
    "sys/capabilities-self",
    "sys/mounts",
    "sys/policy",
    "sys/remount",
    "sys/wrapping/wrap",
];

/// The same, for everything below.
const AND_BELOW: &[&str] = &["sys/auth/", "sys/mounts/", "sys/policy/"];

impl Written {
    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        Self::errors(refusal.status, &refusal.errors)
    }

    /// `{"errors":[…]}`.
    pub(crate) fn errors(status: u16, errors: &[String]) -> Self {
        let errors: Vec<Json> = errors.iter().map(|error| error.as_str().into()).collect();
        Self { status, body: format!("{}\n", encode(&Json::Object(object! { "errors" => errors }))) }
    }

    pub(super) fn answer(request: &Request, answer: &Answer, mount_type: &str) -> Self {
        Self::in_form(request, answer, mount_type, repeats_data(&request.path))
    }

    /// An answer as it is kept behind a wrapping token.
    pub(super) fn to_be_wrapped(request: &Request, answer: &Answer, mount_type: &str) -> Self {
        Self::in_form(request, answer, mount_type, false)
    }

    fn in_form(request: &Request, answer: &Answer, mount_type: &str, repeat: bool) -> Self {
        let is_read = matches!(request.operation, Operation::Read | Operation::List);
        match &answer.form {
            Form::Bare(status) => {
                let data = answer.data.clone().unwrap_or_default();
                Self { status: *status, body: format!("{}\n", encode(&Json::Object(data))) }
            }
            Form::Verbatim(body) => Self { status: 200, body: body.clone() },
            Form::Empty(status) => Self { status: *status, body: String::new() },
            Form::EnvelopeWithStatus(status) => {
                Self { status: *status, body: envelope(request, answer, "", repeat) }
            }
            Form::Envelope if answer.is_nothing() && is_read => Self::refusal(&Refusal::not_found()),
            Form::Envelope if answer.is_nothing() => Self { status: 204, body: String::new() },
            Form::Envelope if request.operation == Operation::List && has_no_keys(answer) => {
                Self::refusal(&Refusal::not_found())
            }
            Form::Envelope => {
                let mount_type = if answer.wrap_info.is_some() { "" } else { mount_type };
                Self { status: 200, body: envelope(request, answer, mount_type, repeat) }
            }
        }
    }
}

fn has_no_keys(answer: &Answer) -> bool {
    let keys = answer.data.as_ref().and_then(|data| data.get("keys"));
    answer.warnings.is_empty() && matches!(keys, Some(Json::Array(keys)) if keys.is_empty())
}

/// Vault's envelope, its members in Vault's order.
fn envelope(request: &Request, answer: &Answer, mount_type: &str, repeat: bool) -> String {
    let mut out = String::from("{");
    let mut member = |name: &str, value: &Json| {
        let comma = if out.len() > 1 { "," } else { "" };
        let _ = write!(out, "{comma}\"{name}\":{}", encode(value));
    };
    if let Some(data) = answer.data.as_ref().filter(|_| repeat) {
        for (name, value) in data {
            member(name, value);
        }
    }
    let lease = answer.leased.as_ref();
    let request_id = if answer.wrap_info.is_some() { "" } else { request.id.as_str() };
    member("request_id", &request_id.into());
    member("lease_id", &lease.map_or("", |lease| &lease.id).into());
    member("renewable", &lease.is_some_and(|lease| lease.renewable).into());
    member("lease_duration", &lease.map_or(0, |lease| lease.ttl.as_secs()).into());
    member("data", &answer.data.clone().map_or(Json::Null, Json::Object));
    member("wrap_info", &answer.wrap_info.as_ref().map_or(Json::Null, wrap_info));
    let warnings = if answer.warnings.is_empty() { Json::Null } else { answer.warnings.clone().into() };
    member("warnings", &warnings);
    member("auth", &answer.auth.as_ref().map_or(Json::Null, auth));
    member("mount_type", &mount_type.into());
    out.push_str("}\n");
    out
}

fn repeats_data(path: &str) -> bool {
    DATA_AT_THE_TOP.contains(&path) || AND_BELOW.iter().any(|prefix| path.starts_with(prefix))
}

fn auth(auth: &Auth) -> Json {
    let metadata = auth.metadata.as_ref().map(|metadata| -> Object {
        metadata.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
    });
    let mut members = object! {
        "client_token" => auth.client_token.as_str(),
        "accessor" => auth.accessor.as_str(),
        "policies" => auth.policies.clone(),
        "metadata" => metadata.map(Json::Object),
        "lease_duration" => auth.ttl.as_secs(),
        "renewable" => auth.renewable,
        "entity_id" => auth.entity_id.as_str(),
        "token_type" => if auth.batch { "batch" } else { "service" },
        "orphan" => auth.orphan,
        "mfa_requirement" => Json::Null,
        "num_uses" => auth.num_uses,
    };
    if !auth.policies.is_empty() {
        members.insert("token_policies".to_owned(), auth.policies.clone().into());
    }
    Json::Object(members)
}

fn wrap_info(info: &WrapInfo) -> Json {
    let mut members = object! {
        "token" => info.token.as_str(),
        "accessor" => info.accessor.as_str(),
        "ttl" => info.ttl.as_secs(),
        "creation_time" => info.creation_time.as_str(),
        "creation_path" => info.creation_path.as_str(),
    };
    if !info.wrapped_accessor.is_empty() {
        members.insert("wrapped_accessor".to_owned(), info.wrapped_accessor.as_str().into());
    }
    Json::Object(members)
}
