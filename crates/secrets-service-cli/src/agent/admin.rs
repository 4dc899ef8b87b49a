//! The admin listener: how the agent is, for probes, Prometheus and operators. No secret can be had here, so no
//! header is asked for; what changes something takes JSON, which a foreign web page cannot send unasked.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::Service;
use secrets_service::breaker::BreakerState;
use secrets_service::{CachedEntry, ReadOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::answer::{self, AnswerBody};
use super::connection;
use super::facts::Facts;
use super::guard::Hosts;
use super::identity::Identity;
use super::listener::Room;
use super::proxy::Shared;

/// Entries shown at most, so that the answer stays readable and bounded.
const MOST_SHOWN: usize = 10_000;

/// A request body is a path.
const LARGEST_BODY: usize = 16 * 1024;

/// Secrets read anew at once when all are refreshed.
const REFRESH_AT_ONCE: usize = 8;

/// Everything that can be asked for.
pub(crate) const ENDPOINTS: [(&str, &str, &str); 7] = [
    ("GET", "/agent/v1/live", "200 as long as the agent runs."),
    (
        "GET",
        "/agent/v1/ready",
        "200 if secrets can be served, from Vault or from the cache; says what is degraded.",
    ),
    ("GET", "/agent/v1/cache", "What is cached: paths, ages, deadlines; no value."),
    ("GET", "/agent/v1/leases", "The leases among it."),
    ("POST", "/agent/v1/refresh", r#"{"path": "secret/data/x"} or {"all": true}: asked of Vault anew."#),
    ("POST", "/agent/v1/purge", r#"{"path": "secret/data/x"} or {"all": true}: forgotten, for everyone."#),
    ("GET", "/metrics", "For Prometheus."),
];

/// Answers the requests of the admin listener.
#[derive(Clone)]
pub(crate) struct Admin {
    shared: Arc<Shared>,
    hosts: Arc<Hosts>,
    connections: Arc<AtomicUsize>,
}

impl Admin {
    /// `connections` counts those of the clients.
    pub(crate) fn new(shared: Arc<Shared>, connections: Arc<AtomicUsize>) -> Self {
        Self { shared, hosts: Arc::default(), connections }
    }

    /// Accepts until draining begins; connections of its own number, so that clients cannot shut out probes.
    pub(crate) async fn serve(self, socket: TcpListener, room: Room) {
        let mut draining = room.draining.clone();
        loop {
            let Some(place) = room.place().await else { return };
            let stream = tokio::select! {
                biased;
                () = connection::begins(&mut draining) => return,
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let (admin, room) = (self.clone(), room.clone());
            tokio::spawn(async move {
                let _open = place.open();
                let _ = stream.set_nodelay(true);
                connection::serve(stream, admin, room.limits, room.draining).await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let facts = Facts::of(request.headers());
        if facts.hosts != 1 || !facts.host.is_some_and(|host| self.hosts.are_ours(host)) {
            return answer::error(StatusCode::FORBIDDEN, "the Host header names another machine");
        }
        let path = request.uri().path().to_owned();
        let known: Vec<_> = ENDPOINTS.iter().filter(|(_, endpoint, _)| *endpoint == path).collect();
        let Some((method, ..)) = known.first() else {
            return answer::error(StatusCode::NOT_FOUND, "there is nothing here; see /agent/v1/ready");
        };
        let read_only = *method == "GET";
        if read_only && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer::method_not_allowed("GET, HEAD");
        }
        if !read_only && *request.method() != Method::POST {
            return answer::method_not_allowed("POST");
        }
        match path.as_str() {
            "/agent/v1/live" => shown(StatusCode::OK, &json!({ "live": true })),
            "/agent/v1/ready" => self.ready(),
            "/agent/v1/cache" => shown(StatusCode::OK, &self.cache(|_| true)),
            "/agent/v1/leases" => shown(StatusCode::OK, &self.cache(|entry| entry.lease.is_some())),
            "/metrics" => self.metrics(),
            _ => match wanted(request).await {
                Ok(wanted) if path.ends_with("refresh") => self.refresh(wanted).await,
                Ok(wanted) => self.purge(&wanted),
                Err(refusal) => refusal,
            },
        }
    }

    /// Vault being away is no reason to be taken out of service while there is something to serve.
    fn ready(&self) -> Response<AnswerBody> {
        let own = &self.shared.identities.own().client;
        let status = own.status();
        let mut degraded = Vec::new();
        if let Some(error) = &status.login_error {
            degraded.push(json!({ "what": "login", "why": error.to_string() }));
        }
        for (mount, state, since) in &status.troubled_mounts {
            if *state != BreakerState::Closed {
                let why = format!("Vault has not answered for {} s", since.as_secs());
                degraded.push(json!({ "what": format!("mount {mount}"), "why": why }));
            }
        }
        let entries = own.entries();
        for entry in entries.iter().filter(|entry| entry.fresh_for.is_zero()).take(MOST_SHOWN) {
            let why =
                format!("stale: {} s old, usable for {} s", entry.age.as_secs(), entry.usable_for.as_secs());
            degraded.push(json!({ "what": entry.path, "version": entry.version, "why": why }));
        }
        let lends = self.shared.rules.load().lend_own;
        let ready = !lends || status.logged_in || !entries.is_empty() || status.login_error.is_none();
        let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = json!({
            "ready": ready,
            "degraded": degraded,
            "logged_in": status.logged_in,
            "cached": entries.len(),
        });
        shown(code, &body)
    }

    fn cache(&self, show: impl Fn(&CachedEntry) -> bool) -> Value {
        let mut shown = Vec::new();
        for identity in self.shared.identities.all() {
            let mut entries: Vec<_> = identity.client.entries().into_iter().filter(&show).collect();
            entries.sort_by(|a, b| (&a.path, a.version).cmp(&(&b.path, b.version)));
            let room = MOST_SHOWN.saturating_sub(shown.len());
            shown.extend(entries.iter().take(room).map(|entry| described(&identity, entry)));
        }
        json!({ "entries": shown })
    }

    fn metrics(&self) -> Response<AnswerBody> {
        let connections = self.connections.load(Ordering::Relaxed);
        let text = self.shared.metrics.text(&self.shared.identities, connections);
        let mut response = Response::new(AnswerBody::whole(Bytes::from(text)));
        let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, format);
        response
    }

    /// What the agent's own identity has is asked for at once; of others' it is only no longer taken for fresh, for
    /// their tokens are theirs to use.
    async fn refresh(&self, wanted: Wanted) -> Response<AnswerBody> {
        let own = &self.shared.identities.own().client;
        let paths: Vec<(String, Option<u64>)> = match wanted {
            Wanted::Path(path) => vec![(path, None)],
            // Not the dynamic ones: a read of those makes a new credential, and the old one is good until its end.
            Wanted::All => {
                let entries = own.entries().into_iter().filter(|entry| entry.lease.is_none());
                entries.map(|entry| (entry.path, entry.version)).collect()
            }
        };
        for identity in self.shared.identities.all().skip(1) {
            for (path, _) in &paths {
                identity.client.expire(path);
            }
        }
        let at_once = Arc::new(Semaphore::new(REFRESH_AT_ONCE));
        let mut reads = tokio::task::JoinSet::new();
        for (path, version) in paths {
            let (client, at_once) = (own.clone(), Arc::clone(&at_once));
            reads.spawn(async move {
                let _turn = at_once.acquire_owned().await;
                let options = ReadOptions { version, bypass_cache: true, ..ReadOptions::default() };
                let outcome = client.get_secret_with(&path, options).await;
                (path, outcome.err())
            });
        }
        let (mut refreshed, mut failed) = (0, Vec::new());
        while let Some(read) = reads.join_next().await {
            match read {
                Ok((_, None)) => refreshed += 1,
                Ok((path, Some(error))) => failed.push(json!({ "path": path, "why": error.to_string() })),
                Err(_) => {}
            }
        }
        let code = if failed.is_empty() { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
        shown(code, &json!({ "refreshed": refreshed, "failed": failed }))
    }

    fn purge(&self, wanted: &Wanted) -> Response<AnswerBody> {
        let mut purged = 0;
        for identity in self.shared.identities.all() {
            match wanted {
                Wanted::Path(path) => purged += identity.client.invalidate_versions(path),
                Wanted::All => {
                    purged += identity.client.entries().len();
                    identity.client.clear();
                }
            }
        }
        shown(StatusCode::OK, &json!({ "purged": purged }))
    }
}

enum Wanted {
    Path(String),
    All,
}

async fn wanted(request: Request<Incoming>) -> Result<Wanted, Response<AnswerBody>> {
    let usage = r#"send {"path": "secret/data/x"} or {"all": true} as application/json"#;
    let is_json = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|sort| sort.as_bytes().starts_with(b"application/json"));
    let refuse = |status| answer::error(status, usage);
    if !is_json {
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let body = Limited::new(request.into_body(), LARGEST_BODY).collect();
    let body = tokio::time::timeout(Duration::from_secs(10), body).await;
    let body = body
        .map_err(|_| refuse(StatusCode::REQUEST_TIMEOUT))?
        .map_err(|_| refuse(StatusCode::BAD_REQUEST))?;
    let asked: Value =
        serde_json::from_slice(&body.to_bytes()).map_err(|_| refuse(StatusCode::BAD_REQUEST))?;
    match (asked.get("path").and_then(Value::as_str), asked.get("all")) {
        (Some(path), None) => Ok(Wanted::Path(path.trim_matches('/').to_owned())),
        (None, Some(Value::Bool(true))) => Ok(Wanted::All),
        _ => Err(refuse(StatusCode::BAD_REQUEST)),
    }
}

fn described(identity: &Identity, entry: &CachedEntry) -> Value {
    let state = if entry.fresh_for.is_zero() { "stale" } else { "fresh" };
    let mut value = json!({
        "path": entry.path,
        "identity": if identity.is_own() { "own" } else { "token" },
        "state": state,
        "age_seconds": entry.age.as_secs(),
        "fresh_for_seconds": entry.fresh_for.as_secs(),
        "usable_for_seconds": entry.usable_for.as_secs(),
    });
    if let Some(namespace) = &identity.namespace {
        value["namespace"] = json!(namespace);
    }
    if let Some(version) = entry.version {
        value["version"] = json!(version);
    }
    if let Some(lease) = &entry.lease {
        value["lease"] = json!({ "id": lease.id, "renewable": lease.renewable });
    }
    value
}

fn shown(status: StatusCode, body: &Value) -> Response<AnswerBody> {
    answer::json(status, Bytes::from(format!("{body}\n")))
}

impl Service<Request<Incoming>> for Admin {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let admin = self.clone();
        Box::pin(async move { Ok(admin.answer(request).await) })
    }
}
