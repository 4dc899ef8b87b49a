//! What templates and variables are made from, and what was read of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrets_service::{DatabaseCredentials, Error, ErrorKind, SecretRead, SecretString};

/// Something in Vault that a template or a variable is made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Secret {
        path: String,
        version: Option<u64>,
    },
    /// The names directly below a path.
    Names {
        path: String,
    },
    /// Credentials of a dynamic database role, and the connection string made with them.
    Database {
        role: String,
    },
    /// Credentials of a static database role.
    StaticDatabase {
        role: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { path, version: None } => write!(f, "{path}"),
            Self::Secret { path, version: Some(version) } => write!(f, "{path} (version {version})"),
            Self::Names { path } => write!(f, "the names in {path}"),
            Self::Database { role } => write!(f, "the database role {role}"),
            Self::StaticDatabase { role } => write!(f, "the static database role {role}"),
        }
    }
}

/// What Vault answered.
#[derive(Clone)]
pub(crate) enum Reading {
    Secret(SecretRead),
    Names(Vec<String>),
    Database { credentials: DatabaseCredentials, url: SecretString },
    StaticDatabase(DatabaseCredentials),
}

/// All that has been read for one attempt to render. A source that has failed is there with its error.
pub(crate) type Readings = BTreeMap<Source, Result<Arc<Reading>, Error>>;

impl Reading {
    /// Whether someone who uses the one would be surprised by the other.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        let same_user = |a: &DatabaseCredentials, b: &DatabaseCredentials| {
            a.username() == b.username() && a.password() == b.password()
        };
        match (self, other) {
            (Self::Secret(a), Self::Secret(b)) => {
                let version = |read: &SecretRead| read.version().map(|version| version.version);
                a.data().expose_json() == b.data().expose_json()
                    && version(a) == version(b)
                    && a.lease().map(|lease| &lease.id) == b.lease().map(|lease| &lease.id)
            }
            (Self::Names(a), Self::Names(b)) => a == b,
            (Self::Database { credentials: a, url: x }, Self::Database { credentials: b, url: y }) => {
                same_user(a, b) && x == y
            }
            (Self::StaticDatabase(a), Self::StaticDatabase(b)) => same_user(a, b),
            _ => false,
        }
    }

    /// Whether it ends when its lease is revoked.
    pub(crate) fn is_leased(&self) -> bool {
        match self {
            Self::Secret(read) => read.lease().is_some(),
            Self::Database { .. } => true,
            Self::Names(_) | Self::StaticDatabase(_) => false,
        }
    }
}

/// Whether Vault has answered, and what it said is that this cannot be had.
pub(crate) fn is_final(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Authentication | ErrorKind::Closed)
}
