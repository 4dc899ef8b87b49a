//! The `secrets-service` binary, as cargo built it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::narrator::{Result, ensure};
use crate::{NEVER_READ, World};

/// Asks for a secret while Vault is gone: exit code 5.
pub(crate) async fn unavailable(binary: &Path, world: &World) -> Result<((), String)> {
    let mut command = Command::new(binary);
    command.args(["get", NEVER_READ]).envs(world.variables()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    let code = output.status.code().ok_or("it was ended by a signal")?;
    ensure(code == 5, &format!("exit code 5, but it was {code}"))?;
    ensure(output.stdout.is_empty(), "nothing on stdout")?;
    let said = String::from_utf8(output.stderr)?;
    let error = said.lines().find(|line| line.starts_with("error: ")).ok_or("it told no error")?;
    Ok(((), format!("secrets-service get {NEVER_READ}: exit code {code}\n     {error}")))
}

/// Next to the folder of this example; built first, if cargo runs this.
pub(crate) async fn binary() -> Result<PathBuf> {
    let example = std::env::current_exe()?;
    let folder = example.parent().and_then(|examples| examples.parent()).ok_or("where am I?")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "-p", env!("CARGO_PKG_NAME"), "--bin", "secrets-service"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        ensure(build.status().await?.success(), "cargo builds the binary")?;
    }
    let binary = folder.join("secrets-service");
    ensure(
        binary.is_file(),
        &format!("{} is there; `cargo build -p secrets-service-cli` makes it", binary.display()),
    )?;
    Ok(binary)
}
