//! A Vault with the service's example in it, and the command to run on it.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

#[path = "../shared/vault.rs"]
mod vault;
pub(crate) use self::vault::{HANG, Vault, write};

/// What the service may do.
pub(crate) const POLICY: &str = r#"
path "secret/data/myapp/*"     { capabilities = ["read"] }
path "secret/metadata/myapp"   { capabilities = ["list"] }
path "secret/data/myapp/api-keys" { capabilities = ["create", "read", "update"] }
path "secret/data/myapp/own"   { capabilities = ["create", "read", "update"] }
path "kv1/*"                   { capabilities = ["create", "read", "update", "list"] }
path "database/creds/myapp"    { capabilities = ["read"] }
"#;

impl Vault {
    /// With the example's secrets, policy and AppRole, `myapp` all of them.
    pub(crate) async fn start() -> Self {
        let vault = Self::with_policy(POLICY).await;
        vault.store("myapp/config", &json!({ "db_host": "localhost", "db_name": "mydb" })).await;
        vault.store("myapp/api-keys", &json!({ "stripe": "sk_test_xxx", "sendgrid": "SG.xxx" })).await;
        vault.server.reset_counts();
        vault
    }

    /// The fields of a secret under `secret/`.
    pub(crate) async fn stored(&self, path: &str) -> Value {
        let secret = self.root.kv2("secret").read(path).await.unwrap();
        serde_json::from_str(secret.data().expose_json()).unwrap()
    }

    /// The command, logging in as the AppRole.
    pub(crate) fn run(&self, arguments: &[&str]) -> Invocation {
        secrets_service(arguments)
            .env("VAULT_ADDR", self.server.url())
            .env("VAULT_ROLE_ID", &self.role_id)
            .env("VAULT_SECRET_ID", &self.secret_id)
    }

    /// The command, with a token.
    pub(crate) fn run_with_token(&self, token: &str, arguments: &[&str]) -> Invocation {
        secrets_service(arguments).env("VAULT_ADDR", self.server.url()).env("VAULT_TOKEN", token)
    }
}

/// The command, in an environment without any setting.
pub(crate) fn secrets_service(arguments: &[&str]) -> Invocation {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_secrets-service"));
    command.args(arguments).env_clear().env("HOME", home.path()).kill_on_drop(true);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Invocation { command, stdin: Vec::new(), home }
}

pub(crate) struct Invocation {
    command: Command,
    stdin: Vec<u8>,
    home: TempDir,
}

impl Invocation {
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    pub(crate) fn stdin(mut self, text: impl AsRef<[u8]>) -> Self {
        self.stdin = text.as_ref().to_vec();
        self.command.stdin(Stdio::piped());
        self
    }

    /// A file in the command's home folder.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.command.arg(argument.into());
        self
    }

    /// Lets another program start it, which takes its place.
    pub(crate) fn through(&mut self, starter: &[&str]) {
        let (program, options) = starter.split_first().unwrap();
        let mut command = Command::new(program);
        let ours = self.command.as_std();
        command.args(options).arg(ours.get_program()).args(ours.get_args()).env_clear().kill_on_drop(true);
        command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command = command;
    }

    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    pub(crate) fn spawn(mut self) -> Running {
        let child = self.command.spawn().unwrap();
        Running { child, _home: self.home }
    }

    pub(crate) async fn run(mut self) -> Ended {
        let mut child = self.command.spawn().unwrap();
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not want it all closes its end.
            let _ = stdin.write_all(&self.stdin).await;
        }
        let output = tokio::time::timeout(HANG, child.wait_with_output()).await.expect("the command hangs");
        Ended::of(output.unwrap())
    }
}

/// A command that has been started, and is killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    _home: TempDir,
}

impl Running {
    pub(crate) fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    pub(crate) async fn wait(mut self) -> ExitStatus {
        tokio::time::timeout(HANG, self.child.wait()).await.expect("the command hangs").unwrap()
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: std::process::Output) -> Self {
        Self {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed; it must have succeeded.
    #[track_caller]
    pub(crate) fn succeeded(&self) -> &str {
        assert_eq!(self.status.code(), Some(0), "{self:?}");
        &self.stdout
    }

    /// What it complained of; it must have failed with this code, and printed nothing.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32) -> &str {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.starts_with("error: ") || self.stderr.contains("\nerror: "), "{self:?}");
        &self.stderr
    }

    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap_or(0))
    }
}

/// Neither gone nor a zombie that nobody has taken note of.
pub(crate) fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
