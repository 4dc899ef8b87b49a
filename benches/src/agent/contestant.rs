//! The agent, Vault Proxy and nginx, as processes.

use std::fmt::Display;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use gds_vault::{Address, Client, Method, Response};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::stage::Stage;

/// Nothing takes this long to start.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// More than the metrics of ten thousand leases.
const LONGEST_PAGE: u64 = 16 << 20;

/// One of those compared. Ends when dropped.
pub struct Contestant {
    /// `http://127.0.0.1:…`
    pub url: String,
    /// Where the agent's metrics are.
    pub admin: String,
    client: Client,
    process: Child,
    folder: TempDir,
}

/// Who logs in where.
pub struct Way<'s> {
    /// Vault, or the relay before it.
    pub vault: String,
    /// For the login.
    pub stage: &'s Stage,
}

impl Contestant {
    /// `secrets-service agent` with its defaults but for these variables.
    pub fn agent(binary: &Path, way: &Way<'_>, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (port, admin) = (free_port()?, free_port()?);
        let admin = format!("127.0.0.1:{admin}");
        Self::start(port, admin.clone(), |folder| {
            let secret_id = folder.join("secret_id");
            fs::write(&secret_id, &way.stage.example.secret_id)?;
            let mut command = Command::new(binary);
            command.args(["agent", "--listen", &format!("127.0.0.1:{port}"), "--admin", &admin]).env_clear();
            command.env("VAULT_ADDR", &way.vault).env("VAULT_ROLE_ID", &way.stage.example.role_id);
            command.env("VAULT_SECRET_ID_FILE", secret_id).envs(variables.iter().copied());
            Ok(command)
        })
    }

    /// `vault proxy` that logs in by itself and caches what it can.
    pub fn vault_proxy(way: &Way<'_>) -> anyhow::Result<Self> {
        let binary = conformance::real_vault().map_err(|none| anyhow::anyhow!(none.reason))?;
        let port = free_port()?;
        Self::start(port, String::new(), |folder| {
            let file = |name: &str| folder.join(name).display().to_string();
            fs::write(file("role_id"), &way.stage.example.role_id)?;
            fs::write(file("secret_id"), &way.stage.example.secret_id)?;
            let config = format!(
                r#"
                vault {{ address = "{vault}" }}
                auto_auth {{
                    method "approle" {{
                        config = {{
                            role_id_file_path = "{role_id}"
                            secret_id_file_path = "{secret_id}"
                            remove_secret_id_file_after_reading = false
                        }}
                    }}
                }}
                api_proxy {{ use_auto_auth_token = true }}
                cache {{ }}
                listener "tcp" {{
                    address = "127.0.0.1:{port}"
                    tls_disable = true
                }}
                "#,
                vault = way.vault,
                role_id = file("role_id"),
                secret_id = file("secret_id"),
            );
            fs::write(file("proxy.hcl"), config)?;
            let mut command = Command::new(&binary);
            command.args(["proxy", "-log-level=error", "-config", &file("proxy.hcl")]);
            command.env_clear().env("HOME", folder);
            Ok(command)
        })
    }

    /// One worker of nginx that answers everything with `body`.
    pub fn nginx(body: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(!body.contains(['\'', '\\', '$']), "a body that nginx takes for something else");
        let port = free_port()?;
        Self::start(port, String::new(), |folder| {
            let here = folder.display();
            let config = format!(
                "daemon off; master_process off; worker_processes 1; pid {here}/pid; error_log {here}/error.log;
                 events {{ worker_connections 256; }}
                 http {{
                     access_log off; keepalive_requests 1000000000; default_type application/json;
                     client_body_temp_path {here}/a; proxy_temp_path {here}/b; fastcgi_temp_path {here}/c;
                     uwsgi_temp_path {here}/d; scgi_temp_path {here}/e;
                     server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{body}'; }} }}
                 }}"
            );
            let file = folder.join("nginx.conf");
            fs::write(&file, config)?;
            let mut command = Command::new("nginx");
            command.arg("-c").arg(file).arg("-e").arg(folder.join("error.log"));
            Ok(command)
        })
    }

    fn start(
        port: u16,
        admin: String,
        command: impl FnOnce(&Path) -> anyhow::Result<Command>,
    ) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bench-agent-")?;
        let mut command = command(folder.path())?;
        let log = fs::File::create(folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let process = command
            .spawn()
            .with_context(|| format!("starting {}", command.as_std().get_program().display()))?;
        let url = format!("http://127.0.0.1:{port}");
        // Longer than any contestant's own patience with Vault: who gives up is to be them.
        let client =
            Client::builder().address(Address::parse(&url)?).timeout(Duration::from_secs(90)).build()?;
        Ok(Self { url, admin, client, process, folder })
    }

    /// One `GET`, whatever the answer.
    pub async fn get(&self, path: &str) -> Result<Response, gds_vault::Error> {
        self.client.request(Method::GET, path.trim_start_matches("/v1/")).send_any().await
    }

    /// Waits until `path` is answered well, and returns the body.
    pub async fn first(&self, path: &str) -> anyhow::Result<String> {
        let until = Instant::now() + STARTED_WITHIN;
        let mut last = "nothing".to_owned();
        while Instant::now() < until {
            match self.get(path).await {
                Ok(answer) if answer.status == 200 => return Ok(String::from_utf8(answer.body.to_vec())?),
                Ok(answer) => last = format!("status {}", answer.status),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        anyhow::bail!("{} did not answer {path} within {STARTED_WITHIN:?}: {last}\n{log}", self.url)
    }

    /// What it holds in memory, in MB (proc(5), `VmRSS`).
    pub fn megabytes(&self) -> anyhow::Result<f64> {
        let pid = self.process.id().context("it has ended")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kilobytes =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        Ok(kilobytes.context("VmRSS")?.parse::<f64>()? / 1e3)
    }

    /// Reads one of the agent's counters: the line that begins with `name`.
    pub async fn counter(&self, name: &str) -> anyhow::Result<f64> {
        let page = page(&self.admin, "/metrics").await?;
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.with_context(|| format!("no {name} among the metrics"))?.trim().parse().context("a number")
    }
}

/// A page of the admin listener.
async fn page(host: &str, path: &str) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect(host).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.take(LONGEST_PAGE).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Errors that are told as text.
pub trait Problem<T> {
    /// With what was being done.
    fn problem(self, doing: &str) -> anyhow::Result<T>;
}

impl<T, E: Display> Problem<T> for Result<T, E> {
    fn problem(self, doing: &str) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::anyhow!("{doing}: {error}"))
    }
}

/// Taken again by whoever is started next, a moment later.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
