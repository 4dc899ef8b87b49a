//! KV, both versions.

use std::time::Duration;

use serde_json::json;

use crate::support::start;

#[tokio::test]
async fn versions_come_and_go() {
    let (_vault, root) = start().await;
    assert_eq!(root.put("secret/data/a", json!({ "data": { "n": 1 } })).await.data("version"), 1);
    assert_eq!(root.put("secret/data/a", json!({ "data": { "n": 2 } })).await.data("version"), 2);
    assert_eq!(root.get("secret/data/a").await.data("data"), json!({ "n": 2 }));
    assert_eq!(root.get("secret/data/a?version=1").await.data("data"), json!({ "n": 1 }));
    assert_eq!(root.get("secret/data/a?version=3").await.status, 404);

    assert_eq!(root.delete("secret/data/a").await.status, 204);
    let deleted = root.get("secret/data/a").await;
    assert_eq!((deleted.status, deleted.data("data")), (404, json!(null)));
    assert_eq!(deleted.data("metadata")["version"], 2);
    assert_ne!(deleted.data("metadata")["deletion_time"], "");
    root.put("secret/undelete/a", json!({ "versions": [2] })).await;
    assert_eq!(root.get("secret/data/a").await.status, 200);

    root.put("secret/destroy/a", json!({ "versions": [2] })).await;
    let destroyed = root.get("secret/data/a").await;
    assert_eq!((destroyed.status, destroyed.data("metadata")["destroyed"].clone()), (404, json!(true)));
    root.put("secret/undelete/a", json!({ "versions": [2] })).await;
    assert_eq!(root.get("secret/data/a").await.status, 404, "destroyed is for ever");

    assert_eq!(root.delete("secret/metadata/a").await.status, 204);
    let gone = root.get("secret/data/a").await;
    assert_eq!((gone.status, gone.errors().len()), (404, 0));
}

#[tokio::test]
async fn check_and_set() {
    let (_vault, root) = start().await;
    let put = |cas: Option<u64>| json!({ "data": {}, "options": cas.map_or(json!({}), |cas| json!({ "cas": cas })) });
    assert_eq!(root.post("secret/data/a", put(Some(1))).await.status, 400);
    assert_eq!(root.post("secret/data/a", put(Some(0))).await.status, 200);
    let conflict = root.post("secret/data/a", put(Some(0))).await;
    assert_eq!(conflict.errors(), ["check-and-set parameter did not match the current version"]);
    root.put("secret/metadata/a", json!({ "cas_required": true })).await;
    assert_eq!(
        root.post("secret/data/a", put(None)).await.errors(),
        ["check-and-set parameter required for this call"]
    );
    assert_eq!(root.post("secret/data/a", put(Some(1))).await.status, 200);
}

#[tokio::test]
async fn patch_merges() {
    let (_vault, root) = start().await;
    let patch = json!({ "data": { "b": { "y": null, "z": 3 }, "c": 4 } });
    assert_eq!(root.ask("PATCH", "secret/data/a", Some(&patch)).await.status, 404);
    root.put("secret/data/a", json!({ "data": { "a": 1, "b": { "x": 1, "y": 2 } } })).await;
    assert_eq!(root.ask("PATCH", "secret/data/a", Some(&patch)).await.data("version"), 2);
    assert_eq!(
        root.get("secret/data/a").await.data("data"),
        json!({ "a": 1, "b": { "x": 1, "z": 3 }, "c": 4 })
    );
    assert_eq!(
        root.get("secret/subkeys/a").await.data("subkeys"),
        json!({ "a": null, "b": { "x": null, "z": null }, "c": null })
    );
}

#[tokio::test]
async fn only_so_many_versions_are_kept() {
    let (_vault, root) = start().await;
    for number in 0..12 {
        root.put("secret/data/ten", json!({ "data": { "n": number } })).await;
    }
    let about = root.get("secret/metadata/ten").await;
    assert_eq!((about.data("oldest_version"), about.data("current_version")), (json!(3), json!(12)));
    assert_eq!(root.get("secret/data/ten?version=2").await.status, 404);
    assert_eq!(root.get("secret/data/ten?version=3").await.status, 200);
    root.put("secret/metadata/ten", json!({ "max_versions": 2 })).await;
    root.put("secret/data/ten", json!({ "data": {} })).await;
    assert_eq!(root.get("secret/metadata/ten").await.data("versions").as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn versions_delete_themselves() {
    let (vault, root) = start().await;
    root.put("secret/metadata/a", json!({ "delete_version_after": "1h" })).await;
    root.put("secret/data/a", json!({ "data": {} })).await;
    assert_eq!(root.get("secret/data/a").await.status, 200);
    vault.advance_clock(Duration::from_secs(3600)).await;
    assert_eq!(root.get("secret/data/a").await.status, 404);
}

#[tokio::test]
async fn lists_are_folders() {
    let (_vault, root) = start().await;
    assert_eq!(root.list("secret/metadata").await.status, 404);
    for path in ["a", "b/c", "b/d/e"] {
        root.put(&format!("secret/data/{path}"), json!({ "data": {} })).await;
    }
    assert_eq!(root.list("secret/metadata").await.data("keys"), json!(["a", "b/"]));
    assert_eq!(root.get("secret/metadata/b?list=true").await.data("keys"), json!(["c", "d/"]));
    assert_eq!(root.list("secret/metadata/a").await.status, 404);
}

#[tokio::test]
async fn who_forgets_data_in_the_path_gets_a_hint() {
    let (_vault, root) = start().await;
    let answer = root.get("secret/a").await;
    assert_eq!(answer.status, 404);
    assert!(answer.warnings()[0].contains("use 'vault kv get' for this operation"));
}

#[tokio::test]
async fn strange_names_round_trip() {
    let (_vault, root) = start().await;
    for name in ["a%20b", "%C3%A9", "a%25b", "a%23b", "a+b", "a%3Fb"] {
        let path = format!("secret/data/{name}");
        root.put(&path, json!({ "data": { "name": name } })).await;
        assert_eq!(root.get(&path).await.data("data")["name"], name);
    }
    let keys = root.list("secret/metadata").await.data("keys");
    assert_eq!(keys, json!(["a b", "a#b", "a%b", "a+b", "a?b", "é"]));
}

#[tokio::test]
async fn version_1_keeps_digits_and_ttl() {
    let (_vault, root) = start().await;
    root.put("sys/mounts/kv", json!({ "type": "kv" })).await;
    root.put("kv/a", json!({ "x": "<&>", "ttl": "30s" })).await;
    let answer = root.get("kv/a").await;
    assert_eq!(answer.json()["lease_duration"], 30);
    assert_eq!(answer.json()["lease_id"], "");
    assert_eq!(answer.data("x"), "<&>");
    assert!(answer.text.contains("\\u003c\\u0026\\u003e"), "as Go writes it: {answer:?}");
    assert_eq!(root.post("kv/a", json!({})).await.errors(), ["missing data fields"]);
    assert_eq!(root.ask("PATCH", "kv/a", Some(&json!({}))).await.status, 405);
    assert_eq!(root.list("kv").await.data("keys"), json!(["a"]));
    root.delete("kv/a").await;
    assert_eq!(root.get("kv/a").await.status, 404);
}

#[tokio::test]
async fn custom_metadata_is_text() {
    let (_vault, root) = start().await;
    let write = |custom| root.post("secret/metadata/x", json!({ "custom_metadata": custom }));
    let nested = "custom_metadata validation failed: '' expected type 'string', got unconvertible type ";
    assert_eq!(
        write(json!({ "a": { "b": 1 } })).await.errors(),
        [format!("{nested}'map[string]interface {{}}', value: 'map[b:1]'")]
    );
    assert_eq!(
        write(json!({ "a": [1, "x", null] })).await.errors(),
        [format!("{nested}'[]interface {{}}', value: '[1 x <nil>]'")]
    );
    assert_eq!(root.get("secret/metadata/x").await.status, 404, "nothing was written");
    assert_eq!(write(json!({ "a": 1.5, "b": true })).await.status, 204);
    let written = json!({ "a": "1.5", "b": "1" });
    assert_eq!(root.get("secret/metadata/x").await.data("custom_metadata"), written);
    for (patch, status) in [(json!({ "a": [1] }), 400), (json!({ "a": 1 }), 500), (json!({ "a": "" }), 400)] {
        let body = json!({ "custom_metadata": patch });
        assert_eq!(root.ask("PATCH", "secret/metadata/x", Some(&body)).await.status, status, "{body}");
    }
    assert_eq!(root.get("secret/metadata/x").await.data("custom_metadata"), written);
}

#[tokio::test]
async fn names_that_cannot_be_printed_are_refused_first() {
    let (_vault, root) = start().await;
    for path in ["secret/data/a%E2%80%8Bb", "secret//data/%C2%AD", "no/such/mount/%0A"] {
        let answer = root.without_token().post(path, json!({ "data": {} })).await;
        assert_eq!((answer.status, answer.text.as_str()), (400, ""), "{path}");
    }
}

#[tokio::test]
async fn two_dots_are_for_version_2_only() {
    let (_vault, root) = start().await;
    root.put("sys/mounts/kv1", json!({ "type": "kv" })).await;
    let limited = root.limited(r#"path "kv1/readable..x" { capabilities = ["read"] }"#).await;
    let one_error = |words: &str| vec![format!("1 error occurred:\n\t* {words}\n\n")];
    for path in ["kv1/...", "kv1/a..b", "cubbyhole/a..b"] {
        let written = root.post(path, json!({ "x": 1 })).await;
        assert_eq!((written.status, written.errors()), (500, one_error("internal error")), "{path}");
        let read = root.get(path).await;
        let words = one_error("read failed: relative paths not supported");
        assert_eq!((read.status, read.errors()), (400, words), "{path}");
        for answer in [root.list(path).await, root.delete(path).await] {
            let words = one_error("relative paths not supported");
            assert_eq!((answer.status, answer.errors()), (400, words), "{path}");
        }
    }
    assert_eq!(
        limited.post("kv1/a..b", json!({ "x": 1 })).await.status,
        500,
        "found out before the policies"
    );
    assert_eq!(limited.get("kv1/a..b").await.status, 403);
    assert_eq!(limited.get("kv1/readable..x").await.status, 400);
    root.put("secret/data/a..b", json!({ "data": { "x": 1 } })).await;
    assert_eq!(root.get("secret/data/a..b").await.data("data"), json!({ "x": 1 }));
}
