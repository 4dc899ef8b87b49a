//! What the head of a request says, as far as it decides what becomes of it: read in one pass.

use http::{HeaderMap, HeaderValue};

/// What the request allows the cache to do. What comes later allows less.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CacheUse {
    /// Everything.
    #[default]
    Full,
    /// To keep the answer, but not to give one: `Cache-Control: no-cache`.
    KeepOnly,
    /// Nothing: the answer is for this request alone.
    None,
}

/// The headers that matter.
#[derive(Default)]
pub(crate) struct Facts<'r> {
    /// `Host`, and how often there was one.
    pub(crate) host: Option<&'r [u8]>,
    pub(crate) hosts: u32,
    /// `X-Vault-Request: true`.
    pub(crate) vault_request: bool,
    /// A header that only browsers and proxies send.
    pub(crate) came_through: Option<&'static str>,
    /// The token of the one who asks; empty ones do not count.
    pub(crate) token: Option<&'r HeaderValue>,
    /// More than one token, or the same header twice.
    pub(crate) ambiguous: bool,
    pub(crate) namespace: Option<&'r HeaderValue>,
    pub(crate) cache: CacheUse,
    /// The request says that a body follows.
    pub(crate) has_body: bool,
}

impl<'r> Facts<'r> {
    pub(crate) fn of(headers: &'r HeaderMap) -> Self {
        let mut facts = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "host" => {
                    facts.host = Some(value.as_bytes());
                    facts.hosts += 1;
                }
                "x-vault-request" => facts.vault_request = value.as_bytes().eq_ignore_ascii_case(b"true"),
                "x-vault-token" => facts.token(value),
                // Vault takes a token in this form as well (Vault API, "Authentication").
                "authorization" if is_bearer(value) => facts.token(value),
                "x-vault-namespace" => {
                    facts.ambiguous |= facts.namespace.is_some();
                    facts.namespace = Some(value);
                }
                "cache-control" => facts.cache_control(value),
                "origin" => facts.came_through = Some("Origin"),
                "x-forwarded-for" => facts.came_through = Some("X-Forwarded-For"),
                "forwarded" => facts.came_through = Some("Forwarded"),
                "x-forwarded-host" => facts.came_through = Some("X-Forwarded-Host"),
                "x-real-ip" => facts.came_through = Some("X-Real-Ip"),
                "sec-fetch-site" => facts.came_through = Some("Sec-Fetch-Site"),
                "x-vault-wrap-ttl"
                | "x-vault-mfa"
                | "x-vault-index"
                | "x-vault-inconsistent"
                | "x-vault-forward"
                | "x-vault-no-request-forwarding"
                | "x-vault-policy-override" => facts.cache = CacheUse::None,
                "transfer-encoding" => facts.has_body = true,
                "content-length" => facts.has_body |= value.as_bytes() != b"0",
                _ => {}
            }
        }
        facts
    }

    /// The token itself, without the word before it.
    pub(crate) fn token_bytes(&self) -> Option<&'r [u8]> {
        self.token.map(bare_token)
    }

    fn token(&mut self, value: &'r HeaderValue) {
        if bare_token(value).is_empty() {
            return;
        }
        self.ambiguous |= self.token.is_some_and(|other| bare_token(other) != bare_token(value));
        self.token = Some(value);
    }

    fn cache_control(&mut self, value: &HeaderValue) {
        let Ok(text) = value.to_str() else { return };
        for word in text.split(',').map(str::trim) {
            if word.eq_ignore_ascii_case("no-cache") {
                self.cache = self.cache.max(CacheUse::KeepOnly);
            } else if word.eq_ignore_ascii_case("no-store") {
                self.cache = CacheUse::None;
            }
        }
    }
}

fn is_bearer(value: &HeaderValue) -> bool {
    value.as_bytes().get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer "))
}

fn bare_token(value: &HeaderValue) -> &[u8] {
    let bytes = value.as_bytes();
    let token = if is_bearer(value) { bytes.get(7..).unwrap_or_default() } else { bytes };
    token.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_token_in_either_form_and_none_that_is_empty() {
        let both = [("x-vault-token", "hvs.a"), ("authorization", "Bearer hvs.a")];
        for lines in [&both[..1], &both[1..], &both] {
            let headers = headers(lines);
            let facts = Facts::of(&headers);
            assert_eq!(facts.token_bytes(), Some(b"hvs.a".as_slice()));
            assert!(!facts.ambiguous);
        }
        let empty = headers(&[("x-vault-token", " "), ("authorization", "Basic dTpw")]);
        assert!(Facts::of(&empty).token.is_none());
        let two = headers(&[("x-vault-token", "hvs.a"), ("authorization", "Bearer hvs.b")]);
        assert!(Facts::of(&two).ambiguous);
    }

    #[test]
    fn what_makes_an_answer_personal() {
        for name in ["x-vault-wrap-ttl", "x-vault-mfa", "x-vault-index", "x-vault-inconsistent"] {
            assert_eq!(Facts::of(&headers(&[(name, "1")])).cache, CacheUse::None, "{name}");
        }
        let control = headers(&[("cache-control", "max-age=0, No-Cache")]);
        assert_eq!(Facts::of(&control).cache, CacheUse::KeepOnly);
        let control = headers(&[("cache-control", "no-store, no-cache")]);
        assert_eq!(Facts::of(&control).cache, CacheUse::None);
        assert!(!Facts::of(&headers(&[("content-length", "0")])).has_body);
        assert!(Facts::of(&headers(&[("content-length", "1")])).has_body);
    }
}
