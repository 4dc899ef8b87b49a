//! [`ErrorKind`]: the classes of failure.

use std::fmt;

/// The class of a failure, named by what can be done about it.
///
/// The first ten are *unavailable*: Vault could not be asked, or could not work. A value known from before may
/// stand in. All others are answers (or mistakes on this side): asking again the same way gives the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection: name not found, refused, unreachable, no connection in time, or closed before an answer
    /// began. A retry can help; see [`Error::was_sent`](crate::Error::was_sent) before repeating a write.
    Connect,
    /// The TLS handshake failed: a certificate that is not trusted or names another host, a client certificate
    /// refused, a server that does not speak TLS. A retry seldom helps, but a load balancer may lead elsewhere.
    Tls,
    /// No whole answer in time. A retry can help if the request is idempotent: it may have been carried out.
    Timeout,
    /// The connection was lost in the middle of an answer. A retry can help if the request is idempotent.
    Interrupted,
    /// The answer was not HTTP, not JSON, or not of Vault's shape: often a proxy in between. A retry can help.
    MalformedAnswer,
    /// `500`, `502`, `504` and other `5xx`. A retry can help if the request is idempotent.
    ServerError,
    /// `503`: sealed, not initialised, or down for maintenance. A retry helps once an operator has unsealed it.
    Sealed,
    /// `472`, `473`, a standby that knows no active node, or a redirect that may not be followed. A retry helps
    /// once a leader is elected.
    Standby,
    /// `429`: a rate limit quota. A retry helps after [`Error::retry_after`](crate::Error::retry_after).
    RateLimited,
    /// `412`: the node has not yet seen the state that the request needs (eventual consistency). A retry helps,
    /// usually within a second.
    NotYetThere,

    /// `400` and other `4xx`: the request itself is wrong. A retry cannot help.
    BadRequest,
    /// `400`, because the version given for check-and-set is not the current one. Read again, then write.
    CheckAndSet,
    /// `403`: the token is good (as far as is known) but may not do this. A retry cannot help.
    PermissionDenied,
    /// `403`, and Vault says that the token itself is bad: expired, revoked or never valid. Logging in again helps.
    InvalidToken,
    /// `404`: nothing there, or a deleted or destroyed version. A retry cannot help.
    NotFound,
    /// `405`: this path does not do that. A retry cannot help.
    MethodNotAllowed,
    /// The answer is larger than the client was told to accept. A retry cannot help.
    AnswerTooLarge,
    /// A login endpoint said no: bad or used-up credentials. A retry with the same credentials cannot help.
    LoginRefused,
    /// This side is set up wrong: a bad address, path or header, an unreadable certificate or secret file. A retry
    /// helps only once that is mended.
    Configuration,
}

impl ErrorKind {
    /// Whether Vault could not be asked or could not work, so that a stale value may be served. `false` for
    /// answers, which must be respected.
    pub fn is_unavailable(self) -> bool {
        match self {
            Self::Connect
            | Self::Tls
            | Self::Timeout
            | Self::Interrupted
            | Self::MalformedAnswer
            | Self::ServerError
            | Self::Sealed
            | Self::Standby
            | Self::RateLimited
            | Self::NotYetThere => true,
            Self::BadRequest
            | Self::CheckAndSet
            | Self::PermissionDenied
            | Self::InvalidToken
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::AnswerTooLarge
            | Self::LoginRefused
            | Self::Configuration => false,
        }
    }

    /// A stable word for metrics and logs: `server_error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::MalformedAnswer => "malformed_answer",
            Self::ServerError => "server_error",
            Self::Sealed => "sealed",
            Self::Standby => "standby",
            Self::RateLimited => "rate_limited",
            Self::NotYetThere => "not_yet_there",
            Self::BadRequest => "bad_request",
            Self::CheckAndSet => "check_and_set",
            Self::PermissionDenied => "permission_denied",
            Self::InvalidToken => "invalid_token",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::AnswerTooLarge => "answer_too_large",
            Self::LoginRefused => "login_refused",
            Self::Configuration => "configuration",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "cannot connect",
            Self::Tls => "TLS failed",
            Self::Timeout => "no answer in time",
            Self::Interrupted => "connection lost in mid-answer",
            Self::MalformedAnswer => "malformed answer",
            Self::ServerError => "server error",
            Self::Sealed => "sealed or not ready",
            Self::Standby => "no active node reachable",
            Self::RateLimited => "rate limited",
            Self::NotYetThere => "required state not there yet",
            Self::BadRequest => "bad request",
            Self::CheckAndSet => "check-and-set version does not match",
            Self::PermissionDenied => "permission denied",
            Self::InvalidToken => "invalid token",
            Self::NotFound => "not found",
            Self::MethodNotAllowed => "method not allowed",
            Self::AnswerTooLarge => "answer too large",
            Self::LoginRefused => "login refused",
            Self::Configuration => "configuration",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// In the order of the declaration.
    const ALL: [ErrorKind; 19] = [
        ErrorKind::Connect,
        ErrorKind::Tls,
        ErrorKind::Timeout,
        ErrorKind::Interrupted,
        ErrorKind::MalformedAnswer,
        ErrorKind::ServerError,
        ErrorKind::Sealed,
        ErrorKind::Standby,
        ErrorKind::RateLimited,
        ErrorKind::NotYetThere,
        ErrorKind::BadRequest,
        ErrorKind::CheckAndSet,
        ErrorKind::PermissionDenied,
        ErrorKind::InvalidToken,
        ErrorKind::NotFound,
        ErrorKind::MethodNotAllowed,
        ErrorKind::AnswerTooLarge,
        ErrorKind::LoginRefused,
        ErrorKind::Configuration,
    ];

    #[test]
    fn the_first_ten_are_unavailable() {
        for (n, kind) in ALL.into_iter().enumerate() {
            assert_eq!(kind.is_unavailable(), n < 10, "{kind:?}");
        }
    }

    #[test]
    fn words_are_the_names_in_snake_case_and_texts_differ() {
        let texts: HashSet<String> = ALL.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), ALL.len());
        for kind in ALL {
            assert_eq!(kind.as_str().replace('_', ""), format!("{kind:?}").to_lowercase());
        }
    }
}
