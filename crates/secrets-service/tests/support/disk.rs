//! What the tests of the copy on disk share.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use secrets_service::gds_vault::{Credential, SecretString};
use secrets_service::{DiskSettings, KeySource, ResilientVaultClient, VaultConfig};

use super::{FakeVault, Reply, approle_config, client};

/// A folder with a key and, sooner or later, a cache in it.
pub struct Disk {
    pub folder: tempfile::TempDir,
}

impl Disk {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        fs::write(&key, [7; 32]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub fn settings(&self) -> DiskSettings {
        DiskSettings::new(self.file(), KeySource::File(self.folder.path().join("key")))
    }

    /// What a process finds that is started when the one that uses this is killed right now.
    pub fn as_a_crash_would_leave_it(&self) -> Self {
        let copy = Self::new();
        fs::copy(self.file(), copy.file()).unwrap();
        copy
    }

    /// Settings of the service, with this disk.
    pub fn config(&self, vault: &FakeVault) -> VaultConfig {
        let mut config =
            approle_config(&vault.address, "5e1f-role", Credential::Value(SecretString::new("s")));
        config.disk = Some(self.settings());
        config.retry_backoff =
            secrets_service::retry::Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
        config.read_deadline = Duration::from_secs(5);
        config
    }

    /// Every byte of every file.
    pub fn content(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for file in fs::read_dir(self.folder.path()).unwrap() {
            let path = file.unwrap().path();
            if !path.ends_with("key") {
                all.extend(fs::read(&path).unwrap());
                all.extend(path.file_name().unwrap().as_encoded_bytes());
            }
        }
        all
    }
}

/// A process that is killed once all that it knows is on disk, and another one that starts while Vault is away.
pub async fn restarted(
    vault: &FakeVault,
    disk: &Disk,
    old: &ResilientVaultClient,
) -> (Disk, ResilientVaultClient) {
    old.flush_disk().await.unwrap();
    let disk = disk.as_a_crash_would_leave_it();
    vault.everything(Reply::Hang);
    let new = client(&disk.config(vault));
    (disk, new)
}

pub fn credentials(lease: &str, seconds: u64) -> Reply {
    Reply::Json(
        200,
        format!(
            r#"{{"request_id":"r","lease_id":"{lease}","lease_duration":{seconds},"renewable":true,"data":{{"username":"canary-user","password":"canary-password"}}}}"#
        ),
    )
}
