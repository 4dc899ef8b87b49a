//! Outages on demand, over real sockets.

use std::time::Duration;

use serde_json::json;
use vault_dev::{Error, Fault, FaultRule, VaultDev};

use crate::support::{Connection, Failure, start};

#[tokio::test]
async fn refused_means_refused_and_the_port_comes_back() {
    let (vault, root) = start().await;
    let mut pooled = Connection::open(root.address).await.unwrap();
    pooled.ask("GET", "/v1/sys/health", &[], None).await.unwrap();
    let outage = vault.fault(Fault::Refused).await;
    assert_eq!(root.try_ask("GET", "sys/health", None).await.unwrap_err(), Failure::Refused);
    let dropped = pooled.ask("GET", "/v1/sys/health", &[], None).await.unwrap_err();
    assert!(matches!(dropped, Failure::Closed | Failure::Reset), "{dropped:?}");
    drop(outage);
    vault.accept().await;
    assert_eq!(root.get("sys/health").await.status, 200);
    for _ in 0..20 {
        vault.refuse().await;
        assert_eq!(root.try_ask("GET", "sys/health", None).await.unwrap_err(), Failure::Refused);
        vault.accept().await;
        assert_eq!(root.get("sys/health").await.status, 200);
    }
}

#[tokio::test]
async fn the_reserved_port_is_not_given_to_anybody() {
    let (vault, root) = start().await;
    vault.refuse().await;
    let others: Vec<_> = (0..200).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    assert!(others.iter().all(|other| other.local_addr().unwrap() != root.address));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_start_at_once() {
    let starts = (0..300).map(|_| tokio::spawn(async { VaultDev::builder().start().await.unwrap() }));
    let mut ports = std::collections::BTreeSet::new();
    let mut running = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        let vault = start.await.unwrap();
        ports.insert(vault.address().port());
        running.push(vault);
    }
    assert_eq!(ports.len(), 300);
}

#[tokio::test]
async fn a_fixed_port_can_be_taken_over_at_once() {
    let (vault, root) = start().await;
    root.get("sys/health").await;
    let address = vault.address();
    vault.shutdown(Duration::from_secs(10)).await;
    drop(vault);
    let next = VaultDev::builder().listen(address).start().await.unwrap();
    assert_eq!(next.address(), address);
    assert_eq!(root.get("sys/health").await.status, 200);
}

#[tokio::test]
async fn two_servers_do_not_share_a_port() {
    let (vault, _root) = start().await;
    let error = VaultDev::builder().listen(vault.address()).start().await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }), "{error:?}");
    let error = VaultDev::builder().listen("0.0.0.0:0".parse().unwrap()).start().await.unwrap_err();
    assert!(error.to_string().contains("not a loopback address"), "{error}");
}

#[tokio::test]
async fn frozen_requests_are_answered_after_the_thaw() {
    let (vault, root) = start().await;
    vault.freeze();
    let waiting = tokio::spawn({
        let root = root.with_token("root");
        async move { root.get("sys/health").await.status }
    });
    while vault.count("GET", "sys/health") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(vault.requests()[0].status, None);
    vault.thaw();
    assert_eq!(waiting.await.unwrap(), 200);
    assert_eq!(vault.requests()[0].status, Some(200));
}

#[tokio::test]
async fn statuses_with_a_path_and_a_count() {
    let (vault, root) = start().await;
    let rule = FaultRule::new(Fault::Status { status: 429, retry_after: Some(Duration::from_millis(6500)) });
    let _guard = vault.fault(rule.on("secret/").times(2)).await;
    assert_eq!(root.get("sys/health").await.status, 200);
    for _ in 0..2 {
        let answer = root.get("secret/data/x").await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")));
    }
    assert_eq!(root.get("secret/data/x").await.status, 404);
}

#[tokio::test]
async fn bodies_are_cut_garbled_and_dripped() {
    let (vault, root) = start().await;
    let cut = vault.fault(Fault::CutBody).await;
    assert_eq!(root.try_ask("GET", "sys/health", None).await.unwrap_err(), Failure::Cut);
    let written = root.try_ask("POST", "secret/data/x", Some(&json!({ "data": { "a": 1 } }))).await;
    assert_eq!(written.unwrap_err(), Failure::Cut);
    drop(cut);
    assert_eq!(root.get("secret/data/x").await.status, 200, "what was asked for has happened");

    let garbage = vault.fault(Fault::Garbage).await;
    let answer = root.get("secret/data/x").await;
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&answer.text).is_err());
    drop(garbage);

    let not_http = vault.fault(Fault::NotHttp).await;
    assert_eq!(root.try_ask("GET", "sys/health", None).await.unwrap_err(), Failure::NotHttp);
    drop(not_http);

    let _drip = vault.fault(Fault::Drip(Duration::from_micros(100))).await;
    assert_eq!(root.get("secret/data/x").await.data("data"), json!({ "a": 1 }));
}

#[tokio::test]
async fn resets_before_and_within_the_answer() {
    let (vault, root) = start().await;
    let mut pooled = Connection::open(root.address).await.unwrap();
    pooled.ask("GET", "/v1/sys/health", &[], None).await.unwrap();
    let reset = vault.fault(Fault::Reset).await;
    assert_eq!(pooled.ask("GET", "/v1/sys/health", &[], None).await.unwrap_err(), Failure::Reset);
    assert_eq!(root.try_ask("GET", "sys/health", None).await.unwrap_err(), Failure::Reset);
    let body = json!({ "data": {} });
    assert_eq!(root.try_ask("POST", "secret/data/x", Some(&body)).await.unwrap_err(), Failure::Reset);
    drop(reset);
    assert_eq!(root.get("secret/data/x").await.status, 404, "nothing has happened");
    let _mid = vault.fault(Fault::ResetMidBody).await;
    assert_eq!(root.try_ask("GET", "sys/health", None).await.unwrap_err(), Failure::Reset);
}

#[tokio::test]
async fn sealed_standby_and_redirected() {
    let (vault, root) = start().await;
    let sealed = vault.fault(Fault::Sealed).await;
    assert_eq!(root.get("secret/data/x").await.status, 503);
    assert_eq!(root.get("sys/seal-status").await.json()["sealed"], true);
    drop(sealed);
    assert_eq!(root.get("secret/data/x").await.status, 404);

    let standby = vault.fault(Fault::Standby(473)).await;
    let health = root.get("sys/health").await;
    assert_eq!((health.status, health.json()["standby"].clone()), (473, json!(true)));
    assert_eq!(root.get("secret/data/x").await.status, 473);
    drop(standby);

    let _elsewhere = vault.fault(Fault::Redirect("http://127.0.0.1:1/".to_owned())).await;
    let answer = root.get("secret/data/x?version=2").await;
    assert_eq!(answer.status, 307);
    assert_eq!(answer.header("location"), Some("http://127.0.0.1:1/v1/secret/data/x?version=2"));
}

#[tokio::test(start_paused = true)]
async fn slow_on_the_paused_clock() {
    let (vault, root) = start().await;
    let _slow = vault.fault(Fault::Slow(Duration::from_secs(5))).await;
    let before = tokio::time::Instant::now();
    assert_eq!(root.get("sys/health").await.status, 200);
    assert!(before.elapsed() >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_fault_can_lift_itself() {
    let (vault, root) = start().await;
    vault.fault(FaultRule::new(Fault::Garbage).lasting(Duration::from_secs(60))).await.keep();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(root.get("sys/seal-status").await.json()["sealed"], false);
}

#[tokio::test]
async fn faults_over_http() {
    let (vault, root) = start().await;
    let mut admin = Connection::open(root.address).await.unwrap();
    let body = json!({ "fault": "status", "status": 502, "path": "secret/", "count": 1 });
    let answer = admin.ask("POST", "/vault-dev/v1/faults", &[], Some(&body)).await.unwrap();
    let id = answer.json()["id"].clone();
    assert_eq!(root.get("secret/data/x").await.status, 502);
    assert_eq!(root.get("secret/data/x").await.status, 404);
    let listed = admin.ask("GET", "/vault-dev/v1/faults", &[], None).await.unwrap().json();
    assert_eq!(listed["faults"][0]["left"], 0);
    assert_eq!(
        admin.ask("DELETE", &format!("/vault-dev/v1/faults/{id}"), &[], None).await.unwrap().status,
        204
    );
    assert_eq!(
        admin.ask("DELETE", &format!("/vault-dev/v1/faults/{id}"), &[], None).await.unwrap().status,
        404
    );
    let browser = [("Origin".to_owned(), "http://evil".to_owned())];
    assert_eq!(admin.ask("DELETE", "/vault-dev/v1/faults", &browser, None).await.unwrap().status, 403);
    assert_eq!(vault.count("GET", "secret/"), 2, "the admin's own requests do not count");
    let requests = admin.ask("GET", "/vault-dev/v1/requests", &[], None).await.unwrap().json();
    assert_eq!(requests["requests"][0]["status"], 502);
}

#[tokio::test]
async fn accounting() {
    let (vault, root) = start().await;
    root.get("secret/data/a").await;
    root.list("secret/metadata").await;
    root.get("secret/metadata?list=true").await;
    assert_eq!(vault.count("GET", "secret/"), 1);
    assert_eq!(vault.count("LIST", "secret/metadata"), 2);
    assert_eq!(vault.count("*", ""), 3);
    assert_eq!(vault.connections(), 3);
    assert_eq!(vault.requests()[0].status, Some(404));
    vault.reset_counts();
    assert_eq!((vault.count("*", ""), vault.connections()), (0, 0));
}

#[tokio::test]
async fn shutdown_ends_everything() {
    let (vault, root) = start().await;
    assert_eq!(root.get("sys/health").await.status, 200);
    let report = vault.shutdown(Duration::from_secs(10)).await;
    assert_eq!((report.revoked, report.left.len()), (0, 0));
    assert_eq!(root.try_ask("GET", "sys/health", None).await.unwrap_err(), Failure::Refused);
    assert_eq!(vault.shutdown(Duration::from_secs(10)).await.revoked, 0);
}
