//! The `OTEL_…` variables, as OpenTelemetry's specification has them ("OTLP Exporter Configuration").

use http::Uri;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// What the agent is called among others, if nothing else is said.
const SERVICE: &str = "secrets-service-agent";

/// Where spans are sent, and under what name.
#[derive(Debug, Clone)]
pub(super) struct TraceSettings {
    pub(super) endpoint: Uri,
    /// May hold a key for the collector; not shown.
    pub(super) headers: HeaderMap,
    pub(super) service: String,
}

impl TraceSettings {
    /// `None` if no collector is named, or tracing is switched off.
    pub(super) fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let get = |name: &str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let is = |name: &str, wanted: &str| get(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let of_all = |(name, base): (&'static str, String)| {
            (name, format!("{}/v1/traces", base.trim_end_matches('/')))
        };
        let named = |name: &'static str| get(name).map(|value| (name, value));
        let of_traces = named("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let endpoint = of_traces.or_else(|| named("OTEL_EXPORTER_OTLP_ENDPOINT").map(of_all));
        let Some((name, endpoint)) = endpoint else { return Ok(None) };
        let endpoint: Option<Uri> = endpoint.parse().ok();
        let endpoint = endpoint.filter(|uri| {
            let authority = uri.authority().map(http::uri::Authority::as_str);
            uri.scheme_str() == Some("http") && authority.is_some_and(|authority| !authority.contains('@'))
        });
        let endpoint = endpoint.ok_or_else(|| {
            format!("{name} must be http://HOST:PORT: the collector on this machine or beside it")
        })?;
        let headers = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];
        let mut all = HeaderMap::new();
        for name in headers {
            add_headers(&mut all, &get(name).unwrap_or_default())
                .ok_or_else(|| format!("{name} must be NAME=VALUE, separated by commas"))?;
        }
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let service = get("OTEL_SERVICE_NAME").unwrap_or_else(|| SERVICE.to_owned());
        Ok(Some(Self { endpoint, headers: all, service }))
    }
}

fn add_headers(headers: &mut HeaderMap, text: &str) -> Option<()> {
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim()).collect::<Vec<_>>();
        let mut value = HeaderValue::from_bytes(&value).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name.trim()).ok()?, value);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, String> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        TraceSettings::read(&find)
    }

    #[test]
    fn without_a_collector_there_are_no_traces() {
        assert!(read(&[]).unwrap().is_none());
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert!(read(&[endpoint, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
        assert!(read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
    }

    #[test]
    fn the_endpoint_for_traces_comes_first_and_is_taken_as_it_is() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");
        let read_endpoint = |variables: &[_]| read(variables).unwrap().unwrap().endpoint.to_string();
        assert_eq!(read_endpoint(&[base]), "http://127.0.0.1:4318/v1/traces");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/x");
        assert_eq!(read_endpoint(&[base, own]), "http://127.0.0.1:1/x");
    }

    #[test]
    fn headers_and_name() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1");
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary%20x, b=c");
        let settings = read(&[endpoint, headers, ("OTEL_SERVICE_NAME", "a")]).unwrap().unwrap();
        assert_eq!(settings.headers["api-key"], "canary x");
        assert_eq!((settings.headers.len(), settings.service.as_str()), (3, "a"));
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn what_is_wrong_is_told_without_its_value() {
        for wrong in ["https://canary", "canary", "http://user:canary@a", "ftp://canary"] {
            let told = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)]).unwrap_err();
            assert!(told.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT ") && !told.contains("canary"), "{told}");
        }
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1");
        let told = read(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "canary")]).unwrap_err();
        assert!(told.starts_with("OTEL_EXPORTER_OTLP_HEADERS ") && !told.contains("canary"), "{told}");
    }
}
