//! Static roles: one user, a password that changes.

use std::time::Duration;

use serde_json::json;
use vault_dev::postgres::Cluster;

use crate::support::Asker;
use crate::support::database::start_with_database;

async fn static_role(cluster: &Cluster, root: &Asker, period: &str) {
    let admin = cluster.admin_connect().await.unwrap();
    admin.batch_execute("CREATE ROLE stat LOGIN").await.unwrap();
    let role = json!({ "db_name": "pg", "username": "stat", "rotation_period": period });
    root.put("database/static-roles/app", role).await;
}

async fn password(root: &Asker) -> String {
    root.get("database/static-creds/app").await.data("password").as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_password_changes_on_schedule() {
    let (cluster, vault, root) = start_with_database().await;
    static_role(&cluster, &root, "10m").await;
    let answer = root.get("database/static-creds/app").await;
    assert_eq!((answer.data("username"), answer.data("ttl")), (json!("stat"), json!(600)));
    assert_eq!(answer.json()["lease_id"], "");
    let first = password(&root).await;
    assert!(cluster.connect_as("stat", &first).await.is_ok());
    vault.advance_clock(Duration::from_secs(300)).await;
    assert_eq!(password(&root).await, first);
    assert_eq!(root.get("database/static-creds/app").await.data("ttl"), 300);
    vault.advance_clock(Duration::from_secs(300)).await;
    let second = password(&root).await;
    assert_ne!(second, first);
    assert!(cluster.connect_as("stat", &first).await.is_err());
    assert!(cluster.connect_as("stat", &second).await.is_ok());
}

#[tokio::test]
async fn rotated_on_demand_and_by_the_timer() {
    let (cluster, _vault, root) = start_with_database().await;
    static_role(&cluster, &root, "5s").await;
    let first = password(&root).await;
    assert_eq!(root.post("database/rotate-role/app", json!({})).await.status, 204);
    let second = password(&root).await;
    assert_ne!(second, first);
    let rotated = async {
        while password(&root).await == second {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), rotated).await.expect("the timer rotates by itself");
}

#[tokio::test]
async fn an_outage_postpones_the_rotation() {
    let (mut cluster, vault, root) = start_with_database().await;
    static_role(&cluster, &root, "10m").await;
    let first = password(&root).await;
    cluster.stop_server().await;
    vault.advance_clock(Duration::from_secs(601)).await;
    let answer = root.get("database/static-creds/app").await;
    assert_eq!((answer.data("password"), answer.data("ttl")), (json!(first), json!(0)));
    cluster.start_server().await.unwrap();
    vault.advance_clock(Duration::from_secs(11)).await;
    let second = password(&root).await;
    assert_ne!(second, first);
    assert!(cluster.connect_as("stat", &second).await.is_ok());
}

#[tokio::test]
async fn mistakes() {
    let (_cluster, _vault, root) = start_with_database().await;
    for (body, complaint) in [
        (json!({ "username": "x", "rotation_period": "10m" }), "database name is a required field"),
        (
            json!({ "db_name": "pg", "rotation_period": "10m" }),
            "username is a required field to create a static account",
        ),
        (
            json!({ "db_name": "pg", "username": "x" }),
            "one of rotation_schedule or rotation_period must be provided to create a static account",
        ),
        (
            json!({ "db_name": "pg", "username": "x", "rotation_period": "1s" }),
            "rotation_period must be 5 seconds or more",
        ),
    ] {
        let answer = root.post("database/static-roles/app", body).await;
        assert_eq!((answer.status, answer.errors()), (400, vec![complaint.to_owned()]));
    }
    let body = json!({ "db_name": "pg", "username": "nobody", "rotation_period": "10m" });
    let answer = root.post("database/static-roles/app", body).await;
    assert_eq!(answer.status, 500);
    assert!(
        answer.errors()[0].contains("ERROR: role \"nobody\" does not exist (SQLSTATE 42704)"),
        "{answer:?}"
    );
    assert_eq!(root.get("database/static-creds/app").await.errors(), ["unknown role: app"]);
    assert_eq!(
        root.post("database/rotate-role/app", json!({})).await.errors(),
        ["no static role found for role name"]
    );
}

#[tokio::test]
async fn a_schedule_instead_of_a_period() {
    let (cluster, vault, root) = start_with_database().await;
    static_role(&cluster, &root, "10m").await;
    let first = password(&root).await;
    let write = |body| root.post("database/static-roles/app", body);
    let daily = json!({ "db_name": "pg", "username": "stat", "rotation_schedule": "0 0 * * *", "rotation_window": "1h" });
    assert_eq!(write(daily).await.status, 204);
    let answer = root.get("database/static-creds/app").await;
    assert_eq!(answer.data("rotation_schedule"), "0 0 * * *");
    assert_eq!((answer.data("rotation_window"), answer.data("rotation_period")), (json!(3600), json!(null)));
    assert_eq!(answer.data("password"), first, "a new schedule is no rotation");
    let ttl = answer.data("ttl").as_u64().unwrap();
    assert!(ttl <= 86_400, "{ttl}");
    vault.advance_clock(Duration::from_secs(ttl + 1)).await;
    let second = password(&root).await;
    assert_ne!(second, first);
    assert!(cluster.connect_as("stat", &second).await.is_ok());
    let ttl = root.get("database/static-creds/app").await.data("ttl").as_u64().unwrap();
    assert!((86_000..=86_400).contains(&ttl), "until the next midnight: {ttl}");

    for (settings, complaint) in [
        (
            json!({ "rotation_period": "1h", "rotation_schedule": "0 0 * * *" }),
            "mutually exclusive fields rotation_period and rotation_schedule were both specified; only one of them can be provided",
        ),
        (
            json!({ "rotation_period": "1h", "rotation_window": "1h" }),
            "rotation_window is invalid with use of rotation_period",
        ),
        (
            json!({ "rotation_schedule": "0 0 * * *", "rotation_window": "59m" }),
            "rotation_window is invalid%!(EXTRA string=error, *errors.errorString=rotation_window must be 3600 seconds or more)",
        ),
        (
            json!({ "rotation_schedule": "@daily" }),
            "could not parse rotation_schedule%!(EXTRA string=error, *errors.errorString=parser does not accept descriptors: @daily)",
        ),
    ] {
        let mut body = settings;
        body["db_name"] = "pg".into();
        let answer = write(body).await;
        assert_eq!((answer.status, answer.errors()), (400, vec![complaint.to_owned()]));
    }
}

#[tokio::test]
async fn a_missed_window_is_over() {
    let (mut cluster, vault, root) = start_with_database().await;
    static_role(&cluster, &root, "10m").await;
    let daily = json!({ "db_name": "pg", "rotation_schedule": "0 0 * * *", "rotation_window": "1h" });
    root.put("database/static-roles/app", daily).await;
    let first = password(&root).await;
    let ttl = root.get("database/static-creds/app").await.data("ttl").as_u64().unwrap();
    cluster.stop_server().await;
    vault.advance_clock(Duration::from_secs(ttl + 2 * 3600)).await;
    cluster.start_server().await.unwrap();
    vault.advance_clock(Duration::from_secs(60)).await;
    let answer = root.get("database/static-creds/app").await;
    assert_eq!(answer.data("password"), first);
    let ttl = answer.data("ttl").as_u64().unwrap();
    assert!((70_000..86_400).contains(&ttl), "until the next midnight: {ttl}");
}
