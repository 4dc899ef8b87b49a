//! A Vault, an agent before it (the real process), and clients of both.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

#[path = "../shared/vault.rs"]
mod vault;
pub(crate) use self::vault::{HANG, Vault, write};

pub(crate) use crate::ask::{Answer, Ask};

pub(crate) const CONFIG: &str = "/v1/secret/data/myapp/config";

/// What the agent's own login may do.
const POLICY: &str = r#"
path "secret/data/myapp/*"     { capabilities = ["create", "read", "update", "delete"] }
path "secret/metadata/*"       { capabilities = ["list", "read", "delete"] }
path "secret/destroy/*"        { capabilities = ["update"] }
path "kv1/*"                   { capabilities = ["create", "read", "update", "delete", "list"] }
path "database/creds/myapp"    { capabilities = ["read"] }
path "sys/leases/*"            { capabilities = ["update"] }
path "auth/token/create"       { capabilities = ["update"] }
"#;

impl Vault {
    pub(crate) async fn start() -> Self {
        let vault = Self::with_policy(POLICY).await;
        vault.store("myapp/config", &json!({ "db_host": "localhost", "password": "canary-value-1" })).await;
        vault.server.reset_counts();
        vault
    }

    /// A token with a policy of its own: `rules` in Vault's form.
    pub(crate) async fn token(&self, policy: &str, rules: &str, more: &Value) -> String {
        self.root.sys().put_policy(policy, rules).await.unwrap();
        let mut body = json!({ "policies": [policy], "ttl": "1h" });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let made = write(&self.root, "auth/token/create", &body).await.unwrap();
        made.auth().unwrap().client_token.expose().to_owned()
    }

    /// An agent that logs in as the AppRole, with nothing else set.
    pub(crate) fn agent(&self) -> Setup {
        Setup::new(self.server.url())
            .env("VAULT_ROLE_ID", &self.role_id)
            .env("VAULT_SECRET_ID", &self.secret_id)
    }

    /// What Vault itself answers.
    pub(crate) async fn direct(&self, request: Ask) -> Answer {
        let address = self.server.url().trim_start_matches("http://").to_owned();
        let request = if request.has("x-vault-token") { request } else { request.token("root") };
        request.send_to(&address).await
    }
}

/// An agent to be started.
pub(crate) struct Setup {
    command: Command,
    home: TempDir,
    listen: Vec<String>,
}

impl Setup {
    pub(crate) fn new(vault: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_secrets-service"));
        command.arg("agent").env_clear().env("HOME", home.path()).env("VAULT_ADDR", vault).kill_on_drop(true);
        command.env("SECRETS_AGENT_ADMIN", "127.0.0.1:0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self { command, home, listen: vec!["127.0.0.1:0".to_owned()] }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn listen(mut self, places: &[&str]) -> Self {
        self.listen = places.iter().map(|place| (*place).to_owned()).collect();
        self
    }

    /// A file in the agent's home.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.home.path().to_owned()
    }

    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts it and waits until it listens.
    pub(crate) async fn start(self) -> Agent {
        let mut agent = self.spawn();
        let listening = async {
            loop {
                if agent.said("admin at ") {
                    break;
                }
                if let Ok(Some(status)) = agent.child.try_wait() {
                    panic!("the agent ended: {status} {:?}", agent.log());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HANG, listening).await.expect("the agent does not start");
        let log = agent.log();
        let after = |start: &str| -> Vec<String> {
            log.lines().filter_map(|line| line.strip_prefix(start)).map(str::to_owned).collect()
        };
        agent.addresses = after("agent at ");
        agent.admin = after("admin at http://").pop().unwrap();
        agent
    }

    /// Starts it; it must end by itself with this code. What it said.
    pub(crate) async fn fails(self, code: i32) -> String {
        let mut agent = self.spawn();
        let status = tokio::time::timeout(HANG, agent.child.wait()).await.expect("the agent runs").unwrap();
        agent.read.take().unwrap().await.unwrap();
        assert_eq!(status.code(), Some(code), "{}", agent.log());
        agent.log()
    }

    fn spawn(mut self) -> Agent {
        for place in &self.listen {
            self.command.args(["--listen", place]);
        }
        let mut child = self.command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let said = Arc::clone(&log);
        let read = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut said = said.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        Agent { child, log, read: Some(read), addresses: Vec::new(), admin: String::new(), _home: self.home }
    }
}

/// A running agent, killed when dropped.
pub(crate) struct Agent {
    pub(crate) child: Child,
    log: Arc<Mutex<String>>,
    read: Option<tokio::task::JoinHandle<()>>,
    pub(crate) addresses: Vec<String>,
    pub(crate) admin: String,
    _home: TempDir,
}

impl Agent {
    /// The first TCP address, without its scheme.
    pub(crate) fn address(&self) -> &str {
        self.addresses.iter().find_map(|address| address.split_once("://")).unwrap().1
    }

    pub(crate) async fn ask(&self, request: Ask) -> Answer {
        request.send_to(self.address()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Ask::get(path)).await
    }

    pub(crate) async fn admin(&self, path: &str) -> Value {
        let answer = Ask::get(path).send_to(&self.admin).await;
        serde_json::from_slice(&answer.body).unwrap()
    }

    pub(crate) async fn admin_post(&self, path: &str, body: &Value) -> Answer {
        Ask::new(Method::POST, path).json(body).send_to(&self.admin).await
    }

    /// One number of `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let answer = Ask::get("/metrics").send_to(&self.admin).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.map(|number| number.parse().unwrap())
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn said(&self, text: &str) -> bool {
        self.log.lock().unwrap().contains(text)
    }

    pub(crate) async fn says(&self, text: &str) {
        eventually(text, async || self.said(text)).await;
    }

    pub(crate) fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let status = tokio::time::timeout(HANG, self.child.wait()).await.expect("the agent hangs").unwrap();
        self.read.take().unwrap().await.unwrap();
        (status.code(), self.log())
    }
}

/// Waits until it is so; fails if it never is.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(HANG, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
