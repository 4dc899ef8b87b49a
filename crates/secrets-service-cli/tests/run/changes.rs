use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Running, Vault};
use crate::world::{Folder, Output};

/// Starts a program that tells how it was started, and of SIGHUP.
fn start(vault: &Vault, arguments: &[&str]) -> (Running, Output) {
    let script = "trap 'echo hup' HUP; trap 'exit 0' TERM; echo \"started $K\"; while :; do sleep 0.05; done";
    let all = [&["run"][..], arguments, &["--", "sh", "-c", script]].concat();
    let mut running = vault.run(&all).env("VAULT_CACHE_TTL_SECONDS", "1").spawn();
    let output = Output::of(&mut running);
    (running, output)
}

async fn end(running: Running, output: &mut Output, code: i32) {
    running.send(Signal::SIGTERM);
    assert_eq!(output.line().await, None, "something happened after that");
    assert_eq!(running.wait().await.code(), Some(code));
}

#[tokio::test]
async fn row22_five_changes_are_one_restart() {
    let vault = Vault::start().await;
    let (running, mut output) =
        start(&vault, &["-e", "K=myapp/api-keys#stripe", "-e", "H=myapp/config#db_host", "--settle", "8s"]);
    output.is("started sk_test_xxx").await;
    for n in 1..=5 {
        let keys = json!({ "stripe": format!("sk_{n}"), "sendgrid": "x" });
        vault.store("myapp/api-keys", &keys).await;
        vault.store("myapp/config", &json!({ "db_host": format!("db{n}"), "db_name": "mydb" })).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    output.is("started sk_5").await;
    // Whatever has not been acted on would be by then.
    tokio::time::sleep(Duration::from_secs(10)).await;
    end(running, &mut output, 0).await;
}

#[tokio::test]
async fn row22_five_changes_are_one_signal() {
    let vault = Vault::start().await;
    let folder = Folder::new();
    let keys = folder.template("k.j2", "{{ secret('myapp/api-keys').stripe }}");
    let host = folder.template("h.j2", "{{ secret('myapp/config').db_host }}");
    let (running, mut output) =
        start(&vault, &["-t", &keys, "-t", &host, "--on-change", "signal:HUP", "--settle", "8s"]);
    output.is("started ").await;
    assert_eq!(folder.out("k.j2").as_deref(), Some("sk_test_xxx"), "files are there before the program");
    for n in 1..=5 {
        vault.store("myapp/api-keys", &json!({ "stripe": format!("sk_{n}") })).await;
        vault.store("myapp/config", &json!({ "db_host": format!("db{n}") })).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    output.is("hup").await;
    assert_eq!(folder.out("k.j2").as_deref(), Some("sk_5"), "files are new before the program is told");
    assert_eq!(folder.out("h.j2").as_deref(), Some("db5"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    end(running, &mut output, 0).await;
}

#[tokio::test]
async fn what_does_not_change_a_value_is_no_change() {
    let vault = Vault::start().await;
    let folder = Folder::new();
    let template = folder.template("h.j2", "{{ secret('myapp/config').db_host }}");
    let (running, mut output) = start(
        &vault,
        &["-t", &template, "-e", "K=myapp/api-keys#stripe", "--on-change", "restart", "--settle", "50ms"],
    );
    output.is("started sk_test_xxx").await;
    // Other fields of the same secrets.
    vault.store("myapp/api-keys", &json!({ "stripe": "sk_test_xxx", "sendgrid": "new" })).await;
    vault.store("myapp/config", &json!({ "db_host": "localhost", "db_name": "new" })).await;
    let asked = vault.server.count("GET", "secret/data/myapp");
    crate::world::eventually("asked again", || vault.server.count("GET", "secret/data/myapp") > asked + 4)
        .await;
    end(running, &mut output, 0).await;
}

#[tokio::test]
async fn by_default_a_file_is_written_and_the_program_left_alone() {
    let vault = Vault::start().await;
    let folder = Folder::new();
    let template = folder.template("h.j2", "{{ secret('myapp/config').db_host }}");
    let (running, mut output) = start(&vault, &["-t", &template, "--settle", "50ms"]);
    output.is("started ").await;
    vault.store("myapp/config", &json!({ "db_host": "db2" })).await;
    folder.becomes("h.j2", "db2").await;
    end(running, &mut output, 0).await;
}

#[tokio::test]
async fn each_template_can_have_its_own_action() {
    let vault = Vault::start().await;
    let folder = Folder::new();
    folder.put("h.j2", "{{ secret('myapp/config').db_host }}");
    folder.put("k.j2", "{{ secret('myapp/api-keys').stripe }}");
    let template = |name: &str, action: &str| {
        format!(
            "[[template]]\nsource = {:?}\ndestination = {:?}\non_change = {action:?}\n",
            folder.name(name),
            folder.name(&format!("{name}.out")),
        )
    };
    let run = "[run]\nsettle_seconds = 0\n[run.env]\nK = \"myapp/api-keys#sendgrid\"\n";
    folder.put("run.toml", &[run, &template("h.j2", "signal:SIGHUP"), &template("k.j2", "none")].concat());
    let (running, mut output) = start(&vault, &["--config", &folder.name("run.toml")]);
    output.is("started SG.xxx").await;
    vault.store("myapp/api-keys", &json!({ "stripe": "new", "sendgrid": "SG.xxx" })).await;
    folder.becomes("k.j2", "new").await;
    vault.store("myapp/config", &json!({ "db_host": "db2" })).await;
    output.is("hup").await;
    vault.store("myapp/api-keys", &json!({ "stripe": "new", "sendgrid": "SG.2" })).await;
    output.is("started SG.2").await;
    end(running, &mut output, 0).await;
}

#[tokio::test]
async fn an_outage_or_a_deleted_secret_does_not_touch_the_program() {
    let vault = Vault::start().await;
    let (running, mut output) = start(&vault, &["-e", "K=myapp/api-keys#stripe", "--settle", "50ms"]);
    output.is("started sk_test_xxx").await;
    let outage = vault.server.fault(vault_dev::Fault::Sealed).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(outage);
    vault.root.kv2("secret").delete("myapp/api-keys").await.unwrap();
    let asked = vault.server.count("GET", "secret/data/myapp/api-keys");
    crate::world::eventually("asked again", || {
        vault.server.count("GET", "secret/data/myapp/api-keys") > asked
    })
    .await;
    vault.store("myapp/api-keys", &json!({ "stripe": "sk_2" })).await;
    output.is("started sk_2").await;
    end(running, &mut output, 0).await;
}
