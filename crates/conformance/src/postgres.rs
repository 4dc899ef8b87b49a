//! The database that the server under test makes users in: a real PostgreSQL, started when the first test wants it.

use std::path::PathBuf;
use std::time::Duration;

use gds_vault::{Client, Secret, SecretString};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::{Config, NoTls};
use vault_dev::postgres::Cluster;

use crate::corner::{Answer, Corner, call};
use crate::eventually::eventually;

/// A user that may log in.
pub(crate) const CREATION: &[&str] =
    &[r#"CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"#];

/// A PostgreSQL for all tests of one suite, or the reason why there is none.
#[derive(Default)]
pub(crate) struct Postgres {
    cluster: OnceCell<Result<Cluster, String>>,
    /// Held by whoever uses the database `postgres`, where the documentation's example lives. Others have a database
    /// each: PostgreSQL refuses to change the rights on a schema twice at a time ("tuple concurrently updated").
    pub(crate) example: Mutex<()>,
}

impl Postgres {
    /// The cluster. Without one the test fails: it is not skipped.
    pub(crate) async fn cluster(&self) -> &Cluster {
        let start = || async { Cluster::start().await.map_err(|error| error.to_string()) };
        let started = self.cluster.get_or_init(start).await;
        started.as_ref().unwrap_or_else(|error| {
            panic!("this test needs PostgreSQL, and it could not be started: {error} (`scripts/setup` installs it)")
        })
    }

    /// Whether there is such a user.
    pub(crate) async fn has_user(&self, name: &str) -> bool {
        let admin = self.cluster().await.admin_connect().await.unwrap();
        let rows = admin.query("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&name]).await.unwrap();
        !rows.is_empty()
    }

    /// Waits until there is no such user.
    pub(crate) async fn no_user(&self, name: &str) {
        eventually(&format!("{name} is gone from pg_roles"), || async {
            (!self.has_user(name).await).then_some(())
        })
        .await;
    }

    /// Until when PostgreSQL itself lets the user log in, in seconds from now.
    pub(crate) async fn valid_for(&self, name: &str) -> f64 {
        let admin = self.cluster().await.admin_connect().await.unwrap();
        let asked =
            "SELECT extract(epoch FROM rolvaliduntil - now())::float8 FROM pg_roles WHERE rolname = $1";
        admin.query_one(asked, &[&name]).await.unwrap().get(0)
    }

    /// Logs in with these credentials, and asks PostgreSQL who that is. The error is PostgreSQL's.
    pub(crate) async fn log_in(&self, user: &str, password: &str) -> Result<String, String> {
        let client =
            self.cluster().await.connect_as(user, password).await.map_err(|error| error.to_string())?;
        let row = client.query_one("SELECT current_user::text", &[]).await.map_err(|e| e.to_string())?;
        Ok(row.get(0))
    }

    /// `psql`, which is among PostgreSQL's own programs if it is not on `PATH`.
    pub(crate) fn psql() -> Option<PathBuf> {
        let on_path = std::env::var_os("PATH")?;
        let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let folders = std::env::split_paths(&on_path).chain(debian.map(|version| version.path().join("bin")));
        folders.map(|folder| folder.join("psql")).find(|file| file.is_file())
    }
}

/// A database engine of a test's own.
pub(crate) struct Database<'c> {
    pub(crate) postgres: &'c Postgres,
    root: Client,
    pub(crate) mount: String,
    /// The database in PostgreSQL, and the beginning of the names of users in it.
    pub(crate) name: String,
}

/// What a read of credentials returned.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: SecretString,
}

impl Login {
    pub(crate) fn of(secret: &Secret) -> Self {
        let text = |name| secret.field(name).unwrap().text();
        Self { username: text("username").expose().to_owned(), password: text("password") }
    }
}

impl<'c> Database<'c> {
    pub(crate) async fn new(corner: &Corner, postgres: &'c Postgres) -> Database<'c> {
        let (root, mount) = (corner.root(), corner.name("db"));
        root.sys().enable_secrets(&mount, "database", &[]).await.unwrap();
        let database = Self { postgres, root, mount, name: corner.name("data") };
        let cluster = postgres.cluster().await;
        let admin = cluster.admin_connect().await.unwrap();
        admin.batch_execute(&format!(r#"CREATE DATABASE "{}""#, database.name)).await.unwrap();
        let connection = database.connection(cluster.user(), cluster.password()).await;
        database.write("config/pg", connection).await.assert_done();
        database
    }

    /// What `config/NAME` takes, with this user for Vault.
    pub(crate) async fn connection(&self, username: &str, password: &str) -> Value {
        json!({
            "plugin_name": "postgresql-database-plugin",
            "connection_url": self.connection_url().await,
            "username": username,
            "password": password,
            "allowed_roles": "*",
        })
    }

    /// Vault's form of the connection string.
    pub(crate) async fn connection_url(&self) -> String {
        let cluster = self.postgres.cluster().await;
        let (host, port, name) = (cluster.host(), cluster.port(), &self.name);
        format!("postgresql://{{{{username}}}}:{{{{password}}}}@{host}:{port}/{name}?sslmode=disable")
    }

    /// Runs SQL in its database.
    pub(crate) async fn execute_as(&self, user: &str, password: &str, sql: &str) {
        let cluster = self.postgres.cluster().await;
        let mut config = Config::new();
        config.host(cluster.host()).port(cluster.port()).dbname(&self.name).user(user).password(password);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    }

    /// Runs SQL in its database, as the superuser.
    pub(crate) async fn execute(&self, sql: &str) {
        let cluster = self.postgres.cluster().await;
        self.execute_as(cluster.user(), cluster.password(), sql).await;
    }

    /// `POST` to a path under the mount, as root.
    pub(crate) async fn write(&self, path: &str, body: Value) -> Answer {
        call(&self.root, "POST", &format!("{}/{path}", self.mount), body).await
    }

    /// Any other request to a path under the mount, as root.
    pub(crate) async fn call(&self, method: &str, path: &str) -> Answer {
        call(&self.root, method, &format!("{}/{path}", self.mount), None).await
    }

    /// Makes a role whose credentials live so long.
    pub(crate) async fn role(&self, name: &str, default_ttl: Duration, max_ttl: Duration) {
        let role = json!({
            "db_name": "pg",
            "creation_statements": CREATION,
            "default_ttl": default_ttl.as_secs(),
            "max_ttl": max_ttl.as_secs(),
        });
        self.write(&format!("roles/{name}"), role).await.assert_done();
    }

    /// Makes a user in PostgreSQL and a static role that takes it over. Returns the user's name.
    pub(crate) async fn static_role(&self, name: &str, schedule: Value) -> String {
        let user = format!("{}-{name}", self.name);
        self.execute(&format!(r#"CREATE ROLE "{user}" WITH LOGIN PASSWORD 'first'"#)).await;
        let mut role = json!({"db_name": "pg", "username": user});
        for (key, value) in schedule.as_object().unwrap() {
            role[key] = value.clone();
        }
        self.write(&format!("static-roles/{name}"), role).await.assert_done();
        user
    }

    /// New credentials of a role.
    pub(crate) async fn credentials(&self, role: &str) -> Secret {
        self.root.database(&*self.mount).credentials(role).await.unwrap()
    }

    /// The present credentials of a static role.
    pub(crate) async fn static_credentials(&self, role: &str) -> Secret {
        self.root.database(&*self.mount).static_credentials(role).await.unwrap()
    }
}

impl Answer {
    /// Asserts that it was done, with nothing to tell.
    #[track_caller]
    pub(crate) fn assert_done(&self) {
        assert!(matches!(self.status, 200 | 204), "{self:?}");
    }
}
