//! The file under damage, theft and rivalry; what a client does with it is in `tests/disk.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use gds_vault::{KnownMounts, MountKind, SecretString};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::file::{CacheFile, Opened, Unusable};
use super::image::{Flaw, HEADER, fuzzing};
use super::place::{self, Unfit};
use super::record::{
    Decoder, Encoder, Record, SecretParts, StoredGrant, StoredHold, StoredLogin, StoredSecret,
};

fn material(n: u8) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(vec![n; 32])
}

fn open(path: &Path) -> Opened {
    CacheFile::open(path, material(1), b"us".to_vec()).unwrap()
}

fn batch(secrets: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let mut encoder = Encoder::new();
    for (key, body) in secrets {
        encoder.put(&SecretParts {
            key,
            fetched_at: 1,
            refresh_from: 2,
            fresh_until: 3,
            stale_until: 4,
            hold: None,
            body: body.as_bytes(),
        });
    }
    encoder.finish(16)
}

fn secrets(opened: &Opened) -> BTreeMap<String, String> {
    let all = opened.contents.secrets.values();
    all.map(|secret| (secret.key.clone(), String::from_utf8(secret.body.to_vec()).unwrap())).collect()
}

fn expected(secrets: &[(&str, &str)]) -> BTreeMap<String, String> {
    secrets.iter().map(|(key, body)| ((*key).to_owned(), (*body).to_owned())).collect()
}

/// A folder with a cache file in it that holds a = 2 and b = 1.
fn written() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let mut file = open(&path).file;
    file.append(vec![batch(&[("a", "1"), ("b", "1")])]).unwrap();
    file.append(vec![batch(&[("a", "2")])]).unwrap();
    (folder, path)
}

#[test]
fn what_was_appended_is_there_again() {
    let (_folder, path) = written();
    let mut again = open(&path);
    assert_eq!(secrets(&again), expected(&[("a", "2"), ("b", "1")]));
    let mut delete = Encoder::new();
    delete.delete("a");
    again.file.append(vec![delete.finish(16), batch(&[("c", "3")])]).unwrap();
    drop(again);
    let mut again = open(&path);
    assert_eq!(secrets(&again), expected(&[("b", "1"), ("c", "3")]));
    again.file.replace([batch(&[("d", "4")])].into_iter()).unwrap();
    again.file.append(vec![batch(&[("e", "5")])]).unwrap();
    drop(again);
    assert_eq!(secrets(&open(&path)), expected(&[("d", "4"), ("e", "5")]));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_batch_that_was_not_finished_is_as_if_it_had_never_been_begun() {
    let (_folder, path) = written();
    let whole = fs::read(&path).unwrap();
    let mut file = open(&path).file;
    file.append(vec![batch(&[("a", "3")])]).unwrap();
    drop(file);
    let longer = fs::read(&path).unwrap();
    for length in whole.len()..longer.len() {
        // Killed before all of it was written: the header is still the old one.
        fs::write(&path, [&whole[..HEADER], &longer[HEADER..length]].concat()).unwrap();
        let opened = open(&path);
        assert!(opened.flaw.is_none());
        assert_eq!(secrets(&opened), expected(&[("a", "2"), ("b", "1")]), "{length} bytes");
        assert_eq!(fs::metadata(&path).unwrap().len(), whole.len() as u64, "what is of no use is cut off");
    }
    // Killed between the two writes: all of it counts.
    fs::write(&path, [&whole[..HEADER], &longer[HEADER..]].concat()).unwrap();
    assert_eq!(secrets(&open(&path)), expected(&[("a", "3"), ("b", "1")]));
}

#[test]
fn cut_off_anywhere_it_is_empty() {
    for length in 0..fuzzing_length() {
        assert_eq!(fuzzing::damaged(|file| file.truncate(length)), None, "{length} bytes");
    }
    assert_eq!(fuzzing::damaged(|_| ()), Some(true));
}

#[test]
fn with_any_bit_flipped_it_is_empty() {
    for at in 0..fuzzing_length() {
        // Each byte once, and each bit of a byte in turn.
        let damaged = fuzzing::damaged(|file| file[at] ^= 1 << (at % 8));
        assert_eq!(damaged, None, "byte {at}");
    }
}

fn fuzzing_length() -> usize {
    let mut length = 0;
    fuzzing::damaged(|file| length = file.len());
    length
}

type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);

#[test]
fn every_file_that_cannot_be_used_is_told_apart_and_put_aside() {
    let new_format = |file: &mut Vec<u8>| file[8] = 2;
    let swapped_end = |file: &mut Vec<u8>| {
        let end = file.len();
        file[end - 1] ^= 1;
    };
    let cases: [(&str, Damage<'_>, u8, &[u8]); 6] = [
        ("not a cache", &|file| *file = b"[some]\nother = \"file\"".to_vec(), 1, b"us"),
        ("newer version", &new_format, 1, b"us"),
        ("another key", &|_| (), 2, b"us"),
        ("another login, namespace or Vault", &|_| (), 1, b"them"),
        ("changed or damaged", &swapped_end, 1, b"us"),
        ("its end is missing", &|file| file.truncate(HEADER), 1, b"us"),
    ];
    for (words, damage, key, owner) in cases {
        let (_folder, path) = written();
        let mut content = fs::read(&path).unwrap();
        damage(&mut content);
        fs::write(&path, &content).unwrap();
        let opened = CacheFile::open(&path, material(key), owner.to_vec()).unwrap();
        let told = opened.flaw.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(told.contains(words), "{words}: {told}");
        assert!(opened.contents.secrets.is_empty());
        assert_eq!(fs::read(place::aside(&path)).unwrap(), content, "{words}: it can still be looked at");
        drop(opened);
        // What was begun in its place is in order.
        let again = CacheFile::open(&path, material(key), owner.to_vec()).unwrap();
        assert!(again.flaw.is_none(), "{words}");
    }
}

#[test]
fn one_process_at_a_time() {
    let (_folder, path) = written();
    let mut first = open(&path);
    let refused = || {
        let second = CacheFile::open(&path, material(1), b"us".to_vec());
        matches!(second, Err(Unusable::Unfit(Unfit::Locked(_))))
    };
    assert!(refused());
    first.file.replace([batch(&[("a", "9")])].into_iter()).unwrap();
    assert!(refused(), "the lock goes over to the file in its place");
    drop(first);
    assert_eq!(secrets(&open(&path)), expected(&[("a", "9")]));
}

#[test]
fn what_others_could_have_put_there_is_not_touched() {
    let (folder, path) = written();
    let refusal = |path: &Path| match CacheFile::open(path, material(1), b"us".to_vec()) {
        Err(error) => error.to_string(),
        Ok(_) => "opened".to_owned(),
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(refusal(&path).contains("mode 640"), "{}", refusal(&path));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(refusal(&link).contains("link"), "{}", refusal(&link));
    assert!(refusal(folder.path()).contains("folder") || refusal(folder.path()).contains("directory"));

    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refusal(&path).contains("mode 777"), "{}", refusal(&path));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(refusal(&path), "opened");
    assert!(matches!(
        CacheFile::open(&folder.path().join("no/such/folder/cache"), material(1), Vec::new()),
        Err(Unusable::Unfit(Unfit::Io(..)))
    ));
}

#[test]
fn a_flaw_says_what_is_wrong_without_a_byte_of_it() {
    assert!(Flaw::Newer(7).to_string().contains('7'));
    assert!(Flaw::OtherKey.to_string().contains("key"));
}

fn text() -> impl Strategy<Value = String> {
    "[ -~é]{0,20}"
}

fn record() -> impl Strategy<Value = (StoredSecret, StoredLogin, KnownMounts)> {
    let times = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let hold = proptest::option::of((any::<u64>(), any::<u64>()));
    let secret = (text(), times, hold, proptest::collection::vec(any::<u8>(), 0..100)).prop_map(
        |(key, (fetched_at, refresh_from, fresh_until, stale_until), hold, body)| StoredSecret {
            key,
            fetched_at,
            refresh_from,
            fresh_until,
            stale_until,
            hold: hold.map(|(login, granted_at)| StoredHold { login, granted_at }),
            body: Zeroizing::new(body),
        },
    );
    let grant = proptest::option::of((any::<u64>(), any::<u64>(), any::<bool>()));
    let login = (any::<u64>(), text(), any::<u64>(), grant, any::<bool>(), proptest::option::of(text()));
    let login = login.prop_map(|(number, token, ttl, grant, ours, role)| StoredLogin {
        number,
        token: SecretString::from(token),
        ttl,
        grant: grant.map(|(at, ends, renewable)| StoredGrant { at, ends, renewable }),
        ours,
        role,
    });
    let mounts = proptest::collection::btree_map(text(), 0..4_u8, 0..4);
    let mounts = (mounts, proptest::collection::btree_set(text(), 0..4)).prop_map(|(mounts, folders)| {
        let mut known = KnownMounts::default();
        let kinds = [MountKind::Other, MountKind::Kv1, MountKind::Kv2, MountKind::Database];
        known.mounts = mounts.into_iter().map(|(name, n)| (name.into(), kinds[usize::from(n)])).collect();
        known.unmounted = folders.into_iter().map(Into::into).collect();
        known
    });
    (secret, login, mounts)
}

proptest! {
    #[test]
    fn records_come_back_as_they_were((secret, login, mounts) in record()) {
        let mut encoder = Encoder::new();
        encoder.put(&SecretParts {
            key: &secret.key,
            fetched_at: secret.fetched_at,
            refresh_from: secret.refresh_from,
            fresh_until: secret.fresh_until,
            stale_until: secret.stale_until,
            hold: secret.hold,
            body: &secret.body,
        });
        encoder.login(&login);
        encoder.mounts(&mounts);
        encoder.no_login(true);
        let bytes = encoder.finish(0);
        let mut decoder = Decoder::new(&bytes);
        let mut next = || decoder.next().unwrap();
        prop_assert!(matches!(next(), Some(Record::Put(found)) if found == secret), "as written");
        prop_assert!(matches!(next(), Some(Record::Login(found)) if found == login), "as written");
        prop_assert!(matches!(next(), Some(Record::Mounts(found)) if found == mounts), "as written");
        let last = next();
        prop_assert!(matches!(last, Some(Record::NoLogin { rejected: true })), "no login");
        prop_assert!(next().is_none());
        for length in 1..bytes.len() {
            // Cut off, it ends early or is refused; it never becomes something else.
            prop_assert!(fuzzing::decode(&bytes[..length]) < 4);
        }
    }

    #[test]
    fn whatever_is_done_to_a_file_it_is_right_or_empty(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        moved in proptest::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..80_usize)),
        rest in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let result = fuzzing::damaged(|file| {
            for (at, byte) in &edits {
                let at = at.index(file.len());
                file[at] = *byte;
            }
            if let Some((from, to, length)) = &moved {
                let (from, to) = (from.index(file.len()), to.index(file.len()));
                let block: Vec<u8> = file[from..(from + length).min(file.len())].to_vec();
                file.splice(to..to, block);
            }
            file.extend_from_slice(&rest);
        });
        prop_assert_ne!(result, Some(false));
    }

    #[test]
    fn arbitrary_bytes_are_no_file(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!fuzzing::open(&bytes));
        let _ = fuzzing::decode(&bytes);
    }
}
