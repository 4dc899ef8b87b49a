//! KV without versions.

use gds_vault::ErrorKind;
use serde_json::json;

use super::cases;
use crate::corner::{Corner, assert_error, envelope};
use crate::like::assert_like;

cases! {
    Nothing: [
        what_is_written_is_read,
        a_write_replaces_all_fields,
        a_ttl_is_only_a_hint,
        numbers_stay_as_they_were_written,
        lists_names_and_folders,
        a_deleted_secret_is_gone,
        an_empty_secret_is_refused,
        looks_like_a_version_but_is_none,
        is_not_patched,
    ],
}

/// 768 h: Vault's default for anything that has no lease of its own.
const DEFAULT_LEASE: u64 = 2_764_800;

async fn what_is_written_is_read(corner: Corner) {
    let mount = corner.kv1().await;
    let fields = json!({"user": "app", "port": 5432, "nested": {"a": [1, null, true]}});
    corner.root().kv1(&*mount).put("app/config", &fields).await.unwrap();

    let secret = corner.root().kv1(&*mount).read("app/config").await.unwrap();
    assert_eq!(secret.field("user").unwrap().text().expose(), "app");
    assert!(secret.lease().is_none() && secret.version().is_none());
    let answer = corner.call("GET", &format!("{mount}/app/config"), None).await;
    let mut expected = envelope("kv", &fields);
    expected["lease_duration"] = DEFAULT_LEASE.into();
    assert_eq!(answer.status, 200);
    assert_like(&answer.body, &expected);
}

async fn a_write_replaces_all_fields(corner: Corner) {
    let mount = corner.kv1().await;
    let kv = corner.root().kv1(&*mount);
    kv.put("a", &json!({"old": 1, "both": 1})).await.unwrap();
    kv.put("a", &json!({"both": 2})).await.unwrap();
    assert_eq!(kv.read("a").await.unwrap().data().expose_json(), r#"{"both":2}"#);
}

async fn a_ttl_is_only_a_hint(corner: Corner) {
    let mount = corner.kv1().await;
    for (ttl, lease_duration) in
        [(json!("30s"), 30), (json!(90), 90), (json!("1h"), 3_600), (json!("soon"), DEFAULT_LEASE)]
    {
        let fields = json!({"a": "b", "ttl": ttl});
        corner.root().kv1(&*mount).put("a", &fields).await.unwrap();
        let answer = corner.call("GET", &format!("{mount}/a"), None).await;
        let mut expected = envelope("kv", &fields);
        expected["lease_duration"] = lease_duration.into();
        assert_like(&answer.body, &expected);
    }
}

async fn numbers_stay_as_they_were_written(corner: Corner) {
    let mount = corner.kv1().await;
    let kv = corner.root().kv1(&*mount);
    let body = r#"{"big":12345678901234567890123,"exact":1.10,"exponent":1e3}"#;
    let raw: &serde_json::value::RawValue = serde_json::from_str(body).unwrap();
    kv.put("a", &raw).await.unwrap();
    assert_eq!(kv.read("a").await.unwrap().data().expose_json(), body);
}

async fn lists_names_and_folders(corner: Corner) {
    let mount = corner.kv1().await;
    let kv = corner.root().kv1(&*mount);
    for path in ["b", "a", "a/b/c", "z/y"] {
        kv.put(path, &json!({"x": 1})).await.unwrap();
    }
    assert_eq!(kv.list("").await.unwrap(), ["a", "a/", "b", "z/"]);
    assert_eq!(kv.list("a").await.unwrap(), ["b/"]);
    assert_eq!(kv.list("a/b/").await.unwrap(), ["c"]);
    assert_error(&kv.list("nothing").await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
    let answer = corner.call("LIST", &format!("{mount}/z"), None).await;
    assert_like(&answer.body, &envelope("kv", &json!({"keys": ["y"]})));
}

async fn a_deleted_secret_is_gone(corner: Corner) {
    let mount = corner.kv1().await;
    let kv = corner.root().kv1(&*mount);
    kv.put("a/b", &json!({"x": 1})).await.unwrap();
    kv.delete("a/b").await.unwrap();
    assert_error(&kv.read("a/b").await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
    assert_error(&kv.list("a").await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
    kv.delete("a/b").await.unwrap();
}

async fn an_empty_secret_is_refused(corner: Corner) {
    let mount = corner.kv1().await;
    let error = corner.root().kv1(&*mount).put("a", &json!({})).await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &["missing data fields"]);
}

async fn looks_like_a_version_but_is_none(corner: Corner) {
    let mount = corner.kv1().await;
    let kv = corner.root().kv1(&*mount);
    let metadata = json!({"created_time": "t", "custom_metadata": null, "deletion_time": "", "destroyed": false, "version": 3});
    kv.put("a", &json!({"data": {"x": "1"}, "metadata": metadata})).await.unwrap();
    let secret = kv.read("a").await.unwrap();
    assert!(secret.version().is_none());
    assert_eq!(secret.data().names().collect::<Vec<_>>(), ["data", "metadata"]);
}

async fn is_not_patched(corner: Corner) {
    let mount = corner.kv1().await;
    corner.root().kv1(&*mount).put("a", &json!({"x": 1})).await.unwrap();
    let answer = corner.call("PATCH", &format!("{mount}/a"), json!({"x": 2})).await;
    answer.assert_refused(405, &["1 error occurred:\n\t* unsupported operation\n\n"]);
}
