//! What a cached value is filed under: its path in the one spelling that means nothing else, and its version.

use std::hash::{Hash, Hasher};

use equivalent::Equivalent;
use gds_vault::{MountKind, SecretPath};

/// The version that means "the newest".
pub(crate) const LATEST: u64 = 0;

/// The version under which trouble with a path is filed whose mount is not known yet.
const UNRESOLVED: u64 = u64::MAX;

/// An owned key. All spellings of one secret have the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    path: Box<str>,
    /// Where the mount ends in `path`.
    mount: usize,
    version: u64,
}

impl Key {
    /// The path is `mount/rest`, as people write it; most callers do too, so most cached reads find their entry by
    /// the very string that they were given.
    ///
    /// In KV v2 the path `secret/data/x` means the secret `x`. A secret whose name is really `data/x` is therefore
    /// filed under `secret/data/data/x`, which means nothing else.
    pub(crate) fn new(path: &SecretPath<'_>, version: Option<u64>) -> Self {
        let ambiguous = path.kind == MountKind::Kv2 && path.rest.starts_with("data/");
        let between = if ambiguous { "/data/" } else { "/" };
        Self {
            path: [&path.mount, between, path.rest].concat().into_boxed_str(),
            mount: path.mount.len(),
            version: version.unwrap_or(LATEST),
        }
    }

    /// A key for a path whose mount is not known.
    pub(crate) fn unresolved(path: &str) -> Self {
        Self { path: path.into(), mount: 0, version: UNRESOLVED }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn mount(&self) -> &str {
        &self.path[..self.mount]
    }

    /// `None` for the newest.
    pub(crate) fn version(&self) -> Option<u64> {
        (self.version != LATEST).then_some(self.version)
    }
}

/// The newest version at a path as the caller wrote it: a cached read allocates nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsWritten<'a>(pub(crate) &'a str);

impl Hash for AsWritten<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        LATEST.hash(state);
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
        self.version.hash(state);
    }
}

impl Equivalent<Key> for AsWritten<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        key.version == LATEST && *self.0 == *key.path
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::*;

    fn key(mount: &str, rest: &str, version: Option<u64>) -> Key {
        Key::new(&SecretPath::new(mount.into(), MountKind::Kv2, rest), version)
    }

    #[test]
    fn owned_and_written_keys_agree() {
        let owned = key("team/kv", "a/b", None);
        let hasher = std::collections::hash_map::RandomState::new();
        assert_eq!(hasher.hash_one(AsWritten("team/kv/a/b")), hasher.hash_one(&owned));
        assert!(AsWritten("team/kv/a/b").equivalent(&owned));
        assert_eq!((owned.path(), owned.mount(), owned.version()), ("team/kv/a/b", "team/kv", None));
    }

    #[test]
    fn a_version_is_never_taken_for_the_newest() {
        let third = key("secret", "x", Some(3));
        assert_ne!(third, key("secret", "x", None));
        assert!(!AsWritten("secret/x").equivalent(&third));
        assert_eq!(third.version(), Some(3));
    }

    #[test]
    fn a_secret_named_data_something_is_not_mistaken_for_another() {
        let plain = key("secret", "data/x", None); // the API's spelling of `x`
        let odd = key("secret", "data/data/x", None); // the API's spelling of `data/x`
        assert_eq!((plain.path(), odd.path()), ("secret/x", "secret/data/data/x"));
        assert!(!AsWritten("secret/data/x").equivalent(&odd));
    }
}
