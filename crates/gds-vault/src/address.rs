//! [`Address`]: where a Vault server is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

use crate::error::{Error, ErrorKind};

/// The base URL of a Vault server, checked: `http` or `https`, a host, perhaps a port and a path prefix.
///
/// Cheap to clone. Printed as it would be written in `VAULT_ADDR`, without a trailing slash.
///
/// ```
/// use gds_vault::Address;
///
/// let address = Address::parse("http://127.0.0.1:8200/")?;
/// assert_eq!(address.to_string(), "http://127.0.0.1:8200");
/// # Ok::<(), gds_vault::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Arc<Inner>);

#[derive(PartialEq, Eq, Hash)]
struct Inner {
    scheme: Scheme,
    authority: Authority,
    /// The authority once more, ready to be sent as `Host`.
    host: HeaderValue,
    /// `/vault` for a Vault behind a path-routing proxy; usually empty.
    prefix: Box<str>,
}

impl Address {
    /// Reads a URL. A missing port means the scheme's own (80 or 443), as for the `vault` command.
    ///
    /// User information (`http://user:password@host`) is refused, because addresses are logged. The error
    /// never repeats the text it was given, for the same reason.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if text.contains('#') {
            return Err(bad("it has a fragment (`#`)"));
        }
        let uri: Uri = text.parse().map_err(|_| bad("it is not a URL"))?;
        let scheme = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => scheme.clone(),
            _ => return Err(bad("it does not start with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it holds user information, which would be logged"));
        }
        if uri.query().is_some() {
            return Err(bad("it has a query (`?`)"));
        }
        Self::new(scheme, authority, uri.path().trim_end_matches('/'))
    }

    /// Reads a comma-separated list, as in `VAULT_ADDR=https://a:8200,https://b:8200`. Empty parts are skipped,
    /// repeated ones too; nothing left is an error.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Error> {
        let mut addresses = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let address = Self::parse(part)?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() { Err(bad("it is empty")) } else { Ok(addresses) }
    }

    /// Whether requests to it are encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme == Scheme::HTTPS
    }

    /// The host name or IP address, in brackets if it is an IPv6 one.
    pub fn host(&self) -> &str {
        self.0.authority.host()
    }

    /// The port, the scheme's own if none was written.
    pub fn port(&self) -> u16 {
        self.0.authority.port_u16().unwrap_or_else(|| default_port(&self.0.scheme))
    }

    /// Where a `Location` header leads: another address and the rest of the URL, or only the rest.
    pub(crate) fn of_location(uri: &Uri) -> Result<Self, Error> {
        match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) if !authority.as_str().contains('@') => {
                Self::new(scheme.clone(), authority, "")
            }
            _ => Err(bad("it is not an absolute URL")),
        }
    }

    /// What a request to an encoded path and query (`/v1/secret/data/x?version=2`) asks this server for.
    pub(crate) fn target(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        let whole: PathAndQuery = if self.0.prefix.is_empty() {
            path_and_query.parse()?
        } else {
            format!("{}{path_and_query}", self.0.prefix).parse()?
        };
        Ok(whole.into())
    }

    /// Where to connect to.
    pub(crate) fn root(&self) -> Uri {
        let mut parts = Parts::default();
        parts.scheme = Some(self.0.scheme.clone());
        parts.authority = Some(self.0.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        // The parts of an address make one.
        Uri::from_parts(parts).unwrap_or_default()
    }

    /// The value of `Host`.
    pub(crate) fn host_header(&self) -> HeaderValue {
        self.0.host.clone()
    }

    fn new(scheme: Scheme, authority: &Authority, prefix: &str) -> Result<Self, Error> {
        let authority = normal(&scheme, authority)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad("it is not a URL"))?;
        Ok(Self(Arc::new(Inner { scheme, authority, host, prefix: prefix.into() })))
    }

    pub(crate) fn same_scheme(&self, other: &Self) -> bool {
        self.0.scheme == other.0.scheme
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.0.scheme, self.0.authority, self.0.prefix)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One spelling per server: lower case, and no port where it is the scheme's own.
fn normal(scheme: &Scheme, authority: &Authority) -> Result<Authority, Error> {
    let host = authority.host().to_ascii_lowercase();
    if host.is_empty() {
        return Err(bad("it has no host"));
    }
    let port = authority.as_str()[authority.host().len()..].trim_start_matches(':');
    let text = match port {
        "" => host,
        port => match port.parse::<u16>() {
            Ok(0) | Err(_) => return Err(bad("its port is not a number from 1 to 65535")),
            Ok(port) if port == default_port(scheme) => host,
            Ok(port) => format!("{host}:{port}"),
        },
    };
    text.parse().map_err(|_| bad("it is not a URL"))
}

fn default_port(scheme: &Scheme) -> u16 {
    if *scheme == Scheme::HTTPS { 443 } else { 80 }
}

fn bad(what: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("the Vault address is not usable: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let error = Address::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        error.to_string()
    }

    #[test]
    fn prints_one_normal_spelling() {
        for (written, printed) in [
            ("http://127.0.0.1:8200", "http://127.0.0.1:8200"),
            (" HTTP://Vault.Example:8200// ", "http://vault.example:8200"),
            ("https://vault.example:443", "https://vault.example"),
            ("http://vault.example:80/", "http://vault.example"),
            ("https://vault.example:80", "https://vault.example:80"),
            ("http://[::1]:8200", "http://[::1]:8200"),
            ("https://proxy/vault/", "https://proxy/vault"),
        ] {
            let address = Address::parse(written).unwrap();
            assert_eq!(address.to_string(), printed);
            assert_eq!(printed.parse::<Address>().unwrap(), address);
            assert_eq!(format!("{address:?}"), printed);
        }
    }

    #[test]
    fn knows_host_and_port() {
        let address = Address::parse("https://[::1]").unwrap();
        assert_eq!((address.host(), address.port(), address.is_https()), ("[::1]", 443, true));
        let address = Address::parse("http://a:8200").unwrap();
        assert_eq!((address.host(), address.port(), address.is_https()), ("a", 8200, false));
    }

    #[test]
    fn refuses_what_cannot_be_an_address_and_never_repeats_it() {
        for text in [
            "",
            "  ",
            "canary",
            "canary:8200",
            "ftp://canary",
            "http://",
            "http://:8200",
            "http://canary:99999",
            "http://canary:0",
            "http://canary:x",
            "http://canary?x=1",
            "http://canary#x",
            "http://can ary",
            "http://user:canary@host",
        ] {
            let message = refused(text);
            assert!(!message.contains("canary"), "{message}");
        }
        assert!(refused("http://user:canary@host").contains("user information"));
    }

    #[test]
    fn reads_lists_in_order_without_repeats() {
        let list = Address::parse_list(" http://b:1 ,http://a:2,, http://B:1/").unwrap();
        assert_eq!(list.iter().map(ToString::to_string).collect::<Vec<_>>(), ["http://b:1", "http://a:2"]);
        assert!(Address::parse_list(" , ").is_err());
        assert!(Address::parse_list("http://a,nonsense").is_err());
    }

    #[test]
    fn puts_paths_under_its_prefix() {
        assert_eq!(Address::parse("https://A/vault").unwrap().root().to_string(), "https://a/");
        let plain = Address::parse("http://a:1").unwrap();
        assert_eq!(plain.target("/v1/x?list=true").unwrap().to_string(), "/v1/x?list=true");
        let prefixed = Address::parse("http://a:1/vault").unwrap();
        assert_eq!(prefixed.target("/v1/x").unwrap().to_string(), "/vault/v1/x");
    }
}
