//! Three spellings of a path, and how often Vault is asked about them.

use gds_vault::{Client, ErrorKind, MountKind};
use serde_json::json;

use crate::support::{Reply, Server, client};

/// A Vault with these mounts; to everything else it says 403, as Vault does.
async fn vault(mounts: &'static [(&'static str, &'static str, &'static str)]) -> Server {
    Server::answering(move |request| {
        let path = request.path();
        let Some(asked) = path.strip_prefix("/v1/sys/internal/ui/mounts/") else {
            return Reply::kv2(&json!({"path": path}));
        };
        let inside = |mount: &str| asked == mount || asked.starts_with(&format!("{mount}/"));
        match mounts.iter().find(|(mount, ..)| inside(mount)) {
            Some((mount, kind, version)) => Reply::data(
                &json!({"path": format!("{mount}/"), "type": kind, "options": {"version": version}}),
            ),
            None => Reply::errors(403, &["preflight capability check returned 403"]),
        }
    })
    .await
}

async fn canonical(client: &Client, path: &str, mount_point: Option<&str>) -> String {
    client.mounts().resolve(path, mount_point).await.unwrap().canonical()
}

#[tokio::test]
async fn three_spellings_are_one_secret_and_one_question() {
    let server = vault(&[("secret", "kv", "2")]).await;
    let client = client(&server);
    assert!(client.mounts().known("secret/myapp/config", None).is_none());
    for path in ["secret/myapp/config", "secret/data/myapp/config", "/v1/secret/data/myapp/config/"] {
        let found = client.mounts().resolve(path, Some("secret")).await.unwrap();
        assert_eq!((&*found.mount, found.kind, found.rest), ("secret", MountKind::Kv2, "myapp/config"));
        assert_eq!(
            (found.canonical(), found.api_path()),
            ("secret/myapp/config".to_owned(), "secret/data/myapp/config".to_owned())
        );
        assert_eq!(client.mounts().known(path, None), Some(found));
    }
    assert_eq!(server.requests().len(), 1);
    // The third spelling: asked as it stands, and then known for its whole folder.
    assert_eq!(canonical(&client, "myapp/config", Some("/secret/")).await, "secret/myapp/config");
    assert_eq!(canonical(&client, "myapp/api-keys", Some("secret")).await, "secret/myapp/api-keys");
    assert_eq!(
        server.log(),
        [
            "GET /v1/sys/internal/ui/mounts/secret/myapp/config",
            "GET /v1/sys/internal/ui/mounts/myapp/config",
            "GET /v1/sys/internal/ui/mounts/secret",
        ]
    );
}

#[tokio::test]
async fn a_mount_elsewhere_is_found_without_its_mount_point() {
    let server =
        vault(&[("secret", "kv", "2"), ("team/kv", "kv", "2"), ("old", "kv", "1"), ("db", "database", "")])
            .await;
    let client = client(&server);
    for (path, expected, kind) in [
        ("team/kv/data/a/b", "team/kv/a/b", MountKind::Kv2),
        ("old/data/x", "old/data/x", MountKind::Kv1),
        ("db/creds/app", "db/creds/app", MountKind::Database),
        ("secret/data", "secret", MountKind::Kv2),
        ("secret", "secret", MountKind::Kv2),
        ("team/other", "secret/team/other", MountKind::Kv2),
        // Its folder has the same first segment as one that is no mount.
        ("team/kv/c", "team/kv/c", MountKind::Kv2),
    ] {
        let found = client.mounts().resolve(path, Some("secret")).await.unwrap();
        assert_eq!((found.canonical().as_str(), found.kind), (expected, kind));
    }
    let read = client.mounts().resolve("db/creds/app", None).await.unwrap();
    assert_eq!(read.api_path(), "db/creds/app");
}

#[tokio::test]
async fn what_nobody_may_see_is_denied() {
    let server = vault(&[]).await;
    let client = client(&server);
    for (path, mount_point, asked) in
        [("a/b", None, 1), ("secret/a", Some("secret"), 1), ("a/b", Some("secret"), 2)]
    {
        let before = server.requests().len();
        let error = client.mounts().resolve(path, mount_point).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(server.requests().len() - before, asked, "{path}");
        assert!(client.mounts().known(path, mount_point).is_none());
    }
}

#[tokio::test]
async fn a_vault_that_cannot_say_is_taken_to_have_kv1() {
    for status in [404, 405] {
        let server = Server::always(Reply::errors(status, &[])).await;
        let client = client(&server);
        for (path, mount_point, mount, rest) in [
            ("secret/a/b", None, "secret", "a/b"),
            ("team/kv/a", Some("team/kv"), "team/kv", "a"),
            ("a/b", Some("secret"), "secret", "a/b"),
            ("a", None, "a", ""),
        ] {
            let found = client.mounts().resolve(path, mount_point).await.unwrap();
            assert_eq!((&*found.mount, found.kind, found.rest), (mount, MountKind::Kv1, rest));
            assert!(client.mounts().known(path, mount_point).is_none(), "a guess is not remembered");
        }
    }
}

#[tokio::test]
async fn an_unavailable_vault_teaches_nothing() {
    let server = Server::always(Reply::errors(503, &["Vault is sealed"])).await;
    let client = client(&server);
    let error = client.mounts().resolve("a/b", Some("secret")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sealed);
    assert_eq!(server.requests().len(), 1);
    let server = Server::always(Reply::errors(403, &["invalid token"])).await;
    let error = crate::support::client(&server).mounts().resolve("a/b", Some("secret")).await.unwrap_err();
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::InvalidToken, 1));
}

#[tokio::test]
async fn bad_paths_are_not_asked_about() {
    let server = vault(&[]).await;
    for path in ["", "/", "a//b", "a/../b", "a\n"] {
        let error = client(&server).mounts().resolve(path, Some("secret")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn clones_share_what_they_learnt_and_namespaces_do_not() {
    let server = vault(&[("secret", "kv", "2")]).await;
    let client = client(&server);
    canonical(&client.clone(), "secret/a", None).await;
    assert!(client.mounts().known("secret/b", None).is_some());
    let elsewhere = client.with_namespace(Some("ns"));
    assert!(elsewhere.mounts().known("secret/b", None).is_none());
    client.mounts().forget("/secret/");
    assert!(client.mounts().known("secret/b", None).is_none());
}

#[tokio::test]
async fn resolved_paths_are_read_as_their_mount_wants() {
    let server = vault(&[("secret", "kv", "2"), ("old", "kv", "1")]).await;
    let client = client(&server);
    for (path, version, target) in [
        ("secret/app", None, "/v1/secret/data/app"),
        ("secret/app", Some(3), "/v1/secret/data/app?version=3"),
        ("old/app", Some(3), "/v1/old/app"),
    ] {
        let resolved = client.mounts().resolve(path, None).await.unwrap();
        client.read_path(&resolved, version).await.unwrap();
        assert_eq!(server.requests().last().unwrap().target, target);
    }
}
