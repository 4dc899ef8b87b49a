//! What a failed connection means.

use std::error::Error as StdError;
use std::fmt::Write;
use std::io;
use std::time::Duration;

use super::pool::Failed;
use crate::error::{Error, ErrorKind};

/// The failure of a request that got no answer. `taken`: whether there was a connection to send it on.
pub(super) fn of_request(failed: &Failed, taken: bool) -> Error {
    let (error, taken): (&(dyn StdError + 'static), bool) = match failed {
        Failed::Connecting(error) => (&**error, false),
        Failed::Sending(error) => (error, taken),
    };
    let mut kind = ErrorKind::Connect;
    if find::<rustls::Error>(error).is_some() {
        kind = ErrorKind::Tls;
    } else if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        kind = ErrorKind::MalformedAnswer;
    }
    Error::new(kind, causes(error)).with_was_sent(taken)
}

/// The failure of an answer that had begun.
pub(crate) fn of_body(error: &hyper::Error) -> Error {
    // A chunk header that is none comes as an I/O error of this kind.
    let garbled = |error: &io::Error| error.kind() == io::ErrorKind::InvalidInput;
    let malformed = error.is_parse() || find::<io::Error>(error).is_some_and(garbled);
    let kind = if malformed { ErrorKind::MalformedAnswer } else { ErrorKind::Interrupted };
    Error::new(kind, causes(error))
}

pub(super) fn not_connected_in_time() -> Error {
    Error::new(ErrorKind::Connect, "no connection in time").with_was_sent(false)
}

pub(super) fn not_answered_in_time(timeout: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("no whole answer within {timeout:?}"))
}

/// Whether another server may be asked instead.
pub(super) fn is_before_sending(error: &Error) -> bool {
    !error.was_sent() && matches!(error.kind(), ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Standby)
}

/// What has failed so far: the latest failure, which also tells of those before it.
pub(super) fn after(earlier: Option<Error>, latest: Error) -> Error {
    match earlier {
        // One server that answers, if only that its leader is gone, says more than those that are gone, too.
        Some(earlier) if earlier.kind() == ErrorKind::Standby && is_before_sending(&latest) => earlier,
        Some(earlier) => latest.explained(&format!("after {earlier}")),
        None => latest,
    }
}

/// The first error of a type among the causes. I/O errors wrap others without naming them as their cause.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|wrapped| find::<T>(wrapped)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// What hyper and the system say: names, numbers and certificate problems, no content.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut last = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        // Wrappers often say what they wrap.
        if !last.contains(&said) {
            let _ = write!(text, "{}{said}", if text.is_empty() { "" } else { ": " });
            last = said;
        }
        next = error.source();
    }
    text
}
