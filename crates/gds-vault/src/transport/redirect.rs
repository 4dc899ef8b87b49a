//! Redirects of a standby node to the active one.

use http::header::LOCATION;
use http::{StatusCode, Uri};

use super::{Answer, failure};
use crate::address::Address;
use crate::error::{Error, ErrorKind};

/// Where to go on, if the answer is a redirect that may be followed.
///
/// Only `307` and `308`, which keep method and body, and only with the same scheme: from `https` to `http` the
/// token would travel in the clear, and from `http` to `https` it already has; the address should be mended.
pub(super) fn target(answer: &Answer) -> Result<Option<(Address, String)>, Error> {
    if !answer.status.is_redirection() {
        return Ok(None);
    }
    let refuse = |why: &str| Err(refused(answer, why));
    if !matches!(answer.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
        return refuse(&format!("redirected{}, but not by 307 or 308", to(answer)));
    }
    let Some(uri) = location(answer) else {
        return refuse("redirected, but not to a URL");
    };
    let rest = uri.path_and_query().map_or("/", |rest| rest.as_str()).to_owned();
    if uri.authority().is_none() {
        return Ok(Some((answer.address.clone(), rest)));
    }
    match Address::of_location(&uri) {
        Ok(next) if next.same_scheme(&answer.address) => Ok(Some((next, rest))),
        Ok(next) => refuse(&format!("redirected to {next}: not followed, because the scheme differs")),
        Err(_) => refuse("redirected, but not to an address of Vault"),
    }
}

/// The failure of a request, perhaps one that a standby had redirected.
///
/// That the leader cannot be reached is then the standby's news, and not a dead Vault: there is no leader until the
/// others have elected one.
///
/// By HTTP's rules nothing was done: a redirect asks for the request to be made elsewhere. Vault breaks them in one
/// case, and a client cannot tell: a standby that had passed a write on to the leader, and lost it before its answer,
/// redirects as well. A check-and-set finds out.
pub(super) fn failed(error: Error, redirected_by: Option<&Address>) -> Error {
    match redirected_by {
        Some(standby) if error.kind() == ErrorKind::Connect && failure::is_before_sending(&error) => {
            let sentence = format!("redirected there by {standby}, but cannot connect");
            error.with_kind(ErrorKind::Standby).explained(&sentence)
        }
        _ => error,
    }
}

pub(super) fn too_many(last: &Address, most: usize) -> Error {
    Error::new(ErrorKind::Standby, format!("redirected more than {most} times, at last to {last}"))
        .with_address(last)
}

fn refused(answer: &Answer, why: &str) -> Error {
    Error::new(ErrorKind::Standby, why).with_status(answer.status.as_u16()).with_address(&answer.address)
}

/// ` to host`, if it is known.
fn to(answer: &Answer) -> String {
    let host = location(answer).and_then(|uri| uri.host().map(str::to_owned));
    host.map(|host| format!(" to {host}")).unwrap_or_default()
}

fn location(answer: &Answer) -> Option<Uri> {
    answer.headers.get(LOCATION)?.to_str().ok()?.parse().ok()
}
