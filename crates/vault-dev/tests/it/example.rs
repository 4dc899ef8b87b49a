//! The example, as its service would use it.

use serde_json::json;
use vault_dev::example::set_up_example;
use vault_dev::postgres::Cluster;

use crate::support::start;

#[tokio::test]
async fn the_service_can_do_its_work_and_nothing_else() {
    let cluster = Cluster::start().await.unwrap();
    let (vault, root) = start().await;
    let example = set_up_example(vault.url(), vault.root_token(), Some(&cluster)).await.unwrap();
    assert!(!format!("{example:?}").contains(&example.secret_id));
    let body = json!({ "role_id": example.role_id, "secret_id": example.secret_id });
    let login = root.without_token().put("auth/approle/login", body).await;
    let app = root.with_token(login.auth("client_token"));

    let config = app.get("secret/data/myapp/config").await;
    assert_eq!(config.data("data")["db_port"], json!(cluster.port()));
    let keys = app.get("secret/data/myapp/api-keys").await;
    assert_eq!(keys.data("data"), json!({ "stripe": "sk_test_xxx", "sendgrid": "SG.xxx" }));
    assert_eq!(app.get("sys/internal/ui/mounts/secret/myapp/config").await.status, 200);
    let patch = json!({ "data": { "twilio": "x" } });
    assert_eq!(app.ask("PATCH", "secret/data/myapp/api-keys", Some(&patch)).await.status, 200);
    assert_eq!(app.list("secret/metadata/myapp").await.data("keys"), json!(["api-keys", "config"]));

    let creds = app.get("database/creds/myapp").await;
    assert_eq!(creds.json()["lease_duration"], 3600);
    let (username, password) = (creds.data("username"), creds.data("password"));
    cluster.connect_as(username.as_str().unwrap(), password.as_str().unwrap()).await.unwrap();
    let lease = json!({ "lease_id": creds.json()["lease_id"] });
    assert_eq!(app.post("sys/leases/renew", lease.clone()).await.status, 200);
    assert_eq!(app.post("sys/leases/revoke", lease).await.status, 204);

    for path in ["secret/data/other", "database/config/postgres", "sys/mounts"] {
        assert_eq!(app.get(path).await.status, 403, "{path}");
    }
    assert_eq!(app.post("secret/data/myapp/config", json!({ "data": {} })).await.status, 403);
}

#[tokio::test]
async fn twice_and_without_a_database() {
    let (vault, root) = start().await;
    set_up_example(vault.url(), "root", None).await.unwrap();
    set_up_example(vault.url(), "root", None).await.unwrap();
    assert_eq!(root.get("secret/data/myapp/config").await.data("data")["db_name"], "mydb");
    assert!(set_up_example(vault.url(), "wrong", None).await.unwrap_err().to_string().contains("status 403"));
    vault.refuse().await;
    assert!(set_up_example(vault.url(), "root", None).await.is_err());
}
