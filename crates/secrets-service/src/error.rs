//! One error type, its kinds named by what the caller can do about them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong, where, for how long it was tried, and what to do. Cheap to clone: callers that shared a
/// flight share its error. Never contains a secret.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    subject: String,
    what: String,
    attempts: u32,
    tried_for: Duration,
    allows_stale: bool,
    source: Option<gds_vault::Error>,
}

/// Named by what the caller can do about it. Each face maps these in one place (exit codes, HTTP, Python).
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Settings are missing or wrong: change them. Nothing was sent to Vault.
    Configuration,
    /// Vault refused the login: check the role_id, the secret_id and whether they have been used up or expired.
    Authentication,
    /// Vault answered that there is nothing (any more) at this path.
    NotFound,
    /// Vault answered that this login's policies do not allow the operation.
    PermissionDenied,
    /// Vault did not answer, or not usefully, and nothing cached may stand in: try again later.
    Unavailable,
    /// Someone else changed the secret meanwhile: read it again and repeat the change.
    Conflict,
    /// Vault understood the request and refused it as wrong (400, 405).
    InvalidRequest,
    /// The secret is there but not what was expected: a field is missing or is not of the right form.
    InvalidSecret,
    /// This client has been closed.
    Closed,
}

impl ErrorKind {
    /// A stable word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Authentication => "authentication",
            Self::NotFound => "not_found",
            Self::PermissionDenied => "permission_denied",
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidSecret => "invalid_secret",
            Self::Closed => "closed",
        }
    }

    /// The kind of a failure that [`gds_vault`] reported: for whoever uses its client directly.
    pub fn of(vault: gds_vault::ErrorKind) -> Self {
        use gds_vault::ErrorKind as Vault;
        if vault.is_unavailable() {
            return Self::Unavailable;
        }
        match vault {
            Vault::LoginRefused | Vault::InvalidToken => Self::Authentication,
            Vault::PermissionDenied => Self::PermissionDenied,
            Vault::NotFound => Self::NotFound,
            Vault::CheckAndSet => Self::Conflict,
            Vault::Configuration => Self::Configuration,
            Vault::AnswerTooLarge => Self::InvalidSecret,
            _ => Self::InvalidRequest,
        }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, subject: impl Into<String>, what: impl Into<String>) -> Self {
        let inner = Inner {
            kind,
            subject: subject.into(),
            what: what.into(),
            attempts: 0,
            tried_for: Duration::ZERO,
            allows_stale: kind == ErrorKind::Unavailable,
            source: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// From what `gds_vault` reported for `subject` (a path, or "login").
    pub fn from_vault(subject: &str, error: gds_vault::Error) -> Self {
        let kind = ErrorKind::of(error.kind());
        Self::new(kind, subject, error.to_string()).with(|inner| inner.source = Some(error))
    }

    /// Notes how often and for how long it was tried.
    pub(crate) fn tried(self, attempts: u32, tried_for: Duration) -> Self {
        self.with(|inner| {
            inner.attempts = attempts;
            inner.tried_for = tried_for;
        })
    }

    /// The same failure, told of another path: a read that failed because the login did.
    pub(crate) fn about(self, subject: &str) -> Self {
        if self.inner.subject == subject {
            return self;
        }
        self.with(|inner| {
            if !inner.subject.is_empty() {
                inner.what = format!("{}: {}", inner.subject, inner.what);
            }
            inner.subject.clear();
            inner.subject.push_str(subject);
        })
    }

    /// Adds what is known of the value that can no longer stand in.
    pub(crate) fn noting(self, note: &str) -> Self {
        self.with(|inner| {
            inner.what.push_str("; ");
            inner.what.push_str(note);
        })
    }

    /// Whether a stale value may stand in. True for every [`ErrorKind::Unavailable`]; set by the session for
    /// a refused login whose token had merely run out.
    pub(crate) fn set_allows_stale(self, allows: bool) -> Self {
        self.with(|inner| inner.allows_stale = allows)
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The path (or "login") that it is about.
    pub fn subject(&self) -> &str {
        &self.inner.subject
    }

    /// How many requests were made for it.
    pub fn attempts(&self) -> u32 {
        self.inner.attempts
    }

    /// For how long it was tried.
    pub fn tried_for(&self) -> Duration {
        self.inner.tried_for
    }

    /// Whether a stale value may be returned instead.
    pub fn allows_stale(&self) -> bool {
        self.inner.allows_stale
    }

    /// What Vault (or the way to it) reported, if it came to that.
    pub fn vault_error(&self) -> Option<&gds_vault::Error> {
        self.inner.source.as_ref()
    }

    /// What a person can do next, in half a sentence.
    pub fn advice(&self) -> &'static str {
        match self.inner.kind {
            ErrorKind::Configuration => "correct the setting and start again",
            ErrorKind::Authentication => {
                "check that the credentials are current: a secret_id may have expired or been used up, a token revoked"
            }
            ErrorKind::NotFound => "check the path, and that the secret has not been deleted",
            ErrorKind::PermissionDenied => {
                "ask for a policy that allows it, or check the path and the namespace"
            }
            ErrorKind::Unavailable => {
                "check that Vault runs, is unsealed and can be reached; the request can be repeated"
            }
            ErrorKind::Conflict => "read the secret again and repeat the change",
            ErrorKind::InvalidRequest => "check the path and the parameters",
            ErrorKind::InvalidSecret => "correct the secret in Vault",
            ErrorKind::Closed => "make a new client",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { subject, what, attempts, tried_for, .. } = &*self.inner;
        if !subject.is_empty() {
            write!(f, "{subject}: ")?;
        }
        f.write_str(what)?;
        if *attempts > 0 {
            let times = if *attempts == 1 { "once".to_owned() } else { format!("{attempts} times") };
            write!(f, " (tried {times} in {:.1} s)", tried_for.as_secs_f64())?;
        }
        write!(f, "; {}", self.advice())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.inner.kind).field("message", &self.to_string()).finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_ref().map(|source| source as _)
    }
}
