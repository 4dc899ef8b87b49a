//! A process that starts while Vault is away, and has what an earlier one has left on disk.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use gds_vault::Credential;
use secrets_service::{
    DiskSettings, ErrorKind, KeySource, OnClose, ResilientVaultClient, SecretIdSource, VaultConfig,
};
use serde_json::json;
use tokio::time::sleep;

use super::{HOUR, cases};
use crate::corner::{Application, Corner};
use crate::eventually::{eventually, eventually_within};

cases! {
    OwnServer: [row06_a_restart_in_an_outage_keeps_secrets_leases_and_the_login],
    Nothing: [row17_a_replaced_secret_id_takes_the_cache_on_disk_along],
}

const SECOND: Duration = Duration::from_secs(1);

/// In a copy of the folder, as a process that is killed leaves it.
fn settings(folder: &Path) -> DiskSettings {
    let key = folder.join("key");
    std::fs::write(&key, [3; 32]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    DiskSettings::new(folder.join("cache"), KeySource::File(key))
}

fn on_disk(config: &VaultConfig, folder: &Path) -> ResilientVaultClient {
    let mut config = config.clone();
    config.disk = Some(settings(folder));
    ResilientVaultClient::new(&config).unwrap()
}

async fn row06_a_restart_in_an_outage_keeps_secrets_leases_and_the_login(corner: Corner) {
    let app = Application::new(&corner).await;
    let database = app.database(20 * SECOND, HOUR).await;
    let mut config = app.config();
    config.read_deadline = 3 * SECOND;
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = on_disk(&config, before.path());
    let keys = first.get_secret(&app.path("api-keys")).await.unwrap();
    let credentials = first.get_database_credentials("app").await.unwrap();
    first.flush_disk().await.unwrap();
    std::fs::copy(before.path().join("cache"), after.path().join("cache")).unwrap();
    corner.server().freeze().await;
    first.close(OnClose::Keep).await.unwrap();

    let second = on_disk(&config, after.path());
    let again = second.get_secret(&app.path("api-keys")).await.unwrap();
    assert_eq!(again.raw_body(), keys.raw_body());
    let same = second.get_database_credentials("app").await.unwrap();
    assert_eq!(same.lease().map(|lease| &lease.id), credentials.lease().map(|lease| &lease.id));
    database.postgres.log_in(same.username(), same.password().expose()).await.unwrap();
    let error = second.get_secret(&app.path("never-read")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    corner.server().thaw().await;
    // With the login of the first process, or Vault would refuse.
    eventually_within(30 * SECOND, "the lease is renewed", || async {
        let now = second.get_database_credentials("app").await.ok()?;
        (now.usable_for() > same.usable_for() + SECOND).then_some(())
    })
    .await;
    sleep(20 * SECOND).await;
    let now = second.get_database_credentials("app").await.unwrap();
    assert_eq!(now.username(), same.username(), "past the first end of the lease");
    database.postgres.log_in(now.username(), now.password().expose()).await.unwrap();
    assert!(app.logins().is_none_or(|logins| logins == 1), "{:?} logins", app.logins());
    second.close(OnClose::Revoke).await.unwrap();
    database.postgres.no_user(same.username()).await;
}

async fn row17_a_replaced_secret_id_takes_the_cache_on_disk_along(corner: Corner) {
    let app = Application::new(&corner).await;
    app.may_replace_its_secret_id().await;

    let given = app.approle.secret_id(json!({"ttl": "6s"})).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret_id");
    std::fs::write(&file, given.expose()).unwrap();
    let mut config = app.config_with(SecretIdSource::Plain(Credential::File(file.clone())));
    config.rotate_secret_id = true;
    config.disk = Some(DiskSettings::new(folder.path().join("cache"), KeySource::SecretId));
    let first = ResilientVaultClient::new(&config).unwrap();
    first.get_secret(&app.path("api-keys")).await.unwrap();
    eventually("there is another secret_id in the file", || async {
        (std::fs::read_to_string(&file).unwrap() != given.expose()).then_some(())
    })
    .await;
    first.close(OnClose::Keep).await.unwrap();
    let second = ResilientVaultClient::new(&config).unwrap();
    assert_eq!(second.disk_status().unwrap().restored, 1);
    second.close(OnClose::Revoke).await.unwrap();
}
