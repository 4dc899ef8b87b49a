//! The real `vault` command and a real Vault, where there is one.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use conformance::RealVault;
use secrets_service::SecretString;
use secrets_service::gds_vault::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use vault_dev::postgres::Cluster;

use crate::leases::give_credentials_for;
use crate::support::{Ask, CONFIG, HANG, Setup, eventually};

struct World {
    vault: RealVault,
    program: PathBuf,
    home: TempDir,
    url: String,
}

impl World {
    /// `None`, and a word about it, if there is no Vault on this machine and none is required.
    async fn start() -> Option<Self> {
        let program = match conformance::real_vault() {
            Ok(program) => program,
            Err(none) if none.is_failure => panic!("real Vault: {}", none.reason),
            Err(none) => {
                let _ = writeln!(std::io::stderr(), "real Vault: {}", none.reason);
                return None;
            }
        };
        let (vault, _) = RealVault::start_dev().await.unwrap();
        let url = vault.address().to_string();
        let world = Self { vault, program, home: tempfile::tempdir().unwrap(), url };
        let client = world.client();
        // The mount at secret/ comes a moment after the server.
        eventually("secret/", async || {
            client
                .kv2("secret")
                .put("myapp/config", &json!({ "db_host": "localhost", "n": 1.50 }), None)
                .await
                .is_ok()
        })
        .await;
        Some(world)
    }

    fn client(&self) -> Client {
        let client = self.vault.client();
        client.set_token(Some(SecretString::from("root")));
        client
    }

    async fn command(&self, address: &str, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().env("HOME", self.home.path()).env("VAULT_ADDR", address);
        command.env("VAULT_TOKEN", "root").stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(HANG, command.output()).await.unwrap().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }
}

fn without_what_changes(text: &str) -> Value {
    let mut value: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
    if let Some(object) = value.as_object_mut() {
        object.remove("request_id");
    }
    value
}

#[tokio::test]
async fn the_vault_command_works_through_the_agent_unchanged() {
    let Some(vault) = World::start().await else { return };
    let agent = Setup::new(&vault.url).env("VAULT_TOKEN", "root").start().await;
    let through = format!("http://{}", agent.address());
    for arguments in [
        &["kv", "get", "-format=json", "secret/myapp/config"][..],
        &["kv", "list", "-format=json", "secret/"],
        &["kv", "metadata", "get", "-format=json", "secret/myapp/config"],
        &["read", "-format=json", "secret/data/myapp/config"],
        &["secrets", "list", "-format=json"],
        &["status", "-format=json"],
    ] {
        let direct = vault.command(&vault.url, arguments).await;
        for _ in 0..2 {
            let answer = vault.command(&through, arguments).await;
            assert_eq!(answer.0, direct.0, "{arguments:?}: {answer:?}");
            assert_eq!(without_what_changes(&answer.1), without_what_changes(&direct.1), "{arguments:?}");
        }
    }
    assert!(vault.command(&through, &["kv", "put", "secret/myapp/config", "a=b"]).await.0);
    let (ok, read) = vault.command(&through, &["kv", "get", "-field=a", "secret/myapp/config"]).await;
    assert!(ok && read.trim() == "b", "{read}");
    let (ok, read) =
        vault.command(&through, &["kv", "get", "-version=1", "-field=db_host", "secret/myapp/config"]).await;
    assert!(ok && read.trim() == "localhost", "{read}");
    let (ok, wrapped) = vault
        .command(&through, &["read", "-wrap-ttl=60s", "-field=wrapping_token", "secret/data/myapp/config"])
        .await;
    assert!(ok, "{wrapped}");
    let (ok, unwrapped) = vault.command(&through, &["unwrap", "-format=json", wrapped.trim()]).await;
    assert!(ok && unwrapped.contains("\"a\": \"b\""), "{unwrapped}");
    let (ok, token) = vault.command(&through, &["token", "lookup", "-format=json"]).await;
    assert!(ok && token.contains("\"root\""), "{token}");
    let (ok, gone) = vault.command(&through, &["kv", "get", "secret/none"]).await;
    assert!(!ok && gone.contains("No value found"), "{gone}");
    assert!(vault.command(&through, &["kv", "delete", "secret/myapp/config"]).await.0);
    let (_, deleted) = vault.command(&through, &["kv", "get", "secret/myapp/config"]).await;
    let (_, direct) = vault.command(&vault.url, &["kv", "get", "secret/myapp/config"]).await;
    assert_eq!(deleted, direct, "a deleted version is told with its metadata");
}

#[tokio::test]
async fn the_vault_command_gets_database_credentials_of_one_lease() {
    let Some(vault) = World::start().await else { return };
    let cluster = Cluster::start().await.unwrap();
    give_credentials_for(&cluster, &vault.client()).await;
    let agent = Setup::new(&vault.url).env("VAULT_TOKEN", "root").start().await;
    let through = format!("http://{}", agent.address());
    let read = &["read", "-format=json", "database/creds/myapp"][..];
    let answer = vault.command(&through, read).await;
    assert!(answer.0, "{answer:?}");
    assert_eq!(vault.command(&through, read).await, answer, "the same lease");
    let (first, (_, direct)) = (without_what_changes(&answer.1), vault.command(&vault.url, read).await);
    let direct = without_what_changes(&direct);
    assert_ne!(direct["lease_id"], first["lease_id"]);
    let names = |answer: &Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&direct), names(&first));
    let (user, password) = (&first["data"]["username"], &first["data"]["password"]);
    cluster.connect_as(user.as_str().unwrap(), password.as_str().unwrap()).await.unwrap();
    let lease = first["lease_id"].as_str().unwrap();
    let (ok, renewed) = vault.command(&through, &["lease", "renew", "-format=json", lease]).await;
    assert!(ok && renewed.contains(lease), "{renewed}");
    let (ok, revoked) = vault.command(&through, &["lease", "revoke", "-sync", lease]).await;
    assert!(ok, "{revoked}");
    let (_, next) = vault.command(&through, read).await;
    assert_ne!(
        without_what_changes(&next)["lease_id"],
        first["lease_id"],
        "a revoked lease is not given out"
    );
    assert!(cluster.connect_as(user.as_str().unwrap(), password.as_str().unwrap()).await.is_err());
}

#[tokio::test]
async fn bodies_are_equal_to_the_real_vaults() {
    let Some(vault) = World::start().await else { return };
    let client = vault.client();
    client.sys().enable_secrets("kv1", "kv", &[("version", "1")]).await.unwrap();
    client.kv1("kv1").put("plain", &json!({ "a": "b", "n": 1.50, "ttl": "30m" })).await.unwrap();
    let agent = Setup::new(&vault.url).env("VAULT_TOKEN", "root").start().await;
    let host = vault.url.trim_start_matches("http://").to_owned();
    for path in
        [CONFIG, "/v1/kv1/plain", "/v1/secret/data/none", "/v1/secret/myapp/config", "/v1/sys/nonsense"]
    {
        let direct = Ask::get(path).token("root").send_to(&host).await;
        for _ in 0..2 {
            for ask in [Ask::get(path), Ask::get(path).token("root")] {
                let through = agent.ask(ask).await;
                assert_eq!(through.comparable(), direct.comparable(), "{path}");
                assert_eq!(through.body.len(), direct.body.len(), "{path}");
            }
        }
    }
}
