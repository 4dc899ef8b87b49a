//! A copy of the cache on disk, encrypted, so that a process that starts while Vault is away has something to serve.
//!
//! Off unless [`VaultConfig::disk`](crate::VaultConfig::disk) is set, and only in builds with the feature `disk`. What
//! is kept is what this process itself was given by its own login: secrets, the login, where things are mounted.
//! Nothing of the clients made by [`for_token`](crate::ResilientVaultClient::for_token) is ever written.
//!
//! A file that cannot be used, for whatever reason, counts as empty: one line in the log says why, and the process
//! starts as if there had been none. `docs/adr/0006-disk-cache.md` says what is protected against whom.
//!
//! | | |
//! |---|---|
//! | `record.rs` | what is written, as bytes |
//! | `seal.rs` | keys, and what they seal |
//! | `image.rs` | how a file is laid out, and what reading one can come to |
//! | `file.rs` | the file itself: opened, appended to, replaced |
//! | `place.rs` | who may own the file, its folder and the key |
//! | `key.rs` | where the key comes from |
//! | `journal.rs` | what is waiting to be written |
//! | `writer.rs` | the thread that writes it |
//! | `open.rs` | what the settings name is opened, and what came of it is told |
//! | `moment.rs` | deadlines on the wall clock, which outlives the process, and back |

#[cfg(feature = "disk")]
mod file;
#[cfg(feature = "disk")]
mod image;
#[cfg(feature = "disk")]
pub(crate) mod journal;
#[cfg(not(feature = "disk"))]
#[path = "disk/absent.rs"]
pub(crate) mod journal;
#[cfg(feature = "disk")]
mod key;
#[cfg(feature = "disk")]
pub(crate) mod moment;
#[cfg(feature = "disk")]
mod open;
#[cfg(feature = "disk")]
mod place;
#[cfg(feature = "disk")]
pub(crate) mod record;
#[cfg(feature = "disk")]
mod seal;
#[cfg(feature = "disk")]
mod writer;

use std::path::PathBuf;

pub(crate) use self::journal::Journal;
#[cfg(feature = "disk")]
pub(crate) use self::open::open;

/// The name of the systemd credential and of the key in the kernel keyring, unless another one is given.
pub const DEFAULT_KEY_NAME: &str = "secrets-service-cache";

/// Where the copy of the cache is, and what it is encrypted with.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSettings {
    /// `SECRETS_CACHE_FILE`. One file for one process: another one that wants it too runs without. The folder is
    /// made (with mode 0700) if only it itself is missing.
    pub file: PathBuf,
    /// `SECRETS_CACHE_KEY` or `SECRETS_CACHE_KEY_FILE`.
    pub key: KeySource,
}

impl DiskSettings {
    /// The two together.
    pub fn new(file: impl Into<PathBuf>, key: KeySource) -> Self {
        Self { file: file.into(), key }
    }
}

/// Where the key comes from. Whoever has the key and the file has the secrets.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file with 32 random bytes, as they are, in base64 or in hex. Ours or root's, and closed to everyone else.
    File(PathBuf),
    /// A credential that systemd hands to the service (`LoadCredentialEncrypted=`), by its name; of the same form.
    SystemdCredential(String),
    /// A key of type `user` in the kernel's session or user keyring, by its description; of the same form. Linux only.
    KernelKeyring(String),
    /// Derived from the secret_id that the process logs in with. A secret_id replaced from outside leaves nothing
    /// that could be read; one that the client replaces itself (`VAULT_SECRET_ID_ROTATE`) takes the file along.
    SecretId,
}

impl KeySource {
    /// What `SECRETS_CACHE_KEY` may say: `systemd`, `systemd:NAME`, `keyring`, `keyring:NAME` or `secret_id`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sort, name) = text.split_once(':').map_or((text, None), |(sort, name)| (sort, Some(name)));
        let named = || name.unwrap_or(DEFAULT_KEY_NAME).to_owned();
        match (sort, name) {
            (_, Some(name)) if name.is_empty() || name.contains(['/', '\0']) => None,
            ("systemd", _) => Some(Self::SystemdCredential(named())),
            ("keyring", _) => Some(Self::KernelKeyring(named())),
            ("secret_id", None) => Some(Self::SecretId),
            _ => None,
        }
    }
}

/// How the copy on disk is doing.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskStatus {
    /// Where it is.
    pub file: PathBuf,
    /// Secrets in it, once what is pending has been written.
    pub secrets: usize,
    /// How many secrets were taken over from it at the start.
    pub restored: usize,
    /// Changes that are not on disk yet.
    pub pending: usize,
    /// Batches written since the start; each is on disk for good.
    pub writes: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Why it is not being written, if it is not: disk full, folder gone. It is tried again.
    pub problem: Option<String>,
}

/// For fuzzing: everything that can be read of a file of arbitrary bytes, and of a record.
#[cfg(feature = "disk")]
#[doc(hidden)]
pub mod fuzzing {
    pub use super::image::fuzzing::{damaged, decode, open, sealed};
}

#[cfg(test)]
#[cfg(feature = "disk")]
#[path = "disk/tests.rs"]
mod tests;
