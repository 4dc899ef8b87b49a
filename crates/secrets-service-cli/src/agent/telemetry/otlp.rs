//! Spans as a collector takes them over HTTP: OTLP 1, in JSON (OpenTelemetry, "OTLP Specification", "JSON Protobuf
//! Encoding"). JSON, because it needs neither protobuf nor another client of HTTP in this program.

use serde_json::{Value, json};

use super::context::SpanContext;

/// `SPAN_KIND_SERVER`.
const SERVER: u8 = 2;

/// `STATUS_CODE_ERROR`, for what is the agent's or Vault's fault and not the client's.
const ERROR: u8 = 2;

/// One request. Made of fixed words and numbers, but for the mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) context: SpanContext,
    /// The span that the client says it is in.
    pub(super) parent: Option<u64>,
    pub(super) method: &'static str,
    /// `/v1/secret/*`
    pub(super) route: String,
    /// As the answer's `X-Cache` says: `hit`, `miss`, `stale`, `bypass`; `none` without one.
    pub(super) cache: &'static str,
    pub(super) status: u16,
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The body of a request to the collector.
pub(super) fn request(service: &str, spans: &[Span]) -> String {
    let resource = [text("service.name", service), text("service.version", env!("CARGO_PKG_VERSION"))];
    let spans: Vec<_> = spans.iter().map(Span::json).collect();
    let scope = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    json!({
        "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": scope, "spans": spans }],
        }],
    })
    .to_string()
}

impl Span {
    fn json(&self) -> Value {
        let mut span = json!({
            "traceId": format!("{:032x}", self.context.trace),
            "spanId": format!("{:016x}", self.context.span),
            "name": format!("{} {}", self.method, self.route),
            "kind": SERVER,
            "startTimeUnixNano": self.start.to_string(),
            "endTimeUnixNano": self.end.to_string(),
            "attributes": [
                text("http.request.method", self.method),
                text("http.route", &self.route),
                { "key": "http.response.status_code", "value": { "intValue": self.status.to_string() } },
                text("secrets.cache", self.cache),
            ],
        });
        if let Some(parent) = self.parent {
            span["parentSpanId"] = format!("{parent:016x}").into();
        }
        if self.status >= 500 {
            span["status"] = json!({ "code": ERROR });
        }
        span
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}
