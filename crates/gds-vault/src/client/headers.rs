//! The headers of a request.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{HOST, HeaderName, HeaderValue, USER_AGENT};

use super::{Namespace, TokenHeader, X_VAULT_TOKEN};
use crate::address::Address;
use crate::error::Error;

/// Vault answers 403 without it where `require_request_header` is set: a browser cannot be tricked into sending it.
pub(super) const X_VAULT_REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
pub(super) const TRUE: HeaderValue = HeaderValue::from_static("true");
pub(super) const X_VAULT_NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const PRODUCT: HeaderValue = HeaderValue::from_static(concat!("gds-vault/", env!("CARGO_PKG_VERSION")));

/// The token of a client, and the headers of all requests that have none of their own, put together once.
pub(crate) struct Standing {
    token: Option<TokenHeader>,
    /// With an empty `Host`, so that there is room for it. `None` if one of them cannot be sent; a request says which.
    headers: Option<HeaderMap>,
}

impl Standing {
    pub(super) fn new(namespace: Option<&Namespace>, token: Option<TokenHeader>) -> Self {
        let headers = complete(HeaderMap::new(), namespace, token.as_ref()).ok().map(|mut headers| {
            headers.insert(HOST, HeaderValue::from_static(""));
            headers
        });
        Self { token, headers }
    }

    pub(crate) fn token(&self) -> Option<&TokenHeader> {
        self.token.as_ref()
    }

    /// `None` if they cannot be sent.
    pub(crate) fn headers(self: &Arc<Self>) -> Option<Headers> {
        self.headers.is_some().then(|| Headers::Standing(Arc::clone(self)))
    }
}

/// The headers of one request but for `Host`, which each server has its own of.
pub(crate) enum Headers {
    Standing(Arc<Standing>),
    Own(HeaderMap),
}

impl Headers {
    pub(crate) fn for_server(&self, address: &Address) -> HeaderMap {
        match self {
            Self::Standing(standing) => {
                let mut headers = standing.headers.clone().unwrap_or_default();
                headers.insert(HOST, address.host_header());
                headers
            }
            Self::Own(own) => {
                let mut headers = own.clone();
                headers.entry(HOST).or_insert_with(|| address.host_header());
                headers
            }
        }
    }
}

/// All headers of a request but `Host`. Ready-made values: nothing is formatted or checked here.
pub(super) fn complete(
    own: HeaderMap,
    namespace: Option<&Namespace>,
    token: Option<&TokenHeader>,
) -> Result<HeaderMap, Error> {
    let mut headers = own;
    headers.reserve(5);
    headers.insert(X_VAULT_REQUEST, TRUE);
    headers.entry(USER_AGENT).or_insert(PRODUCT);
    if let Some(namespace) = namespace {
        headers.entry(X_VAULT_NAMESPACE).or_insert(namespace.header()?);
    }
    if let Some(token) = token {
        headers.insert(X_VAULT_TOKEN, token.header()?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(headers: &HeaderMap) -> Vec<(&str, &str)> {
        let mut sent: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        sent.sort_unstable();
        sent
    }

    #[test]
    fn standing_headers_are_those_put_together_for_one_request() {
        let address = Address::parse("http://vault:8200").unwrap();
        let namespace = Namespace::new("team");
        let token = || Some(TokenHeader::new("canary".into()));
        for (namespace, token) in [(None, None), (Some(&namespace), token()), (None, token())] {
            let own = complete(HeaderMap::new(), namespace, token.as_ref()).unwrap();
            let standing = Arc::new(Standing::new(namespace, token));
            let headers = standing.headers().unwrap().for_server(&address);
            assert_eq!(sent(&headers), sent(&Headers::Own(own).for_server(&address)));
            assert_eq!(headers[HOST], "vault:8200");
            assert!(headers.get(X_VAULT_TOKEN).is_none_or(HeaderValue::is_sensitive));
            assert!(!format!("{headers:?}").contains("canary"));
        }
    }

    #[test]
    fn what_cannot_be_sent_is_not_sent() {
        let bad = Standing::new(None, Some(TokenHeader::new("a\nb".into())));
        assert!(Arc::new(bad).headers().is_none());
        let bad = Standing::new(Some(&Namespace::new("a\nb")), None);
        assert!(Arc::new(bad).headers().is_none());
    }
}
