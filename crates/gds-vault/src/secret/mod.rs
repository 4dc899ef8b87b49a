//! [`Secret`]: what one Vault read returned.

mod data;
mod envelope;
mod parts;
mod quick;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

pub use data::{Data, Field};
pub(crate) use parts::VersionWire;
pub use parts::{AuthInfo, Lease, TokenType, VersionMetadata, WrapInfo};

use crate::error::{Error, ErrorKind};
use crate::json;
use envelope::Envelope;

/// What one Vault read (or write, or login) returned: fields, lease, metadata, and the JSON body as it came.
///
/// Cheap to clone. The body is kept once, in memory that is wiped when the last clone is gone; fields are looked
/// up in it when asked for.
///
/// ```
/// use gds_vault::Secret;
///
/// let secret = Secret::parse(br#"{"data": {"user": "app", "port": 5432}}"#.as_slice())?;
/// assert_eq!(secret.field("user").unwrap().text().expose(), "app");
/// assert_eq!(secret.field("port").unwrap().as_u64(), Some(5432));
/// assert!(secret.field("password").is_none());
/// # Ok::<(), gds_vault::Malformed>(())
/// ```
#[derive(Clone)]
pub struct Secret {
    inner: Arc<Inner>,
}

struct Inner {
    raw_body: Bytes,
    envelope: Envelope,
    data: Data,
}

impl Secret {
    /// Reads a body as Vault sends it: a JSON object, all of whose fields may be missing.
    ///
    /// The body is kept as it is given: make it with [`Bytes::from_owner`] of a wiping buffer if the memory is to be
    /// wiped. Requests of this crate do.
    ///
    /// A KV v2 read is recognised by its shape, see [`version`](Self::version).
    pub fn parse(body: impl Into<Bytes>) -> Result<Self, Malformed> {
        let raw_body = body.into();
        let (envelope, data) = envelope::read(&raw_body)?;
        Ok(Self { inner: Arc::new(Inner { raw_body, envelope, data }) })
    }

    /// The whole body, as it came. Holds plain secrets.
    pub fn raw_body(&self) -> &Bytes {
        &self.inner.raw_body
    }

    /// Vault's own id of the request, for its audit log. Empty if there was none.
    pub fn request_id(&self) -> &str {
        &self.inner.envelope.request_id
    }

    /// What Vault warns of, such as a TTL that it cut to the maximum.
    pub fn warnings(&self) -> &[String] {
        &self.inner.envelope.warnings
    }

    /// The type of the mount that answered (`kv`, `database`); since Vault 1.17.
    pub fn mount_type(&self) -> Option<&str> {
        self.inner.envelope.mount_type.as_deref()
    }

    /// The lease, if there is one: static secrets have none.
    pub fn lease(&self) -> Option<&Lease> {
        self.inner.envelope.lease.as_deref()
    }

    /// What a login or the creation of a token returned.
    pub fn auth(&self) -> Option<&AuthInfo> {
        self.inner.envelope.auth.as_deref()
    }

    /// The wrapping token, if the answer was asked to be wrapped.
    pub fn wrap_info(&self) -> Option<&WrapInfo> {
        self.inner.envelope.wrap_info.as_deref()
    }

    /// The metadata of the version, if this is a KV v2 read.
    ///
    /// Told by its shape: `data` holds exactly `data` and `metadata`, the latter with all that KV v2 writes there,
    /// there is no lease and no lease duration, and the mount type, if given, is `kv`. A KV v1 secret cannot look
    /// like that, even if its fields are named so: KV v1 always reports a lease duration.
    pub fn version(&self) -> Option<&VersionMetadata> {
        self.inner.envelope.version.as_ref()
    }

    /// The fields. For a KV v2 read these are the secret's own (`data.data`), empty for a deleted version.
    pub fn data(&self) -> &Data {
        &self.inner.data
    }

    /// One field, if it is there.
    pub fn field(&self, name: &str) -> Option<Field<'_>> {
        self.inner.data.get(name)
    }

    /// The fields as a type of your own. The error says what did not fit and where, never the value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::parse("the fields", self.inner.data.expose_json())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("data", self.data())
            .field("version", &self.version().map(|version| version.version))
            .field("lease", &self.lease())
            .field("auth", &self.auth())
            .field("wrap_info", &self.wrap_info())
            .finish_non_exhaustive()
    }
}

/// A body that is not what Vault sends. Says what is wrong and where, never what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::new(ErrorKind::MalformedAnswer, malformed.0)
    }
}

#[cfg(test)]
mod tests;
