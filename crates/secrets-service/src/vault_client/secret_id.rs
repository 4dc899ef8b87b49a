//! A secret_id that never runs out: if asked to, and if the policy allows it, the client makes itself a new one in
//! time and puts it into the file that the old one came from.
//!
//! Source: Vault API, "AppRole auth method": `role/ROLE/secret-id`, `…/lookup`, `…/destroy`.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gds_vault::{Credential, Method, Secret, SecretString};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use super::Shared;
use crate::config::{AuthSettings, SecretIdSource, VaultConfig};
use crate::error::{Error, ErrorKind};
use crate::upstream::{Operation, Repeat};

/// A secret_id is replaced when this much of its life has passed: there is time for an outage of a third of it.
const REPLACED_AT: f64 = 2.0 / 3.0;

/// Or when it is good for no more logins than these.
const FEWEST_LOGINS: u64 = 2;

/// So long after the new one is in place the old one is destroyed: a login that had read it is over by then.
const DESTROYED_AFTER: Duration = Duration::from_secs(2);

/// The file of a secret_id that may be replaced.
#[derive(Debug)]
pub(super) struct SecretIdFile {
    file: PathBuf,
    mount: String,
}

impl SecretIdFile {
    pub(super) fn of(config: &VaultConfig) -> Option<Self> {
        let AuthSettings::AppRole { secret_id: SecretIdSource::Plain(Credential::File(file)), mount, .. } =
            &config.auth
        else {
            return None;
        };
        let mount = mount.clone().unwrap_or_else(|| "approle".to_owned());
        config.rotate_secret_id.then(|| Self { file: file.clone(), mount })
    }
}

impl Shared {
    /// Replaces the secret_id if it is time. Returns when to look again; `None`: not before the next login.
    pub(super) async fn keep_secret_id(self: &Arc<Self>) -> Result<Option<Duration>, Error> {
        let login = self.session.current();
        let (Some(place), Some(role)) = (&self.secret_id, login.and_then(|login| login.role.clone())) else {
            return Ok(None);
        };
        let base = format!("auth/{}/role/{role}/secret-id", place.mount);
        let old = Credential::File(place.file.clone()).read().await;
        let old = old.map_err(|error| Error::from_vault(&base, error))?;
        let known = self.about_secret_id("lookup", &base, &old).await?;
        let life = known.as_ref().map(Life::of);
        if let Some(Some(wait)) = life.as_ref().map(Life::wait) {
            return Ok(Some(wait));
        }
        if life.is_some_and(|life| life.is_endless()) {
            return Ok(None);
        }
        let new = self.new_secret_id(&base, &like(known.as_ref())).await?;
        if let Err(error) = write_in_place(place.file.clone(), new.clone()).await {
            // Nobody will ever use it.
            let _ = self.about_secret_id("destroy", &base, &new).await;
            let what = format!("the new secret_id could not be written to {}: {error}", place.file.display());
            return Err(Error::new(ErrorKind::Configuration, base, what));
        }
        self.journal.rekey(&new);
        tracing::info!(file = %place.file.display(), role, "the secret_id has been replaced by a new one");
        tokio::time::sleep(DESTROYED_AFTER).await;
        if let Err(error) = self.about_secret_id("destroy", &base, &old).await {
            tracing::warn!(%error, "the old secret_id could not be destroyed; it ends by itself");
        }
        let known = self.about_secret_id("lookup", &base, &new).await?;
        Ok(known.as_ref().and_then(|known| Life::of(known).wait()))
    }

    async fn new_secret_id(self: &Arc<Self>, base: &str, body: &Value) -> Result<SecretString, Error> {
        let operation = self.secret_id_operation("new secret_id", base, Repeat::OnlyIfUndone);
        let client = &self.client;
        let ask = || async move { client.request(Method::POST, base).json(body).read().await };
        let (answer, _) = self.with_login(operation, ask).await?;
        answer
            .field("secret_id")
            .and_then(|field| field.as_string())
            .ok_or_else(|| Error::new(ErrorKind::InvalidSecret, base, "Vault's answer has no secret_id"))
    }

    async fn about_secret_id(
        self: &Arc<Self>,
        what: &'static str,
        base: &str,
        secret_id: &SecretString,
    ) -> Result<Option<Secret>, Error> {
        let path = format!("{base}/{what}");
        let operation = self.secret_id_operation(what, &path, Repeat::Safe);
        let (client, path) = (&self.client, path.as_str());
        let ask = || async move {
            let request = client.request(Method::POST, path).secrets([secret_id.clone()]);
            request.json(&json!({ "secret_id": secret_id.expose() })).write().await
        };
        self.with_login(operation, ask).await.map(|(answer, _)| answer)
    }

    fn secret_id_operation<'a>(&self, name: &'static str, path: &'a str, repeat: Repeat) -> Operation<'a> {
        let deadline = Instant::now() + self.read_deadline;
        Operation { name, path, mount: crate::session::LOGIN, repeat, deadline }
    }
}

/// How long a secret_id is good for.
#[derive(Debug, Clone, Copy)]
struct Life {
    /// Zero: for ever.
    ttl: Duration,
    age: Duration,
    /// Zero: as many as there may be.
    logins: u64,
}

impl Life {
    fn of(known: &Secret) -> Self {
        let number = |name| known.field(name).and_then(|field| field.as_u64()).unwrap_or(0);
        let created = known.field("creation_time").and_then(|field| field.as_string());
        let created = created.and_then(|text| OffsetDateTime::parse(text.expose(), &Rfc3339).ok());
        let age = created.and_then(|created| Duration::try_from(OffsetDateTime::now_utc() - created).ok());
        Self {
            ttl: Duration::from_secs(number("secret_id_ttl")),
            age: age.unwrap_or_default(),
            logins: number("secret_id_num_uses"),
        }
    }

    fn is_endless(&self) -> bool {
        self.ttl.is_zero() && self.logins == 0
    }

    /// How long it need not be replaced; `None`: it is time, or it never is.
    fn wait(&self) -> Option<Duration> {
        if self.ttl.is_zero() || (1..=FEWEST_LOGINS).contains(&self.logins) {
            return None;
        }
        // Up to a tenth earlier, so that a fleet that was set up at once does not come at once.
        let due = self.ttl.mul_f64(REPLACED_AT * (1.0 - 0.1 * fastrand::f64()));
        due.checked_sub(self.age).filter(|wait| !wait.is_zero())
    }
}

/// What to ask for, so that the new one is good for no more than the old one: the same time, from the same addresses.
/// How many logins it is good for is the role's to say, as only the old one's remaining ones are known.
fn like(known: Option<&Secret>) -> Value {
    let mut body = serde_json::Map::new();
    let Some(known) = known else { return body.into() };
    let life = Life::of(known);
    if !life.ttl.is_zero() {
        body.insert("ttl".to_owned(), format!("{}s", life.ttl.as_secs()).into());
    }
    for name in ["cidr_list", "token_bound_cidrs"] {
        let list =
            known.field(name).and_then(|field| serde_json::from_str::<Vec<String>>(field.expose_json()).ok());
        if let Some(list) = list.filter(|list| !list.is_empty()) {
            body.insert(name.to_owned(), list.into());
        }
    }
    // Vault takes it as a text of JSON.
    let metadata = known.field("metadata").map(|field| field.expose_json().to_owned());
    if let Some(metadata) = metadata.filter(|json| json.starts_with('{')) {
        body.insert("metadata".to_owned(), metadata.into());
    }
    body.into()
}

async fn write_in_place(file: PathBuf, secret_id: SecretString) -> std::io::Result<()> {
    let write = move || replace(&file, secret_id.expose().as_bytes());
    tokio::task::spawn_blocking(write).await.map_err(std::io::Error::other)?
}

/// Whoever reads the file sees the old content or the new one, and nobody may read it who could not before.
fn replace(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let file = file.canonicalize()?;
    let before = file.metadata()?;
    let folder = file.parent().ok_or(std::io::ErrorKind::NotFound)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(content)?;
    let own = new.as_file().metadata()?;
    if (own.uid(), own.gid()) != (before.uid(), before.gid()) {
        std::os::unix::fs::fchown(new.as_file(), Some(before.uid()), Some(before.gid()))?;
    }
    new.as_file().set_permissions(std::fs::Permissions::from_mode(before.mode() & 0o777))?;
    new.as_file().sync_all()?;
    new.persist(&file)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life_of(ttl: u64, age: u64, logins: u64) -> Life {
        Life { ttl: Duration::from_secs(ttl), age: Duration::from_secs(age), logins }
    }

    #[test]
    fn it_is_replaced_in_the_last_third_of_its_life_or_logins() {
        let wait = life_of(3_600, 600, 0).wait().unwrap();
        assert!((1_560..=1_800).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(life_of(3_600, 2_400, 0).wait(), None);
        assert_eq!(life_of(3_600, 600, 2).wait(), None);
        assert!(life_of(3_600, 600, 3).wait().is_some());
        assert!(life_of(0, 600, 0).is_endless() && !life_of(0, 600, 1).is_endless());
    }

    #[test]
    fn the_file_keeps_its_rights_and_a_folder_that_is_closed_keeps_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret_id");
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        replace(&file, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left lying about");
        replace(&folder.path().join("none"), b"new").unwrap_err();
    }
}
