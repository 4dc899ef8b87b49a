//! What all contestants stand before.

use std::collections::BTreeMap;

use anyhow::Context as _;
use conformance::{Keys, RealVault};
use gds_vault::{Client, SecretString};
use tokio::task::JoinSet;
use vault_dev::example::{Example, set_up_example};
use vault_dev::postgres::Cluster;

use super::contestant::Problem as _;

/// What the contestants' login may do.
const RULES: &str = r#"
    path "secret/data/*" { capabilities = ["read"] }
    path "database/creds/myapp" { capabilities = ["read"] }
    path "sys/leases/renew" { capabilities = ["update"] }
    path "sys/leases/revoke" { capabilities = ["update"] }
    path "auth/token/*" { capabilities = ["read", "update"] }
"#;

/// So many secrets are written at once.
const WRITERS: usize = 8;

/// A real Vault in memory, a PostgreSQL that it makes users in, and a login. They end when it is dropped.
pub struct Stage {
    /// The server.
    pub vault: RealVault,
    /// A client with the root token.
    pub root: Client,
    /// What the login takes, and where things are.
    pub example: Example,
    keys: Keys,
    _cluster: Cluster,
}

impl Stage {
    /// Starts and fills them.
    pub async fn start() -> anyhow::Result<Self> {
        let (vault, keys) = RealVault::start_dev().await.problem("starting Vault")?;
        let cluster = Cluster::start().await.context("starting PostgreSQL")?;
        let address = vault.address().to_string();
        let example = set_up_example(&address, "root", Some(&cluster)).await.context("filling Vault")?;
        let root = vault.client();
        root.set_token(Some(SecretString::new("root")));
        root.sys().put_policy(&example.policy, RULES).await?;
        Ok(Self { vault, root, example, keys, _cluster: cluster })
    }

    /// Writes `count` secrets, about as large as a service's configuration.
    pub async fn store(&self, folder: &str, count: usize) -> anyhow::Result<()> {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (root, folder) = (self.root.clone(), folder.to_owned());
            writers.spawn(async move {
                for n in (writer..count).step_by(WRITERS) {
                    let value = format!("value-{n:06}-0123456789abcdef0123456789abcdef");
                    let fields: BTreeMap<_, _> =
                        ["db_host", "db_name", "api_key"].into_iter().map(|name| (name, &value)).collect();
                    root.kv2("secret").put(&format!("{folder}/{n}"), &fields, None).await?;
                }
                Ok::<_, gds_vault::Error>(())
            });
        }
        while let Some(done) = writers.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Seals Vault.
    pub async fn seal(&self) -> anyhow::Result<()> {
        Ok(self.root.request(gds_vault::Method::PUT, "sys/seal").write().await.map(|_| ())?)
    }

    /// Unseals it.
    pub async fn unseal(&self) -> anyhow::Result<()> {
        self.root.sys().unseal(&self.keys.unseal_key).await?;
        Ok(())
    }
}
