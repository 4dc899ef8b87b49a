//! From an HTTP answer that says no to an [`Error`].

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use serde::Deserialize;

use super::{Error, ErrorKind, Scrubber};
use crate::response::Response;
use crate::secret::Secret;
use crate::secret_string::SecretString;

/// Most messages taken from one answer: Vault writes one or two.
const MAX_MESSAGES: usize = 8;

/// Longest body looked into for messages. What is longer was not written by Vault.
const MAX_ERROR_BODY: usize = 1 << 20;

/// Longest body kept for a proxy to pass on: an answer that says no is some hundred bytes long.
const MAX_KEPT_BODY: usize = 64 << 10;

/// Longest wait believed: nothing that still works asks for more.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// The error that an answer outside of `2xx` means.
pub(crate) fn from_answer(response: &Response, scrubber: &Scrubber) -> Error {
    let said = errors_of(response);
    let kind = kind_of(response, &said);
    let messages = said.iter().take(MAX_MESSAGES).map(|message| scrubber.line(message.expose()));
    let error = Error::new(kind, detail_of(response, kind))
        .with_status(response.status)
        .with_messages(messages.filter(|message| !message.is_empty()).collect());
    let error = if response.body.len() <= MAX_KEPT_BODY {
        error.with_answer_body(response.body.clone())
    } else {
        error
    };
    match retry_after(&response.headers) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

fn kind_of(response: &Response, said: &[SecretString]) -> ErrorKind {
    let says = |words: &str| said.iter().any(|message| message.expose().contains(words));
    match response.status {
        400 if says("check-and-set parameter did not match") => ErrorKind::CheckAndSet,
        400 if wants_tls(response) => ErrorKind::Configuration,
        403 if says("invalid token") || says("bad token") => ErrorKind::InvalidToken,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        405 => ErrorKind::MethodNotAllowed,
        412 => ErrorKind::NotYetThere,
        429 => ErrorKind::RateLimited,
        472 | 473 => ErrorKind::Standby,
        503 => ErrorKind::Sealed,
        500.. if says("Vault is sealed") => ErrorKind::Sealed,
        500.. if says("node not active but active") => ErrorKind::Standby,
        500.. => ErrorKind::ServerError,
        400.. => ErrorKind::BadRequest,
        // Redirects do not get here, and other answers are no errors: not an answer of HTTP as we know it.
        _ => ErrorKind::MalformedAnswer,
    }
}

/// What can be told beyond Vault's own words.
fn detail_of(response: &Response, kind: ErrorKind) -> String {
    match kind {
        ErrorKind::Configuration => "this port speaks TLS: the address should start with https://".to_owned(),
        ErrorKind::NotFound => gone_version(response).unwrap_or_default(),
        _ => String::new(),
    }
}

/// KV v2 answers `404` for a version that is deleted or destroyed, with its metadata (Vault API, "KV v2").
fn gone_version(response: &Response) -> Option<String> {
    let secret = Secret::parse(response.body.clone()).ok()?;
    let version = secret.version()?;
    let number = version.version;
    if version.destroyed {
        return Some(format!("version {number} was destroyed"));
    }
    version.deletion_time.as_ref().map(|when| format!("version {number} was deleted at {when}"))
}

/// Go's own plain-text answer to plain HTTP on a TLS port.
fn wants_tls(response: &Response) -> bool {
    response.body.starts_with(b"Client sent an HTTP request to an HTTPS server")
}

fn errors_of(response: &Response) -> Vec<SecretString> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        errors: Option<Vec<SecretString>>,
    }
    if response.body.len() > MAX_ERROR_BODY {
        return Vec::new();
    }
    serde_json::from_slice::<Body>(&response.body).ok().and_then(|body| body.errors).unwrap_or_default()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    // The other form, a date, is not used by Vault and would need a clock.
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}
