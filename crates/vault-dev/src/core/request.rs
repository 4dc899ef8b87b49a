//! One request, free of HTTP: what the engines see.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fields::Fields;
use crate::json::Object;

/// What a request wants of its path. `Create` and `Update` are one method on the wire: the engine says which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    List,
    Create,
    Update,
    Patch,
    Delete,
    /// HEAD and OPTIONS: no engine supports them.
    Other,
}

impl Operation {
    pub(crate) fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update)
    }
}

/// A request as it enters the core.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) operation: Operation,
    /// The namespace of the header, then, once routed, the namespace altogether: `""` or `"team/sub/"`.
    pub(crate) namespace: String,
    /// Below the namespace, without `v1/`: `secret/data/x`.
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) wrap_ttl: Option<Duration>,
    /// The members of the body, or of the query string for methods without one.
    pub(crate) data: Object,
    pub(crate) query: BTreeMap<String, String>,
}

impl Request {
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields::of(&self.data)
    }
}
