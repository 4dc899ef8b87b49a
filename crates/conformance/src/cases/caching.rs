//! Cached secrets: when Vault is asked, and when it is not.

use secrets_service::{ErrorKind, Origin, Patch, ReadOptions, ResilientVaultClient};
use serde_json::json;

use super::cases;
use crate::corner::{Application, Corner, PAST_THE_CACHE};

cases! {
    Nothing: [
        a_cached_read_makes_no_request,
        a_read_past_the_cache_sees_what_is_there,
        readers_of_one_secret_share_one_request,
        three_spellings_share_one_entry,
        versions_are_kept_apart,
        whoever_writes_reads_it_back,
        a_lost_race_is_a_conflict,
        a_deleted_secret_is_not_found,
    ],
}

async fn x_of(client: &ResilientVaultClient, path: &str) -> String {
    client.get_secret(path).await.unwrap().field("x").unwrap().text().expose().to_owned()
}

async fn a_cached_read_makes_no_request(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (app.client(), app.path("config"));
    assert_eq!(client.get_secret(&path).await.unwrap().origin(), Origin::Vault);
    // Changed behind its back: who asks now would see it.
    app.as_root().put("myapp/config", &json!({"changed": true}), None).await.unwrap();
    let (stats, seen) = (client.stats(), corner.server().count("GET", &format!("{}/data", app.kv)));
    for _ in 0..1_000 {
        let read = client.get_secret(&path).await.unwrap();
        assert_eq!(read.origin(), Origin::Cache);
        assert!(read.field("db_name").is_some());
    }
    assert_eq!(client.stats().requests, stats.requests);
    assert_eq!(client.stats().hits, stats.hits + 1_000);
    assert_eq!(corner.server().count("GET", &format!("{}/data", app.kv)), seen);
}

async fn a_read_past_the_cache_sees_what_is_there(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (app.client(), app.path("config"));
    client.get_secret(&path).await.unwrap();
    app.as_root().put("myapp/config", &json!({"x": "new"}), None).await.unwrap();
    let read = client.get_secret_with(&path, PAST_THE_CACHE).await.unwrap();
    assert_eq!((read.origin(), read.version().unwrap().version), (Origin::Vault, 2));
    assert_eq!(x_of(&client, &path).await, "new", "and for the others, too");
    assert!(client.invalidate(&path));
    assert_eq!(client.get_secret(&path).await.unwrap().origin(), Origin::Vault);
}

async fn readers_of_one_secret_share_one_request(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (app.client(), app.path("config"));
    client.get_secret(&app.path("api-keys")).await.unwrap();
    let (before, seen) = (client.stats(), corner.server().count("GET", &format!("{}/data", app.kv)));
    let reads = (0..50).map(|_| {
        let (client, path) = (client.clone(), path.clone());
        tokio::spawn(async move { client.get_secret(&path).await.unwrap() })
    });
    for read in futures::future::join_all(reads).await {
        read.unwrap();
    }
    assert_eq!(client.stats().requests, before.requests + 1);
    assert_eq!(corner.server().count("GET", &format!("{}/data", app.kv)), seen.map(|count| count + 1));
}

async fn three_spellings_share_one_entry(corner: Corner) {
    let app = Application::new(&corner).await;
    let client = app.client();
    let spellings = [app.path("config"), format!("{}/data/myapp/config", app.kv), "myapp/config".to_owned()];
    for spelling in &spellings {
        client.get_secret(spelling).await.unwrap();
    }
    let (requests, cached) = (client.stats().requests, client.status().cached);
    for spelling in &spellings {
        assert_eq!(client.get_secret(spelling).await.unwrap().origin(), Origin::Cache, "{spelling}");
    }
    assert_eq!((client.stats().requests, client.status().cached), (requests, cached));
    assert_eq!(cached, 1);
}

async fn versions_are_kept_apart(corner: Corner) {
    let app = Application::new(&corner).await;
    let client = app.client();
    let kv = app.as_root();
    for n in 1..=2 {
        kv.put("myapp/v", &json!({"x": n.to_string()}), None).await.unwrap();
    }
    for (version, expected) in [(None, "2"), (Some(1), "1"), (None, "2"), (Some(2), "2"), (Some(1), "1")] {
        let read =
            client.get_secret_with(&app.path("v"), ReadOptions { version, ..ReadOptions::default() }).await;
        assert_eq!(read.unwrap().field("x").unwrap().text().expose(), expected, "{version:?}");
    }
}

async fn whoever_writes_reads_it_back(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (app.client(), app.path("config"));
    for x in ["1", "2", "3"] {
        client.put_secret(&path, &json!({"x": x, "keep": 1}), None).await.unwrap();
        assert_eq!(x_of(&client, &path).await, x);
    }
    client.patch_secret(&path, &Patch::new().set("x", &"4".into())).await.unwrap();
    let read = client.get_secret(&path).await.unwrap();
    assert_eq!(read.data().expose_json(), r#"{"keep":1,"x":"4"}"#);
    assert_eq!(client.list_secrets(&app.path("")).await.unwrap(), ["api-keys", "config"]);
    client.delete_secret(&path).await.unwrap();
    assert_eq!(client.get_secret(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn a_lost_race_is_a_conflict(corner: Corner) {
    let app = Application::new(&corner).await;
    let client = app.client();
    let error = client.put_secret(&app.path("config"), &json!({"x": 1}), Some(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let version = client.put_secret(&app.path("config"), &json!({"x": 1}), Some(1)).await.unwrap();
    assert_eq!(version, Some(2));
}

async fn a_deleted_secret_is_not_found(corner: Corner) {
    let app = Application::new(&corner).await;
    let (client, path) = (app.client(), app.path("config"));
    client.get_secret(&path).await.unwrap();
    app.as_root().delete("myapp/config").await.unwrap();
    let error = client.get_secret_with(&path, PAST_THE_CACHE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("version 1 was deleted at 2"), "{error}");
    assert!(client.cached(&path).is_none(), "it is no longer cached either");
}
