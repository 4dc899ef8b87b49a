//! Commands that make database users, on a real PostgreSQL.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_postgres::NoTls;
use vault_dev::VaultDev;
use vault_dev::example::{Example, set_up_example};
use vault_dev::postgres::Cluster;

use crate::support::{HANG, Invocation, secrets_service};

struct World {
    vault: VaultDev,
    cluster: Cluster,
    example: Example,
}

impl World {
    async fn start() -> Self {
        let vault = VaultDev::builder().start().await.unwrap();
        let cluster = Cluster::start().await.unwrap();
        let example = set_up_example(vault.url(), vault.root_token(), Some(&cluster)).await.unwrap();
        Self { vault, cluster, example }
    }

    fn run(&self, arguments: &[&str]) -> Invocation {
        secrets_service(arguments)
            .env("VAULT_ADDR", self.vault.url())
            .env("VAULT_ROLE_ID", &self.example.role_id)
            .env("VAULT_SECRET_ID", &self.example.secret_id)
    }

    /// The users that Vault has made and not removed.
    async fn users(&self) -> Vec<String> {
        let admin = self.cluster.admin_connect().await.unwrap();
        let rows =
            admin.query("SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'v-%'", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// As whom PostgreSQL knows whoever connects with it.
async fn user_of(url: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.query_one("SELECT current_user::text", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_is_handed_out_goes_on_working_and_says_until_when() {
    let world = World::start().await;
    let ended = world.run(&["db-url"]).run().await;
    let user = user_of(ended.succeeded().trim_end()).await;
    assert_eq!(world.users().await, std::slice::from_ref(&user));
    assert!(ended.stderr.contains(&format!("database user {user}: valid until 2")), "{ended:?}");
    assert!(!ended.stderr.contains(ended.stdout.trim_end()), "{ended:?}");

    let ended = world.run(&["get", "database/creds/myapp", "--format", "json"]).run().await;
    let credentials: Value = serde_json::from_str(ended.succeeded()).unwrap();
    assert!(world.users().await.iter().any(|user| credentials["username"] == **user), "{credentials}");
    assert!(ended.stderr.contains("database/creds/myapp: valid until 2"), "{ended:?}");
    assert_eq!(world.vault.count("POST", "auth/token/revoke-self"), 0);

    let ended = world.run(&["db-url", "--role", "nonsense"]).run().await;
    assert!(matches!(ended.code(), 1 | 4 | 6) && ended.stderr.contains("nonsense"), "{ended:?}");
    assert_eq!(world.vault.count("POST", "auth/token/revoke-self"), 1, "nothing was handed out");
}

#[tokio::test]
async fn a_program_has_its_user_for_as_long_as_it_runs() {
    let world = World::start().await;
    let program = ["--", "sh", "-c", "echo \"$DATABASE_URL\"; read -r go; exit 3"];
    let mut invocation = world.run(&[&["run", "--db-url", "DATABASE_URL"][..], &program].concat());
    invocation.command().stdin(Stdio::piped());
    let mut running = invocation.spawn();
    let mut output = BufReader::new(running.child.stdout.take().unwrap()).lines();
    let url =
        tokio::time::timeout(HANG, output.next_line()).await.expect("it does not start").unwrap().unwrap();
    assert_eq!(world.users().await, [user_of(&url).await]);
    drop(running.child.stdin.take());
    assert_eq!(running.wait().await.code(), Some(3));
    assert_eq!(world.users().await, Vec::<String>::new());
}

#[tokio::test]
async fn no_program_no_user() {
    let world = World::start().await;
    let cases: [(&[&str], i32); 2] = [
        (&["run", "--db-url", "U", "--", "/nonexistent"], 127),
        (&["run", "--db-url", "U", "--env", "K=secret/myapp/api-keys#nonsense", "--", "true"], 4),
    ];
    for (arguments, code) in cases {
        world.run(arguments).run().await.failed(code);
        assert_eq!(world.users().await, Vec::<String>::new(), "{arguments:?}");
    }
    assert_eq!(world.vault.count("GET", "database/creds/"), 2, "there were users to be removed");
}

#[tokio::test]
async fn check_of_a_right_setup_is_0_and_leaves_nothing() {
    let world = World::start().await;
    let ended = world.run(&["check"]).run().await;
    assert!(ended.succeeded().contains("ok       database/creds/myapp"), "{ended:?}");
    assert_eq!(world.vault.count("GET", "database/creds/"), 0);
    let ended = world.run(&["check", "--credentials"]).run().await;
    assert!(ended.succeeded().contains("made the database user v-"), "{ended:?}");
    assert_eq!(world.users().await, Vec::<String>::new());
}
