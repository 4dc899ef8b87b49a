//! The `secrets-service` binary: where it is, and how a test runs it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use tokio::process::Command;

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// What it wrote to its output, which must be one line; and it must have ended well.
    #[track_caller]
    pub(crate) fn line(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        let line = self.stdout.strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n'), "more than one line");
        line
    }
}

/// Runs a program with nothing but these variables in its environment, and this input.
pub(crate) async fn run(
    program: &Path,
    args: &[&str],
    variables: &[(&str, &str)],
    input: Option<&str>,
) -> Outcome {
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await.unwrap();
    }
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The binary, beside the test's own executable. Cargo builds it there when it tests the whole workspace; when it
/// tests this crate alone, it may be missing or older than its sources, and is built now.
pub(crate) fn binary() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let profile = own.ancestors().nth(2).ok_or("this is no test executable")?;
    let binary = profile.join("secrets-service");
    if !is_current(&binary) {
        build(profile)?;
    }
    if binary.is_file() { Ok(binary) } else { Err(format!("{} is missing", binary.display())) }
}

fn build(profile: &Path) -> Result<(), String> {
    let target = profile.parent().ok_or("this is no test executable")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.args(["build", "--quiet", "--package", "secrets-service-cli", "--target-dir"]).arg(target);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.current_dir(crates()).status().map_err(|error| format!("cargo build: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo build ended with {status}")) }
}

/// Whether it is there, and no source of it is younger.
fn is_current(binary: &Path) -> bool {
    let Some(built) = modified(binary) else { return false };
    ["secrets-service-cli", "secrets-service", "gds-vault", "vault-dev"]
        .into_iter()
        .all(|name| newest(&crates().join(name).join("src")).is_none_or(|changed| changed <= built))
}

fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries
        .filter_map(
            |entry| if entry.path().is_dir() { newest(&entry.path()) } else { modified(&entry.path()) },
        )
        .max()
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|metadata| metadata.modified()).ok()
}

fn crates() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of the crates")
}
