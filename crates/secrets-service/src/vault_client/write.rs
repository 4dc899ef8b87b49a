//! Everything that changes Vault. A write purges what it changed, so that whoever writes reads it back.

use std::collections::BTreeMap;

use gds_vault::{MountKind, Secret, SecretPath};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::fetch::Place;
use super::{ReadOptions, ResilientVaultClient};
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::patch::Patch;
use crate::upstream::{Operation, Repeat};

/// How often a merge is done over when someone else writes at the same moment. Each round has one winner, so
/// five lose only against five others.
const MERGE_ROUNDS: u32 = 5;

impl ResilientVaultClient {
    /// Writes a whole secret, replacing what was there. With `cas`, only if the newest version is still that one
    /// (0: only if there is none yet); otherwise the error is [`ErrorKind::Conflict`]. Returns the new version
    /// (`None` where the mount keeps no versions).
    pub async fn put_secret(
        &self,
        path: &str,
        data: &(impl Serialize + Sync + ?Sized),
        cas: Option<u64>,
    ) -> Result<Option<u64>, Error> {
        self.check_open()?;
        let deadline = Instant::now() + self.shared.read_deadline;
        let resolved = self.resolve(path, deadline).await?;
        let place = Place::of(&resolved, None);
        let (client, place) = (&self.shared.client, &place);
        self.change(&resolved, "put", deadline, || async move {
            match place.kind {
                MountKind::Kv2 => client
                    .kv2(&*place.mount)
                    .put(&place.rest, &data, cas)
                    .await
                    .map(|version| Some(version.version)),
                _ => client.kv1(&*place.mount).put(&place.rest, &data).await.map(|()| None),
            }
        })
        .await
    }

    /// Changes some fields and keeps the others, creating the secret if there is none. On KV v2 this is safe
    /// against others who write at the same time (check-and-set, done over on a conflict); KV v1 has nothing to
    /// make it safe with, and the last writer wins. Returns the new version.
    pub async fn patch_secret(&self, path: &str, changes: &Patch) -> Result<Option<u64>, Error> {
        for _ in 1..MERGE_ROUNDS {
            match self.merge_once(path, changes).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                result => return result,
            }
        }
        self.merge_once(path, changes).await
    }

    async fn merge_once(&self, path: &str, changes: &Patch) -> Result<Option<u64>, Error> {
        let options = ReadOptions { bypass_cache: true, ..ReadOptions::default() };
        let old = match self.get_secret_with(path, options).await {
            Ok(read) => Some(read),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let cas = match &old {
            Some(read) => read.version().map(|version| version.version),
            None => self.version_to_follow(path).await?,
        };
        let json = changes.apply(old.as_ref().map(|read| read.data()));
        let raw: &RawValue = serde_json::from_str(&json).map_err(|error| {
            let what = format!("the merged secret is not valid JSON (column {})", error.column());
            Error::new(ErrorKind::InvalidSecret, path, what)
        })?;
        self.put_secret(path, raw, cas).await
    }

    /// What to check against when nothing was there to be read: 0 if there never was a version, else the newest,
    /// which must be a deleted one. If it is not, someone has written since we read: a conflict. `None` where the
    /// mount keeps no versions.
    async fn version_to_follow(&self, path: &str) -> Result<Option<u64>, Error> {
        let deadline = Instant::now() + self.shared.read_deadline;
        let resolved = self.resolve(path, deadline).await?;
        if resolved.kind != MountKind::Kv2 {
            return Ok(None);
        }
        let place = Place::of(&resolved, None);
        let key = Key::new(&resolved, None);
        let operation = operation("metadata", &resolved, &key, Repeat::Safe, deadline);
        let (client, place) = (&self.shared.client, &place);
        let read = self
            .shared
            .with_login(operation, || async move { client.kv2(&*place.mount).metadata(&place.rest).await });
        match read.await {
            Ok((metadata, _)) => match deleted_version(&metadata) {
                Some(version) => Ok(Some(version)),
                None => Err(Error::new(ErrorKind::Conflict, path, "the secret was written meanwhile")),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(0)),
            // No right to read metadata: assume that there never was one; check-and-set tells if that is wrong.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }

    /// Deletes the newest version (KV v2: it can be undeleted) or the secret (KV v1).
    pub async fn delete_secret(&self, path: &str) -> Result<(), Error> {
        self.check_open()?;
        let deadline = Instant::now() + self.shared.read_deadline;
        let resolved = self.resolve(path, deadline).await?;
        let place = Place::of(&resolved, None);
        let (client, place) = (&self.shared.client, &place);
        self.change(&resolved, "delete", deadline, || async move {
            match place.kind {
                MountKind::Kv2 => client.kv2(&*place.mount).delete(&place.rest).await,
                _ => client.kv1(&*place.mount).delete(&place.rest).await,
            }
        })
        .await
    }

    /// The names directly below `path`; those that end in `/` have names below them in turn. Never cached.
    pub async fn list_secrets(&self, path: &str) -> Result<Vec<String>, Error> {
        self.check_open()?;
        let deadline = Instant::now() + self.shared.read_deadline;
        let resolved = self.resolve(path, deadline).await?;
        let place = Place::of(&resolved, None);
        let key = Key::new(&resolved, None);
        let operation = operation("list", &resolved, &key, Repeat::Safe, deadline);
        let (client, place) = (&self.shared.client, &place);
        let list = self.shared.with_login(operation, || async move {
            match place.kind {
                MountKind::Kv2 => client.kv2(&*place.mount).list(&place.rest).await,
                _ => client.kv1(&*place.mount).list(&place.rest).await,
            }
        });
        list.await.map(|(names, _)| names)
    }

    /// One write. Whatever its outcome, no read that began before it may fill the cache with the old value; and
    /// if it is unknown whether Vault carried it out, the cached value is no longer taken for fresh.
    async fn change<T, A, F>(
        &self,
        path: &SecretPath<'_>,
        name: &'static str,
        deadline: Instant,
        attempt: A,
    ) -> Result<T, Error>
    where
        A: Fn() -> F,
        F: Future<Output = Result<T, gds_vault::Error>>,
    {
        let key = Key::new(path, None);
        let operation = operation(name, path, &key, Repeat::OnlyIfSurelyUndone, deadline);
        let result = self.shared.with_login(operation, attempt).await;
        match &result {
            Ok(_) => {
                self.shared.purge(&key);
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                self.shared.flights.supersede(&key, || self.shared.make_stale(&key));
            }
            Err(_) => {}
        }
        result.map(|(value, _)| value)
    }
}

fn operation<'a>(
    name: &'static str,
    path: &'a SecretPath<'_>,
    key: &'a Key,
    repeat: Repeat,
    deadline: Instant,
) -> Operation<'a> {
    Operation { name, path: key.path(), mount: &path.mount, repeat, deadline }
}

/// The newest version's number, if that version has been deleted or destroyed (or there is none: 0).
fn deleted_version(metadata: &Secret) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Metadata {
        current_version: u64,
        #[serde(default)]
        versions: BTreeMap<String, Version>,
    }
    #[derive(serde::Deserialize)]
    struct Version {
        #[serde(default)]
        deletion_time: String,
        #[serde(default)]
        destroyed: bool,
    }
    let metadata: Metadata = metadata.decode().ok()?;
    let newest = metadata.versions.get(&metadata.current_version.to_string());
    let gone = newest.map_or(metadata.current_version == 0, |v| v.destroyed || !v.deletion_time.is_empty());
    gone.then_some(metadata.current_version)
}
