//! A real Vault as a child process.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gds_vault::{Address, Client, Method, SecretString};
use nix::unistd::{AccessFlags, access};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::child::Guarded;

/// Longest wait for Vault to be ready: it takes a fifth of a second on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How often another port is tried. Each failure means that someone took the port, or the next one, which Vault
/// uses too, between our choice and Vault's start.
const PORTS_TRIED: u32 = 8;

/// What it says when someone else has taken a port.
const TAKEN: &str = "address already in use";

/// What opens a server.
pub struct Keys {
    /// May do everything.
    pub root_token: SecretString,
    /// Unseals: the only share of the key.
    pub unseal_key: SecretString,
}

/// A Vault process of our own. Killed when dropped, also by a panic or when this process is killed.
pub struct RealVault {
    address: Address,
    args: Vec<String>,
    /// Before the folder: it must have ended when that is removed.
    process: tokio::sync::Mutex<Option<Guarded>>,
    folder: TempDir,
}

/// The binary to test with: `VAULT_BIN`, else `vault` or `bao` on `PATH`. An error if `VAULT_BIN` names none.
fn find_binary() -> Result<Option<PathBuf>, String> {
    let is_program = |file: &Path| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    if let Some(named) = env::var_os("VAULT_BIN").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        let wrong = || format!("VAULT_BIN={} is not an executable file", named.display());
        return if is_program(&named) { Ok(Some(named)) } else { Err(wrong()) };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).collect();
    let mut all = ["vault", "bao"].into_iter().flat_map(|name| folders.iter().map(move |dir| dir.join(name)));
    Ok(all.find(|file| is_program(file)))
}

/// Why there is no real Vault to test with.
pub struct NoVault {
    /// In a line.
    pub reason: String,
    /// Whether that is a failure: `VAULT_BIN` names none, or `REQUIRE_REAL_VAULT=1`.
    pub is_failure: bool,
}

/// The binary to test with, else why there is none.
pub fn real_vault() -> Result<PathBuf, NoVault> {
    let required = env::var_os("REQUIRE_REAL_VAULT").is_some_and(|value| value == "1");
    let hint = "set VAULT_BIN or put vault or bao on PATH; make vault builds one";
    match find_binary() {
        Ok(Some(binary)) => Ok(binary),
        Ok(None) => Err(NoVault { reason: format!("not run ({hint})"), is_failure: required }),
        Err(error) => Err(NoVault { reason: format!("not run: {error}"), is_failure: true }),
    }
}

impl RealVault {
    /// `vault server -dev`: everything in memory.
    pub async fn start_dev() -> Result<(Self, Keys), String> {
        let vault = Self::start_somewhere(|_, port| {
            let listen = format!("-dev-listen-address=127.0.0.1:{port}");
            let fixed = ["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token"];
            Ok(fixed.into_iter().map(str::to_owned).chain([listen]).collect())
        });
        let vault = vault.await?;
        let key = vault.printed("Unseal Key: ").await?;
        Ok((vault, Keys { root_token: "root".into(), unseal_key: key.into() }))
    }

    /// With its storage in files, so that it can be [started again](Self::start_again).
    pub async fn start_lasting() -> Result<(Self, Keys), String> {
        let vault = Self::start_with_storage(|folder| json!({"file": {"path": folder}})).await?;
        let keys = vault.initialize().await?;
        Ok((vault, keys))
    }

    /// With the storage of this stanza (Vault configuration, "storage"), which is told an empty folder. Nobody has
    /// initialized it.
    pub async fn start_with_storage(storage: impl Fn(&Path) -> Value) -> Result<Self, String> {
        Self::start_somewhere(|folder, port| {
            let stored = folder.path().join("storage");
            fs::create_dir_all(&stored).map_err(|error| error.to_string())?;
            let config = json!({
                "storage": storage(&stored),
                "listener": {"tcp": {"address": format!("127.0.0.1:{port}"), "tls_disable": true}},
                "api_addr": format!("http://127.0.0.1:{port}"),
                "cluster_addr": format!("https://127.0.0.1:{}", port + 1),
                "disable_mlock": true,
                "log_level": "warn",
            });
            let file = folder.path().join("config.json");
            fs::write(&file, config.to_string()).map_err(|error| error.to_string())?;
            Ok(vec!["server".to_owned(), format!("-config={}", file.display())])
        })
        .await
    }

    async fn start_somewhere(
        args: impl Fn(&TempDir, u16) -> Result<Vec<String>, String>,
    ) -> Result<Self, String> {
        let mut failure = String::new();
        // Whatever is wrong but the port stays wrong.
        for _ in 0..PORTS_TRIED {
            let port = free_port()?;
            let folder = TempDir::with_prefix("conformance-vault-").map_err(|error| error.to_string())?;
            let address = Address::parse(&format!("http://127.0.0.1:{port}")).map_err(|e| e.to_string())?;
            let args = args(&folder, port)?;
            let vault = Self { address, args, folder, process: tokio::sync::Mutex::default() };
            match vault.start_again().await {
                Ok(()) => return Ok(vault),
                Err(error) if error.contains(TAKEN) => failure = error,
                Err(error) => return Err(error),
            }
        }
        Err(format!("a real Vault did not start on {PORTS_TRIED} ports; the last time: {failure}"))
    }

    /// Where it listens, also when it is started again.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Starts the process, and waits until it answers. (Sealed, if it has its storage in files.)
    pub async fn start_again(&self) -> Result<(), String> {
        let binary = find_binary()?.ok_or("there is no real Vault")?;
        let log = File::create(self.log()).map_err(|error| error.to_string())?;
        let process = Guarded::spawn(&binary, &self.args, self.folder.path(), log)
            .await
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        *self.process.lock().await = Some(process);
        let client = self.client();
        let until = Instant::now() + READY_WITHIN;
        let mut problem = None;
        while Instant::now() < until {
            match client.sys().health().await {
                // Only our own process says "ready" in our own log: another one may have taken the port.
                Ok(health) if self.has_said("server started!") => {
                    // In development mode it listens before it is unsealed.
                    if !health.sealed || !self.args.iter().any(|arg| arg == "-dev") {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(error) => problem = Some(error.to_string()),
            }
            let has_ended = self.process.lock().await.as_ref().is_none_or(Guarded::has_ended);
            if has_ended || self.has_said(TAKEN) {
                return Err(format!("{} did not start: {}", binary.display(), self.last_words()));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(format!("not ready within {READY_WITHIN:?} ({problem:?}): {}", self.last_words()))
    }

    /// Stops the process: it takes requests and does not answer.
    pub async fn freeze(&self) {
        self.process.lock().await.as_ref().expect("it runs").freeze().await;
    }

    /// Ends [`freeze`](Self::freeze).
    pub async fn thaw(&self) {
        self.process.lock().await.as_ref().expect("it runs").thaw();
    }

    /// Ends it by `SIGKILL`, and waits until it is gone. Its storage stays.
    pub async fn kill(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.kill().await;
        }
    }

    /// Sets it up with a single key, and unseals it.
    pub async fn initialize(&self) -> Result<Keys, String> {
        let client = self.client();
        let body = json!({"secret_shares": 1, "secret_threshold": 1});
        let answer = client.request(Method::PUT, "sys/init").json(&body).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let said: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
        let text = |value: &Value| value.as_str().map(SecretString::from);
        let (root_token, unseal_key) =
            text(&said["root_token"]).zip(text(&said["keys_base64"][0])).ok_or("sys/init told no keys")?;
        client.sys().unseal(&unseal_key).await.map_err(|error| error.to_string())?;
        Ok(Keys { root_token, unseal_key })
    }

    /// What stands behind `label` in what Vault printed.
    async fn printed(&self, label: &str) -> Result<String, String> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            // A whole line: the rest of it may still be on its way.
            let mut lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(value) = lines.find_map(|line| line.strip_prefix(label)) {
                return Ok(value.trim().to_owned());
            }
            if Instant::now() > until {
                return Err(format!("Vault did not print {label:?}: {}", self.last_words()));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// A client of this server alone, without a token.
    pub fn client(&self) -> Client {
        let builder = Client::builder().address(self.address.clone()).timeout(Duration::from_secs(10));
        builder.build().unwrap()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn has_said(&self, words: &str) -> bool {
        fs::read_to_string(self.log()).is_ok_and(|log| log.contains(words))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let mut lines: Vec<_> = log.lines().rev().take(10).collect();
        lines.reverse();
        lines.join("\n")
    }
}

/// A port that is free, and whose next one is free too: Vault takes that for its cluster traffic.
///
/// Below those that the system gives to outgoing connections: while a server is killed, none of them may take its port.
fn free_port() -> Result<u16, String> {
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let first_outgoing = first_outgoing_port().filter(|first| *first > 2 * LOWEST_PORT).unwrap_or(32_768);
    let mut ports = (0..100).map(|_| fastrand::u16(LOWEST_PORT..first_outgoing - 1));
    ports
        .find(|port| is_free(*port) && is_free(*port + 1))
        .ok_or_else(|| "no two neighbouring ports are free".to_owned())
}

/// Well-known services live below.
const LOWEST_PORT: u16 = 10_000;

/// The first port that the system gives to outgoing connections (ip(7)).
fn first_outgoing_port() -> Option<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}
