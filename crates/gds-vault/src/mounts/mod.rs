//! [`Mounts`]: which mount a path belongs to, and so what it means.

mod table;

use std::sync::Arc;

use serde::Deserialize;
use serde::de::Deserializer;

pub use table::KnownMounts;
pub(crate) use table::MountTable;

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::json::nullable;
use crate::path;

/// What is mounted somewhere, as far as reading differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MountKind {
    /// KV without versions.
    Kv1,
    /// KV with versions.
    Kv2,
    /// The database engine.
    Database,
    /// Anything else; [`MountInfo::type_name`] says what.
    Other,
}

/// A mount, as Vault tells it (`sys/internal/ui/mounts`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MountInfo {
    /// Where it is, with a slash at the end: `secret/`.
    pub path: String,
    /// How to read from it.
    pub kind: MountKind,
    /// Vault's name for its type: `kv`, `database`, `pki`.
    pub type_name: String,
}

impl<'de> Deserialize<'de> for MountInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            path: String,
            #[serde(rename = "type")]
            kind: String,
            #[serde(default, deserialize_with = "nullable")]
            options: Options,
        }
        #[derive(Default, Deserialize)]
        struct Options {
            #[serde(default, deserialize_with = "nullable")]
            version: String,
        }
        let wire = Wire::deserialize(deserializer)?;
        let kind = match (&*wire.kind, &*wire.options.version) {
            ("kv", "2") => MountKind::Kv2,
            // `generic` is what KV v1 was called before Vault 0.8.
            ("kv" | "generic", _) => MountKind::Kv1,
            ("database", _) => MountKind::Database,
            _ => MountKind::Other,
        };
        Ok(Self { path: wire.path, kind, type_name: wire.kind })
    }
}

/// A path with its mount known. However it was spelt, one secret has one [canonical](Self::canonical) path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretPath<'p> {
    /// The mount, without slashes around it: `secret`, `team/kv`.
    pub mount: Arc<str>,
    /// What is mounted there.
    pub kind: MountKind,
    /// The rest: `myapp/config`; for KV v2 never `data/…`.
    pub rest: &'p str,
}

impl<'p> SecretPath<'p> {
    /// Puts a path together. `rest` may still begin with `data/` for KV v2, which is dropped.
    pub fn new(mount: Arc<str>, kind: MountKind, rest: &'p str) -> Self {
        let rest = rest.trim_matches('/');
        let rest = match kind {
            MountKind::Kv2 if rest == "data" => "",
            MountKind::Kv2 => rest.strip_prefix("data/").unwrap_or(rest),
            _ => rest,
        };
        Self { mount, kind, rest }
    }

    /// `secret/myapp/config`: the same for every spelling, as people write it.
    pub fn canonical(&self) -> String {
        self.join("/")
    }

    /// `secret/data/myapp/config`: where to read it.
    pub fn api_path(&self) -> String {
        self.join(if self.kind == MountKind::Kv2 { "/data/" } else { "/" })
    }

    fn join(&self, between: &str) -> String {
        let joined = [&self.mount, between, self.rest].concat();
        if self.rest.is_empty() { joined.trim_end_matches('/').to_owned() } else { joined }
    }
}

/// What a client has learnt of Vault's mounts.
///
/// `secret/myapp/config`, `secret/data/myapp/config` and, with the mount point `secret`, `myapp/config` all name the
/// same KV v2 secret. Which mount a path belongs to, and whether that is KV v2, only Vault can tell: it is asked
/// once per mount, and the answer is remembered until [`forget`](Self::forget). Clones of a client share what they
/// learnt; clients of other namespaces do not.
///
/// A path that begins with the mount point belongs to it. Any other is first asked for as it stands; if Vault knows
/// no such mount (or does not tell this token, which is the same answer), the mount point is put before it.
///
/// In a KV v2 mount, a secret whose own name begins with `data/` has to be written with the `data/` of the API before
/// it: `secret/data/data/x`.
///
/// ```no_run
/// # async fn example(client: gds_vault::Client) -> Result<(), gds_vault::Error> {
/// let path = client.mounts().resolve("myapp/config", Some("secret")).await?;
/// assert_eq!(path.canonical(), "secret/myapp/config");
/// let secret = client.read_path(&path, None).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Mounts {
    client: Client,
}

/// What Vault says about a path.
enum Told {
    Mount(Arc<str>, MountKind),
    /// 403: no such mount, or not for this token.
    Denied(Error),
    /// 404 or 405: a Vault before 0.10, or something like Vault, that cannot be asked.
    CannotSay,
}

impl Mounts {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// What a path means, if that is already known. Neither asks Vault nor allocates.
    pub fn known<'p>(&self, path: &'p str, mount_point: Option<&str>) -> Option<SecretPath<'p>> {
        self.client.mount_table().find(path::trim(path), mount_point_of(mount_point))
    }

    /// What a path means. Asks Vault if it is not yet known: once, or twice if the mount point has to be put before
    /// it.
    ///
    /// A Vault that has no `sys/internal/ui/mounts` is taken to have KV v1 only, as the `vault` command does; that is
    /// not remembered.
    pub async fn resolve<'p>(
        &self,
        path: &'p str,
        mount_point: Option<&str>,
    ) -> Result<SecretPath<'p>, Error> {
        if let Some(known) = self.known(path, mount_point) {
            return Ok(known);
        }
        let path = path::trim(path);
        path::check(path)?;
        let mount_point = mount_point_of(mount_point);
        // What lies under the mount point by its own words is not looked for anywhere else.
        let fallback = mount_point.filter(|mount| table::rest_under(mount, path).is_none());
        match (self.ask(path).await?, fallback) {
            (Told::Mount(mount, kind), _) => {
                let rest = table::rest_under(&mount, path).unwrap_or(path);
                Ok(SecretPath::new(mount, kind, rest))
            }
            (Told::Denied(_) | Told::CannotSay, Some(mount_point)) => {
                self.resolve_under(mount_point, path).await
            }
            (Told::Denied(error), None) => Err(error),
            (Told::CannotSay, None) => {
                let (mount, rest) = mount_point
                    .and_then(|mount| Some((mount, table::rest_under(mount, path)?)))
                    .unwrap_or_else(|| path.split_once('/').unwrap_or((path, "")));
                Ok(SecretPath::new(mount.into(), MountKind::Kv1, rest))
            }
        }
    }

    /// Forgets a mount, and which paths were found not to be mounts: after a remount, or when reading fails as if
    /// there had been one.
    pub fn forget(&self, mount: &str) {
        self.client.mount_table().forget(path::trim(mount));
    }

    /// All that is known, to be [taken up](Self::learn) by another client: after a restart while Vault cannot be asked.
    pub fn all_known(&self) -> KnownMounts {
        self.client.mount_table().all()
    }

    /// Takes up what another client of the same Vault and namespace knew. What this one knows already counts more.
    pub fn learn(&self, known: &KnownMounts) {
        self.client.mount_table().learn_all(known);
    }

    /// Asks Vault about the mount that a path lies in, whatever is known, and remembers the answer.
    pub async fn ask_again(&self, path: &str) -> Result<(), Error> {
        self.ask(path::trim(path)).await.map(|_| ())
    }

    async fn resolve_under<'p>(&self, mount_point: &str, path: &'p str) -> Result<SecretPath<'p>, Error> {
        match self.ask(mount_point).await? {
            Told::Mount(mount, kind) => {
                self.client.mount_table().learn_no_mount(path);
                Ok(SecretPath::new(mount, kind, path))
            }
            Told::Denied(error) => Err(error),
            Told::CannotSay => Ok(SecretPath::new(mount_point.into(), MountKind::Kv1, path)),
        }
    }

    async fn ask(&self, path: &str) -> Result<Told, Error> {
        match self.client.sys().mount_of(path).await {
            Ok(info) => {
                let mount: Arc<str> = info.path.trim_matches('/').into();
                self.client.mount_table().learn(&mount, info.kind);
                Ok(Told::Mount(mount, info.kind))
            }
            Err(error) => match error.kind() {
                ErrorKind::PermissionDenied => Ok(Told::Denied(error)),
                ErrorKind::NotFound | ErrorKind::MethodNotAllowed => Ok(Told::CannotSay),
                _ => Err(error),
            },
        }
    }
}

fn mount_point_of(mount_point: Option<&str>) -> Option<&str> {
    mount_point.map(|mount| mount.trim_matches('/')).filter(|mount| !mount.is_empty())
}
