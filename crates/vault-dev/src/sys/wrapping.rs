//! `sys/wrapping/…`. That the wrapping token is valid has been checked before.

use crate::clock::rfc3339;
use crate::core::{Answer, Call, INVALID_WRAPPING_TOKEN, Operation, Refusal, Reply};
use crate::json::object;

pub(super) fn handle(call: &Call<'_>, endpoint: &str) -> Reply {
    let is_write = call.operation().is_write();
    match endpoint {
        "wrap" if is_write => {
            if call.request.wrap_ttl.is_none_or(|ttl| ttl.is_zero()) {
                return Err(Refusal::bad_request("endpoint requires response wrapping to be used"));
            }
            Ok(Answer::data(call.request.data.clone()))
        }
        "unwrap" if is_write => call.core.unwrap(call.request),
        "rewrap" if is_write => call.core.rewrap(call.request),
        "lookup" if is_write || call.operation() == Operation::Read => lookup(call),
        "wrap" | "unwrap" | "rewrap" | "lookup" => Err(Refusal::unsupported_operation()),
        _ => Err(Refusal::unsupported_path()),
    }
}

fn lookup(call: &Call<'_>) -> Reply {
    let (token, wrapped) = call
        .core
        .lookup_wrapping(call.request)
        .ok_or_else(|| Refusal::bad_request(INVALID_WRAPPING_TOKEN))?;
    Ok(Answer::data(object! {
        "creation_path" => wrapped.creation_path,
        "creation_time" => rfc3339(token.issued),
        "creation_ttl" => wrapped.ttl.as_secs(),
    }))
}
