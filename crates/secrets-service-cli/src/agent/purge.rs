//! What a request that changes Vault does to the cache: whoever writes through the agent reads it back.
//!
//! The outcome decides. Done: what was changed is forgotten, whoever it is cached for, and no read that began before
//! can bring it back. Refused: nothing was changed. Unknown (no answer, or the client went away meanwhile): what is
//! cached counts as stale, so that it is asked for again but is still there in an outage.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use secrets_service::gds_vault::MountKind;

use super::identity::{Identities, Identity};

/// A change under way. Dropped without [`done`](Self::done), its outcome is unknown.
pub(crate) struct Change {
    what: What,
    identities: Arc<Identities>,
    told: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// Something at this path, namespace included.
    Value { path: String, removes: bool },
    /// Leases have been revoked, and with them perhaps tokens.
    Revoked(Leases),
    /// A lease has been given another end.
    Renewed(Option<String>),
    /// Tokens have been revoked, and with them their leases.
    Tokens,
    /// Something is mounted differently.
    Mounts(Vec<String>),
}

#[derive(Debug, PartialEq, Eq)]
enum Leases {
    One(String),
    Below(String),
    /// Which, could not be told.
    Any,
}

/// How Vault answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused,
    Unknown,
}

impl Outcome {
    /// By status. A server error says nothing of what was done before it.
    pub(crate) fn of(status: u16) -> Self {
        match status {
            200..300 => Self::Done,
            400..500 => Self::Refused,
            _ => Self::Unknown,
        }
    }
}

impl Change {
    /// `None` if the request changes nothing that could be cached. `path` is decoded, without `/v1/`; `body` is that
    /// of the request, if it is all there.
    pub(crate) fn of(
        method: &Method,
        path: &str,
        namespace: Option<&str>,
        body: Option<&Bytes>,
        identities: &Arc<Identities>,
    ) -> Option<Self> {
        if matches!(method.as_str(), "GET" | "HEAD" | "LIST" | "OPTIONS") {
            return None;
        }
        let what = What::of(method, path.trim_matches('/'), namespace, body);
        Some(Self { what, identities: Arc::clone(identities), told: false })
    }

    /// Whether the answer's body is wanted.
    pub(crate) fn wants_answer(&self) -> bool {
        matches!(self.what, What::Renewed(_))
    }

    /// Vault has answered.
    pub(crate) fn done(mut self, outcome: Outcome, answer: Option<&Bytes>) {
        self.told = true;
        match outcome {
            Outcome::Done => self.apply(answer),
            Outcome::Refused => {}
            Outcome::Unknown => self.doubt(),
        }
    }

    fn apply(&self, answer: Option<&Bytes>) {
        match &self.what {
            What::Value { path, removes } => self.each(|identity| {
                if let Some(path) = within(identity, path) {
                    forget_value(identity, path, *removes);
                }
            }),
            What::Revoked(leases) => {
                self.each(|identity| {
                    identity.client.invalidate_leases(|id| leases.cover(id));
                });
                self.identities.distrust_all();
            }
            What::Renewed(id) => {
                let granted = answer.and_then(granted_seconds);
                self.each(|identity| forget_if_shortened(identity, id.as_deref(), granted));
            }
            What::Tokens => {
                self.identities.distrust_all();
                // Perhaps it was the agent's own: then it should learn that now, and not from the next reader.
                let own = self.identities.own().client.clone();
                if own.status().logged_in {
                    tokio::spawn(async move { own.look_up_login().await.map(drop) });
                }
            }
            What::Mounts(mounts) => self.each(|identity| {
                for mount in mounts {
                    identity.client.vault().mounts().forget(mount);
                }
                identity.client.clear();
            }),
        }
    }

    fn doubt(&self) {
        match &self.what {
            What::Value { path, .. } => self.each(|identity| {
                if let Some(path) = within(identity, path) {
                    identity.client.expire(path);
                }
            }),
            // A credential that may be dead is worse than none.
            What::Revoked(_) | What::Tokens | What::Renewed(_) => self.apply(None),
            What::Mounts(_) => {}
        }
    }

    fn each(&self, change: impl Fn(&Identity)) {
        self.identities.all().for_each(|identity| change(&identity));
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !self.told {
            self.doubt();
        }
    }
}

impl What {
    fn of(method: &Method, path: &str, namespace: Option<&str>, body: Option<&Bytes>) -> Self {
        let field = |name: &str| body.and_then(|body| text_field(body, name));
        let of_body_or = |rest: &str| if rest.is_empty() { field("lease_id") } else { Some(rest.to_owned()) };
        let below = |rest: &str| {
            if rest.is_empty() { Leases::Any } else { Leases::Below(rest.trim_end_matches('/').to_owned()) }
        };
        let under = |prefix: &str| {
            let rest = path.strip_prefix(prefix)?;
            if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
        };
        for (revoke, by_prefix) in [
            ("sys/leases/revoke", false),
            ("sys/revoke", false),
            ("sys/leases/revoke-prefix", true),
            ("sys/leases/revoke-force", true),
            ("sys/revoke-prefix", true),
            ("sys/revoke-force", true),
        ] {
            let Some(rest) = under(revoke) else { continue };
            return Self::Revoked(if by_prefix {
                below(rest)
            } else {
                of_body_or(rest).map_or(Leases::Any, Leases::One)
            });
        }
        for renew in ["sys/leases/renew", "sys/renew"] {
            if let Some(rest) = under(renew) {
                return Self::Renewed(of_body_or(rest));
            }
        }
        if path.starts_with("auth/token/revoke") {
            return Self::Tokens;
        }
        if let Some(mount) = under("sys/mounts") {
            return Self::Mounts(vec![mount.trim_end_matches("/tune").to_owned()]);
        }
        if under("sys/remount").is_some() {
            return Self::Mounts(["from", "to"].iter().filter_map(|end| field(end)).collect());
        }
        let path = match namespace.map(|name| name.trim_matches('/')).filter(|name| !name.is_empty()) {
            Some(namespace) => format!("{namespace}/{path}"),
            None => path.to_owned(),
        };
        Self::Value { path, removes: *method == Method::DELETE }
    }
}

impl Leases {
    fn cover(&self, id: &str) -> bool {
        match self {
            Self::One(revoked) => revoked == id,
            Self::Below(prefix) => {
                id.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Any => true,
        }
    }
}

/// The path as this identity knows it; `None` if it lies in another namespace.
fn within<'p>(identity: &Identity, path: &'p str) -> Option<&'p str> {
    match identity.namespace.as_deref() {
        None => Some(path),
        Some(namespace) => path.strip_prefix(namespace)?.strip_prefix('/'),
    }
}

/// What an engine's own paths change.
fn forget_value(identity: &Identity, path: &str, removes: bool) {
    let client = &identity.client;
    // A mount that is not known here has nothing cached.
    let Some(resolved) = client.vault().mounts().known(path, None) else { return };
    let mount = &*resolved.mount;
    let rest = path.strip_prefix(mount).unwrap_or_default().trim_matches('/');
    let (folder, name) = rest.split_once('/').unwrap_or((rest, ""));
    match (resolved.kind, folder) {
        // A new version leaves the old ones as they are; a deletion does not.
        (MountKind::Kv2, "data") if !removes => drop(client.invalidate(path)),
        (MountKind::Kv2, "data" | "metadata" | "delete" | "undelete" | "destroy") => {
            client.invalidate_versions(&format!("{mount}/data/{name}"));
        }
        (MountKind::Kv2, "config") => drop(client.invalidate_under(mount)),
        (MountKind::Kv1, _) => drop(client.invalidate(path)),
        (MountKind::Database | MountKind::Other, _) => {
            for sort in ["creds", "static-creds"] {
                client.invalidate(&format!("{mount}/{sort}/{name}"));
            }
        }
        _ => {}
    }
}

/// A renewal can also bring the end nearer: then what is cached would be handed out past it.
fn forget_if_shortened(identity: &Identity, id: Option<&str>, granted: Option<u64>) {
    let cached = identity.client.entries();
    let shortened = cached.iter().filter(|entry| {
        let lease = entry.lease.as_ref().filter(|lease| id.is_none_or(|id| id == lease.id));
        lease.is_some() && granted.is_none_or(|granted| granted < entry.usable_for.as_secs())
    });
    let ids: Vec<_> = shortened.filter_map(|entry| entry.lease.as_ref().map(|lease| &lease.id)).collect();
    if !ids.is_empty() {
        identity.client.invalidate_leases(|id| ids.iter().any(|shortened| *shortened == id));
    }
}

fn text_field(body: &Bytes, name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    value.get(name)?.as_str().map(|text| text.trim_matches('/').to_owned())
}

fn granted_seconds(answer: &Bytes) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_slice(answer).ok()?;
    value.get("lease_duration")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(path: &str, body: &'static str) -> What {
        What::of(&Method::PUT, path, None, Some(&Bytes::from_static(body.as_bytes())))
    }

    #[test]
    fn revocations_in_all_their_forms() {
        let one = || What::Revoked(Leases::One("database/creds/r/abc".to_owned()));
        assert_eq!(what("sys/leases/revoke", r#"{"lease_id":"database/creds/r/abc"}"#), one());
        assert_eq!(what("sys/leases/revoke/database/creds/r/abc", ""), one());
        assert_eq!(what("sys/revoke", r#"{"lease_id":"database/creds/r/abc"}"#), one());
        assert_eq!(what("sys/leases/revoke", "not JSON"), What::Revoked(Leases::Any));
        let below = || What::Revoked(Leases::Below("database/creds".to_owned()));
        assert_eq!(what("sys/leases/revoke-prefix/database/creds", ""), below());
        assert_eq!(what("sys/leases/revoke-force/database/creds", ""), below());
        assert_eq!(what("auth/token/revoke-accessor", "{}"), What::Tokens);
        assert_eq!(what("sys/mounts/kv/tune", "{}"), What::Mounts(vec!["kv".to_owned()]));
    }

    #[test]
    fn a_prefix_covers_whole_segments() {
        let below = Leases::Below("database/creds/r".to_owned());
        assert!(below.cover("database/creds/r/abc") && !below.cover("database/creds/role/abc"));
        assert!(Leases::Any.cover("x") && !Leases::One("x".to_owned()).cover("y"));
    }

    #[test]
    fn a_namespace_is_part_of_the_path() {
        let what = What::of(&Method::DELETE, "secret/data/x", Some("/team/"), None);
        assert_eq!(what, What::Value { path: "team/secret/data/x".to_owned(), removes: true });
    }
}
