//! Traces: what a collector of OpenTelemetry gets of requests, and what it never gets.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Ask, CONFIG, Setup, Vault, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector that keeps all it is sent, as it was sent.
struct Collector {
    address: String,
    taken: Arc<Mutex<Vec<Taken>>>,
    _serving: JoinSet<()>,
}

struct Taken {
    head: String,
    body: String,
}

impl Collector {
    async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", socket.local_addr().unwrap());
        let taken = Arc::<Mutex<Vec<Taken>>>::default();
        let kept = Arc::clone(&taken);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request| keep(request, Arc::clone(&kept)));
                let serving = hyper::server::conn::http1::Builder::new();
                connections.spawn(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, taken, _serving: serving }
    }

    fn spans(&self) -> Vec<Value> {
        let taken = self.taken.lock().unwrap();
        let bodies = taken.iter().map(|taken| serde_json::from_str::<Value>(&taken.body).unwrap());
        bodies
            .flat_map(|body| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone())
            .collect()
    }

    fn all(&self) -> String {
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|taken| format!("{}\n{}\n", taken.head, taken.body)).collect::<Vec<_>>().concat()
    }
}

async fn keep(
    request: Request<Incoming>,
    kept: Arc<Mutex<Vec<Taken>>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    kept.lock().unwrap().push(Taken { head: format!("{head:?}"), body });
    Ok(Response::new(Empty::new()))
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    let value = &attributes.iter().find(|attribute| attribute["key"] == key).unwrap()["value"];
    value.get("stringValue").unwrap_or(&value["intValue"])
}

#[tokio::test]
async fn each_request_is_a_span() {
    let vault = Vault::start().await;
    let collector = Collector::start().await;
    let agent = vault.agent().env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address).start().await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    agent.ask(Ask::get(CONFIG).header("traceparent", &traceparent)).await;
    agent.get(CONFIG).await;
    agent.get("/v1/sys/health").await;
    agent.get("/v1/secret/data/myapp/none").await;
    agent.ask(Ask::get(CONFIG).without("x-vault-request")).await;
    agent.ask(Ask::get(CONFIG).header("traceparent", &format!("00-{TRACE}-{PARENT}-00"))).await;
    eventually("five spans", async || collector.spans().len() >= 5).await;
    let spans = collector.spans();
    let told: Vec<_> = spans
        .iter()
        .map(|span| {
            let of = |key: &str| attribute(span, key).as_str().unwrap().to_owned();
            assert_eq!(span["name"], format!("{} {}", of("http.request.method"), of("http.route")));
            let time = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
            assert!(time("startTimeUnixNano") > 0 && time("endTimeUnixNano") >= time("startTimeUnixNano"));
            format!("{} {} {}", of("http.route"), of("http.response.status_code"), of("secrets.cache"))
        })
        .collect();
    let expected = [
        "/v1/secret/* 200 miss",
        "/v1/secret/* 200 hit",
        "/v1/sys/* 200 bypass",
        "/v1/secret/* 404 bypass",
        "/v1/secret/* 412 bypass",
    ];
    assert_eq!(told, expected, "and none for the trace that is not recorded");
    assert_eq!((&spans[0]["traceId"], &spans[0]["parentSpanId"]), (&TRACE.into(), &PARENT.into()));
    assert!(spans[1]["traceId"] != TRACE && spans[1].get("parentSpanId").is_none());
    let body: Value = serde_json::from_str(&collector.taken.lock().unwrap()[0].body).unwrap();
    let service = &body["resourceSpans"][0]["resource"]["attributes"][0];
    assert_eq!(service["value"]["stringValue"], "secrets-service-agent");
}

#[tokio::test]
async fn nothing_secret_gets_to_the_collector() {
    let vault = Vault::start().await;
    vault.store("myapp/config", &json!({ "password": "canary-value" })).await;
    let collector = Collector::start().await;
    let agent = vault.agent().env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address).start().await;
    agent.get(&format!("{CONFIG}?version=1&x=canary-query")).await;
    agent.get("/v1/secret/data/myapp/canary-path").await;
    agent.get("/v1/hvs.canary-mount/x").await;
    agent.get("/canary-outside").await;
    agent.ask(Ask::get("/v1/auth/token/lookup/canary-lookup").token("canary-token")).await;
    agent.ask(Ask::method("CANARY", "/v1/secret/data/x")).await;
    let header = Ask::get(CONFIG)
        .header("authorization", "Bearer canary-bearer")
        .header("tracestate", "a=canary-state");
    agent
        .ask(header.header("x-vault-namespace", "canary-namespace").header("user-agent", "canary-agent"))
        .await;
    agent.ask(Ask::get(CONFIG).header("traceparent", "00-canary-trace-canary-01")).await;
    let put = Ask::method("PUT", "/v1/secret/data/myapp/config");
    agent.ask(put.json(&json!({ "data": { "canary-field": "canary-written" } }))).await;
    eventually("nine spans", async || collector.spans().len() >= 9).await;
    let all = collector.all();
    assert!(!all.to_lowercase().contains("canary"), "{all}");
    assert!(!all.contains(&vault.secret_id) && !all.contains("hvs."), "{all}");
    assert!(!agent.log().contains("canary"), "{}", agent.log());
}

#[tokio::test]
async fn the_last_spans_are_sent_before_the_end() {
    let vault = Vault::start().await;
    let collector = Collector::start().await;
    let agent = vault.agent().env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address).start().await;
    agent.get(CONFIG).await;
    agent.send(Signal::SIGTERM);
    assert_eq!(agent.ended().await.0, Some(0));
    assert_eq!(collector.spans().len(), 1);
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_nobody() {
    let vault = Vault::start().await;
    let agent = vault.agent().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").start().await;
    for _ in 0..20 {
        assert_eq!(agent.get(CONFIG).await.status, 200);
    }
    agent.says("the collector of traces takes no spans").await;
    agent.send(Signal::SIGTERM);
    let (code, log) = agent.ended().await;
    assert_eq!((code, log.matches("takes no spans").count()), (Some(0), 1), "{log}");
}

#[tokio::test]
async fn a_wrong_endpoint_is_told_at_the_start() {
    let vault = Vault::start().await;
    let agent = vault.agent().env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://canary.example.com");
    let said = agent.fails(1).await;
    assert!(said.contains("OTEL_EXPORTER_OTLP_ENDPOINT must be http://HOST:PORT"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[tokio::test]
async fn vault_is_told_which_trace_a_request_is_of() {
    let (vault, collector) = (Collector::start().await, Collector::start().await);
    let agent = Setup::new(&vault.address).env("SECRETS_AGENT_OWN_LEND", "false");
    let agent = agent.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address).start().await;
    let sent = format!("00-{TRACE}-{PARENT}-01");
    agent.ask(Ask::get("/v1/sys/health").header("traceparent", &sent)).await;
    eventually("a span", async || !collector.spans().is_empty()).await;
    let span = collector.spans()[0]["spanId"].as_str().unwrap().to_owned();
    assert_ne!(span, PARENT);
    assert!(vault.all().contains(&format!("00-{TRACE}-{span}-01")), "{}", vault.all());
}
