//! Which requests are not even looked at: those that a browser or a proxy was tricked into sending.
//!
//! A web page can make its visitor's browser send requests to `127.0.0.1`, and by DNS rebinding even read the
//! answers. It cannot add `X-Vault-Request` without being asked for `Origin`'s sake, and it cannot choose `Host`.

use http::{StatusCode, Uri, Version};

use super::facts::Facts;

/// How a listener is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// By anything that can open a TCP connection to it, browsers included.
    Tcp,
    /// By whom the file system (and the peer check) lets.
    Unix,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// For metrics.
    pub(crate) reason: &'static str,
    pub(crate) message: &'static str,
}

impl Refusal {
    const fn new(status: StatusCode, reason: &'static str, message: &'static str) -> Self {
        Self { status, reason, message }
    }
}

/// Every reason, for metrics.
pub(crate) const REASONS: [&str; 6] =
    ["header_missing", "browser_or_proxy", "host", "ambiguous", "path", "not_allowed"];

/// The hosts that requests may be meant for, beside those that can only be this machine.
#[derive(Debug, Default, Clone)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    pub(crate) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.trim_matches(['[', ']']).to_ascii_lowercase()).collect())
    }

    pub(crate) fn are_ours(&self, host: &[u8]) -> bool {
        let Some(name) = std::str::from_utf8(host).ok().and_then(without_port) else { return false };
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let name = name.trim_matches(['[', ']']);
        let address = name.parse::<std::net::IpAddr>();
        if address.is_ok_and(|address| address.to_canonical().is_loopback()) {
            return true;
        }
        self.0.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

/// The host of `host:port`, `[v6]:port`, or either without a port.
fn without_port(host: &str) -> Option<&str> {
    let (name, rest) = match host.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            host.split_at(end + 2)
        }
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = rest.strip_prefix(':').unwrap_or(rest);
    (!name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

/// Lets a request pass, or says why not.
pub(crate) fn check(
    reach: Reach,
    version: Version,
    uri: &Uri,
    facts: &Facts<'_>,
    hosts: &Hosts,
) -> Result<(), Refusal> {
    if let Some(_header) = facts.came_through {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "browser_or_proxy",
            "requests of browsers and through proxies are refused (Origin, Forwarded, X-Forwarded-For and the like)",
        ));
    }
    if uri.authority().is_some() || !uri.path().starts_with('/') {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "host", "the request is meant for another server"));
    }
    if facts.hosts > 1 || (facts.hosts == 0 && version >= Version::HTTP_11) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "host", "one Host header is needed"));
    }
    if reach == Reach::Tcp {
        if !facts.host.is_some_and(|host| hosts.are_ours(host)) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "host",
                "the Host header names another machine; allowed_hosts can add names",
            ));
        }
        if !facts.vault_request {
            // The status that Vault's own agent has for it.
            return Err(Refusal::new(
                StatusCode::PRECONDITION_FAILED,
                "header_missing",
                "missing 'X-Vault-Request' header",
            ));
        }
    }
    if facts.ambiguous {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "ambiguous",
            "two different tokens, or two namespaces: which one is meant?",
        ));
    }
    Ok(())
}

/// The paths that those who bring no token may use: patterns in which `*` stands for anything and `+` for one
/// segment, as in Vault's policies. No pattern: all.
#[derive(Debug, Default, Clone)]
pub(crate) struct AllowList(Vec<String>);

impl AllowList {
    pub(crate) fn new(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| pattern.trim_start_matches('/').to_owned()).collect())
    }

    /// `path` is decoded, without `/v1/`.
    pub(crate) fn allows(&self, path: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| matches(pattern, path))
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, open) = pattern.strip_suffix('*').map_or((pattern, false), |start| (start, true));
    if !pattern.contains('+') {
        return if open { path.starts_with(pattern) } else { path == pattern };
    }
    let mut segments = path.split('/');
    let mut wanted = pattern.split('/').peekable();
    while let Some(want) = wanted.next() {
        let Some(segment) = segments.next() else { return false };
        let last = wanted.peek().is_none();
        let fits = match want {
            "+" => !segment.is_empty(),
            want if last && open => segment.starts_with(want),
            want => segment == want,
        };
        if !fits {
            return false;
        }
    }
    open || segments.next().is_none()
}

/// What is refused to those without a token whatever the list says: the agent's own token would be handed out, or
/// be ended for everyone.
///
/// A namespace may stand before it. (A secret of that name can be read with a token.)
pub(crate) fn is_about_the_own_token(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    ["auth/token/lookup-self", "auth/token/revoke-self", "auth/token/renew-self"].iter().any(|own| {
        path.strip_suffix(own).is_some_and(|namespace| namespace.is_empty() || namespace.ends_with('/'))
    })
}

pub(crate) const NOT_ALLOWED: Refusal = Refusal::new(
    StatusCode::FORBIDDEN,
    "not_allowed",
    "permission denied: the agent does not lend its login for this path (own.allow); send a token of your own",
);

pub(crate) const OWN_TOKEN: Refusal = Refusal::new(
    StatusCode::FORBIDDEN,
    "not_allowed",
    "permission denied: the agent does not hand out or end its own token; send a token of your own",
);

pub(crate) const BAD_PATH: Refusal =
    Refusal::new(StatusCode::NOT_FOUND, "path", "Vault's API is below /v1/; there is nothing else here");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_ours() {
        let hosts = Hosts::new(&["agent.internal".to_owned(), "[fd00::1]".to_owned()]);
        for ours in [
            "localhost",
            "LOCALHOST:8100",
            "127.0.0.1",
            "127.8.9.1:1",
            "[::1]:8100",
            "[::1]",
            "agent.internal:80",
            "Agent.Internal",
            "[fd00::1]:1",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(hosts.are_ours(ours.as_bytes()), "{ours}");
        }
        for foreign in [
            "",
            ":80",
            "evil.example",
            "evil.example:8100",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "localhost:8100@evil",
            "[::1",
            "localhost:80:80",
            "0.0.0.0",
            "127.0.0.1:x",
        ] {
            assert!(!hosts.are_ours(foreign.as_bytes()), "{foreign}");
        }
    }

    #[test]
    fn the_own_token_is_not_spoken_of() {
        for path in ["auth/token/lookup-self", "auth/token/revoke-self/", "team/auth/token/renew-self"] {
            assert!(is_about_the_own_token(path), "{path}");
        }
        for path in ["auth/token/lookup", "xauth/token/lookup-self", "auth/token/lookup-self/x"] {
            assert!(!is_about_the_own_token(path), "{path}");
        }
    }

    #[test]
    fn patterns_are_those_of_policies() {
        let list =
            AllowList::new(&["secret/data/app/*".to_owned(), "kv/+/x".to_owned(), "/exact".to_owned()]);
        for allowed in ["secret/data/app/a", "secret/data/app/a/b", "kv/one/x", "exact"] {
            assert!(list.allows(allowed), "{allowed}");
        }
        for refused in
            ["secret/data/app", "secret/data/other", "kv/x", "kv/a/b/x", "kv/one/x/y", "exact/a", ""]
        {
            assert!(!list.allows(refused), "{refused}");
        }
        assert!(AllowList::default().allows("anything"));
        assert!(AllowList::new(&["kv/+/x*".to_owned()]).allows("kv/a/xyz/more"));
    }
}
