//! Health, seal, mounts, policies.

use gds_vault::{ErrorKind, MountKind, SecretString};
use serde_json::json;

use crate::support::{CANARY, Reply, Server, assert_no_canary, client};

#[tokio::test]
async fn health_is_an_answer_whatever_its_status() {
    for (status, initialized, sealed, standby) in [
        (200, true, false, false),
        (429, true, false, true),
        (472, true, false, true),
        (473, true, false, true),
        (501, false, true, true),
        (503, true, true, true),
    ] {
        let body = json!({
            "initialized": initialized, "sealed": sealed, "standby": standby, "performance_standby": status == 473,
            "server_time_utc": 1_700_000_000, "version": "1.21.0", "enterprise": false
        });
        let server = Server::always(Reply::json(status, &body)).await;
        let health = client(&server).with_namespace(Some("ns")).sys().health().await.unwrap();
        assert_eq!((health.initialized, health.sealed, health.standby), (initialized, sealed, standby));
        assert_eq!((health.performance_standby, health.version.as_str()), (status == 473, "1.21.0"));
        assert_eq!((health.server_time_utc, health.cluster_name.as_str()), (1_700_000_000, ""));
        let request = server.only_request();
        assert_eq!((request.header("x-vault-token"), request.header("x-vault-namespace")), (None, None));
    }
}

#[tokio::test]
async fn what_is_not_health_is_an_error() {
    for (reply, kind) in [
        (Reply::text(200, &[], "<html>hello</html>"), ErrorKind::MalformedAnswer),
        (
            Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n\xff".to_vec()),
            ErrorKind::MalformedAnswer,
        ),
        (Reply::errors(404, &["no such thing"]), ErrorKind::NotFound),
        (Reply::text(502, &[], "bad gateway"), ErrorKind::ServerError),
    ] {
        let server = Server::always(reply).await;
        let error = client(&server).sys().health().await.unwrap_err();
        assert_eq!((error.kind(), error.path()), (kind, "sys/health"));
    }
}

#[tokio::test]
async fn servers_are_sealed_and_unsealed() {
    let status = json!({"type": "shamir", "initialized": true, "sealed": true, "t": 3, "n": 5, "progress": 1, "version": "1"});
    let server = Server::script([
        Reply::json(200, &status),
        Reply::no_content(),
        Reply::json(200, &status),
        Reply::errors(400, &[CANARY]),
    ])
    .await;
    let sys = client(&server).sys();
    let found = sys.seal_status().await.unwrap();
    assert_eq!((found.sealed, found.threshold, found.shares, found.progress), (true, 3, 5, 1));
    sys.seal().await.unwrap();
    let key = SecretString::from(CANARY);
    assert!(sys.unseal(&key).await.unwrap().sealed);
    assert_no_canary(&format!("{:?}", sys.unseal(&key).await.unwrap_err()));
    assert_eq!(server.log()[..3], ["GET /v1/sys/seal-status", "PUT /v1/sys/seal", "PUT /v1/sys/unseal"]);
    assert_eq!(server.requests()[2].json(), json!({"key": CANARY}));
}

#[tokio::test]
async fn capabilities_are_told_per_path() {
    let answer = json!({"capabilities": ["read"], "a": ["read"], "b/c": ["deny"]});
    let server = Server::always(Reply::data(&answer)).await;
    let sys = client(&server).sys();
    let found = sys.capabilities_self(&["a", "b/c"]).await.unwrap();
    assert_eq!(
        (found["a"].as_slice(), found["b/c"].as_slice()),
        (&["read".to_owned()][..], &["deny".to_owned()][..])
    );
    assert_eq!(server.only_request().json(), json!({"paths": ["a", "b/c"]}));
    assert_eq!(sys.capabilities_self(&["missing"]).await.unwrap_err().kind(), ErrorKind::MalformedAnswer);
}

#[tokio::test]
async fn mounts_are_told_apart() {
    for (kind, options, expected) in [
        ("kv", json!({"version": "2"}), MountKind::Kv2),
        ("kv", json!({"version": "1"}), MountKind::Kv1),
        ("kv", json!(null), MountKind::Kv1),
        ("kv", json!({}), MountKind::Kv1),
        ("generic", json!(null), MountKind::Kv1),
        ("database", json!(null), MountKind::Database),
        ("pki", json!({"version": null}), MountKind::Other),
    ] {
        let server =
            Server::always(Reply::data(&json!({"path": "m/", "type": kind, "options": options}))).await;
        let info = client(&server).sys().mount_of("/m/x").await.unwrap();
        assert_eq!((info.path.as_str(), info.kind, info.type_name.as_str()), ("m/", expected, kind));
        assert_eq!(server.only_request().target, "/v1/sys/internal/ui/mounts/m/x");
    }
}

#[tokio::test]
async fn engines_methods_and_policies_are_set_up() {
    let server = Server::always(Reply::no_content()).await;
    let sys = client(&server).sys();
    sys.enable_secrets("team/kv", "kv", &[("version", "2")]).await.unwrap();
    sys.disable_secrets("team/kv").await.unwrap();
    sys.enable_auth("approle", "approle").await.unwrap();
    sys.put_policy("app", "path \"a\" {}").await.unwrap();
    assert_eq!(sys.put_policy("a/b", "").await.unwrap_err().kind(), ErrorKind::Configuration);
    let sent: Vec<String> =
        server.requests().iter().map(|r| format!("{} {} {}", r.method, r.target, r.body)).collect();
    assert_eq!(
        sent,
        [
            r#"POST /v1/sys/mounts/team/kv {"type":"kv","options":{"version":"2"}}"#,
            "DELETE /v1/sys/mounts/team/kv ",
            r#"POST /v1/sys/auth/approle {"type":"approle"}"#,
            r#"POST /v1/sys/policies/acl/app {"policy":"path \"a\" {}"}"#,
        ]
    );
}
