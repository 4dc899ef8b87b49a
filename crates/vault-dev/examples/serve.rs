//! A development server on a port of its own: `cargo run -p vault-dev --example serve [ADDRESS]`.

use std::io::Write as _;
use std::time::Duration;

use vault_dev::VaultDev;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let vault = VaultDev::builder().listen(address.parse()?).start().await?;
    writeln!(
        std::io::stdout(),
        "VAULT_ADDR={} VAULT_TOKEN={} (unseal key {})",
        vault.url(),
        vault.root_token(),
        vault.unseal_key()
    )?;
    tokio::signal::ctrl_c().await?;
    vault.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
