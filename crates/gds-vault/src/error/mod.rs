//! [`Error`] and [`ErrorKind`]: every failure is classified once, here, where it is first seen.

mod answer;
mod kind;
mod scrub;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use answer::from_answer;
pub use kind::ErrorKind;
pub(crate) use scrub::Scrubber;

use crate::address::Address;

/// What went wrong, where, and what Vault said about it.
///
/// Cheap to clone, so that many waiters can share one. Never shows a request or response body, a query, or a
/// secret value: what Vault says is scrubbed of everything that looks like a token and of every secret that the
/// failed request carried. (The body of a refusal can be had for a proxy to pass on:
/// [`answer_body`](Self::answer_body).)
///
/// Its [`Display`](fmt::Display) form is one line:
///
/// ```text
/// GET secret/data/app at http://127.0.0.1:8200: permission denied (403): 1 error occurred: * permission denied
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    status: Option<u16>,
    messages: Vec<String>,
    detail: String,
    operation: Cow<'static, str>,
    path: String,
    address: Option<Address>,
    retry_after: Option<Duration>,
    was_sent: bool,
    answer_body: Option<Bytes>,
}

impl Error {
    /// An error of a kind, with a sentence that says what happened. The sentence must not hold a secret; whatever
    /// looks like a token in it is redacted all the same.
    ///
    /// For authentication methods and test doubles written elsewhere; this crate makes its own.
    pub fn new(kind: ErrorKind, detail: impl AsRef<str>) -> Self {
        let inner = Inner {
            kind,
            status: None,
            messages: Vec::new(),
            detail: Scrubber::default().line(detail.as_ref()),
            operation: Cow::Borrowed(""),
            path: String::new(),
            address: None,
            retry_after: None,
            was_sent: kind != ErrorKind::Configuration,
            answer_body: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The class of failure: what a caller decides by.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Whether Vault could not be reached or could not work, as opposed to answering "no".
    /// See [`ErrorKind::is_unavailable`].
    pub fn is_unavailable(&self) -> bool {
        self.inner.kind.is_unavailable()
    }

    /// The HTTP status, if there was a whole answer.
    pub fn status(&self) -> Option<u16> {
        self.inner.status
    }

    /// Vault's own messages (`errors` of the answer), scrubbed: at most 8, each one line of at most 300 characters.
    pub fn messages(&self) -> &[String] {
        &self.inner.messages
    }

    /// What was being done: `GET`, `LIST`, `login (approle)`. Empty for errors outside of a request.
    pub fn operation(&self) -> &str {
        &self.inner.operation
    }

    /// The path of the request, without `v1/` and without a query. Empty for errors outside of a request.
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// The server that answered, or the last one that did not.
    pub fn address(&self) -> Option<&Address> {
        self.inner.address.as_ref()
    }

    /// How long Vault asks to wait before the next request (`Retry-After` in seconds; at most one day).
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// `false` if the request certainly never reached Vault, so that even one that is not idempotent may be sent
    /// again. When in doubt, `true`.
    pub fn was_sent(&self) -> bool {
        self.inner.was_sent
    }

    /// The body that Vault refused with, as it came, if it was no longer than 64 KiB: for a proxy to pass on. Not
    /// scrubbed, and in no printed form of the error.
    pub fn answer_body(&self) -> Option<&Bytes> {
        self.inner.answer_body.as_ref()
    }

    /// The same error as another kind: for an authentication method that knows what a `400` means at its endpoint.
    pub fn with_kind(self, kind: ErrorKind) -> Self {
        self.change(|inner| inner.kind = kind)
    }

    /// Names what was being done.
    pub fn with_operation(self, operation: impl Into<Cow<'static, str>>) -> Self {
        self.change(|inner| inner.operation = operation.into())
    }

    /// Names the path of the request.
    pub fn with_path(self, path: impl AsRef<str>) -> Self {
        self.change(|inner| inner.path = Scrubber::default().path(path.as_ref()))
    }

    /// Sets the HTTP status of the answer.
    pub fn with_status(self, status: u16) -> Self {
        self.change(|inner| inner.status = Some(status))
    }

    /// Sets how long to wait before the next request.
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.change(|inner| inner.retry_after = Some(wait))
    }

    /// Says whether the request may have reached Vault.
    pub fn with_was_sent(self, was_sent: bool) -> Self {
        self.change(|inner| inner.was_sent = was_sent)
    }

    /// Puts a sentence before what is already said.
    pub(crate) fn explained(self, sentence: &str) -> Self {
        self.change(|inner| {
            let rest = std::mem::take(&mut inner.detail);
            inner.detail = if rest.is_empty() { sentence.to_owned() } else { format!("{sentence}: {rest}") };
        })
    }

    pub(crate) fn with_address(self, address: &Address) -> Self {
        self.change(|inner| inner.address = Some(address.clone()))
    }

    fn with_answer_body(self, body: Bytes) -> Self {
        self.change(|inner| inner.answer_body = Some(body))
    }

    fn with_messages(self, messages: Vec<String>) -> Self {
        self.change(|inner| inner.messages = messages)
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        for part in [&*inner.operation, &inner.path].into_iter().filter(|part| !part.is_empty()) {
            write!(f, "{part} ")?;
        }
        if let Some(address) = &inner.address {
            write!(f, "at {address}: ")?;
        } else if !(inner.operation.is_empty() && inner.path.is_empty()) {
            write!(f, "failed: ")?;
        }
        write!(f, "{}", inner.kind)?;
        if let Some(status) = inner.status {
            write!(f, " ({status})")?;
        }
        let said = std::iter::once(&inner.detail).chain(&inner.messages).filter(|text| !text.is_empty());
        for (n, text) in said.enumerate() {
            write!(f, "{} {text}", if n == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("status", &inner.status)
            .field("operation", &inner.operation)
            .field("path", &inner.path)
            .field("address", &inner.address)
            .field("detail", &inner.detail)
            .field("messages", &inner.messages)
            .field("retry_after", &inner.retry_after)
            .field("was_sent", &inner.was_sent)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_one_line_with_everything_known() {
        let error = Error::new(ErrorKind::PermissionDenied, "the policy\nsays no")
            .with_operation("GET")
            .with_path("secret/data/app")
            .with_address(&Address::parse("http://127.0.0.1:8200").unwrap())
            .with_status(403)
            .with_messages(vec!["one".into(), "two".into()]);
        assert_eq!(
            error.to_string(),
            "GET secret/data/app at http://127.0.0.1:8200: permission denied (403): the policy says no; one; two"
        );
    }

    #[test]
    fn prints_what_little_is_known() {
        assert_eq!(Error::new(ErrorKind::Connect, "").to_string(), "cannot connect");
        let error =
            Error::new(ErrorKind::Configuration, "bad path").with_operation("GET").with_path("a/../b");
        assert_eq!(error.to_string(), "GET a/../b failed: configuration: bad path");
    }

    #[test]
    fn a_clone_changed_leaves_the_original() {
        let error = Error::new(ErrorKind::BadRequest, "x").with_retry_after(Duration::from_secs(7));
        let other = error.clone().with_kind(ErrorKind::LoginRefused).explained("login").with_was_sent(false);
        assert_eq!((error.kind(), other.kind()), (ErrorKind::BadRequest, ErrorKind::LoginRefused));
        assert_eq!(other.to_string(), "login refused: login: x");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert!(error.was_sent() && !other.was_sent());
    }

    #[test]
    fn tokens_in_paths_and_details_are_redacted() {
        let error = Error::new(ErrorKind::NotFound, "no hvs.CAESIcanary1234")
            .with_path("auth/token/lookup/hvs.CAESIcanary1234");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("canary") && text.contains("[redacted]"), "{text}");
        }
    }
}
