//! Setting the database engine up: connections, and roles with their statements.

use gds_vault::ErrorKind;
use serde_json::{Value, json};

use super::{HOUR, MINUTE, cases};
use crate::corner::{Corner, assert_error, envelope};
use crate::like::assert_like;
use crate::postgres::{CREATION, Login};

cases! {
    Nothing: [
        a_role_shows_its_settings,
        a_role_that_is_not_there,
        roles_must_be_allowed,
        a_role_needs_a_database,
        statements_that_fail,
        own_statements_for_every_step,
        a_connection_shows_its_settings,
        a_connection_that_does_not_work_is_refused,
        the_password_of_the_connection_can_be_rotated,
    ],
}

async fn a_role_shows_its_settings(corner: Corner) {
    let database = corner.database().await;
    database.role("app", MINUTE, HOUR).await;
    let data = json!({
        "creation_statements": CREATION,
        "credential_type": "password",
        "db_name": "pg",
        "default_ttl": 60,
        "max_ttl": 3_600,
        "renew_statements": [],
        "revocation_statements": [],
        "rollback_statements": [],
    });
    assert_like(&database.call("GET", "roles/app").await.body, &envelope("database", &data));
    let listed = database.call("LIST", "roles").await;
    assert_like(&listed.body, &envelope("database", &json!({"keys": ["app"]})));
    assert_eq!(database.call("DELETE", "roles/app").await.status, 204);
    database.call("GET", "roles/app").await.assert_refused(404, &[]);
    database.call("LIST", "roles").await.assert_refused(404, &[]);
}

async fn a_role_that_is_not_there(corner: Corner) {
    let database = corner.database().await;
    database.call("GET", "creds/none").await.assert_refused(400, &["unknown role: none"]);
    let error = corner.root().database(&*database.mount).credentials("none").await.unwrap_err();
    assert_error(&error, ErrorKind::BadRequest, 400, &["unknown role: none"]);
    assert_eq!(database.call("DELETE", "roles/none").await.status, 204);
}

async fn roles_must_be_allowed(corner: Corner) {
    let database = corner.database().await;
    for name in ["app", "other"] {
        database.role(name, MINUTE, HOUR).await;
    }
    database.write("config/pg", json!({"allowed_roles": ["app"]})).await.assert_done();
    database.credentials("app").await;
    let refused = database.call("GET", "creds/other").await;
    refused.assert_refused(500, &["1 error occurred:\n\t* \"other\" is not an allowed role\n\n"]);
}

async fn a_role_needs_a_database(corner: Corner) {
    let database = corner.database().await;
    let refused = database.write("roles/app", json!({"creation_statements": CREATION})).await;
    refused.assert_refused(400, &["database name is required"]);
    // One that is not there is found out later.
    let role = json!({"db_name": "none", "creation_statements": CREATION});
    database.write("roles/app", role).await.assert_done();
    let refused = database.call("GET", "creds/app").await;
    refused.assert_refused(
        500,
        &["1 error occurred:\n\t* failed to find entry for connection with name: \"none\"\n\n"],
    );
}

async fn statements_that_fail(corner: Corner) {
    let database = corner.database().await;
    for (name, statements, said) in [
        ("none", json!([]), "1 error occurred:\n\t* empty creation statements\n\n"),
        (
            "bad",
            json!(["CREATE ROLL x"]),
            "1 error occurred:\n\t* failed to execute query: ERROR: syntax error at or near \"ROLL\" (SQLSTATE 42601)\n\n",
        ),
    ] {
        let role = json!({"db_name": "pg", "creation_statements": statements});
        database.write(&format!("roles/{name}"), role).await.assert_done();
        database.call("GET", &format!("creds/{name}")).await.assert_refused(500, &[said]);
    }
    // What had been done is undone.
    let user = corner.name("half");
    let statements = [format!(r#"CREATE ROLE "{user}""#), "SELECT 1/0".to_owned()];
    let role = json!({"db_name": "pg", "creation_statements": statements});
    database.write("roles/half", role).await.assert_done();
    assert_eq!(database.call("GET", "creds/half").await.status, 500);
    assert!(!database.postgres.has_user(&user).await);
}

async fn own_statements_for_every_step(corner: Corner) {
    let database = corner.database().await;
    let group = corner.name("group");
    database.execute(&format!(r#"CREATE ROLE "{group}""#)).await;
    let role = json!({
        "db_name": "pg",
        // As one text, as the command line sends it.
        "creation_statements": format!(
            r#"CREATE ROLE "{{{{name}}}}" LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}'; GRANT "{group}" TO "{{{{name}}}}";"#
        ),
        "renew_statements": [r#"COMMENT ON ROLE "{{name}}" IS 'renewed'"#],
        "revocation_statements": [r#"ALTER ROLE "{{name}}" NOLOGIN"#],
        "default_ttl": "1m",
        "max_ttl": "1h",
    });
    database.write("roles/app", role).await.assert_done();
    let secret = database.credentials("app").await;
    let login = Login::of(&secret);
    let admin = database.postgres.cluster().await.admin_connect().await.unwrap();
    let tell = async |what: &str| -> Option<String> {
        let asked = format!("SELECT ({what})::text FROM pg_roles r WHERE rolname = $1");
        admin.query_one(&asked, &[&login.username]).await.unwrap().get(0)
    };
    assert_eq!(tell(&format!("pg_has_role(oid, '{group}', 'member')")).await.as_deref(), Some("true"));
    corner.root().leases().renew(&secret.lease().unwrap().id, None).await.unwrap();
    assert_eq!(tell("shobj_description(oid, 'pg_authid')").await.as_deref(), Some("renewed"));
    corner.root().leases().revoke_sync(&secret.lease().unwrap().id).await.unwrap();
    assert_eq!(tell("rolcanlogin").await.as_deref(), Some("false"), "still there, as asked for");
}

async fn a_connection_shows_its_settings(corner: Corner) {
    let database = corner.database().await;
    let answer = database.call("GET", "config/pg").await;
    let data = &answer.body["data"];
    let details = json!({"connection_url": database.connection_url().await, "username": "postgres"});
    for (name, value) in details.as_object().unwrap() {
        assert_eq!(&data["connection_details"][name], value);
    }
    assert_eq!(data["connection_details"].get("password"), None, "it is not shown");
    assert_eq!(
        (&data["plugin_name"], &data["allowed_roles"]),
        (&json!("postgresql-database-plugin"), &json!(["*"]))
    );
    let listed = database.call("LIST", "config").await;
    assert_like(&listed.body, &envelope("database", &json!({"keys": ["pg"]})));
    assert_eq!(database.call("DELETE", "config/pg").await.status, 204);
    database.call("GET", "config/pg").await.assert_refused(404, &[]);
}

async fn a_connection_that_does_not_work_is_refused(corner: Corner) {
    let database = corner.database().await;
    let connection = database.connection("postgres", "wrong").await;
    let wrong = database.write("config/other", connection.clone()).await;
    let said = wrong.body["errors"][0].as_str().unwrap().to_owned();
    assert_eq!(wrong.status, 400, "{said}");
    assert!(said.starts_with("error creating database object: error verifying connection: "), "{said}");
    assert!(said.contains("password authentication failed for user \"postgres\""), "{said}");
    let mut unknown = connection.clone();
    unknown["plugin_name"] = "bogus-database-plugin".into();
    let refused = database.write("config/other", unknown).await;
    let said = "error creating database object: invalid database version: 2 errors occurred:\n\t* plugin not found in the \
                catalog: bogus-database-plugin\n\t* plugin not found in the catalog: bogus-database-plugin\n\n";
    refused.assert_refused(400, &[said]);
    database.write("config/other", json!({})).await.assert_refused(400, &["empty plugin name"]);
    // Unless asked not to try.
    let mut unverified = connection;
    unverified["verify_connection"] = false.into();
    database.write("config/other", unverified).await.assert_done();
}

async fn the_password_of_the_connection_can_be_rotated(corner: Corner) {
    let database = corner.database().await;
    let admin = corner.name("admin");
    database.execute(&format!(r#"CREATE ROLE "{admin}" SUPERUSER LOGIN PASSWORD 'first'"#)).await;
    database.write("config/pg", database.connection(&admin, "first").await).await.assert_done();
    database.role("app", MINUTE, HOUR).await;
    database.credentials("app").await;
    let rotated = database.write("rotate-root/pg", json!({})).await;
    assert_eq!((rotated.status, rotated.body), (204, Value::Null));
    database.postgres.log_in(&admin, "first").await.unwrap_err();
    let login = Login::of(&database.credentials("app").await);
    database.postgres.log_in(&login.username, login.password.expose()).await.unwrap();
}
