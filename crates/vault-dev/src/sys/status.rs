//! `sys/health` and its relatives: answered also while sealed, without the envelope.

use base64::Engine as _;

use crate::core::{Answer, Call, Operation, Refusal, Reply, VERSION, go_bool};
use crate::json::{Object, object};

pub(super) fn handle(call: &Call<'_>, endpoint: &str) -> Reply {
    let is_read = call.operation() == Operation::Read;
    match endpoint {
        "health" if is_read || call.operation() == Operation::Other => health(call),
        "seal-status" if is_read => Ok(Answer::bare(200, seal_status(call))),
        "init" if is_read => Ok(Answer::bare(200, object! { "initialized" => true })),
        "leader" if is_read => Ok(Answer::bare(200, leader())),
        "seal" if call.operation().is_write() => {
            call.core.set_sealed(true);
            Ok(Answer::nothing())
        }
        "unseal" if call.operation().is_write() => unseal(call),
        _ => Err(Refusal::silent(405)),
    }
}

fn health(call: &Call<'_>) -> Reply {
    let query = &call.request.query;
    let code = |name: &str, otherwise: u16| match query.get(name) {
        None => Ok(otherwise),
        Some(text) => text.parse().ok().filter(|code| (100..1000).contains(code)).ok_or(Refusal::silent(400)),
    };
    let (active, sealed) = (code("activecode", 200)?, code("sealedcode", 503)?);
    for other in ["standbycode", "uninitcode", "drsecondarycode", "performancestandbycode"] {
        code(other, 200)?;
    }
    for flag in ["standbyok", "perfstandbyok"] {
        if query.get(flag).is_some_and(|text| !text.is_empty() && go_bool(text).is_none()) {
            return Err(Refusal::silent(400));
        }
    }
    let status = if call.core.is_sealed() { sealed } else { active };
    Ok(Answer::bare(status, health_body(call.core, false)))
}

/// The body of `sys/health`. `standby` is what a fault pretends.
pub(crate) fn health_body(core: &crate::core::Core, standby: bool) -> Object {
    let sealed = core.is_sealed();
    let replication = if sealed { "unknown" } else { "disabled" };
    let seconds = u64::try_from(core.clock.now().unix_timestamp()).unwrap_or(0);
    let mut body = object! {
        "initialized" => true,
        "sealed" => sealed,
        "standby" => sealed || standby,
        "performance_standby" => false,
        "replication_performance_mode" => replication,
        "replication_dr_mode" => replication,
        "server_time_utc" => seconds,
        "version" => VERSION,
        "enterprise" => false,
        "echo_duration_ms" => 0_u64,
        "clock_skew_ms" => 0_u64,
        "replication_primary_canary_age_ms" => 0_u64,
    };
    if !sealed {
        add_cluster(core, &mut body);
    }
    body
}

fn seal_status(call: &Call<'_>) -> Object {
    let sealed = call.core.is_sealed();
    let mut body = object! {
        "type" => "shamir",
        "initialized" => true,
        "sealed" => sealed,
        "t" => 1_u64,
        "n" => 1_u64,
        "progress" => 0_u64,
        "nonce" => "",
        "version" => VERSION,
        "build_date" => "2025-01-01T00:00:00Z",
        "migration" => false,
        "recovery_seal" => false,
        "storage_type" => "inmem",
    };
    if !sealed {
        add_cluster(call.core, &mut body);
    }
    body
}

fn add_cluster(core: &crate::core::Core, body: &mut Object) {
    body.insert("cluster_name".to_owned(), core.cluster_name.as_str().into());
    body.insert("cluster_id".to_owned(), core.cluster_id.as_str().into());
}

fn leader() -> Object {
    object! {
        "ha_enabled" => false,
        "is_self" => false,
        "active_time" => "0001-01-01T00:00:00Z",
        "leader_address" => "",
        "leader_cluster_address" => "",
        "performance_standby" => false,
        "performance_standby_last_remote_wal" => 0_u64,
    }
}

fn unseal(call: &Call<'_>) -> Reply {
    let fields = call.request.fields();
    if fields.boolean("reset")? == Some(true) {
        return Ok(Answer::bare(200, seal_status(call)));
    }
    let key = fields.text("key")?;
    if key.is_empty() {
        return Err(Refusal::bad_request(
            "'key' must be specified in request body as JSON, or 'reset' set to true",
        ));
    }
    let engine = base64::engine::general_purpose::STANDARD;
    let Some(decoded) = from_hex(&key).or_else(|| engine.decode(&key).ok()) else {
        return Err(Refusal::bad_request("'key' must be a valid hex or base64 string"));
    };
    if decoded.len() < 16 {
        return Err(Refusal::bad_request("invalid key: key is shorter than minimum 16 bytes"));
    }
    if call.core.is_sealed() {
        if Some(&decoded) != engine.decode(&call.core.unseal_key).ok().as_ref() {
            return Err(Refusal::bad_request(
                "failed to decrypt keys from storage: error decrypting seal wrapped value: cipher: message authentication failed",
            ));
        }
        call.core.set_sealed(false);
    }
    Ok(Answer::bare(200, seal_status(call)))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal() {
        assert_eq!(from_hex("00ff"), Some(vec![0, 255]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("zz"), None);
        assert_eq!(from_hex("é"), None);
    }
}
