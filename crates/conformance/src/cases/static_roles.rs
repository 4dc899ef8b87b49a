//! Static roles: users whose passwords Vault changes in place.

use gds_vault::{ErrorKind, Secret};
use serde_json::{Value, json};

use super::cases;
use crate::corner::{Corner, assert_error, envelope};
use crate::eventually::eventually;
use crate::like::assert_like;
use crate::postgres::{Database, Login};

cases! {
    Nothing: [
        the_password_changes_by_itself,
        the_password_works,
        what_credentials_answer,
        rotation_on_demand,
        a_schedule_instead_of_a_period,
        a_role_shows_its_settings,
        a_user_cannot_be_exchanged,
        periods_have_a_minimum,
        a_role_that_is_not_there,
        a_deleted_role_leaves_its_user,
    ],
}

async fn password_works(database: &Database<'_>, secret: &Secret) -> bool {
    let login = Login::of(secret);
    database.postgres.log_in(&login.username, login.password.expose()).await.is_ok()
}

async fn the_password_works(corner: Corner) {
    let database = corner.database().await;
    let user = database.static_role("app", json!({"rotation_period": "1h"})).await;
    let secret = database.static_credentials("app").await;
    assert_eq!(Login::of(&secret).username, user);
    assert!(password_works(&database, &secret).await);
    database.postgres.log_in(&user, "first").await.unwrap_err();
    assert!(secret.lease().is_none(), "it has a ttl instead");
    let again = database.static_credentials("app").await;
    assert_eq!(Login::of(&again).password, Login::of(&secret).password, "reading does not change it");
}

async fn what_credentials_answer(corner: Corner) {
    let database = corner.database().await;
    let user = database.static_role("app", json!({"rotation_period": "1h"})).await;
    let answer = database.call("GET", "static-creds/app").await;
    let data = json!({
        "last_vault_rotation": "<time>",
        "password": "<text>",
        "rotation_period": 3_600,
        "ttl": "<3570..3600>",
        "username": user,
    });
    assert_like(&answer.body, &envelope("database", &data));
}

async fn rotation_on_demand(corner: Corner) {
    let database = corner.database().await;
    database.static_role("app", json!({"rotation_period": "1h"})).await;
    let old = database.static_credentials("app").await;
    let rotated = database.write("rotate-role/app", json!({})).await;
    assert_eq!((rotated.status, rotated.body), (204, Value::Null));
    let new = database.static_credentials("app").await;
    assert_ne!(Login::of(&old).password, Login::of(&new).password);
    assert!(password_works(&database, &new).await && !password_works(&database, &old).await);
    let time = |secret: &Secret| secret.field("last_vault_rotation").unwrap().text().expose().to_owned();
    assert_ne!(time(&old), time(&new));
}

async fn the_password_changes_by_itself(corner: Corner) {
    let database = corner.database().await;
    database.static_role("app", json!({"rotation_period": "5s"})).await;
    let old = database.static_credentials("app").await;
    assert!(old.field("ttl").unwrap().as_u64().unwrap() <= 5);
    let new = eventually("there is another password", || async {
        let now = database.static_credentials("app").await;
        (Login::of(&now).password != Login::of(&old).password).then_some(now)
    })
    .await;
    assert!(password_works(&database, &new).await);
    assert!(!password_works(&database, &old).await);
}

async fn a_schedule_instead_of_a_period(corner: Corner) {
    let database = corner.database().await;
    let user = database
        .static_role("app", json!({"rotation_schedule": "0 0 * * SAT", "rotation_window": "1h"}))
        .await;
    let answer = database.call("GET", "static-creds/app").await;
    let data = json!({
        "last_vault_rotation": "<time>",
        "password": "<text>",
        "rotation_schedule": "0 0 * * SAT",
        "rotation_window": 3_600,
        "ttl": "<0..604800>",
        "username": user,
    });
    assert_like(&answer.body, &envelope("database", &data));
    assert!(password_works(&database, &database.static_credentials("app").await).await);
    let both = json!({"db_name": "pg", "username": user, "rotation_period": "1h", "rotation_schedule": "0 0 * * SAT"});
    let refused = database.write("static-roles/both", both).await;
    refused.assert_refused(400, &["mutually exclusive fields rotation_period and rotation_schedule were both specified; only one of them can be provided"]);
}

async fn a_role_shows_its_settings(corner: Corner) {
    let database = corner.database().await;
    let user = database.static_role("app", json!({"rotation_period": "1h"})).await;
    let answer = database.call("GET", "static-roles/app").await;
    let data = json!({
        "credential_type": "password",
        "db_name": "pg",
        "last_vault_rotation": "<time>",
        "rotation_period": 3_600,
        "rotation_statements": [],
        "skip_import_rotation": false,
        "username": user,
    });
    assert_like(&answer.body, &envelope("database", &data));
    let listed = database.call("LIST", "static-roles").await;
    assert_like(&listed.body, &envelope("database", &json!({"keys": ["app"]})));
    let changed = json!({"db_name": "pg", "username": user, "rotation_period": "2h"});
    database.write("static-roles/app", changed).await.assert_done();
    let answer = database.call("GET", "static-roles/app").await;
    assert_eq!(answer.body["data"]["rotation_period"], 7_200);
}

async fn a_user_cannot_be_exchanged(corner: Corner) {
    let database = corner.database().await;
    database.static_role("app", json!({"rotation_period": "1h"})).await;
    let other = json!({"db_name": "pg", "username": "someone-else", "rotation_period": "1h"});
    let refused = database.write("static-roles/app", other).await;
    refused.assert_refused(400, &["cannot update static account username"]);
}

async fn periods_have_a_minimum(corner: Corner) {
    let database = corner.database().await;
    for (role, said) in [
        (
            json!({"db_name": "pg", "username": "u", "rotation_period": "4s"}),
            "rotation_period must be 5 seconds or more",
        ),
        (
            json!({"db_name": "pg", "username": "u"}),
            "one of rotation_schedule or rotation_period must be provided to create a static account",
        ),
        (
            json!({"db_name": "pg", "rotation_period": "1h"}),
            "username is a required field to create a static account",
        ),
        (json!({"username": "u", "rotation_period": "1h"}), "database name is a required field"),
    ] {
        database.write("static-roles/app", role).await.assert_refused(400, &[said]);
    }
}

async fn a_role_that_is_not_there(corner: Corner) {
    let database = corner.database().await;
    let error = corner.root().database(&*database.mount).static_credentials("none").await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &["unknown role: none"]);
    database.call("GET", "static-roles/none").await.assert_refused(404, &[]);
    let refused = database.write("rotate-role/none", json!({})).await;
    refused.assert_refused(400, &["no static role found for role name"]);
}

async fn a_deleted_role_leaves_its_user(corner: Corner) {
    let database = corner.database().await;
    let user = database.static_role("app", json!({"rotation_period": "1h"})).await;
    let secret = database.static_credentials("app").await;
    assert_eq!(database.call("DELETE", "static-roles/app").await.status, 204);
    database.call("GET", "static-creds/app").await.assert_refused(400, &["unknown role: app"]);
    assert!(database.postgres.has_user(&user).await && password_works(&database, &secret).await);
}
