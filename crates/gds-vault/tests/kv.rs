//! The KV engines.

use gds_vault::ErrorKind;
use serde_json::json;

use crate::support::{Reply, Server, client};

#[tokio::test]
async fn kv1_uses_plain_paths() {
    let server = Server::script([
        Reply::json(200, &json!({"lease_duration": 2_764_800, "data": {"user": "u"}})),
        Reply::no_content(),
        Reply::data(&json!({"keys": ["a", "b/"]})),
        Reply::no_content(),
    ])
    .await;
    let kv = client(&server).kv1("/kv/");
    assert_eq!(kv.read("app/x").await.unwrap().field("user").unwrap().text().expose(), "u");
    kv.put("app/x", &json!({"user": "v"})).await.unwrap();
    assert_eq!(kv.list("").await.unwrap(), ["a", "b/"]);
    kv.delete("/app/x/").await.unwrap();
    assert_eq!(
        server.log(),
        ["GET /v1/kv/app/x", "PUT /v1/kv/app/x", "GET /v1/kv?list=true", "DELETE /v1/kv/app/x"]
    );
    assert_eq!(server.requests()[1].json(), json!({"user": "v"}));
}

#[tokio::test]
async fn kv2_puts_each_kind_of_path_under_its_own_prefix() {
    let written = json!({
        "created_time": "2026-01-01T00:00:00Z", "custom_metadata": {"a": "b"}, "deletion_time": "",
        "destroyed": false, "version": 4
    });
    let server = Server::script([
        Reply::kv2(&json!({"user": "u"})),
        Reply::kv2(&json!({"user": "u"})),
        Reply::data(&written),
        Reply::data(&written),
        Reply::data(&written),
        Reply::data(&json!({"keys": ["x"]})),
        Reply::data(&json!({"current_version": 4, "versions": {}})),
        Reply::no_content(),
        Reply::no_content(),
        Reply::no_content(),
        Reply::no_content(),
        Reply::no_content(),
        Reply::no_content(),
    ])
    .await;
    let kv = client(&server).kv2("team/kv");
    let fields = json!({"user": "u"});
    assert_eq!(kv.read("app").await.unwrap().version().unwrap().version, 1);
    kv.read_version("app", 2).await.unwrap();
    let version = kv.put("app", &fields, None).await.unwrap();
    assert_eq!((version.version, version.custom_metadata.as_deref()), (4, Some(r#"{"a":"b"}"#)));
    kv.put("app", &fields, Some(0)).await.unwrap();
    kv.patch("app", &json!({"user": null}), Some(3)).await.unwrap();
    assert_eq!(kv.list("").await.unwrap(), ["x"]);
    assert_eq!(kv.metadata("app").await.unwrap().field("current_version").unwrap().as_u64(), Some(4));
    kv.put_metadata("app", &json!({"max_versions": 3})).await.unwrap();
    kv.delete("app").await.unwrap();
    kv.delete_versions("app", &[1, 2]).await.unwrap();
    kv.undelete("app", &[1]).await.unwrap();
    kv.destroy("app", &[2]).await.unwrap();
    kv.delete_metadata("app").await.unwrap();
    let requests = server.requests();
    let log: Vec<String> = requests.iter().map(|r| format!("{} {} {}", r.method, r.target, r.body)).collect();
    assert_eq!(
        log,
        [
            "GET /v1/team/kv/data/app ",
            "GET /v1/team/kv/data/app?version=2 ",
            r#"POST /v1/team/kv/data/app {"data":{"user":"u"}}"#,
            r#"POST /v1/team/kv/data/app {"data":{"user":"u"},"options":{"cas":0}}"#,
            r#"PATCH /v1/team/kv/data/app {"data":{"user":null},"options":{"cas":3}}"#,
            "GET /v1/team/kv/metadata?list=true ",
            "GET /v1/team/kv/metadata/app ",
            r#"POST /v1/team/kv/metadata/app {"max_versions":3}"#,
            "DELETE /v1/team/kv/data/app ",
            r#"PUT /v1/team/kv/delete/app {"versions":[1,2]}"#,
            r#"PUT /v1/team/kv/undelete/app {"versions":[1]}"#,
            r#"PUT /v1/team/kv/destroy/app {"versions":[2]}"#,
            "DELETE /v1/team/kv/metadata/app ",
        ]
    );
    assert_eq!(requests[4].header("content-type"), Some("application/merge-patch+json"));
}

#[tokio::test]
async fn a_write_that_answers_nothing_useful_is_malformed() {
    let server = Server::always(Reply::data(&json!({"version": "four"}))).await;
    let error = client(&server).kv2("secret").put("app", &json!({}), None).await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::MalformedAnswer, "secret/data/app"));
    let error = client(&server).kv2("secret").list("app").await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::MalformedAnswer, "LIST"));
}

#[tokio::test]
async fn nothing_to_list_is_not_found() {
    let server = Server::always(Reply::errors(404, &[])).await;
    let error = client(&server).kv2("secret").list("none").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation(), error.path()),
        (ErrorKind::NotFound, "LIST", "secret/metadata/none")
    );
}
