//! The suite on a real Vault: `VAULT_BIN`, else `vault` or `bao` on `PATH`.

use std::process::ExitCode;

fn main() -> ExitCode {
    conformance::run(conformance::Target::RealVault)
}
