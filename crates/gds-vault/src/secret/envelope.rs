//! The frame around the fields: Vault's response object.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::data::Data;
use super::parts::{AuthInfo, Lease, VersionMetadata, WrapInfo};
use super::quick::{self, Quick};
use super::{Malformed, parts};
use crate::json::{self, Seconds, nullable};

/// The mount type of KV, of either version.
const KV: &str = "kv";

/// All of a response but its fields. What few answers have is boxed: there may be many thousand secrets in memory.
pub(super) struct Envelope {
    pub(super) request_id: Box<str>,
    pub(super) warnings: Vec<String>,
    pub(super) mount_type: Option<Cow<'static, str>>,
    pub(super) lease: Option<Box<Lease>>,
    pub(super) auth: Option<Box<AuthInfo>>,
    pub(super) wrap_info: Option<Box<WrapInfo>>,
    pub(super) version: Option<VersionMetadata>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "D: Deserialize<'de>"))]
struct Wire<'a, D> {
    #[serde(default, deserialize_with = "nullable")]
    request_id: String,
    #[serde(default, deserialize_with = "nullable")]
    lease_id: String,
    #[serde(default)]
    lease_duration: Seconds,
    #[serde(default, deserialize_with = "nullable")]
    renewable: bool,
    data: Option<D>,
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
    if let Some(Quick { request_id, mount_type, fields, version }) = quick::read(text) {
        let envelope = Envelope {
            request_id: request_id.into(),
            warnings: Vec::new(),
            mount_type: (!mount_type.is_empty()).then_some(Cow::Borrowed(KV)),
            lease: None,
            auth: None,
            wrap_info: None,
            version: Some(version),
        };
        return Ok((envelope, slice_of(body, fields)));
    }
    read_any(body, text)
}

/// Any answer, a KV v2 read in another form included.
pub(super) fn read_any(body: &Bytes, text: &str) -> Result<(Envelope, Data), Malformed> {
    // Where they come in another form, KV v2 reads are still most answers: gone through once, and anything else twice.
    if let Ok(mut wire) = serde_json::from_str::<Wire<'_, Versioned<'_>>>(text)
        && wire.may_be_versioned()
        && let Some(Versioned { data, metadata }) = wire.data.take()
        && let Ok(fields) = object(data)
    {
        return Ok((wire.envelope(Some(metadata.into())), slice_of(body, fields)));
    }
    let wire: Wire<'_, &RawValue> =
        serde_json::from_str(text).map_err(|error| Malformed(json::describe("the answer", &error)))?;
    let fields = object(wire.data)?;
    Ok((wire.envelope(None), slice_of(body, fields)))
}

impl<D> Wire<'_, D> {
    fn may_be_versioned(&self) -> bool {
        let leaseless = self.lease_id.is_empty() && self.lease_duration.0.is_zero();
        // Under 404, which is how KV v2 tells of a deleted version, Vault leaves the mount type empty.
        leaseless && self.mount_type.as_deref().is_none_or(|kind| matches!(kind, "" | KV))
    }

    fn envelope(self, version: Option<VersionMetadata>) -> Envelope {
        Envelope {
            request_id: self.request_id.into(),
            warnings: self.warnings,
            mount_type: self.mount_type.filter(|kind| !kind.is_empty()).map(|kind| kind.into_owned().into()),
            lease: Lease::if_any(self.lease_id, self.lease_duration.0, self.renewable).map(Box::new),
            auth: self.auth.map(Box::new),
            wrap_info: self.wrap_info.filter(|info| !info.token.is_empty()).map(Box::new),
            version,
        }
    }
}

fn slice_of(body: &Bytes, fields: Option<&str>) -> Data {
    Data::new(fields.map_or_else(Bytes::new, |fields| body.slice_ref(fields.as_bytes())))
}

/// The JSON text of an object; `None` for `null`.
fn object(raw: Option<&RawValue>) -> Result<Option<&str>, Malformed> {
    match raw.map(RawValue::get) {
        None => Ok(None),
        Some(text) if text.starts_with('{') => Ok(Some(text)),
        Some(_) => Err(Malformed("the `data` of the answer is not a JSON object".to_owned())),
    }
}
