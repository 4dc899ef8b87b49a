//! From an HTTP request to a request of the core, with Vault's complaints.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming as Body;
use percent_encoding::percent_decode_str;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

use crate::core::{Operation, Refusal, Request, go_bool};
use crate::go_duration;
use crate::json::{Json, Malformed, Object, parse, scalar_kind};
use crate::random;

/// Vault's own limit.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// A request whose body has not been looked at yet.
pub(super) struct Incoming {
    method: Method,
    is_list: bool,
    /// Why the query string is wrong, if it is.
    bad_query: bool,
    /// Decoded, without `/v1/`; whole if it does not start so.
    path: String,
    below_v1: bool,
    raw_path: String,
    query: BTreeMap<String, String>,
    query_data: Object,
}

impl Incoming {
    pub(super) fn of(head: &Parts) -> Self {
        let raw_path = head.uri.path().to_owned();
        let decoded = percent_decode_str(&raw_path).decode_utf8_lossy().into_owned();
        let below = decoded.strip_prefix("/v1/").map(str::to_owned);
        let mut query = BTreeMap::new();
        let mut query_data = Object::new();
        for pair in head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode_query(name), decode_query(value));
            remember(&mut query_data, &name, &value);
            query.entry(name).or_insert(value);
        }
        let asked = query.get("list").filter(|text| head.method == Method::GET && !text.is_empty());
        let asked = asked.map(|text| go_bool(text));
        if asked.is_some() {
            query_data.remove("list");
        }
        let is_list = head.method.as_str() == "LIST" || asked == Some(Some(true));
        let mut path = below.clone().unwrap_or(decoded);
        if is_list && !path.ends_with('/') {
            path.push('/');
        }
        Self {
            method: head.method.clone(),
            is_list,
            bad_query: asked == Some(None),
            path,
            below_v1: below.is_some(),
            raw_path,
            query,
            query_data,
        }
    }

    /// For the record: `LIST` whichever way it was asked.
    pub(super) fn method(&self) -> &str {
        if self.is_list { "LIST" } else { self.method.as_str() }
    }

    /// For the record and for faults.
    pub(super) fn path(&self) -> &str {
        if self.is_list { self.path.trim_end_matches('/') } else { &self.path }
    }

    /// Vault refuses other paths before it looks at anything else.
    pub(super) fn is_printable(&self) -> bool {
        self.path.chars().all(is_printable)
    }

    /// Where Go's server redirects a path with `//`, `.` or `..` in it.
    pub(super) fn clean_path(&self) -> Option<String> {
        let segments = self.raw_path.split('/').skip(1);
        let mut clean: Vec<&str> = Vec::new();
        let mut changed = false;
        let count = self.raw_path.matches('/').count();
        for (index, segment) in segments.enumerate() {
            match segment {
                "" if index + 1 < count => changed = true,
                "." => changed = true,
                ".." => {
                    changed = true;
                    clean.pop();
                }
                other => clean.push(other),
            }
        }
        changed.then(|| format!("/{}", clean.join("/")))
    }

    /// With headers and body: the request for the core.
    pub(super) fn complete(&self, headers: &HeaderMap, body: &[u8]) -> Result<Request, Refusal> {
        if !self.below_v1 {
            return Err(Refusal::not_found());
        }
        if self.bad_query {
            return Err(Refusal::silent(400));
        }
        let (operation, data) = match self.method.as_str() {
            _ if self.is_list => (Operation::List, self.query_data.clone()),
            "GET" => (Operation::Read, self.query_data.clone()),
            "DELETE" => (Operation::Delete, self.query_data.clone()),
            "POST" | "PUT" => (Operation::Update, members(body)?),
            "PATCH" => {
                check_patch_type(headers)?;
                (Operation::Patch, patch_members(body)?)
            }
            "HEAD" | "OPTIONS" => (Operation::Other, Object::new()),
            _ => return Err(Refusal::silent(405)),
        };
        Ok(Request {
            id: random::uuid(),
            operation,
            namespace: namespace(headers),
            path: self.path.clone(),
            token: token(headers),
            wrap_ttl: wrap_ttl(headers)?,
            data,
            query: self.query.clone(),
        })
    }
}

/// The whole body, unless it is larger than Vault takes.
pub(super) async fn collect(body: Body) -> Result<Bytes, Refusal> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refusal::new(413, "error parsing JSON: http: request body too large"))
        }
        Err(_) => Err(Refusal::bad_request("error reading data")),
    }
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols, and of all spaces the one of ASCII. (Vault
/// 1.21 knows the characters of Unicode 15; this one those added since, too.)
fn is_printable(c: char) -> bool {
    c == ' '
        || !matches!(
            c.general_category_group(),
            GeneralCategoryGroup::Separator | GeneralCategoryGroup::Other
        )
}

fn decode_query(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// A parameter given several times becomes a list.
fn remember(data: &mut Object, name: &str, value: &str) {
    match data.get_mut(name) {
        None => drop(data.insert(name.to_owned(), value.into())),
        Some(Json::Array(values)) => values.push(value.into()),
        Some(first) => *first = Json::Array(vec![first.clone(), value.into()]),
    }
}

fn members(body: &[u8]) -> Result<Object, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Object::new());
    }
    if !matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return match scalar_kind(body) {
            Ok("null") => Ok(Object::new()),
            Ok(kind) => Err(not_an_object(kind)),
            Err(Malformed(complaint)) => Err(unparsable(&complaint)),
        };
    }
    // Go replaces what is not UTF-8 instead of refusing it.
    match parse(String::from_utf8_lossy(body).as_bytes()) {
        Ok(Json::Object(members)) => Ok(members),
        Ok(_) => Err(not_an_object("array")),
        // Vault 1.21 looks into lists and objects before it parses them, and answers so when it cannot.
        Err(Malformed(complaint)) => Err(Refusal::new(500, complaint)),
    }
}

fn not_an_object(kind: &str) -> Refusal {
    unparsable(&format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
}

fn unparsable(complaint: &str) -> Refusal {
    Refusal::bad_request(format!("error parsing JSON: failed to parse JSON input: {complaint}"))
}

/// The members of a patch. Vault does not say what is wrong with one.
fn patch_members(body: &[u8]) -> Result<Object, Refusal> {
    members(body).map_err(|refusal| match refusal.status {
        400 => Refusal::bad_request("error parsing JSON"),
        _ => refusal,
    })
}

fn check_patch_type(headers: &HeaderMap) -> Result<(), Refusal> {
    const WANTED: &str = "application/merge-patch+json";
    let given = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim();
    match kind {
        "" => Err(Refusal::bad_request("mime: no media type")),
        WANTED => Ok(()),
        other => Err(Refusal::new(415, format!("PATCH requires Content-Type of {WANTED}, provided {other}"))),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn token(headers: &HeaderMap) -> Option<String> {
    let token = text(headers, "x-vault-token")
        .or_else(|| text(headers, AUTHORIZATION.as_str())?.strip_prefix("Bearer "));
    token.filter(|token| !token.is_empty()).map(str::to_owned)
}

fn namespace(headers: &HeaderMap) -> String {
    match text(headers, "x-vault-namespace").unwrap_or_default().trim_matches('/') {
        "" | "root" => String::new(),
        path => format!("{path}/"),
    }
}

fn wrap_ttl(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(ttl) = text(headers, "x-vault-wrap-ttl") else { return Ok(None) };
    let parsed = go_duration::parse(ttl);
    parsed.map(Some).map_err(|complaint| {
        Refusal::bad_request(format!("error parsing X-Vault-Wrap-TTL header: {complaint}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(method: &str, uri: &str) -> Incoming {
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        Incoming::of(&request.into_parts().0)
    }

    #[test]
    fn lists_both_ways() {
        for (method, uri) in [("LIST", "/v1/secret/metadata"), ("GET", "/v1/secret/metadata/?list=true")] {
            let asked = incoming(method, uri);
            assert_eq!((asked.method(), asked.path()), ("LIST", "secret/metadata"));
            let request = asked.complete(&HeaderMap::new(), b"").unwrap();
            assert_eq!((request.operation, request.path.as_str()), (Operation::List, "secret/metadata/"));
        }
        assert_eq!(
            incoming("GET", "/v1/x?list=bogus").complete(&HeaderMap::new(), b"").err().unwrap().status,
            400
        );
    }

    #[test]
    fn paths_are_decoded_once() {
        assert_eq!(incoming("GET", "/v1/secret/data/a%20b%2523").path(), "secret/data/a b%23");
    }

    #[test]
    fn unclean_paths_are_sent_elsewhere() {
        for (raw, clean) in [
            ("/v1/secret//data/x", Some("/v1/secret/data/x")),
            ("/v1/secret/data/../x", Some("/v1/secret/x")),
            ("/v1/secret/data/x/", None),
            ("/v1/secret/data/a..b", None),
        ] {
            assert_eq!(incoming("GET", raw).clean_path().as_deref(), clean, "{raw}");
        }
    }

    #[test]
    fn what_can_be_printed() {
        for c in ['a', ' ', '~', 'é', '日', '\u{301}', '🔑', '\u{fffd}'] {
            assert!(is_printable(c), "{c:?}");
        }
        for c in [
            '\0', '\n', '\u{7f}', '\u{a0}', '\u{ad}', '\u{200b}', '\u{2028}', '\u{3000}', '\u{e000}',
            '\u{feff}',
        ] {
            assert!(!is_printable(c), "{c:?}");
        }
    }

    #[test]
    fn bodies() {
        assert_eq!(members(b" \n").unwrap(), Object::new());
        assert_eq!(members(b"{bad").unwrap_err().status, 500);
        assert_eq!(members(b"[]").unwrap_err().status, 400);
        assert_eq!(members(b"null").unwrap(), Object::new());
        assert_eq!(
            members(b"not json").unwrap_err().errors,
            [
                "error parsing JSON: failed to parse JSON input: invalid character 'o' in literal null (expecting 'u')"
            ]
        );
        assert_eq!(patch_members(b"not json").unwrap_err().errors, ["error parsing JSON"]);
        assert_eq!(patch_members(b"{bad").unwrap_err().status, 500);
    }

    #[test]
    fn namespaces_and_tokens() {
        let mut headers = HeaderMap::new();
        headers.insert("x-vault-namespace", "/team/sub".parse().unwrap());
        headers.insert("authorization", "Bearer abc".parse().unwrap());
        assert_eq!(namespace(&headers), "team/sub/");
        assert_eq!(token(&headers).as_deref(), Some("abc"));
    }
}
