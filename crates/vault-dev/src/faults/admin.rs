//! The HTTP side of the development features: `/vault-dev/v1/…`. Faults do not hit it (except [`Fault::Refused`]).

use std::sync::Arc;
use std::time::Duration;

use super::registry::Listed;
use super::rule::{Fault, FaultRule};
use crate::core::{Fields, Refusal, Written};
use crate::go_duration;
use crate::json::{Json, Object, encode, object, parse};
use crate::server::Shared;

/// Cannot clash with Vault, whose paths start with `/v1/` or `/ui/`.
pub(crate) const ADMIN: &str = "/vault-dev/v1/";

/// Answers `path` (below [`ADMIN`]).
pub(crate) async fn handle(shared: &Arc<Shared>, method: &str, path: &str, body: &[u8]) -> Written {
    let outcome = match (method, path) {
        ("GET", "faults") => Ok(list(shared)),
        ("POST" | "PUT", "faults") => add(shared, body),
        ("DELETE", "faults") => {
            shared.faults.clear();
            Ok(Json::Null)
        }
        ("DELETE", path) if path.starts_with("faults/") => remove(shared, &path["faults/".len()..]),
        ("GET", "requests") => Ok(requests(shared)),
        ("DELETE", "requests") => {
            shared.requests.reset();
            Ok(Json::Null)
        }
        ("POST" | "PUT", "clock") => advance(shared, body).await,
        _ => Err(Refusal::new(404, "known here: faults, requests, clock")),
    };
    match outcome {
        Ok(Json::Null) => Written { status: 204, body: String::new() },
        Ok(answer) => Written { status: 200, body: format!("{}\n", encode(&answer)) },
        Err(refusal) => Written::refusal(&refusal),
    }
}

fn members(body: &[u8]) -> Result<Object, Refusal> {
    match parse(body) {
        Ok(Json::Object(members)) => Ok(members),
        Ok(_) => Err(Refusal::bad_request("the body must be a JSON object")),
        Err(malformed) => Err(Refusal::bad_request(malformed.0)),
    }
}

fn list(shared: &Shared) -> Json {
    let describe = |listed: Listed| {
        let mut about = describe(&listed.rule.fault);
        about.insert("id".to_owned(), listed.id.into());
        about.insert("path".to_owned(), listed.rule.path.into());
        about.insert("left".to_owned(), listed.left.map(u64::from).into());
        Json::Object(about)
    };
    Json::Object(
        object! { "faults" => shared.faults.list().into_iter().map(describe).collect::<Vec<Json>>() },
    )
}

fn add(shared: &Arc<Shared>, body: &[u8]) -> Result<Json, Refusal> {
    let members = members(body)?;
    let rule = rule(Fields::of(&members))?;
    let id = shared.install(rule).ok_or_else(|| Refusal::bad_request("too many faults"))?;
    Ok(Json::Object(object! { "id" => id }))
}

fn remove(shared: &Shared, id: &str) -> Result<Json, Refusal> {
    let known = id.parse().is_ok_and(|id| shared.faults.remove(id));
    if known { Ok(Json::Null) } else { Err(Refusal::new(404, format!("there is no fault {id:?}"))) }
}

fn rule(fields: Fields<'_>) -> Result<FaultRule, Refusal> {
    let fault = fault(fields)?;
    let lasting = fields.duration("for")?;
    if fault == Fault::Refused && lasting.is_none() {
        return Err(Refusal::bad_request(
            "\"refused\" needs \"for\": once nobody listens, nobody can be asked to listen again",
        ));
    }
    let mut rule = FaultRule::new(fault).on(&fields.text("path")?);
    rule.times = fields.count("count")?.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    rule.lasting = lasting;
    Ok(rule)
}

fn fault(fields: Fields<'_>) -> Result<Fault, Refusal> {
    let status = |otherwise: u64| -> Result<u16, Refusal> {
        let status = fields.count("status")?.unwrap_or(otherwise);
        u16::try_from(status)
            .ok()
            .filter(|status| (200..1000).contains(status))
            .ok_or_else(|| Refusal::bad_request("\"status\" must be an HTTP status"))
    };
    let after = |name: &str, otherwise: u64| -> Result<Duration, Refusal> {
        Ok(fields.duration(name)?.unwrap_or(Duration::from_millis(otherwise)))
    };
    Ok(match fields.text("fault")?.as_str() {
        "sealed" => Fault::Sealed,
        "frozen" => Fault::Frozen,
        "refused" => Fault::Refused,
        "status" => Fault::Status { status: status(500)?, retry_after: fields.duration("retry_after")? },
        "slow" => Fault::Slow(after("delay", 1000)?),
        "garbage" => Fault::Garbage,
        "not-http" => Fault::NotHttp,
        "cut-body" => Fault::CutBody,
        "reset" => Fault::Reset,
        "reset-mid-body" => Fault::ResetMidBody,
        "drip" => Fault::Drip(after("delay", 100)?),
        "standby" => Fault::Standby(status(429)?),
        "redirect" => Fault::Redirect(fields.text("url")?),
        other => {
            return Err(Refusal::bad_request(format!(
                "unknown \"fault\" {other:?}; known: sealed, frozen, refused, status, slow, garbage, not-http, cut-body, reset, reset-mid-body, drip, standby, redirect"
            )));
        }
    })
}

fn describe(fault: &Fault) -> Object {
    let brief = |duration: &Duration| format!("{}ms", duration.as_millis());
    match fault {
        Fault::Sealed => object! { "fault" => "sealed" },
        Fault::Frozen => object! { "fault" => "frozen" },
        Fault::Refused => object! { "fault" => "refused" },
        Fault::Status { status, retry_after } => object! {
            "fault" => "status",
            "status" => u64::from(*status),
            "retry_after" => retry_after.map(go_duration::brief),
        },
        Fault::Slow(delay) => object! { "fault" => "slow", "delay" => brief(delay) },
        Fault::Garbage => object! { "fault" => "garbage" },
        Fault::NotHttp => object! { "fault" => "not-http" },
        Fault::CutBody => object! { "fault" => "cut-body" },
        Fault::Reset => object! { "fault" => "reset" },
        Fault::ResetMidBody => object! { "fault" => "reset-mid-body" },
        Fault::Drip(pause) => object! { "fault" => "drip", "delay" => brief(pause) },
        Fault::Standby(status) => object! { "fault" => "standby", "status" => u64::from(*status) },
        Fault::Redirect(url) => object! { "fault" => "redirect", "url" => url.as_str() },
    }
}

fn requests(shared: &Shared) -> Json {
    let describe = |record: crate::requests::RequestRecord| {
        Json::Object(object! {
            "method" => record.method,
            "path" => record.path,
            "status" => record.status.map(u64::from),
        })
    };
    let all: Vec<Json> = shared.requests.all().into_iter().map(describe).collect();
    Json::Object(object! { "requests" => all, "connections" => shared.requests.connections() })
}

async fn advance(shared: &Shared, body: &[u8]) -> Result<Json, Refusal> {
    let members = members(body)?;
    let by = Fields::of(&members).duration("advance")?;
    let by = by.ok_or_else(|| Refusal::bad_request("\"advance\" is missing, for example \"30s\""))?;
    shared.core.clock.skip(by);
    shared.core.do_what_is_due().await;
    shared.core.wake.notify_one();
    Ok(Json::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FaultRule, Refusal> {
        let members = members(text.as_bytes())?;
        rule(Fields::of(&members))
    }

    #[test]
    fn every_fault_can_be_named() {
        for (text, fault) in [
            (r#"{"fault":"sealed"}"#, Fault::Sealed),
            (
                r#"{"fault":"status","status":429,"retry_after":"7s"}"#,
                Fault::Status { status: 429, retry_after: Some(Duration::from_secs(7)) },
            ),
            (r#"{"fault":"slow","delay":"250ms"}"#, Fault::Slow(Duration::from_millis(250))),
            (r#"{"fault":"standby","status":473}"#, Fault::Standby(473)),
            (
                r#"{"fault":"redirect","url":"http://127.0.0.1:1"}"#,
                Fault::Redirect("http://127.0.0.1:1".to_owned()),
            ),
        ] {
            let rule = read(text).unwrap();
            assert_eq!(rule.fault, fault);
            assert_eq!(
                describe(&rule.fault)["fault"].as_str(),
                members(text.as_bytes()).unwrap()["fault"].as_str()
            );
        }
        let rule = read(r#"{"fault":"reset","path":"/v1/secret/","count":2,"for":"5s"}"#).unwrap();
        assert_eq!(rule, FaultRule::new(Fault::Reset).on("secret/").times(2).lasting(Duration::from_secs(5)));
    }

    #[test]
    fn mistakes_are_explained() {
        assert!(read(r#"{"fault":"nope"}"#).unwrap_err().errors[0].contains("known: sealed"));
        assert!(read(r#"{"fault":"refused"}"#).unwrap_err().errors[0].contains("\"for\""));
        assert!(read(r#"{"fault":"status","status":7}"#).is_err());
        assert!(read("[]").is_err());
    }
}
