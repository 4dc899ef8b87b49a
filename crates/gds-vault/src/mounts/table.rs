//! What is known of the mounts: read without a lock, replaced as a whole when something is learnt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{MountKind, SecretPath};

/// Most mounts, and most folders, remembered. Beyond, all is forgotten and learnt anew: correct, only slower, and
/// nobody has so many.
const MAX_REMEMBERED: usize = 4_096;

#[derive(Default)]
pub(crate) struct MountTable {
    known: ArcSwap<Known>,
}

/// What a client knows of the mounts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownMounts {
    /// Each mount, without slashes around it.
    pub mounts: BTreeMap<Arc<str>, MountKind>,
    /// Folders that lie in no mount, so that the mount point goes before them.
    pub unmounted: BTreeSet<Arc<str>>,
}

/// Ordered rather than hashed: every read looks for each prefix of its path, and among a few mounts a comparison is
/// quicker than a hash that cannot be steered.
#[derive(Default, Clone)]
struct Known {
    mounts: BTreeMap<Arc<str>, MountKind>,
    /// Folders that lie in no mount, so that the mount point goes before them.
    ///
    /// By folder, because that is exact: mounts do not nest, so two paths of one folder always lie in the same mount
    /// or both in none.
    unmounted: BTreeSet<Arc<str>>,
}

impl MountTable {
    /// `path` and `mount_point` must be trimmed of slashes.
    pub(super) fn find<'p>(&self, path: &'p str, mount_point: Option<&str>) -> Option<SecretPath<'p>> {
        let known = self.known.load();
        let found = prefixes(path).find_map(|prefix| known.mounts.get_key_value(prefix));
        let (mount, kind) = match found {
            Some(mount) => mount,
            None if known.unmounted.contains(folder(path)) => known.mounts.get_key_value(mount_point?)?,
            None => return None,
        };
        let rest = if found.is_some() { rest_under(mount, path)? } else { path };
        Some(SecretPath::new(Arc::clone(mount), *kind, rest))
    }

    pub(super) fn learn(&self, mount: &Arc<str>, kind: MountKind) {
        self.change(|known| {
            if known.mounts.len() >= MAX_REMEMBERED {
                known.mounts.clear();
            }
            known.mounts.insert(Arc::clone(mount), kind);
            // A mount made since: folders in it are no longer outside of every mount.
            known.unmounted.retain(|folder| rest_under(mount, folder).is_none());
        });
    }

    /// Learns that a path lies in no mount.
    pub(super) fn learn_no_mount(&self, path: &str) {
        let folder: Arc<str> = folder(path).into();
        self.change(|known| {
            if known.unmounted.len() >= MAX_REMEMBERED {
                known.unmounted.clear();
            }
            known.unmounted.insert(Arc::clone(&folder));
        });
    }

    pub(super) fn forget(&self, mount: &str) {
        self.change(|known| {
            known.mounts.remove(mount);
            known.unmounted.clear();
        });
    }

    pub(super) fn all(&self) -> KnownMounts {
        let known = self.known.load();
        KnownMounts { mounts: known.mounts.clone(), unmounted: known.unmounted.clone() }
    }

    pub(super) fn learn_all(&self, other: &KnownMounts) {
        self.change(|known| {
            for (mount, kind) in other.mounts.iter().take(MAX_REMEMBERED) {
                known.mounts.entry(Arc::clone(mount)).or_insert(*kind);
            }
            known.unmounted.extend(other.unmounted.iter().take(MAX_REMEMBERED).cloned());
        });
    }

    fn change(&self, change: impl Fn(&mut Known)) {
        self.known.rcu(|known| {
            let mut changed = Known::clone(known);
            change(&mut changed);
            changed
        });
    }
}

/// What follows a mount in a path, if the path lies in it.
pub(super) fn rest_under<'p>(mount: &str, path: &'p str) -> Option<&'p str> {
    let rest = path.strip_prefix(mount)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// `a/b/c`, `a/b`, `a`.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(before, _)| before))
}

/// All but the last segment; a path of one segment stands for itself.
fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(table: &MountTable, path: &str, mount_point: Option<&str>) -> Option<String> {
        table.find(path, mount_point).map(|found| found.canonical())
    }

    #[test]
    fn the_longest_mount_wins_and_only_whole_segments_count() {
        let table = MountTable::default();
        table.learn(&"team".into(), MountKind::Kv1);
        table.learn(&"team/kv".into(), MountKind::Kv2);
        let found = table.find("team/kv/data/a", None).unwrap();
        assert_eq!((&*found.mount, found.kind, found.rest), ("team/kv", MountKind::Kv2, "a"));
        let found = table.find("team/kvx/a", None).unwrap();
        assert_eq!((&*found.mount, found.kind, found.rest), ("team", MountKind::Kv1, "kvx/a"));
        assert_eq!(canonical(&table, "teams/a", None), None);
    }

    #[test]
    fn the_mount_point_goes_before_known_strangers_only() {
        let table = MountTable::default();
        table.learn(&"secret".into(), MountKind::Kv2);
        assert_eq!(canonical(&table, "app/config", Some("secret")), None);
        table.learn_no_mount("app/config");
        assert_eq!(canonical(&table, "app/other", Some("secret")).unwrap(), "secret/app/other");
        assert_eq!(canonical(&table, "app/other", None), None);
        assert_eq!(canonical(&table, "app/other", Some("unknown")), None);
        // Another folder may be a mount of its own.
        assert_eq!(canonical(&table, "app/kv/x", Some("secret")), None);
    }

    #[test]
    fn a_mount_learnt_later_or_forgotten_is_respected() {
        let table = MountTable::default();
        table.learn(&"secret".into(), MountKind::Kv2);
        table.learn_no_mount("app/config");
        table.learn(&"app".into(), MountKind::Kv1);
        assert_eq!(canonical(&table, "app/config", Some("secret")).unwrap(), "app/config");
        table.forget("app");
        assert_eq!(canonical(&table, "app/config", Some("secret")), None);
    }

    #[test]
    fn what_one_knew_another_takes_up_unless_it_knows_better() {
        let (one, other) = (MountTable::default(), MountTable::default());
        one.learn(&"secret".into(), MountKind::Kv1);
        one.learn(&"db".into(), MountKind::Database);
        one.learn_no_mount("app/config");
        other.learn(&"secret".into(), MountKind::Kv2);
        other.learn_all(&one.all());
        assert_eq!(other.find("secret/x", None).unwrap().kind, MountKind::Kv2);
        assert_eq!(other.find("db/x", None).unwrap().kind, MountKind::Database);
        assert_eq!(canonical(&other, "app/config", Some("secret")).unwrap(), "secret/app/config");
    }

    #[test]
    fn memory_is_bounded() {
        let table = MountTable::default();
        let mut full = Known::default();
        for n in 0..MAX_REMEMBERED {
            full.mounts.insert(format!("m{n}").into(), MountKind::Other);
            full.unmounted.insert(format!("f{n}").into());
        }
        table.known.store(Arc::new(full));
        table.learn(&"one-more".into(), MountKind::Kv1);
        table.learn_no_mount("one/more");
        let known = table.known.load();
        assert_eq!((known.mounts.len(), known.unmounted.len()), (1, 1));
    }
}
