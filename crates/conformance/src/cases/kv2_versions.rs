//! The ends that a version can come to, and what is said of it afterwards.

use gds_vault::ErrorKind;
use serde_json::{Value, json};

use super::cases;
use crate::corner::{Corner, assert_error, envelope};
use crate::eventually::eventually;
use crate::like::assert_like;

cases! {
    Nothing: [
        versions_delete_themselves,
        a_deleted_version_comes_back,
        old_versions_are_deleted_by_number,
        a_destroyed_version_stays_away,
        without_its_metadata_a_secret_never_was,
        what_is_not_there_can_be_deleted,
        versions_must_be_named,
    ],
}

/// What is read of a version that is gone: its metadata, under 404.
fn gone(number: u64, deletion_time: &str, destroyed: bool) -> Value {
    let metadata = json!({
        "created_time": "<time>",
        "custom_metadata": null,
        "deletion_time": deletion_time,
        "destroyed": destroyed,
        "version": number,
    });
    envelope("", &json!({"data": null, "metadata": metadata}))
}

async fn a_deleted_version_comes_back(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put("a", &json!({"x": 1}), None).await.unwrap();
    kv.delete("a").await.unwrap();
    let answer = corner.call("GET", &format!("{mount}/data/a"), None).await;
    assert_eq!(answer.status, 404);
    assert_like(&answer.body, &gone(1, "<time>", false));
    let error = kv.read("a").await.unwrap_err();
    assert_error(&error, ErrorKind::NotFound, 404, &[]);
    assert!(error.to_string().contains("version 1 was deleted at 2"), "{error}");

    kv.undelete("a", &[1]).await.unwrap();
    let secret = kv.read("a").await.unwrap();
    assert_eq!(secret.data().expose_json(), r#"{"x":1}"#);
    assert_eq!(secret.version().unwrap().deletion_time, None);
}

async fn old_versions_are_deleted_by_number(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    for n in 1..=3 {
        kv.put("a", &json!({"n": n}), None).await.unwrap();
    }
    // Numbers that there never were do not matter.
    kv.delete_versions("a", &[1, 2, 17]).await.unwrap();
    for (number, is_there) in [(1, false), (2, false), (3, true)] {
        assert_eq!(kv.read_version("a", number).await.is_ok(), is_there, "version {number}");
    }
    kv.undelete("a", &[2]).await.unwrap();
    assert_eq!(kv.read_version("a", 2).await.unwrap().field("n").unwrap().as_u64(), Some(2));
}

async fn a_destroyed_version_stays_away(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put("a", &json!({"x": 1}), None).await.unwrap();
    kv.put("a", &json!({"x": 2}), None).await.unwrap();
    kv.destroy("a", &[2]).await.unwrap();
    kv.undelete("a", &[2]).await.unwrap();
    let answer = corner.call("GET", &format!("{mount}/data/a"), None).await;
    assert_eq!(answer.status, 404);
    assert_like(&answer.body, &gone(2, "", true));
    let error = kv.read("a").await.unwrap_err();
    assert!(error.to_string().contains("version 2 was destroyed"), "{error}");
    assert_eq!(kv.read_version("a", 1).await.unwrap().data().expose_json(), r#"{"x":1}"#);
}

async fn without_its_metadata_a_secret_never_was(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put("a", &json!({"x": 1}), None).await.unwrap();
    kv.delete_metadata("a").await.unwrap();
    let answer = corner.call("GET", &format!("{mount}/data/a"), None).await;
    answer.assert_refused(404, &[]);
    assert_error(&kv.metadata("a").await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
    assert_eq!(kv.put("a", &json!({"x": 1}), None).await.unwrap().version, 1);
}

async fn versions_delete_themselves(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put_metadata("a", &json!({"delete_version_after": "1s"})).await.unwrap();
    assert!(kv.put("a", &json!({"x": 1}), None).await.unwrap().deletion_time.is_some());
    let error = eventually("version 1 is deleted", || async { kv.read("a").await.err() }).await;
    assert_error(&error, ErrorKind::NotFound, 404, &[]);
    assert!(error.to_string().contains("version 1 was deleted at 2"), "{error}");
}

async fn what_is_not_there_can_be_deleted(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.delete("a").await.unwrap();
    kv.delete_versions("a", &[1]).await.unwrap();
    kv.undelete("a", &[1]).await.unwrap();
    kv.destroy("a", &[1]).await.unwrap();
    kv.delete_metadata("a").await.unwrap();
    assert_error(&kv.read("a").await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
}

async fn versions_must_be_named(corner: Corner) {
    let mount = corner.kv2().await;
    corner.root().kv2(&*mount).put("a", &json!({"x": 1}), None).await.unwrap();
    for (what, said) in [
        ("delete", "No version number provided"),
        ("undelete", "No version number provided"),
        ("destroy", "no version number provided"),
    ] {
        for body in [json!({}), json!({"versions": []})] {
            let answer = corner.call("PUT", &format!("{mount}/{what}/a"), body).await;
            answer.assert_refused(400, &[said]);
        }
    }
}
