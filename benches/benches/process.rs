//! The command as a process: how long from its start to the first secret, how large it is, how much it uses.
#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use benches::fake_vault;
use benches::measure::{Rounds, Verdict};
use tokio::time::Instant;

const ROUNDS: usize = 31;

fn main() -> anyhow::Result<()> {
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let address = server.block_on(fake_vault::start())?;
    let binary = benches::release_binary()?;

    let [mut to_secret, mut to_nothing] = std::array::from_fn(|_| Rounds::default());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        run(&binary, &["get", "secret/app/config", "--field", "db_host"], &address)?;
        to_secret.add(1, started.elapsed());
        let started = Instant::now();
        run(Path::new("/bin/true"), &[], &address)?;
        to_nothing.add(1, started.elapsed());
    }

    println!("the command, median of {ROUNDS} runs (ms)");
    println!("  {:<58} {:>9.2}", "start to first secret, process ended", to_secret.median() / 1e6);
    println!("  {:<58} {:>9.2}", "a process that does nothing", to_nothing.median() / 1e6);
    let mut verdict = Verdict::default();
    #[allow(clippy::cast_precision_loss, reason = "a file's size")]
    let megabytes = std::fs::metadata(&binary)?.len() as f64 / 1e6;
    verdict.at_most("binary, stripped (MB)", megabytes, 15.0);
    verdict.at_most("peak memory of one get (MB)", peak_megabytes(&binary, &address)?, 20.0);
    verdict.finish()
}

fn run(binary: &Path, arguments: &[&str], address: &str) -> anyhow::Result<()> {
    let output = command(binary, address).args(arguments).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn command(binary: &Path, address: &str) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().env("VAULT_ADDR", address).env("VAULT_TOKEN", "root");
    command
}

/// The peak as the kernel counted it. `run` keeps the command waiting on a child that reads its parent's status.
fn peak_megabytes(binary: &Path, address: &str) -> anyhow::Result<f64> {
    let output = command(binary, address)
        .args(["run", "--env", "V=secret/app/config#db_host", "--"])
        .args([
            "/bin/sh",
            "-c",
            "while read -r k v u; do [ \"$k\" = VmHWM: ] && echo \"$v\"; done </proc/$PPID/status; true",
        ])
        .output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kilobytes: f64 = String::from_utf8(output.stdout)?.trim().parse().context("VmHWM")?;
    Ok(kilobytes / 1e3)
}
