//! The parts of a response that have a fixed shape.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{nullable, seconds};
use crate::secret_string::SecretString;

/// The lease of a dynamic secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// What [`Leases`](crate::Leases) knows it by. Not a secret, though whoever may renew could name it.
    pub id: String,
    /// How long it runs from the answer that granted it.
    pub duration: Duration,
    /// Whether Vault will renew it at all.
    pub renewable: bool,
}

impl Lease {
    /// A lease, for tests and for restoring one from disk.
    pub fn new(id: impl Into<String>, duration: Duration, renewable: bool) -> Self {
        Self { id: id.into(), duration, renewable }
    }

    pub(super) fn if_any(id: String, duration: Duration, renewable: bool) -> Option<Self> {
        (!id.is_empty()).then(|| Self::new(id, duration, renewable))
    }
}

/// The kind of a token (Vault documentation, "Tokens").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TokenType {
    /// Stored by Vault; renewable, revocable.
    Service,
    /// Carries everything in itself; neither renewable nor revocable.
    Batch,
    /// Anything else, or not told.
    #[default]
    #[serde(other)]
    Other,
}

/// What a login returned.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct AuthInfo {
    /// The token to send with requests.
    pub client_token: SecretString,
    /// What operators know the token by; not good for requests.
    #[serde(default, deserialize_with = "nullable")]
    pub accessor: String,
    /// The policies in force, those of the identity included.
    #[serde(default, deserialize_with = "nullable")]
    pub policies: Vec<String>,
    /// The policies of the token itself.
    #[serde(default, deserialize_with = "nullable")]
    pub token_policies: Vec<String>,
    /// How long the token is good for; 0 = for ever, as a root token is, or not known.
    #[serde(default, deserialize_with = "seconds")]
    pub lease_duration: Duration,
    /// Whether Vault will renew it.
    #[serde(default, deserialize_with = "nullable")]
    pub renewable: bool,
    /// Service or batch.
    #[serde(default, deserialize_with = "nullable")]
    pub token_type: TokenType,
    /// The identity behind the token; empty if none.
    #[serde(default, deserialize_with = "nullable")]
    pub entity_id: String,
    /// Whether it outlives the token that created it.
    #[serde(default, deserialize_with = "nullable")]
    pub orphan: bool,
    /// How many uses are left; 0 = no limit.
    #[serde(default, deserialize_with = "nullable")]
    pub num_uses: u64,
    /// What the auth method noted: role name, user name, …
    #[serde(default, deserialize_with = "nullable")]
    pub metadata: BTreeMap<String, String>,
}

impl AuthInfo {
    /// A token of which nothing else is known: all other fields empty, 0 or false.
    pub fn new(client_token: SecretString) -> Self {
        Self {
            client_token,
            accessor: String::new(),
            policies: Vec::new(),
            token_policies: Vec::new(),
            lease_duration: Duration::ZERO,
            renewable: false,
            token_type: TokenType::Other,
            entity_id: String::new(),
            orphan: false,
            num_uses: 0,
            metadata: BTreeMap::new(),
        }
    }
}

/// A wrapped answer: the token that unwraps it once (Vault documentation, "Response wrapping").
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct WrapInfo {
    /// The wrapping token.
    #[serde(default = "no_text", deserialize_with = "nullable_secret")]
    pub token: SecretString,
    /// What operators know the wrapping token by.
    #[serde(default, deserialize_with = "nullable")]
    pub accessor: String,
    /// How long it can be unwrapped.
    #[serde(default, deserialize_with = "seconds")]
    pub ttl: Duration,
    /// When it was wrapped, RFC 3339.
    #[serde(default, deserialize_with = "nullable")]
    pub creation_time: String,
    /// The path of the request whose answer is inside. Check it before unwrapping.
    #[serde(default, deserialize_with = "nullable")]
    pub creation_path: String,
    /// The accessor of the token inside, if a token is inside.
    #[serde(default)]
    pub wrapped_accessor: Option<String>,
}

fn no_text() -> SecretString {
    "".into()
}

fn nullable_secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(no_text))
}

/// Metadata of one version of a KV v2 secret.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionMetadata {
    /// Counts from 1.
    pub version: u64,
    /// When it was written, RFC 3339.
    pub created_time: String,
    /// When it was deleted (it can be undeleted), or will be; RFC 3339.
    pub deletion_time: Option<String>,
    /// Whether its data are gone for good.
    pub destroyed: bool,
    /// The secret's custom metadata: the JSON text as it came, an object of texts.
    pub custom_metadata: Option<String>,
}

impl fmt::Debug for VersionMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // People put anything into custom metadata.
        f.debug_struct("VersionMetadata")
            .field("version", &self.version)
            .field("created_time", &self.created_time)
            .field("deletion_time", &self.deletion_time)
            .field("destroyed", &self.destroyed)
            .finish_non_exhaustive()
    }
}

/// [`VersionMetadata`] as Vault writes it.
#[derive(Deserialize)]
pub(crate) struct VersionWire<'a> {
    version: u64,
    created_time: String,
    deletion_time: String,
    destroyed: bool,
    #[serde(default, borrow)]
    custom_metadata: Option<&'a RawValue>,
}

impl From<VersionWire<'_>> for VersionMetadata {
    fn from(wire: VersionWire<'_>) -> Self {
        Self {
            version: wire.version,
            created_time: wire.created_time,
            deletion_time: Some(wire.deletion_time).filter(|when| !when.is_empty()),
            destroyed: wire.destroyed,
            custom_metadata: wire.custom_metadata.map(|raw| raw.get().to_owned()),
        }
    }
}
