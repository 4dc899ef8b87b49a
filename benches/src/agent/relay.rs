//! A relay before Vault, which counts the requests that arrive and can answer in Vault's place.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Hands it on.
    Pass,
    /// Answers with this status, as Vault would; 429 with `Retry-After: 2`.
    Status(StatusCode),
    /// Answers 200 with a page that is no JSON.
    Garbage,
}

/// Ends when dropped.
pub struct Relay {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    vault: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    mode: RwLock<Mode>,
    requests: AtomicU64,
}

impl Relay {
    /// Listens on a port of its own.
    pub async fn start(vault: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let state =
            Arc::new(State { vault, client, mode: RwLock::new(Mode::Pass), requests: AtomicU64::new(0) });
        let serving = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, serving })
    }

    /// What to take for Vault's address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        *self.state.mode.write().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// Requests since the last call.
    pub fn take_requests(&self) -> u64 {
        self.state.requests.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let state = Arc::clone(&state);
                async move { state.answer(request).await }
            });
            // A connection that breaks is the contestants' concern.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

impl State {
    /// An error ends the connection without an answer.
    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mode = *self.mode.read().unwrap_or_else(PoisonError::into_inner);
        match mode {
            Mode::Pass => self.hand_on(request).await,
            Mode::Status(status) => {
                let mut answer = Response::new(Full::from(r#"{"errors":["spoilt by the relay"]}"#));
                *answer.status_mut() = status;
                if status == StatusCode::TOO_MANY_REQUESTS {
                    answer.headers_mut().insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("2"));
                }
                Ok(answer)
            }
            Mode::Garbage => Ok(Response::new(Full::from("<html><body>Welcome to the captive portal"))),
        }
    }

    async fn hand_on(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("http://{}{path}", self.vault).parse::<Uri>()?;
        head.headers.remove(HOST);
        let (head, body) =
            self.client.request(Request::from_parts(head, Full::from(body))).await?.into_parts();
        Ok(Response::from_parts(head, Full::from(body.collect().await?.to_bytes())))
    }
}
