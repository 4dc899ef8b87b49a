//! Killed while Vault is away, and started again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use vault_dev::Fault;

use crate::support::{Agent, Ask, CONFIG, Setup, Vault, eventually};

/// With a cache on disk in this folder.
pub(crate) fn on_disk(agent: Setup, folder: &Path) -> Setup {
    let key = folder.join("key");
    std::fs::write(&key, [5; 32]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    agent.env("SECRETS_CACHE_FILE", folder.join("cache")).env("SECRETS_CACHE_KEY_FILE", key)
}

/// All that it has cached for itself is on disk.
async fn has_stored(agent: &Agent, secrets: usize) {
    eventually("what was read is on disk", async || {
        let answer = Ask::get("/metrics").send_to(&agent.admin).await;
        let metrics = String::from_utf8(answer.body.to_vec()).unwrap();
        metrics.contains(&format!("secrets_agent_disk_secrets {secrets}\n"))
            && metrics.contains("secrets_agent_disk_pending 0\n")
            && metrics.contains("secrets_agent_disk_ok 1\n")
    })
    .await;
}

#[tokio::test]
async fn row06_killed_in_an_outage_it_serves_again_when_it_is_started() {
    let vault = Vault::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut first = on_disk(vault.agent(), folder.path()).start().await;
    let before = first.get(CONFIG).await;
    has_stored(&first, 1).await;
    let outage = vault.server.fault(Fault::Refused).await;
    first.child.kill().await.unwrap();

    let mut second = on_disk(vault.agent(), folder.path()).start().await;
    let after = second.get(CONFIG).await;
    after.is(200, "HIT");
    assert_eq!(after.body, before.body);
    assert_eq!(second.get("/v1/secret/data/myapp/never-read").await.status, 503);
    let content = std::fs::read(folder.path().join("cache")).unwrap();
    for canary in ["canary-value-1", "myapp/config"] {
        let plain = content.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!plain, "{canary} is on disk in plain");
    }
    outage.lift();
    second.child.kill().await.unwrap();

    // Another login finds nothing, and the file is kept for whoever wants to know.
    let root = Setup::new(vault.server.url()).env("VAULT_TOKEN", "root");
    let other = on_disk(root, folder.path()).start().await;
    other.get(CONFIG).await.is(200, "MISS");
    assert!(folder.path().join("cache.unusable").exists());
}

#[tokio::test]
async fn row04_what_a_client_read_is_nobodys_after_a_restart() {
    let vault = Vault::start().await;
    let token =
        vault.token("reader", r#"path "secret/data/myapp/*" { capabilities = ["read"] }"#, &().into()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut first = on_disk(vault.agent(), folder.path()).start().await;
    first.ask(Ask::get(CONFIG).token(&token)).await.is(200, "MISS");
    first.ask(Ask::get(CONFIG).token(&token)).await.is(200, "HIT");
    has_stored(&first, 0).await;
    let _outage = vault.server.fault(Fault::Refused).await;
    first.child.kill().await.unwrap();
    let second = on_disk(vault.agent(), folder.path()).start().await;
    for ask in [Ask::get(CONFIG), Ask::get(CONFIG).token(&token)] {
        assert_eq!(second.ask(ask).await.status, 503);
    }
}

/// Read, stored, killed in an outage, and served again from the file by the next agent that has the same key.
async fn is_served_after_a_restart(vault: &Vault, prepared: impl Fn(Setup) -> Setup) {
    let folder = tempfile::tempdir().unwrap();
    let agent = || prepared(vault.agent()).env("SECRETS_CACHE_FILE", folder.path().join("cache"));
    let mut first = agent().start().await;
    first.get(CONFIG).await.is(200, "MISS");
    has_stored(&first, 1).await;
    let _outage = vault.server.fault(Fault::Refused).await;
    first.child.kill().await.unwrap();
    agent().start().await.get(CONFIG).await.is(200, "HIT");
}

#[tokio::test]
async fn the_key_may_be_a_systemd_credential() {
    let vault = Vault::start().await;
    // What systemd makes of `LoadCredential=secrets-cache:...`.
    let credentials = tempfile::tempdir().unwrap();
    std::fs::write(credentials.path().join("secrets-cache"), "5".repeat(64)).unwrap();
    is_served_after_a_restart(&vault, |agent| {
        agent
            .env("CREDENTIALS_DIRECTORY", credentials.path())
            .env("SECRETS_CACHE_KEY", "systemd:secrets-cache")
    })
    .await;
    // Without it the service starts, says so, and has no copy.
    let nowhere = credentials.path().join("cache");
    let without = vault.agent().env("SECRETS_CACHE_KEY", "systemd").env("SECRETS_CACHE_FILE", nowhere);
    let agent = without.start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    assert!(agent.log().contains("CREDENTIALS_DIRECTORY is not set"), "{}", agent.log());
}

#[tokio::test]
async fn the_key_may_be_derived_from_the_secret_id() {
    let vault = Vault::start().await;
    is_served_after_a_restart(&vault, |agent| agent.env("SECRETS_CACHE_KEY", "secret_id")).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_key_may_be_in_the_kernels_keyring() {
    use std::io::Write as _;

    use linux_keyutils::{KeyRing, KeyRingIdentifier};

    let name = format!("secrets-service-test-{}", std::process::id());
    let ring = KeyRing::from_special_id(KeyRingIdentifier::User, true);
    let key = match ring.and_then(|ring| ring.add_key(&name, &[7; 32])) {
        Ok(key) => key,
        Err(error) => {
            // Containers forbid it.
            let _ = writeln!(std::io::stderr(), "kernel keyring: NOT tried: {error}");
            return;
        }
    };
    let vault = Vault::start().await;
    is_served_after_a_restart(&vault, |agent| agent.env("SECRETS_CACHE_KEY", format!("keyring:{name}")))
        .await;
    key.invalidate().unwrap();
}
