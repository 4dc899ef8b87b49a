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
use secrets_service::ReadOptions;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::answer::{self, AnswerBody};
use super::facts::Facts;
use super::guard::Hosts;
use super::health::HealthCheck;
use super::proxy::Shared;
use super::{status, ui};

/// A request body is a path.
const LARGEST_BODY: usize = 16 * 1024;

/// Secrets read anew at once when all are refreshed.
const REFRESH_AT_ONCE: usize = 8;

/// What each of these answers is told in `openapi.json`.
const OPENAPI: &str = include_str!("openapi.json");

/// Everything that can be asked for.
pub(crate) const ENDPOINTS: [(&str, &str, Endpoint); 10] = [
    ("GET", "/ui", Endpoint::Ui),
    ("GET", "/agent/v1/live", Endpoint::Live),
    ("GET", "/agent/v1/ready", Endpoint::Ready),
    ("GET", "/agent/v1/status", Endpoint::Status),
    ("GET", "/agent/v1/cache", Endpoint::Cache),
    ("GET", "/agent/v1/leases", Endpoint::Leases),
    ("POST", "/agent/v1/refresh", Endpoint::Refresh),
    ("POST", "/agent/v1/purge", Endpoint::Purge),
    ("GET", "/agent/v1/openapi.json", Endpoint::OpenApi),
    ("GET", "/metrics", Endpoint::Metrics),
];

#[derive(Debug, Clone, Copy)]
pub(crate) enum Endpoint {
    Ui,
    Live,
    Ready,
    Status,
    Cache,
    Leases,
    Refresh,
    Purge,
    OpenApi,
    Metrics,
}

/// Answers the requests of the admin listener.
#[derive(Clone)]
pub(crate) struct Admin {
    shared: Arc<Shared>,
    hosts: Arc<Hosts>,
    connections: Arc<AtomicUsize>,
    health: HealthCheck,
    started: Instant,
}

impl Admin {
    /// `connections` counts those of the clients.
    pub(crate) fn new(shared: Arc<Shared>, connections: Arc<AtomicUsize>) -> Self {
        let (hosts, health) = (Arc::default(), HealthCheck::default());
        Self { shared, hosts, connections, health, started: Instant::now() }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let facts = Facts::of(request.headers());
        if facts.hosts != 1 || !facts.host.is_some_and(|host| self.hosts.are_ours(host)) {
            return answer::error(StatusCode::FORBIDDEN, "the Host header names another machine");
        }
        let path = request.uri().path();
        let Some((method, _, endpoint)) = ENDPOINTS.iter().find(|(_, endpoint, _)| *endpoint == path) else {
            return answer::error(
                StatusCode::NOT_FOUND,
                "there is nothing here; see /ui and /agent/v1/ready",
            );
        };
        let read_only = *method == "GET";
        if read_only && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer::method_not_allowed("GET, HEAD");
        }
        if !read_only && *request.method() != Method::POST {
            return answer::method_not_allowed("POST");
        }
        match endpoint {
            Endpoint::Ui => ui::page(),
            Endpoint::Live => shown(StatusCode::OK, &json!({ "live": true })),
            Endpoint::Ready => self.ready().await,
            Endpoint::Status => {
                let health = self.health.look(self.shared.identities.own().client.vault()).await;
                let started = self.started;
                self.looked_up(move |shared| status::overview(shared, &health, started)).await
            }
            Endpoint::Cache => self.looked_up(|shared| status::cache(shared, |_| true)).await,
            Endpoint::Leases => {
                self.looked_up(|shared| status::cache(shared, |entry| entry.lease.is_some())).await
            }
            Endpoint::OpenApi => answer::json(StatusCode::OK, Bytes::from_static(OPENAPI.as_bytes())),
            Endpoint::Metrics => self.metrics().await,
            Endpoint::Refresh => match wanted(request).await {
                Ok(wanted) => self.refresh(wanted).await,
                Err(refusal) => refusal,
            },
            Endpoint::Purge => match wanted(request).await {
                Ok(wanted) => self.purge(&wanted),
                Err(refusal) => refusal,
            },
        }
    }

    async fn ready(&self) -> Response<AnswerBody> {
        let looking = self.aside(|shared| {
            let (ready, body) = status::ready(shared);
            (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text(&body))
        });
        match looking.await {
            Ok((status, text)) => answer::json(status, text),
            Err(failure) => failure,
        }
    }

    async fn looked_up(&self, look: impl FnOnce(&Shared) -> Value + Send + 'static) -> Response<AnswerBody> {
        match self.aside(move |shared| text(&look(shared))).await {
            Ok(text) => answer::json(StatusCode::OK, text),
            Err(failure) => failure,
        }
    }

    /// What goes through whole caches is not done where requests are answered: it would hold them up.
    async fn aside<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Result<T, Response<AnswerBody>> {
        let shared = Arc::clone(&self.shared);
        let looking = tokio::task::spawn_blocking(move || look(&shared));
        looking
            .await
            .map_err(|_| answer::error(StatusCode::INTERNAL_SERVER_ERROR, "it could not be looked up"))
    }

    async fn metrics(&self) -> Response<AnswerBody> {
        let connections = self.connections.load(Ordering::Relaxed);
        let text = match self.aside(move |shared| shared.metrics.text(&shared.identities, connections)).await
        {
            Ok(text) => text,
            Err(failure) => return failure,
        };
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

fn shown(status: StatusCode, body: &Value) -> Response<AnswerBody> {
    answer::json(status, text(body))
}

fn text(body: &Value) -> Bytes {
    Bytes::from(format!("{body}\n"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_documented_and_the_other_way_round() {
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let mut documented = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            // What is said of the clients' listener names its own server.
            if operations.get("servers").is_none() {
                let methods = operations.as_object().unwrap().keys().filter(|key| *key != "parameters");
                documented.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
            }
        }
        let served = ENDPOINTS.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
        let mut served: Vec<_> = served.collect();
        served.sort();
        documented.sort();
        assert_eq!(documented, served);
    }
}
