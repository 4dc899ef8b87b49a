//! The agent's HTTP face: raw bytes as a client would send them, to a whole agent before a development server.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "for fuzzers only: what fails is to be seen"
)]

use std::ffi::OsString;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use secrets_service::SecretString;
use secrets_service::gds_vault::{Address, Client};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use vault_dev::VaultDev;

use super::Agent;
use super::config::{Settings, Sources};
use super::connection::{self, ConnectionLimits};
use super::guard::Reach;
use super::proxy::Proxy;

/// In every secret here.
const CANARY: &str = "c4n4ry-8d1f0a7e";

/// What the agent's own login may do. Nothing that would change the server for the inputs to come.
const POLICY: &str = "path \"secret/*\" { capabilities = [\"read\", \"list\", \"update\", \"create\", \"delete\"] }\n\
                      path \"cubbyhole/*\" { capabilities = [\"read\", \"update\"] }";

/// Only a guard against hanging: with its client gone, a connection ends by itself.
const HANG: Duration = Duration::from_secs(20);

/// The last request of a client that is patient. It is refused at once, and ends the connection.
const GOODBYE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// How long a patient client waits for more, if its goodbye was taken for a part of something else.
const PATIENCE: Duration = Duration::from_millis(5);

static WORLD: OnceLock<Mutex<World>> = OnceLock::new();

/// The first byte chooses the listener and the client's patience, the second how the rest is cut into pieces.
pub fn http(input: &[u8]) {
    let [sort, cut, bytes @ ..] = input else { return };
    let goodbye = if sort & 4 == 0 { GOODBYE } else { b"" };
    let world = WORLD.get_or_init(|| Mutex::new(World::new())).lock();
    let answer = world.runtime.block_on(async {
        let reach = match sort % 4 {
            0 | 1 => Reach::Tcp,
            2 => Reach::Unix,
            _ => {
                let stream = TcpStream::connect(&world.admin).await.unwrap();
                return tokio::time::timeout(HANG, talk(stream, bytes, *cut, goodbye)).await.unwrap();
            }
        };
        let (client, server) = tokio::io::duplex(64 * 1024);
        let proxy = Proxy::new(Arc::clone(&world.agent.shared), reach);
        let serving = connection::serve(server, proxy, world.limits, world.draining.subscribe());
        let both = async { tokio::join!(serving, talk(client, bytes, *cut, goodbye)).1 };
        tokio::time::timeout(HANG, both).await.unwrap()
    });
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "no answer of HTTP");
    let has = |part: &str| answer.windows(part.len()).any(|window| window == part.as_bytes());
    let sent = |part: &[u8]| bytes.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    // Fuzzers see what is compared with their inputs, and try it.
    if sent(CANARY.as_bytes()) || sent(world.token.as_bytes()) {
        return;
    }
    match sort % 4 {
        0 | 1 => assert!(!has(CANARY) || sent(b"x-vault-request"), "let in without X-Vault-Request"),
        2 => {}
        _ => assert!(!has(CANARY), "the admin listener has told a secret"),
    }
    assert!(!has(&world.token), "the agent's own token was handed out");
}

/// Sends it all, says goodbye or just goes, and reads to the end.
async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    bytes: &[u8],
    cut: u8,
    goodbye: &'static [u8],
) -> Vec<u8> {
    let mut answer = Vec::new();
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let (ended, is_ended) = tokio::sync::oneshot::channel::<()>();
    let send = async {
        for piece in bytes.chunks(usize::from(cut).max(1) * 16).chain([goodbye]) {
            if write.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if !goodbye.is_empty() {
            let _ = tokio::time::timeout(PATIENCE, is_ended).await;
        }
        let _ = write.shutdown().await;
    };
    let receive = async {
        let _ = read.read_to_end(&mut answer).await;
        drop(ended);
    };
    tokio::join!(send, receive);
    answer
}

struct World {
    runtime: Runtime,
    agent: Agent,
    admin: String,
    limits: ConnectionLimits,
    draining: watch::Sender<bool>,
    /// The agent's own.
    token: String,
    _server: VaultDev,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (server, agent, token) = runtime.block_on(Self::start());
        let admin = agent.admin_address().unwrap().trim_start_matches("http://").to_owned();
        let limits = agent.config.connection;
        Self { runtime, agent, admin, limits, draining: watch::Sender::new(false), token, _server: server }
    }

    async fn start() -> (VaultDev, Agent, String) {
        // Not the usual one: an input must not be able to guess it.
        let root = format!("root-{:016x}", fastrand::u64(..));
        let server = VaultDev::builder().root_token(&root).start().await.unwrap();
        let client = Client::builder().address(Address::parse(server.url()).unwrap());
        let client = client.token(SecretString::from(root.as_str())).build().unwrap();
        client.kv2("secret").put("a", &json!({ "password": CANARY }), None).await.unwrap();
        client.sys().put_policy("fuzz", POLICY).await.unwrap();
        let body = json!({ "policies": ["fuzz"], "no_default_policy": true, "ttl": "24h" });
        let made = client.request(http::Method::POST, "auth/token/create").json(&body).write().await.unwrap();
        let token = made.unwrap().auth().unwrap().client_token.expose().to_owned();
        let variable = |name: &str| {
            let value = match name {
                "VAULT_ADDR" => server.url(),
                "VAULT_TOKEN" => &token,
                "VAULT_RETRY_MAX_ATTEMPTS" | "VAULT_CLIENT_TIMEOUT" => "1",
                "SECRETS_AGENT_TOKENS_MOST" => "64",
                _ => return None,
            };
            Some(OsString::from(value))
        };
        let sources = Sources {
            file: None,
            variable: &variable,
            listen: &["127.0.0.1:0".to_owned()],
            admin: Some("127.0.0.1:0"),
        };
        let agent = Agent::start(Settings::load(&sources).unwrap()).await.unwrap();
        (server, agent, token)
    }
}
