//! What an engine answers, before it becomes an HTTP answer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::json::{Json, Object};

/// The outcome of one call to an engine.
pub(crate) type Reply = Result<Answer, Refusal>;

/// An engine's answer. The default one is "nothing": 204 to a write, 404 to a read or a list.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) data: Option<Object>,
    pub(crate) warnings: Vec<String>,
    /// A dynamic secret: the core registers a lease for it.
    pub(crate) lease: Option<NewLease>,
    /// `lease_id`, `renewable`, `lease_duration` of an answer whose lease exists already (a renewal), or of a
    /// secret that has a duration and no lease (KV v1 with a `ttl`).
    pub(crate) leased: Option<Leased>,
    /// A login, a new token or a renewed one.
    pub(crate) auth: Option<Auth>,
    /// A token that stands for a wrapped answer.
    pub(crate) wrap_info: Option<WrapInfo>,
    pub(crate) form: Form,
}

/// How the answer is written.
#[derive(Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Vault's envelope, status 200.
    #[default]
    Envelope,
    /// The envelope with another status. Vault then leaves `mount_type` empty.
    EnvelopeWithStatus(u16),
    /// The data alone, without an envelope (`sys/health`).
    Bare(u16),
    /// This text, as it is (an unwrapped answer).
    Verbatim(String),
    /// No body at all.
    Empty(u16),
}

#[derive(Debug, Default)]
pub(crate) struct Leased {
    pub(crate) id: String,
    pub(crate) renewable: bool,
    pub(crate) ttl: Duration,
}

/// A lease to be registered.
pub(crate) struct NewLease {
    pub(crate) renewable: bool,
    /// The role's TTL; zero means the mount's default.
    pub(crate) ttl: Duration,
    /// The role's longest TTL; zero means the mount's.
    pub(crate) max_ttl: Duration,
    /// What the engine needs to renew and revoke it; never shown.
    pub(crate) internal: Json,
}

/// The `auth` block.
#[derive(Clone, Default)]
pub(crate) struct Auth {
    pub(crate) client_token: String,
    pub(crate) accessor: String,
    pub(crate) policies: Vec<String>,
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    pub(crate) ttl: Duration,
    pub(crate) renewable: bool,
    pub(crate) entity_id: String,
    pub(crate) batch: bool,
    pub(crate) orphan: bool,
    pub(crate) num_uses: u64,
}

/// The `wrap_info` block.
#[derive(Clone)]
pub(crate) struct WrapInfo {
    pub(crate) token: String,
    pub(crate) accessor: String,
    pub(crate) ttl: Duration,
    pub(crate) creation_time: String,
    pub(crate) creation_path: String,
    pub(crate) wrapped_accessor: String,
}

impl Answer {
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    pub(crate) fn data(members: Object) -> Self {
        Self { data: Some(members), ..Self::default() }
    }

    pub(crate) fn bare(status: u16, members: Object) -> Self {
        Self { data: Some(members), form: Form::Bare(status), ..Self::default() }
    }

    pub(crate) fn keys(names: Vec<String>) -> Self {
        Self::data(crate::json::object! { "keys" => names })
    }

    pub(crate) fn with_status(status: u16, members: Option<Object>) -> Self {
        Self { data: members, form: Form::EnvelopeWithStatus(status), ..Self::default() }
    }

    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self { warnings: vec![text.into()], ..Self::default() }
    }

    pub(crate) fn warn(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(text.into());
        self
    }

    /// Nothing to say at all.
    pub(crate) fn is_nothing(&self) -> bool {
        self.data.is_none()
            && self.warnings.is_empty()
            && self.lease.is_none()
            && self.leased.is_none()
            && self.auth.is_none()
            && self.wrap_info.is_none()
            && self.form == Form::Envelope
    }
}

/// "No": a status and Vault's `errors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) errors: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, errors: vec![message.into()] }
    }

    /// `{"errors":[]}` with this status.
    pub(crate) fn silent(status: u16) -> Self {
        Self { status, errors: Vec::new() }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// The same in the form that Go's multierror gives to one error.
    pub(crate) fn multi(status: u16, message: &str) -> Self {
        Self::new(status, format!("1 error occurred:\n\t* {message}\n\n"))
    }

    /// Without the form of a multierror: paths that need no token do not use it.
    pub(super) fn plain(mut self) -> Self {
        for error in &mut self.errors {
            let inner =
                error.strip_prefix("1 error occurred:\n\t* ").and_then(|rest| rest.strip_suffix("\n\n"));
            if let Some(inner) = inner {
                *error = inner.to_owned();
            }
        }
        self
    }

    /// Without this beginning of its messages.
    pub(super) fn without_prefix(mut self, prefix: &str) -> Self {
        for error in &mut self.errors {
            if let Some(rest) = error.strip_prefix(prefix) {
                *error = rest.to_owned();
            }
        }
        self
    }

    pub(crate) fn not_found() -> Self {
        Self::silent(404)
    }

    /// No token at all.
    pub(crate) fn missing_token() -> Self {
        Self::new(403, "permission denied")
    }

    /// A live token whose policies do not allow it.
    pub(crate) fn permission_denied() -> Self {
        Self::multi(403, "permission denied")
    }

    /// A token that is not (or no longer) known.
    pub(crate) fn invalid_token() -> Self {
        Self::new(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
    }

    /// `Err` when a collection has `count` members already and may not have more. Vault has no such limits; they
    /// are far above what a test makes, and stop a runaway loop before the machine does.
    pub(crate) fn unless_room(count: usize, max: usize, what: &str) -> Result<(), Self> {
        if count < max { Ok(()) } else { Err(Self::new(500, format!("internal error: too many {what}"))) }
    }

    pub(crate) fn unsupported_path() -> Self {
        Self::multi(404, "unsupported path")
    }

    pub(crate) fn unsupported_operation() -> Self {
        Self::multi(405, "unsupported operation")
    }

    pub(crate) fn sealed() -> Self {
        Self::new(503, "Vault is sealed")
    }

    pub(crate) fn no_route(path: &str) -> Self {
        Self::new(404, format!("no handler for route {path:?}. route entry not found."))
    }
}
