//! The frame around the fields: Vault's response object.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::data::Data;
use super::parts::{AuthInfo, Lease, VersionMetadata, WrapInfo};
use super::{Malformed, parts};
use crate::json::{self, Seconds, nullable};

/// All of a response but its fields.
pub(super) struct Envelope {
    pub(super) request_id: String,
    pub(super) warnings: Vec<String>,
    pub(super) mount_type: Option<String>,
    pub(super) lease: Option<Lease>,
    pub(super) auth: Option<AuthInfo>,
    pub(super) wrap_info: Option<WrapInfo>,
    pub(super) version: Option<VersionMetadata>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default, deserialize_with = "nullable")]
    request_id: String,
    #[serde(default, deserialize_with = "nullable")]
    lease_id: String,
    #[serde(default)]
    lease_duration: Seconds,
    #[serde(default, deserialize_with = "nullable")]
    renewable: bool,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "nullable")]
    warnings: Vec<String>,
    auth: Option<AuthInfo>,
    wrap_info: Option<WrapInfo>,
    #[serde(borrow)]
    mount_type: Option<Cow<'a, str>>,
}

/// A KV v2 read. All of its metadata must be there, so that nothing else is taken for one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Versioned<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    metadata: parts::VersionWire<'a>,
}

pub(super) fn read(body: &Bytes) -> Result<(Envelope, Data), Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed("the answer is not UTF-8".to_owned()))?;
    if !text.trim_ascii_start().starts_with('{') {
        // serde would also take an array, field by field.
        return Err(Malformed("the answer is not a JSON object".to_owned()));
    }
    let wire: Wire<'_> =
        serde_json::from_str(text).map_err(|error| Malformed(json::describe("the answer", &error)))?;
    let mut fields = object(wire.data)?;
    let mut version = None;
    let leaseless = wire.lease_id.is_empty() && wire.lease_duration.0.is_zero();
    // Under 404, which is how KV v2 tells of a deleted version, Vault leaves the mount type empty.
    if leaseless
        && wire.mount_type.as_deref().is_none_or(|kind| matches!(kind, "" | "kv"))
        && let Some(outer) = fields
        && let Ok(versioned) = serde_json::from_str::<Versioned<'_>>(outer)
        && let Ok(inner) = object(versioned.data)
    {
        fields = inner;
        version = Some(versioned.metadata.into());
    }
    let envelope = Envelope {
        request_id: wire.request_id,
        warnings: wire.warnings,
        mount_type: wire.mount_type.map(Cow::into_owned).filter(|kind| !kind.is_empty()),
        lease: Lease::if_any(wire.lease_id, wire.lease_duration.0, wire.renewable),
        auth: wire.auth,
        wrap_info: wire.wrap_info.filter(|info| !info.token.is_empty()),
        version,
    };
    let json = fields.map_or_else(Bytes::new, |fields| body.slice_ref(fields.as_bytes()));
    Ok((envelope, Data::new(json)))
}

/// The JSON text of an object; `None` for `null`.
fn object(raw: Option<&RawValue>) -> Result<Option<&str>, Malformed> {
    match raw.map(RawValue::get) {
        None => Ok(None),
        Some(text) if text.starts_with('{') => Ok(Some(text)),
        Some(_) => Err(Malformed("the `data` of the answer is not a JSON object".to_owned())),
    }
}
