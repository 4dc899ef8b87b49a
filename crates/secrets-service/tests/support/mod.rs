//! What the acceptance tests share: a scripted Vault on a real socket, and clients of it.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

#[cfg(feature = "disk")]
pub mod disk;
pub mod logs;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrets_service::gds_vault::{Address, Credential, SecretString};
use secrets_service::{AuthSettings, ResilientVaultClient, SecretIdSource, VaultConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How far the clock of [`steady_clock`] goes at a time, and how long this takes at least.
const TICK: Duration = Duration::from_millis(5);
const TICK_TAKES: Duration = Duration::from_millis(2);

/// From now on the time of this test's runtime (of one thread) is counted in what the test does: a machine that is
/// busy with other things holds up the clock together with the test, so that nothing is late because of it.
pub fn steady_clock() {
    tokio::time::pause();
    tokio::spawn(async {
        loop {
            // A paused clock stands while anything blocks, and otherwise goes on to the next timer: this one, at most.
            let _ = tokio::task::spawn_blocking(|| std::thread::park_timeout(TICK_TAKES)).await;
            tokio::time::sleep(TICK).await;
        }
    });
}

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    pub method: String,
    /// Without `/v1/`, with the query.
    pub path: String,
    pub token: String,
    pub body: String,
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    Json(u16, String),
    /// As [`Json`](Self::Json), with one more header line.
    With(&'static str, u16, String),
    /// Close with nothing said.
    Hang,
    /// Never answer.
    Freeze,
    /// Answer after a while.
    Slow(Duration, Box<Reply>),
    /// 200 and something that is not JSON.
    Garbage,
    /// Promise more than is sent, then close.
    Cut,
}

type Script = Arc<Mutex<Box<dyn FnMut(&Seen) -> Reply + Send>>>;

/// A Vault whose every answer is scripted. Stops when dropped.
pub struct FakeVault {
    pub address: String,
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
    tasks: JoinSet<()>,
}

impl FakeVault {
    /// A server that answers `secret(…)` for KV reads, knows the mounts `secret/` (KV v2) and `database/`, and takes
    /// every login.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let script: Script = Arc::new(Mutex::new(Box::new(|seen: &Seen| answer(seen, &kv("v1", 1)))));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let (to_script, to_seen) = (Arc::clone(&script), Arc::clone(&seen));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, Arc::clone(&to_script), Arc::clone(&to_seen)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, script, seen, tasks }
    }

    pub fn script(&self, script: impl FnMut(&Seen) -> Reply + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// Reads of secrets answer `reply`; logins and the mounts are fine.
    pub fn reads(&self, reply: Reply) {
        self.script(move |seen| answer(seen, &reply));
    }

    /// Everything answers `reply`.
    pub fn everything(&self, reply: Reply) {
        self.script(move |_| reply.clone());
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// Reads of secrets so far.
    pub fn reads_seen(&self) -> usize {
        self.count("secret/") + self.count("database/")
    }

    pub fn logins_seen(&self) -> usize {
        self.seen().iter().filter(|seen| seen.path.ends_with("/login")).count()
    }

    pub fn count(&self, prefix: &str) -> usize {
        self.seen().iter().filter(|seen| seen.path.starts_with(prefix)).count()
    }
}

/// `reply` for a read of a secret; something sensible for the rest.
pub fn answer(seen: &Seen, reply: &Reply) -> Reply {
    let ok = |data: &str| Reply::Json(200, format!(r#"{{"request_id":"r","lease_id":"","data":{data}}}"#));
    let path = seen.path.as_str();
    if let Some(path) = path.strip_prefix("sys/internal/ui/mounts/") {
        return match path.split('/').next() {
            Some("secret") => ok(r#"{"path":"secret/","type":"kv","options":{"version":"2"}}"#),
            Some("database") => ok(r#"{"path":"database/","type":"database","options":null}"#),
            _ => Reply::Json(403, r#"{"errors":["preflight capability check returned 403"]}"#.into()),
        };
    }
    if path.ends_with("/login") {
        return login("t-login", 3_600);
    }
    if path == "auth/token/lookup-self" {
        return ok(r#"{"ttl":0,"creation_ttl":0,"policies":["root"],"type":"service","renewable":false}"#);
    }
    if path.starts_with("auth/token/") || path.starts_with("sys/leases/") {
        return Reply::Json(204, String::new());
    }
    reply.clone()
}

pub fn login(token: &str, seconds: u64) -> Reply {
    let auth = format!(
        r#"{{"client_token":"{token}","accessor":"a","policies":["p"],"lease_duration":{seconds},"renewable":true,"token_type":"service"}}"#
    );
    Reply::Json(200, format!(r#"{{"request_id":"r","auth":{auth}}}"#))
}

/// A KV v2 answer: one field `value`.
pub fn kv(value: &str, version: u64) -> Reply {
    Reply::Json(
        200,
        format!(
            r#"{{"request_id":"r","lease_id":"","data":{{"data":{{"value":"{value}"}},"metadata":{{"version":{version},"created_time":"2026-01-22T10:00:00Z","deletion_time":"","destroyed":false}}}}}}"#
        ),
    )
}

pub fn errors(status: u16, message: &str) -> Reply {
    Reply::Json(status, format!(r#"{{"errors":["{message}"]}}"#))
}

async fn serve(mut socket: TcpStream, script: Script, log: Arc<Mutex<Vec<Seen>>>) {
    let mut buffer = Vec::new();
    while let Some(seen) = read_request(&mut socket, &mut buffer).await {
        log.lock().unwrap().push(seen.clone());
        let mut reply = (script.lock().unwrap())(&seen);
        while let Reply::Slow(wait, then) = reply {
            tokio::time::sleep(wait).await;
            reply = *then;
        }
        let (head, body) = match reply {
            Reply::Json(status, body) => (head(status, "", body.len()), body),
            Reply::With(header, status, body) => (head(status, &format!("{header}\r\n"), body.len()), body),
            Reply::Garbage => (head(200, "", 15), "<html>no</html>".to_owned()),
            Reply::Cut => (head(200, "", 500), r#"{"data":{"data":{"value":"v"#.to_owned()),
            Reply::Hang | Reply::Slow(..) => return,
            Reply::Freeze => return std::future::pending().await,
        };
        let sent = socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
        if sent.is_err() || head.contains("Content-Length: 500") {
            return;
        }
    }
}

fn head(status: u16, more: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n")
}

async fn read_request(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let length: usize = header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    while buffer.len() < end + length {
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&buffer[end..end + length]).into_owned();
    buffer.drain(..end + length);
    let mut words = head.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.trim_start_matches("/v1/").to_owned());
    Some(Seen { at: Instant::now(), method, path, token: header("x-vault-token").unwrap_or_default(), body })
}

/// Settings for `address` with the token `root`.
pub fn config(address: &str) -> VaultConfig {
    let token = Some(Credential::Value(SecretString::new("root")));
    VaultConfig::new(Address::parse(address).unwrap(), AuthSettings::Token { token })
}

/// Settings for `address` with an AppRole.
pub fn approle_config(address: &str, role_id: &str, secret_id: Credential) -> VaultConfig {
    let role_id = Credential::Value(SecretString::new(role_id));
    let secret_id = SecretIdSource::Plain(secret_id);
    let auth = AuthSettings::AppRole { role_id, secret_id, mount: None };
    VaultConfig::new(Address::parse(address).unwrap(), auth)
}

pub fn client(config: &VaultConfig) -> ResilientVaultClient {
    ResilientVaultClient::new(config).unwrap()
}

/// The field `value` of a read.
pub fn value(read: &secrets_service::SecretRead) -> String {
    read.field("value").expect("a field named value").text().expose().to_owned()
}
