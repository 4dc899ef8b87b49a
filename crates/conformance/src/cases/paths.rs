//! One secret, several spellings: which mount a path belongs to.

use gds_vault::{ErrorKind, MountKind};
use serde_json::{Value, json};

use super::cases;
use crate::corner::{Corner, assert_error, call, envelope};
use crate::like::assert_like;

cases! {
    Nothing: [
        three_spellings_are_one_secret,
        a_mount_may_be_nested,
        a_mount_point_with_a_name_like_a_folder,
        kv_1_has_no_data_folder,
        a_secret_may_be_called_data,
        an_unknown_mount_is_denied,
        a_mount_tells_what_it_is,
        who_may_read_something_may_ask_for_its_mount,
        who_may_read_nothing_may_not_ask,
        a_mount_is_asked_for_once_until_forgotten,
        mounts_do_not_overlap,
        a_removed_mount_takes_its_secrets_along,
    ],
}

/// `what` the mount answers to a read of `path`, with `mount_point` to fall back on: its field `x`.
async fn x_at(client: &gds_vault::Client, path: &str, mount_point: Option<&str>) -> String {
    let found = client.mounts().resolve(path, mount_point).await.unwrap_or_else(|e| panic!("{path}: {e}"));
    let secret = client.read_path(&found, None).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    secret.field("x").unwrap().text().expose().to_owned()
}

async fn three_spellings_are_one_secret(corner: Corner) {
    let mount = corner.kv2().await;
    corner.root().kv2(&*mount).put("app/config", &json!({"x": "found"}), None).await.unwrap();
    let spellings =
        [format!("{mount}/app/config"), format!("{mount}/data/app/config"), "app/config".to_owned()];
    for spelling in &spellings {
        let client = corner.root();
        let path = client.mounts().resolve(spelling, Some(&mount)).await.unwrap();
        assert_eq!(path.canonical(), spellings[0], "{spelling}");
        assert_eq!(path.api_path(), spellings[1], "{spelling}");
        assert_eq!((path.kind, path.rest), (MountKind::Kv2, "app/config"));
        for variant in [spelling.clone(), format!("/{spelling}"), format!("{spelling}/")] {
            assert_eq!(x_at(&client, &variant, Some(&mount)).await, "found", "{variant}");
        }
    }
}

async fn a_mount_may_be_nested(corner: Corner) {
    let mount = corner.name("team/kv");
    corner.mount_kv2(&mount).await.put("app/config", &json!({"x": "nested"}), None).await.unwrap();
    for (spelling, mount_point) in [
        (format!("{mount}/app/config"), None),
        (format!("{mount}/data/app/config"), None),
        (format!("{mount}/app/config"), Some(&*mount)),
        ("app/config".to_owned(), Some(&*mount)),
        (format!("{mount}/app/config"), Some("secret")),
    ] {
        assert_eq!(x_at(&corner.root(), &spelling, mount_point).await, "nested", "{spelling}");
    }
    let info = corner.root().sys().mount_of(&format!("{mount}/app")).await.unwrap();
    assert_eq!((info.path, info.kind), (format!("{mount}/"), MountKind::Kv2));
}

/// With the mounts `team-a` and `team-b`, a folder `team` in the mount point is neither.
async fn a_mount_point_with_a_name_like_a_folder(corner: Corner) {
    let (mount, other) = (corner.name("kv"), corner.name("kv-other"));
    corner.mount_kv2(&mount).await.put("config", &json!({"x": "mount"}), None).await.unwrap();
    corner.mount_kv2(&other).await.put("config", &json!({"x": "other"}), None).await.unwrap();
    let client = corner.root();
    client.kv2(&*mount).put(&format!("{mount}/config"), &json!({"x": "folder"}), None).await.unwrap();
    assert_eq!(x_at(&client, &format!("{mount}/config"), Some(&mount)).await, "mount");
    assert_eq!(x_at(&client, &format!("{other}/config"), Some(&mount)).await, "other");
    assert_eq!(x_at(&client, &format!("{mount}/{mount}/config"), Some(&mount)).await, "folder");
}

async fn kv_1_has_no_data_folder(corner: Corner) {
    let mount = corner.kv1().await;
    let client = corner.root();
    client.kv1(&*mount).put("app/config", &json!({"x": "plain"})).await.unwrap();
    client.kv1(&*mount).put("data/app/config", &json!({"x": "in data"})).await.unwrap();
    for (spelling, found) in [
        (format!("{mount}/app/config"), "plain"),
        (format!("{mount}/data/app/config"), "in data"),
        ("app/config".to_owned(), "plain"),
        ("data/app/config".to_owned(), "in data"),
    ] {
        assert_eq!(x_at(&client, &spelling, Some(&mount)).await, found, "{spelling}");
    }
}

async fn a_secret_may_be_called_data(corner: Corner) {
    let mount = corner.kv2().await;
    let client = corner.root();
    client.kv2(&*mount).put("data/x", &json!({"x": "inner"}), None).await.unwrap();
    client.kv2(&*mount).put("x", &json!({"x": "outer"}), None).await.unwrap();
    assert_eq!(x_at(&client, &format!("{mount}/data/data/x"), None).await, "inner");
    assert_eq!(x_at(&client, &format!("{mount}/data/x"), None).await, "outer");
    assert_eq!(x_at(&client, &format!("{mount}/x"), None).await, "outer");
}

async fn an_unknown_mount_is_denied(corner: Corner) {
    let error = corner.root().mounts().resolve(&corner.name("none/app/config"), None).await.unwrap_err();
    let said = format!(
        "preflight capability check returned 403, please ensure client's policies grant access to path \"{}/\"",
        corner.name("none/app/config")
    );
    assert_error(&error, ErrorKind::PermissionDenied, 403, &[&said]);
    // With a mount point that is not there either, there is nothing left to try.
    let error = corner.root().mounts().resolve("app/config", Some(&corner.name("none"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

async fn a_mount_tells_what_it_is(corner: Corner) {
    let mount = corner.kv2().await;
    let answer = corner.call("GET", &format!("sys/internal/ui/mounts/{mount}/any/thing"), None).await;
    let data = json!({
        "accessor": "<text>",
        "config": {"default_lease_ttl": 2_764_800, "force_no_cache": false, "max_lease_ttl": 2_764_800},
        "deprecation_status": "supported",
        "description": "",
        "external_entropy_access": false,
        "local": false,
        "options": {"version": "2"},
        "path": format!("{mount}/"),
        "plugin_version": "",
        "running_plugin_version": "<text>",
        "running_sha256": "",
        "seal_wrap": false,
        "type": "kv",
        "uuid": "<uuid>",
    });
    assert_like(&answer.body, &envelope("", &data));
    for (path, kind) in
        [("sys", MountKind::Other), ("cubbyhole/x", MountKind::Other), ("secret", MountKind::Kv2)]
    {
        assert_eq!(corner.root().sys().mount_of(path).await.unwrap().kind, kind, "{path}");
    }
    let kv1 = corner.kv1().await;
    assert_eq!(corner.root().sys().mount_of(&kv1).await.unwrap().kind, MountKind::Kv1);
}

async fn who_may_read_something_may_ask_for_its_mount(corner: Corner) {
    let mount = corner.kv2().await;
    corner.root().kv2(&*mount).put("app/config", &json!({"x": "mine"}), None).await.unwrap();
    let client =
        corner.client_with(&format!(r#"path "{mount}/data/app/*" {{ capabilities = ["read"] }}"#)).await;
    for (spelling, mount_point) in
        [(format!("{mount}/app/config"), None), ("app/config".to_owned(), Some(&*mount))]
    {
        assert_eq!(x_at(&client, &spelling, mount_point).await, "mine", "{spelling}");
    }
    // Even for what it may not read.
    assert_eq!(client.sys().mount_of(&format!("{mount}/other")).await.unwrap().path, format!("{mount}/"));
}

async fn who_may_read_nothing_may_not_ask(corner: Corner) {
    let mount = corner.kv2().await;
    let client = corner.client_with(r#"path "elsewhere/*" { capabilities = ["read"] }"#).await;
    let error = client.sys().mount_of(&format!("{mount}/app")).await.unwrap_err();
    let said = format!(
        "preflight capability check returned 403, please ensure client's policies grant access to path \"{mount}/app/\""
    );
    assert_error(&error, ErrorKind::PermissionDenied, 403, &[&said]);
    let answer = call(&corner.anonymous(), "GET", &format!("sys/internal/ui/mounts/{mount}"), None).await;
    assert_eq!(answer.status, 403, "{answer:?}");
}

async fn a_mount_is_asked_for_once_until_forgotten(corner: Corner) {
    let mount = corner.name("kv");
    corner.mount_kv2(&mount).await.put("a", &json!({"x": "v2"}), None).await.unwrap();
    let client = corner.root();
    let path = format!("{mount}/a");
    assert!(client.mounts().known(&path, None).is_none());
    client.mounts().resolve(&path, None).await.unwrap();
    assert_eq!(client.mounts().known(&path, None).unwrap().kind, MountKind::Kv2);

    corner.root().sys().disable_secrets(&mount).await.unwrap();
    corner.root().sys().enable_secrets(&mount, "kv", &[("version", "1")]).await.unwrap();
    corner.root().kv1(&*mount).put("a", &json!({"x": "v1"})).await.unwrap();
    let as_known = client.mounts().resolve(&path, None).await.unwrap();
    assert_eq!(client.read_path(&as_known, None).await.unwrap_err().kind(), ErrorKind::NotFound);
    client.mounts().forget(&mount);
    assert_eq!(x_at(&client, &path, None).await, "v1");
}

async fn mounts_do_not_overlap(corner: Corner) {
    let outer = corner.name("outer");
    let inner = format!("{outer}/inner");
    let sys = corner.root().sys();
    sys.enable_secrets(&inner, "kv", &[]).await.unwrap();
    let error = sys.enable_secrets(&outer, "kv", &[]).await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &[&format!("path is already in use at {inner}/")]);
    let error = sys.enable_secrets(&format!("{inner}/most"), "kv", &[]).await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &[&format!("path is already in use at {inner}/")]);
}

async fn a_removed_mount_takes_its_secrets_along(corner: Corner) {
    let mount = corner.name("kv");
    let kv = corner.mount_kv2(&mount).await;
    kv.put("a", &json!({"x": 1}), None).await.unwrap();
    corner.root().sys().disable_secrets(&mount).await.unwrap();
    let said = format!("no handler for route \"{mount}/data/a\". route entry not found.");
    assert_error(&kv.read("a").await.unwrap_err(), ErrorKind::NotFound, 404, &[&said]);
    corner.mount_kv2(&mount).await;
    assert_error(&kv.read("a").await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
    let gone = corner.call("DELETE", &format!("sys/mounts/{}", corner.name("never")), None).await;
    assert_eq!((gone.status, gone.body), (204, Value::Null));
}
