//! What a cached value is filed under: its path in the one spelling that means nothing else, and its version.

use std::sync::Arc;

use gds_vault::{MountKind, SecretPath};

/// Stands between a path and a version. Paths have no control characters.
const VERSION: char = '\u{1}';

/// Stands before a path whose mount is not known.
const UNRESOLVED: char = '\u{2}';

/// All spellings of one secret have the same key. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<str>);

impl Key {
    /// The path is `mount/rest`, as people write it; most callers do too, so most cached reads find their entry by
    /// the very string that they were given.
    ///
    /// In KV v2 the path `secret/data/x` means the secret `x`. A secret whose name is really `data/x` is therefore
    /// filed under `secret/data/data/x`, which means nothing else.
    pub(crate) fn new(path: &SecretPath<'_>, version: Option<u64>) -> Self {
        let ambiguous = path.kind == MountKind::Kv2 && path.rest.starts_with("data/");
        let between = if ambiguous { "/data/" } else { "/" };
        let mut key = [&path.mount, between, path.rest].concat();
        if let Some(version) = version {
            key.push(VERSION);
            key.push_str(&version.to_string());
        }
        Self(key.into())
    }

    /// The key that something has been filed under by an earlier process.
    #[cfg(feature = "disk")]
    pub(crate) fn stored(key: &str) -> Self {
        Self(key.into())
    }

    /// A key for a path whose mount is not known.
    pub(crate) fn unresolved(path: &str) -> Self {
        Self(format!("{UNRESOLVED}{path}").into())
    }

    /// What the cache files it under. For the newest version this is the path itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path, for people.
    pub(crate) fn path(&self) -> &str {
        parts(&self.0).0
    }

    /// Whether it is about one version rather than the newest.
    pub(crate) fn has_version(&self) -> bool {
        split(&self.0).1.is_some()
    }
}

/// The path and the version of what is filed under `key`.
pub(crate) fn parts(key: &str) -> (&str, Option<u64>) {
    let (path, version) = split(key);
    (path.strip_prefix(UNRESOLVED).unwrap_or(path), version.and_then(|version| version.parse().ok()))
}

/// Looked for from the end, where nearly every key turns out at once to have no version.
fn split(key: &str) -> (&str, Option<&str>) {
    let digits = key.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (before, version) = key.split_at(key.len() - digits);
    before.strip_suffix(VERSION).map_or((key, None), |path| (path, Some(version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(mount: &str, rest: &str, version: Option<u64>) -> Key {
        Key::new(&SecretPath::new(mount.into(), MountKind::Kv2, rest), version)
    }

    #[test]
    fn the_newest_version_is_filed_under_its_path() {
        let newest = key("team/kv", "a/b", None);
        assert_eq!(
            (newest.as_str(), newest.path(), newest.has_version()),
            ("team/kv/a/b", "team/kv/a/b", false)
        );
    }

    #[test]
    fn a_version_is_never_taken_for_the_newest() {
        let third = key("secret", "x", Some(3));
        assert_ne!(third, key("secret", "x", None));
        assert_ne!(third.as_str(), "secret/x");
        assert_eq!((third.path(), third.has_version()), ("secret/x", true));
        assert_eq!(Key::unresolved("a/b").path(), "a/b");
        assert_eq!(parts(third.as_str()), ("secret/x", Some(3)));
        assert_eq!(parts("secret/x3"), ("secret/x3", None));
        assert_eq!(parts("3"), ("3", None));
    }

    #[test]
    fn a_secret_named_data_something_is_not_mistaken_for_another() {
        let plain = key("secret", "data/x", None); // the API's spelling of `x`
        let odd = key("secret", "data/data/x", None); // the API's spelling of `data/x`
        assert_eq!((plain.path(), odd.path()), ("secret/x", "secret/data/data/x"));
    }
}
