//! What the scripted server does with a request.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

/// One answer, or what comes instead of one.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// These bytes; the connection stays open.
    Raw(Vec<u8>),
    /// These bytes, then the connection is closed in an orderly way.
    ThenClose(Vec<u8>),
    /// These bytes, then the connection is reset.
    ThenReset(Vec<u8>),
    /// These bytes, then nothing more, for ever.
    ThenFreeze(Vec<u8>),
    /// These bytes one by one, with a pause after each.
    Drip(Vec<u8>, Duration),
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &[("content-type", "application/json")], &body.to_string())
    }

    /// 200 with these fields.
    pub(crate) fn data(fields: &Value) -> Self {
        Self::json(200, &serde_json::json!({"request_id": "r", "lease_id": "", "data": fields}))
    }

    /// Vault's way to say no.
    pub(crate) fn errors(status: u16, messages: &[&str]) -> Self {
        Self::json(status, &serde_json::json!({"errors": messages}))
    }

    pub(crate) fn no_content() -> Self {
        Self::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())
    }

    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::text(status, &[("location", location)], "")
    }

    pub(crate) fn text(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        Self::Raw(format!("{head}\r\n{body}").into_bytes())
    }

    pub(crate) fn frozen() -> Self {
        Self::ThenFreeze(Vec::new())
    }

    /// A KV v2 read.
    pub(crate) fn kv2(fields: &Value) -> Self {
        Self::data(&serde_json::json!({"data": fields, "metadata": {
            "created_time": "2026-01-01T00:00:00Z", "custom_metadata": null, "deletion_time": "", "destroyed": false,
            "version": 1
        }}))
    }

    /// What a login answers.
    pub(crate) fn login(token: &str) -> Self {
        Self::json(
            200,
            &serde_json::json!({"auth": {
                "client_token": token, "accessor": "acc", "policies": ["app"], "token_policies": ["app"],
                "metadata": {}, "lease_duration": 3600, "renewable": true, "entity_id": "", "token_type": "service",
                "orphan": true, "num_uses": 0
            }}),
        )
    }
}
