//! KV with versions: writing, check-and-set, patching, metadata, listing.

use gds_vault::{ErrorKind, Method};
use serde_json::{Value, json};

use super::cases;
use crate::corner::{Corner, assert_error, envelope};
use crate::like::assert_like;

cases! {
    Nothing: [
        what_is_written_is_read,
        every_write_is_a_version,
        check_and_set_0_only_creates,
        check_and_set_follows_the_newest_version,
        check_and_set_can_be_required,
        an_empty_secret_is_kept,
        numbers_are_what_a_double_can_hold,
        a_patch_merges,
        a_patch_needs_something_to_patch,
        a_patch_checks_and_sets,
        metadata_tells_of_every_version,
        custom_metadata_comes_with_the_secret,
        metadata_is_checked,
        old_versions_make_room,
        the_mount_has_settings,
        subkeys_tell_the_names_only,
        lists_names_and_folders,
        what_the_api_of_version_1_would_say,
    ],
}

/// What a write answers, and what a read has beside the fields.
fn version(number: u64, custom: &Value) -> Value {
    json!({
        "created_time": "<time>",
        "custom_metadata": custom,
        "deletion_time": "",
        "destroyed": false,
        "version": number,
    })
}

async fn what_is_written_is_read(corner: Corner) {
    let mount = corner.kv2().await;
    let fields = json!({"user": "app", "port": 5432, "nested": {"a": [1, null, true]}});
    let path = format!("{mount}/data/app/config");
    let written = corner.call("POST", &path, json!({"data": fields})).await;
    assert_eq!(written.status, 200);
    assert_like(&written.body, &envelope("kv", &version(1, &Value::Null)));
    let read = corner.call("GET", &path, None).await;
    assert_eq!(read.status, 200);
    let expected = json!({"data": fields, "metadata": version(1, &Value::Null)});
    assert_like(&read.body, &envelope("kv", &expected));

    let secret = corner.root().kv2(&*mount).read("app/config").await.unwrap();
    assert_eq!(secret.field("user").unwrap().text().expose(), "app");
    assert_eq!(secret.version().unwrap().version, 1);
    assert!(secret.lease().is_none());
}

async fn every_write_is_a_version(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    for number in 1..=3 {
        let written = kv.put("a", &json!({"n": number}), None).await.unwrap();
        assert_eq!(written.version, number);
    }
    for (asked, found) in [(1, 1), (2, 2), (3, 3), (0, 3)] {
        let secret = kv.read_version("a", asked).await.unwrap();
        assert_eq!(secret.field("n").unwrap().as_u64(), Some(found));
        assert_eq!(secret.version().unwrap().version, found);
    }
    assert_error(&kv.read_version("a", 4).await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
}

async fn check_and_set_0_only_creates(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put("a", &json!({"x": 1}), Some(0)).await.unwrap();
    let error = kv.put("a", &json!({"x": 2}), Some(0)).await.unwrap_err();
    let said = "check-and-set parameter did not match the current version";
    assert_error(&error, ErrorKind::CheckAndSet, 400, &[said]);
    assert_eq!(kv.read("a").await.unwrap().version().unwrap().version, 1);
}

async fn check_and_set_follows_the_newest_version(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put("a", &json!({"x": 1}), None).await.unwrap();
    kv.put("a", &json!({"x": 2}), Some(1)).await.unwrap();
    for wrong in [1, 3] {
        let error = kv.put("a", &json!({"x": 3}), Some(wrong)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CheckAndSet);
    }
    // A deleted version is still the newest.
    kv.delete("a").await.unwrap();
    assert_eq!(kv.put("a", &json!({"x": 3}), Some(0)).await.unwrap_err().kind(), ErrorKind::CheckAndSet);
    assert_eq!(kv.put("a", &json!({"x": 3}), Some(2)).await.unwrap().version, 3);
    // Only after the metadata are gone is it as if there had never been one.
    kv.delete_metadata("a").await.unwrap();
    assert_eq!(kv.put("a", &json!({"x": 4}), Some(0)).await.unwrap().version, 1);
}

async fn check_and_set_can_be_required(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put_metadata("a", &json!({"cas_required": true})).await.unwrap();
    let error = kv.put("a", &json!({"x": 1}), None).await.unwrap_err();
    let said = "check-and-set parameter required for this call";
    assert_error(&error, ErrorKind::BadRequest, 400, &[said]);
    kv.put("a", &json!({"x": 1}), Some(0)).await.unwrap();

    let settings = format!("{mount}/config");
    corner.call("POST", &settings, json!({"cas_required": true})).await;
    assert_error(
        &kv.put("b", &json!({"x": 1}), None).await.unwrap_err(),
        ErrorKind::BadRequest,
        400,
        &[said],
    );
}

async fn an_empty_secret_is_kept(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put("a", &json!({}), None).await.unwrap();
    let secret = kv.read("a").await.unwrap();
    assert!(secret.data().is_empty());
    assert_eq!(secret.version().unwrap().version, 1);
}

/// Unlike KV v1, which keeps what was written to the letter.
async fn numbers_are_what_a_double_can_hold(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    let written =
        r#"{"big":12345678901234567890123,"exact":1.10,"exponent":1e3,"id":9007199254740993,"port":5432}"#;
    let raw: &serde_json::value::RawValue = serde_json::from_str(written).unwrap();
    kv.put("a", &raw, None).await.unwrap();
    let read =
        r#"{"big":1.2345678901234568e+22,"exact":1.1,"exponent":1000,"id":9007199254740992,"port":5432}"#;
    assert_eq!(kv.read("a").await.unwrap().data().expose_json(), read);
}

async fn a_patch_merges(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put("a", &json!({"keep": 1, "change": 1, "drop": 1, "deep": {"keep": 1, "drop": 1}}), None)
        .await
        .unwrap();
    let patch = json!({"change": 2, "drop": null, "new": "x", "deep": {"drop": null, "new": [1]}});
    assert_eq!(kv.patch("a", &patch, None).await.unwrap().version, 2);
    let merged: Value = serde_json::from_str(kv.read("a").await.unwrap().data().expose_json()).unwrap();
    assert_eq!(merged, json!({"keep": 1, "change": 2, "new": "x", "deep": {"keep": 1, "new": [1]}}));
    let old: Value =
        serde_json::from_str(kv.read_version("a", 1).await.unwrap().data().expose_json()).unwrap();
    assert_eq!(old["change"], 1, "version 1 stays what it was");
}

async fn a_patch_needs_something_to_patch(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    assert_error(&kv.patch("none", &json!({"x": 1}), None).await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
    kv.put("a", &json!({"x": 1}), None).await.unwrap();
    kv.delete("a").await.unwrap();
    assert_error(&kv.patch("a", &json!({"x": 2}), None).await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
    let answer = corner.call("PATCH", &format!("{mount}/data/a"), json!({"data": {"x": 2}})).await;
    let mut expected = envelope("", &version(1, &Value::Null));
    expected["data"]["deletion_time"] = "<time>".into();
    assert_eq!(answer.status, 404);
    assert_like(&answer.body, &expected);
    let nothing = corner.call("PATCH", &format!("{mount}/data/none"), json!({"data": {"x": 2}})).await;
    assert_eq!((nothing.status, nothing.body), (404, Value::Null));

    let as_a_write =
        corner.root().request(Method::PATCH, format!("{mount}/data/a")).json(&json!({"data": {}}));
    let error = as_a_write.send().await.unwrap_err();
    let said = "PATCH requires Content-Type of application/merge-patch+json, provided application/json";
    assert_error(&error, ErrorKind::BadRequest, 415, &[said]);
}

async fn a_patch_checks_and_sets(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put("a", &json!({"x": 1}), None).await.unwrap();
    let error = kv.patch("a", &json!({"x": 2}), Some(7)).await.unwrap_err();
    let said = "check-and-set parameter did not match the current version";
    assert_error(&error, ErrorKind::CheckAndSet, 400, &[said]);
    assert_eq!(kv.patch("a", &json!({"x": 2}), Some(1)).await.unwrap().version, 2);
}

async fn metadata_tells_of_every_version(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    for n in 1..=4 {
        kv.put("a", &json!({"n": n}), None).await.unwrap();
    }
    kv.delete_versions("a", &[2]).await.unwrap();
    kv.destroy("a", &[3]).await.unwrap();
    let answer = corner.call("GET", &format!("{mount}/metadata/a"), None).await;
    let by = |operation: &str| json!({"actor": "token", "operation": operation, "client_id": "<text>"});
    let version = |created: &Value, deleted: &Value, deletion_time: &str, destroyed: bool| {
        json!({
            "created_time": "<time>",
            "created_by": created,
            "deleted_by": deleted,
            "deletion_time": deletion_time,
            "destroyed": destroyed,
        })
    };
    let (created, updated, none) = (by("create"), by("update"), Value::Null);
    let data = json!({
        "cas_required": false,
        "created_time": "<time>",
        "current_version": 4,
        "custom_metadata": null,
        "delete_version_after": "0s",
        "last_updated_by": "<any>",
        "max_versions": 0,
        "oldest_version": 0,
        "updated_time": "<time>",
        "versions": {
            "1": version(&created, &none, "", false),
            "2": version(&updated, &"<any>".into(), "<time>", false),
            "3": version(&updated, &"<any>".into(), "", true),
            "4": version(&updated, &none, "", false),
        },
    });
    assert_like(&answer.body, &envelope("kv", &data));
    assert_error(&kv.metadata("none").await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
}

async fn custom_metadata_comes_with_the_secret(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put_metadata("a", &json!({"custom_metadata": {"owner": "payments"}})).await.unwrap();
    // There is nothing yet but the metadata.
    assert_error(&kv.read("a").await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
    kv.put("a", &json!({"x": 1}), Some(0)).await.unwrap();
    let answer = corner.call("GET", &format!("{mount}/data/a"), None).await;
    let expected = json!({"data": {"x": 1}, "metadata": version(1, &json!({"owner": "payments"}))});
    assert_like(&answer.body, &envelope("kv", &expected));
    let secret = kv.read("a").await.unwrap();
    assert_eq!(secret.version().unwrap().custom_metadata.as_deref(), Some(r#"{"owner":"payments"}"#));
    let patched =
        corner.call("PATCH", &format!("{mount}/metadata/a"), json!({"custom_metadata": {"tier": "1"}})).await;
    assert_eq!(patched.status, 204);
    let data = corner.call("GET", &format!("{mount}/metadata/a"), None).await.body;
    assert_eq!(data["data"]["custom_metadata"], json!({"owner": "payments", "tier": "1"}));
}

async fn metadata_is_checked(corner: Corner) {
    let mount = corner.kv2().await;
    let path = format!("{mount}/metadata/a");
    let refusals = [
        (
            json!({"max_versions": "many"}),
            "error converting input for field \"max_versions\": cannot parse '' as int: strconv.ParseInt: parsing \"many\": invalid syntax",
        ),
        (
            json!({"custom_metadata": {"a": {"b": 1}}}),
            "custom_metadata validation failed: '' expected type 'string', got unconvertible type \
             'map[string]interface {}', value: 'map[b:1]'",
        ),
        (
            json!({"delete_version_after": "soon"}),
            "error converting input for field \"delete_version_after\": time: invalid duration \"soon\"",
        ),
    ];
    for (body, said) in refusals {
        let answer = corner.call("POST", &path, body).await;
        answer.assert_refused(400, &[said]);
    }
}

async fn old_versions_make_room(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    kv.put_metadata("a", &json!({"max_versions": 2})).await.unwrap();
    for n in 1..=4 {
        kv.put("a", &json!({"n": n}), None).await.unwrap();
    }
    for (number, is_there) in [(1, false), (2, false), (3, true), (4, true)] {
        assert_eq!(kv.read_version("a", number).await.is_ok(), is_there, "version {number}");
    }
    let metadata = corner.call("GET", &format!("{mount}/metadata/a"), None).await.body;
    let data = &metadata["data"];
    assert_eq!((&data["oldest_version"], &data["current_version"]), (&json!(3), &json!(4)));
    assert_eq!(data["versions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["3", "4"]);
}

async fn the_mount_has_settings(corner: Corner) {
    let mount = corner.kv2().await;
    let path = format!("{mount}/config");
    let settings = |cas_required: bool, delete_version_after: &str, max_versions: u64| {
        envelope(
            "kv",
            &json!({
                "cas_required": cas_required,
                "delete_version_after": delete_version_after,
                "max_versions": max_versions,
            }),
        )
    };
    assert_like(&corner.call("GET", &path, None).await.body, &settings(false, "0s", 0));
    let written = corner.call("POST", &path, json!({"max_versions": 3, "delete_version_after": "90m"})).await;
    assert_eq!(written.status, 204);
    assert_like(&corner.call("GET", &path, None).await.body, &settings(false, "1h30m0s", 3));
    let kv = corner.root().kv2(&*mount);
    let written = kv.put("a", &json!({"x": 1}), None).await.unwrap();
    assert!(written.deletion_time.is_some(), "it will be deleted in 90 minutes");
    assert!(kv.read("a").await.is_ok(), "but not yet");
}

async fn subkeys_tell_the_names_only(corner: Corner) {
    let mount = corner.kv2().await;
    let fields = json!({"a": "secret", "deep": {"b": 1, "deeper": {"c": 2}}, "list": [1]});
    corner.root().kv2(&*mount).put("x", &fields, None).await.unwrap();
    let asked = |query: &str| format!("{mount}/subkeys/x{query}");
    let expected =
        |subkeys: &Value| envelope("kv", &json!({"metadata": version(1, &Value::Null), "subkeys": subkeys}));
    let all = json!({"a": null, "deep": {"b": null, "deeper": {"c": null}}, "list": null});
    assert_like(&corner.call("GET", &asked(""), None).await.body, &expected(&all));
    let top = json!({"a": null, "deep": null, "list": null});
    assert_like(&corner.call("GET", &asked("?depth=1"), None).await.body, &expected(&top));
}

async fn lists_names_and_folders(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    for path in ["b", "a", "a/b/c", "z/y"] {
        kv.put(path, &json!({"x": 1}), None).await.unwrap();
    }
    assert_eq!(kv.list("").await.unwrap(), ["a", "a/", "b", "z/"]);
    assert_eq!(kv.list("a/").await.unwrap(), ["b/"]);
    assert_error(&kv.list("nothing").await.unwrap_err(), ErrorKind::NotFound, 404, &[]);
    // A deleted secret is listed: it can come back. One without metadata is not.
    kv.delete("z/y").await.unwrap();
    assert_eq!(kv.list("z").await.unwrap(), ["y"]);
    kv.delete_metadata("z/y").await.unwrap();
    assert_eq!(kv.list("").await.unwrap(), ["a", "a/", "b"]);
    let answer = corner.call("LIST", &format!("{mount}/metadata/a"), None).await;
    assert_like(&answer.body, &envelope("kv", &json!({"keys": ["b/"]})));
}

/// People forget the `data/`: both servers say so, in a warning.
async fn what_the_api_of_version_1_would_say(corner: Corner) {
    let mount = corner.kv2().await;
    corner.root().kv2(&*mount).put("a", &json!({"x": 1}), None).await.unwrap();
    let read = corner.call("GET", &format!("{mount}/a"), None).await;
    let advice = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints \
                  to use. If using the Vault CLI, use 'vault kv get' for this operation.";
    let mut expected = envelope("", &Value::Null);
    expected["warnings"] = json!([advice]);
    assert_eq!(read.status, 404);
    assert_like(&read.body, &expected);
    let written = corner.call("POST", &format!("{mount}/a"), json!({"x": 1})).await;
    assert_eq!(written.status, 404);
    expected["warnings"] = json!([advice.replace("kv get", "kv put")]);
    assert_like(&written.body, &expected);
    let nameless = corner.call("POST", &format!("{mount}/data"), json!({"data": {}})).await;
    assert_eq!(nameless.status, 404);
    expected["warnings"] = json!(["Non-listing operations on the root of a K/V v2 mount are not supported."]);
    assert_like(&nameless.body, &expected);
}
