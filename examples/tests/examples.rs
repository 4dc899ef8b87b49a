//! Each example does what it says, on the development server and a real PostgreSQL, while its credentials rotate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::routing::post;
use endurance::rotation::Stage;
use endurance::unless_held_up;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// A lease is replaced after seven seconds or so.
const DEFAULT_TTL: Duration = Duration::from_secs(4);
const MAX_TTL: Duration = Duration::from_secs(8);

/// A guard against hanging.
const HANGS: Duration = Duration::from_secs(60);

fn start(program: &str, args: &[&str], stage: &Stage, more: &[(&str, String)]) -> Child {
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(stage.environment()).envs(more.iter().map(|(k, v)| (k, v)));
    command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

async fn prints_who_it_is(program: &str) {
    unless_held_up(|| async {
        let stage = Stage::dev().await;
        stage.dynamic_role(DEFAULT_TTL, MAX_TTL).await;
        let child = start(program, &["12"], &stage, &[]);
        let output = timeout(HANGS, child.wait_with_output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let users: BTreeSet<&str> = printed.lines().collect();
        assert_eq!(printed.lines().count(), 12, "{printed}");
        assert!(users.len() >= 2 && users.iter().all(|user| user.starts_with("v-")), "{users:?}");
        stage.no_users().await;
    })
    .await;
}

#[tokio::test]
async fn rotating_sqlx() {
    prints_who_it_is(env!("CARGO_BIN_EXE_rotating-sqlx")).await;
}

#[tokio::test]
async fn rotating_deadpool() {
    prints_who_it_is(env!("CARGO_BIN_EXE_rotating-deadpool")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_service() {
    unless_held_up(|| async {
        let stage = Stage::dev().await;
        stage.dynamic_role(DEFAULT_TTL, MAX_TTL).await;
        let key = Arc::new(Mutex::new("sk_test_xxx".to_owned()));
        let more = [("LISTEN", "127.0.0.1:0".to_owned()), ("PAYMENTS_URL", payments(Arc::clone(&key)).await)];
        let mut child = start(env!("CARGO_BIN_EXE_web-service"), &[], &stage, &more);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(HANGS, lines.next_line()).await.unwrap().unwrap().unwrap();
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        let ask = async |method: Method, path: &str| request(method, &format!("{url}{path}")).await;

        // Through a rotation or two, no request fails.
        let until = Instant::now() + Duration::from_secs(14);
        let (mut users, mut charges) = (BTreeSet::new(), 0);
        while Instant::now() < until {
            let (status, body) = ask(Method::GET, "/items").await;
            assert!(status == StatusCode::OK && body.contains(r#"{"id":1,"#), "{status}: {body}");
            let (status, body) = ask(Method::POST, "/items/1/charge").await;
            assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"receipt":"receipt for 1"}"#));
            charges += 1;
            users.extend(stage.users().await);
            sleep(Duration::from_millis(50)).await;
        }
        assert!(users.len() >= 2, "{users:?}");
        let (_, body) = ask(Method::GET, "/items").await;
        assert!(body.contains(&format!(r#"{{"id":1,"n":{charges}}}"#)), "{body}");
        assert_eq!(ask(Method::POST, "/items/999/charge").await.0, StatusCode::NOT_FOUND);

        // Another key is used without a restart.
        "sk_test_new".clone_into(&mut key.lock().unwrap());
        assert_eq!(
            ask(Method::POST, "/items/2/charge").await.0,
            StatusCode::BAD_GATEWAY,
            "Vault has the old one"
        );
        stage.set_api_keys(&json!({"stripe": "sk_test_new"})).await;
        assert_eq!(ask(Method::POST, "/items/2/charge").await.0, StatusCode::OK);

        // Without Vault it goes on.
        let outage = stage.outage().await;
        for path in ["/items", "/health/live", "/health/ready"] {
            let (status, body) = ask(Method::GET, path).await;
            assert_eq!(status, StatusCode::OK, "{path}: {body}");
        }
        assert_eq!(ask(Method::POST, "/items/2/charge").await.0, StatusCode::OK);
        stage.recover(outage).await;

        // And leaves nothing behind.
        kill(Pid::from_raw(child.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let status = timeout(HANGS, child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
        stage.no_users().await;
    })
    .await;
}

/// Somebody else's API, that takes one key.
async fn payments(key: Arc<Mutex<String>>) -> String {
    async fn charge(
        State(key): State<Arc<Mutex<String>>>,
        Path(item): Path<i32>,
        headers: HeaderMap,
    ) -> (StatusCode, String) {
        let expected = format!("Bearer {}", key.lock().unwrap());
        if headers.get("authorization").is_some_and(|given| *given == expected) {
            return (StatusCode::OK, format!("receipt for {item}"));
        }
        (StatusCode::UNAUTHORIZED, "no".to_owned())
    }
    let routes = Router::new().route("/charges/{item}", post(charge)).with_state(key);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

async fn request(method: Method, url: &str) -> (StatusCode, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::builder().method(method).uri(url).body(Full::default()).unwrap();
    let answer = timeout(HANGS, client.request(request)).await.unwrap().unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
