//! The `secrets-service` command, set up as the documentation's example is.

use std::path::PathBuf;

use serde_json::json;
use tokio::sync::MutexGuard;
use vault_dev::example::{Example, set_up_example};
use vault_dev::postgres::Cluster;

use super::cases;
use crate::command::{self, Outcome, run};
use crate::corner::Corner;
use crate::postgres::Postgres;

cases! {
    Binary: [
        db_url_works_in_psql,
        api_keys_are_read_and_set,
        a_program_gets_secrets_and_a_user,
        secrets_are_read_written_and_listed,
        a_token_will_do,
        nothing_is_left_behind,
        exit_codes_tell_what_went_wrong,
        check_finds_what_is_wrong,
    ],
}

/// A server with the example, and the command.
struct Shell<'c> {
    corner: &'c Corner,
    binary: PathBuf,
    example: Example,
}

impl<'c> Shell<'c> {
    /// The example without a database: there is one such database for all tests, so who needs it waits for others.
    async fn new(corner: &'c Corner) -> Self {
        Self::with(corner, None).await
    }

    /// The example, and the right to be the only one to use its database.
    async fn with_database(corner: &'c Corner) -> (Self, MutexGuard<'c, ()>) {
        let cluster = corner.postgres().cluster().await;
        let turn = corner.postgres().example.lock().await;
        (Self::with(corner, Some(cluster)).await, turn)
    }

    async fn with(corner: &'c Corner, cluster: Option<&Cluster>) -> Self {
        let binary = tokio::task::spawn_blocking(command::binary).await.unwrap().unwrap();
        let server = corner.server();
        let example =
            set_up_example(&server.address().to_string(), server.root_token().expose(), cluster).await;
        Self { corner, binary, example: example.unwrap() }
    }

    /// Runs the command with an address, a role_id and a secret_id in its environment, and nothing else.
    async fn secrets_service(&self, args: &[&str], input: Option<&str>) -> Outcome {
        self.with_secret_id(&self.example.secret_id, args, input).await
    }

    async fn with_secret_id(&self, secret_id: &str, args: &[&str], input: Option<&str>) -> Outcome {
        let address = self.corner.server().address().to_string();
        let variables = [
            ("VAULT_ADDR", &*address),
            ("VAULT_ROLE_ID", &self.example.role_id),
            ("VAULT_SECRET_ID", secret_id),
        ];
        run(&self.binary, args, &variables, input).await
    }

    /// How many tokens Vault has given out and not taken back.
    async fn tokens(&self) -> usize {
        let answer = self.corner.call("LIST", "auth/token/accessors", None).await;
        answer.body["data"]["keys"].as_array().unwrap().len()
    }
}

async fn db_url_works_in_psql(corner: Corner) {
    let (shell, _turn) = Shell::with_database(&corner).await;
    let outcome = shell.secrets_service(&["db-url"], None).await;
    let url = outcome.line();
    let user = url.strip_prefix("postgresql://").and_then(|rest| rest.split_once(':')).unwrap().0;
    assert!(user.starts_with("v-approle-myapp-"), "{user}");
    assert!(outcome.stderr.contains(user), "{}", outcome.stderr);
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = client.query_one("SELECT current_user::text", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), user);

    let Some(psql) = Postgres::psql() else {
        println!(
            "cli::db_url_works_in_psql: there is no psql, neither on PATH nor in /usr/lib/postgresql: not tried with it"
        );
        return;
    };
    let path = std::env::var("PATH").unwrap_or_default();
    let args = [url, "--no-psqlrc", "--tuples-only", "--no-align", "-c", "select current_user"];
    assert_eq!(run(&psql, &args, &[("PATH", &path)], None).await.line(), user);
}

async fn api_keys_are_read_and_set(corner: Corner) {
    let shell = Shell::new(&corner).await;
    assert_eq!(shell.secrets_service(&["api-key", "stripe"], None).await.line(), "sk_test_xxx");
    let set = shell.secrets_service(&["api-key", "set", "stripe"], Some("sk_live_yyy\n")).await;
    assert_eq!((set.code, &*set.stdout), (Some(0), ""), "{}", set.stderr);
    for (name, key) in [("stripe", "sk_live_yyy"), ("sendgrid", "SG.xxx")] {
        assert_eq!(shell.secrets_service(&["api-key", name], None).await.line(), key);
    }
    assert!(!set.stderr.contains("sk_live_yyy"), "{}", set.stderr);
}

async fn a_program_gets_secrets_and_a_user(corner: Corner) {
    let (shell, _turn) = Shell::with_database(&corner).await;
    let args = [
        "run",
        "--env",
        "KEY=secret/myapp/api-keys#stripe",
        "--db-url",
        "DATABASE_URL",
        "--",
        "/bin/sh",
        "-c",
        "echo $KEY $DATABASE_URL ${VAULT_SECRET_ID-none}; exit 7",
    ];
    let outcome = shell.secrets_service(&args, None).await;
    assert_eq!(outcome.code, Some(7), "{}", outcome.stderr);
    let [key, url, secret_id] = outcome.stdout.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("not three words")
    };
    assert_eq!((key, secret_id), ("sk_test_xxx", "none"));
    let user = url.strip_prefix("postgresql://").and_then(|rest| rest.split_once(':')).unwrap().0;
    corner.postgres().no_user(user).await;
}

async fn secrets_are_read_written_and_listed(corner: Corner) {
    let shell = Shell::new(&corner).await;
    for path in ["secret/myapp/api-keys", "secret/data/myapp/api-keys", "myapp/api-keys"] {
        let outcome = shell.secrets_service(&["get", path, "--field", "stripe"], None).await;
        assert_eq!(outcome.line(), "sk_test_xxx", "{path}");
    }
    let put = shell.secrets_service(&["put", "secret/myapp/api-keys", "new=1"], None).await;
    assert_eq!(put.code, Some(0), "{}", put.stderr);
    let outcome = shell.secrets_service(&["get", "secret/myapp/api-keys", "--format", "json"], None).await;
    let shown: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(shown, json!({"new": "1", "sendgrid": "SG.xxx", "stripe": "sk_test_xxx"}));
    let outcome = shell.secrets_service(&["list", "secret/myapp"], None).await;
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), "api-keys\nconfig\n"), "{}", outcome.stderr);
}

async fn a_token_will_do(corner: Corner) {
    let shell = Shell::new(&corner).await;
    let address = corner.server().address().to_string();
    let variables = [("VAULT_ADDR", &*address), ("VAULT_TOKEN", corner.server().root_token().expose())];
    assert_eq!(run(&shell.binary, &["api-key", "stripe"], &variables, None).await.line(), "sk_test_xxx");
}

async fn nothing_is_left_behind(corner: Corner) {
    let (shell, _turn) = Shell::with_database(&corner).await;
    let before = shell.tokens().await;
    shell.secrets_service(&["api-key", "stripe"], None).await.line();
    shell.secrets_service(&["get", "secret/myapp/config"], None).await;
    shell.secrets_service(&["get", "secret/myapp/none"], None).await;
    assert_eq!(shell.tokens().await, before, "every login was taken back");
    shell.secrets_service(&["db-url"], None).await.line();
    assert_eq!(shell.tokens().await, before + 1, "but for one that a user hangs on");
}

async fn exit_codes_tell_what_went_wrong(corner: Corner) {
    let shell = Shell::new(&corner).await;
    for (args, code) in [
        (&["api-key", "twilio"][..], 4),
        (&["get", "secret/myapp/api-keys", "--field", "none"], 4),
        (&["get", "secret/other"], 6),
        (&["db-url", "--role", "other"], 6),
        (&["get"], 2),
    ] {
        let outcome = shell.secrets_service(args, None).await;
        assert_eq!((outcome.code, &*outcome.stdout), (Some(code), ""), "{args:?}: {}", outcome.stderr);
    }
    let refused = shell.with_secret_id("wrong", &["api-key", "stripe"], None).await;
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("invalid role or secret ID"), "{}", refused.stderr);
    let unconfigured = run(&shell.binary, &["api-key", "stripe"], &[], None).await;
    assert_eq!(unconfigured.code, Some(2), "{}", unconfigured.stderr);
    corner.server().kill().await;
    let unavailable = shell.secrets_service(&["api-key", "stripe"], None).await;
    assert_eq!((unavailable.code, &*unavailable.stdout), (Some(5), ""), "{}", unavailable.stderr);
}

async fn check_finds_what_is_wrong(corner: Corner) {
    let (shell, _turn) = Shell::with_database(&corner).await;
    let good = shell.secrets_service(&["check"], None).await;
    assert_eq!(good.code, Some(0), "{}{}", good.stdout, good.stderr);
    let bad = shell.with_secret_id("wrong", &["check"], None).await;
    assert_eq!(bad.code, Some(3), "{}{}", bad.stdout, bad.stderr);
    corner.server().seal().await;
    let sealed = shell.secrets_service(&["check"], None).await;
    assert_eq!(sealed.code, Some(5), "{}{}", sealed.stdout, sealed.stderr);
}
