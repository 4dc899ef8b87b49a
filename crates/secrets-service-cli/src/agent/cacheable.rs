//! Which requests are reads that may be answered from the cache. Everything else passes through.

use std::borrow::Cow;

use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use secrets_service::gds_vault::{MountKind, SecretPath};

use super::facts::{CacheUse, Facts};

/// What is never cached, whatever is mounted where: Vault's own affairs, logins and tokens, what belongs to one token.
const NEVER: [&str; 4] = ["sys", "auth", "cubbyhole", "identity"];

/// A request that reads one thing, if what is mounted there can be cached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read<'r> {
    /// As Vault's API has it, decoded, without `/v1/`: `secret/data/myapp/config`.
    pub(crate) path: Cow<'r, str>,
    pub(crate) version: Option<u64>,
}

/// How an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// As the policy for its kind says.
    Yes,
    /// Only if it has a lease.
    IfLeased,
    No,
}

impl<'r> Read<'r> {
    /// `None`: nothing that could be cached.
    pub(crate) fn of(method: &Method, uri: &'r Uri, facts: &Facts<'_>) -> Option<Self> {
        if *method != Method::GET || facts.cache == CacheUse::None || facts.has_body {
            return None;
        }
        let version = match uri.query() {
            None => None,
            Some(query) => version_in(query)?,
        };
        let path = decoded(uri.path())?;
        let first = path.split('/').next().unwrap_or_default();
        let plain = is_plain(&path) && !NEVER.contains(&first) && first != "v1";
        plain.then_some(Self { path, version })
    }

    /// What may become of the answer, now that it is known what is mounted there. The path must be the one that the
    /// API has for this: `secret/x` means nothing in KV v2, though people write it.
    pub(crate) fn keep(&self, resolved: &SecretPath<'_>) -> Keep {
        let Some(rest) = self.path.strip_prefix(&*resolved.mount).and_then(|rest| rest.strip_prefix('/'))
        else {
            return Keep::No;
        };
        let one_below = |folder: &str| {
            let role = rest.strip_prefix(folder).and_then(|role| role.strip_prefix('/'));
            role.is_some_and(|role| !role.is_empty() && !role.contains('/'))
        };
        match (resolved.kind, self.version) {
            (MountKind::Kv2, _) if rest.strip_prefix("data/") == Some(resolved.rest) => Keep::Yes,
            (MountKind::Kv1, None) => Keep::Yes,
            (MountKind::Database, None) if one_below("creds") || one_below("static-creds") => Keep::Yes,
            // aws/creds/ROLE, rabbitmq/creds/ROLE, …: whatever comes with a lease.
            (MountKind::Other, None) if one_below("creds") => Keep::IfLeased,
            _ => Keep::No,
        }
    }
}

/// The path below `/v1/`, decoded as Vault does; `None` if it is not below it, or is not text.
pub(crate) fn decoded(path: &str) -> Option<Cow<'_, str>> {
    let rest = path.strip_prefix("/v1/")?;
    if rest.contains('%') { percent_decode_str(rest).decode_utf8().ok() } else { Some(Cow::Borrowed(rest)) }
}

/// Without anything that Vault, or something before it, might take for another path.
fn is_plain(path: &str) -> bool {
    let quick = path.bytes().all(|byte| (b' '..0x7f).contains(&byte)) || !path.chars().any(char::is_control);
    quick && path.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

/// The version in `version=3`; 0 is the newest. `None` if the query says anything else.
#[allow(clippy::option_option, reason = "outer: is it understood; inner: is there a version")]
fn version_in(query: &str) -> Option<Option<u64>> {
    let digits = query.strip_prefix("version=")?;
    let few_digits = (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let version: u64 = digits.parse().ok().filter(|_| few_digits)?;
    Some((version > 0).then_some(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str) -> Option<(String, Option<u64>)> {
        let uri: Uri = target.parse().unwrap();
        let headers = http::HeaderMap::new();
        Read::of(&Method::GET, &uri, &Facts::of(&headers)).map(|read| (read.path.into_owned(), read.version))
    }

    #[test]
    fn plain_reads_and_no_others() {
        let cases = [
            ("/v1/secret/data/a/b", Some(("secret/data/a/b", None))),
            ("/v1/secret/data/a?version=3", Some(("secret/data/a", Some(3)))),
            ("/v1/secret/data/a?version=0", Some(("secret/data/a", None))),
            ("/v1/secret/data/a%20b%2Fc", Some(("secret/data/a b/c", None))),
        ];
        for (target, expected) in cases {
            assert_eq!(read(target), expected.map(|(path, version)| (path.to_owned(), version)), "{target}");
        }
        for target in [
            "/v1/secret/metadata/a?list=true",
            "/v1/secret/data/a?list=true",
            "/v1/secret/data/a?version=1&list=true",
            "/v1/secret/data/a?version=",
            "/v1/secret/data/a?version=-1",
            "/v1/secret/data/a?version=+1",
            "/v1/secret/data/a?",
            "/v1/secret/data/a/",
            "/v1/secret//data/a",
            "/v1/secret/data/../a",
            "/v1/secret/data/%2e%2e/a",
            "/v1/secret/data/a%00",
            "/v1/secret/data/%ff",
            "/v1/sys/health",
            "/v1/v1/a",
            "/v1/auth/token/lookup-self",
            "/v1/cubbyhole/response",
            "/ui/",
            "/v1/",
            "/v1",
            "/",
        ] {
            assert_eq!(read(target), None, "{target}");
        }
    }

    fn keep(path: &str, mount: &str, kind: MountKind, version: Option<u64>) -> Keep {
        let rest = path.strip_prefix(mount).unwrap().trim_start_matches('/');
        Read { path: path.into(), version }.keep(&SecretPath::new(mount.into(), kind, rest))
    }

    #[test]
    fn kept_is_only_what_the_api_has_at_that_path() {
        use MountKind::{Database, Kv1, Kv2, Other};
        let cases = [
            ("secret/data/a", "secret", Kv2, None, Keep::Yes),
            ("secret/data/a", "secret", Kv2, Some(2), Keep::Yes),
            ("secret/data/data/a", "secret", Kv2, None, Keep::Yes),
            ("secret/a", "secret", Kv2, None, Keep::No),
            ("secret/metadata/a", "secret", Kv2, None, Keep::No),
            ("secret/config", "secret", Kv2, None, Keep::No),
            ("secret/data", "secret", Kv2, None, Keep::No),
            ("kv/a", "kv", Kv1, None, Keep::Yes),
            ("kv/a", "kv", Kv1, Some(2), Keep::No),
            ("database/creds/r", "database", Database, None, Keep::Yes),
            ("database/static-creds/r", "database", Database, None, Keep::Yes),
            ("database/roles/r", "database", Database, None, Keep::No),
            ("database/creds", "database", Database, None, Keep::No),
            ("aws/creds/r", "aws", Other, None, Keep::IfLeased),
            ("transit/keys/k", "transit", Other, None, Keep::No),
        ];
        for (path, mount, kind, version, expected) in cases {
            assert_eq!(keep(path, mount, kind, version), expected, "{path}");
        }
    }
}
