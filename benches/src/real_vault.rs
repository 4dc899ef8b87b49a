//! A real Vault, if there is one on this machine: a figure against a server that does nothing says how much a client
//! costs, one against Vault says how much of a request that is.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use gds_vault::{Address, Client, SecretString};

/// A development server with its own port and nothing on disk. Ends when dropped.
#[derive(Debug)]
pub struct RealVault {
    process: Child,
    /// Its address.
    pub address: String,
}

/// Starts the binary that `VAULT_BINARY` names; `None` if it names none.
pub async fn start() -> anyhow::Result<Option<RealVault>> {
    let Some(binary) = std::env::var_os("VAULT_BINARY").map(PathBuf::from).filter(|path| path.exists())
    else {
        return Ok(None);
    };
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let process = Command::new(&binary)
        .args(["server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root"])
        .arg(format!("-dev-listen-address={listen}"))
        .env_clear()
        .env("HOME", std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {}", binary.display()))?;
    let vault = RealVault { process, address: format!("http://{listen}") };
    vault.wait_until_ready().await?;
    Ok(Some(vault))
}

impl RealVault {
    /// A client with the root token.
    pub fn client(&self) -> anyhow::Result<Client> {
        let address = Address::parse(&self.address)?;
        Ok(Client::builder().address(address).token(SecretString::from("root")).build()?)
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let client = self.client()?;
        for _ in 0..300 {
            // Ready when the KV engine is: it is set up after the server says that it is there.
            if client
                .kv2("secret")
                .put("probe", &[("a", "b")].into_iter().collect::<Fields>(), None)
                .await
                .is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("the Vault at {} did not become ready within 30 s", self.address)
    }
}

/// The fields of a secret.
pub type Fields = std::collections::BTreeMap<&'static str, &'static str>;

impl Drop for RealVault {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
