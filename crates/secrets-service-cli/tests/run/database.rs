//! Database users that a program is given, on a real PostgreSQL.

use nix::sys::signal::Signal;
use tokio_postgres::NoTls;
use vault_dev::VaultDev;
use vault_dev::example::set_up_example;
use vault_dev::postgres::Cluster;

use crate::support::secrets_service as command;
use crate::world::{Folder, Output};

async fn user_of(url: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.query_one("SELECT current_user::text", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_database_user_is_replaced_before_it_ends_and_the_program_told() {
    let vault = VaultDev::builder().start().await.unwrap();
    let cluster = Cluster::start().await.unwrap();
    let example = set_up_example(vault.url(), vault.root_token(), Some(&cluster)).await.unwrap();
    let root = secrets_service::gds_vault::Client::builder()
        .address(secrets_service::gds_vault::Address::parse(vault.url()).unwrap())
        .token("root".into())
        .build()
        .unwrap();
    let role =
        root.request(secrets_service::gds_vault::Method::GET, "database/roles/myapp").read().await.unwrap();
    let mut role: serde_json::Value = serde_json::from_str(role.data().expose_json()).unwrap();
    role["default_ttl"] = 4.into();
    role["max_ttl"] = 8.into();
    crate::support::write(&root, "database/roles/myapp", &role).await;

    let folder = Folder::new();
    let template = folder.template("db.j2", "{{ db().username }} {{ db().password }} {{ db('myapp').url }}");
    let consul = folder.template(
        "db.ctmpl",
        "{{ with secret \"database/creds/myapp\" }}{{ .Data.username }} {{ .Data.password }}{{ end }}",
    );
    let script = "trap 'echo hup' HUP; trap 'exit 0' TERM; echo \"$U\"; while :; do sleep 0.05; done";
    let arguments = [
        "run", "--db-url", "U", "-t", &template, "-t", &consul, "--settle", "100ms", "--", "sh", "-c", script,
    ];
    let mut running = command(&arguments)
        .env("VAULT_ADDR", vault.url())
        .env("VAULT_ROLE_ID", &example.role_id)
        .env("VAULT_SECRET_ID", &example.secret_id)
        .spawn();
    let mut output = Output::of(&mut running);
    let first = output.line().await.unwrap();
    let user = user_of(&first).await;
    let file = folder.out("db.j2").unwrap();
    assert!(file.starts_with(&format!("{user} ")) && file.ends_with(&first), "one user for all");
    assert!(folder.out("db.ctmpl").unwrap().starts_with(&format!("{user} ")));
    // Restarted with another user, while the old one still works.
    let second = output.line().await.unwrap();
    assert_ne!(first, second);
    let second_user = user_of(&second).await;
    assert_ne!(second_user, user);
    folder
        .becomes("db.j2", &{
            let password =
                second.split_once(&format!("{second_user}:")).unwrap().1.split('@').next().unwrap();
            let password = percent_encoding::percent_decode_str(password).decode_utf8().unwrap();
            format!("{second_user} {password} {second}")
        })
        .await;
    running.send(Signal::SIGTERM);
    assert_eq!(running.wait().await.code(), Some(0));
    let admin = cluster.admin_connect().await.unwrap();
    let left = admin.query("SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'v-%'", &[]).await.unwrap();
    assert_eq!(left.len(), 0, "revoked at the end");

    // Files are used after the end of `render --once`, so its user is left.
    let ended = command(&["render", "--once", "-t", &template])
        .env("VAULT_ADDR", vault.url())
        .env("VAULT_ROLE_ID", &example.role_id)
        .env("VAULT_SECRET_ID", &example.secret_id)
        .run()
        .await;
    ended.succeeded();
    let url = folder.out("db.j2").unwrap();
    user_of(url.rsplit(' ').next().unwrap()).await;
}
