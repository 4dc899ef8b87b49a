use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Running, Vault};
use crate::world::{Output, alive, ended, eventually};

fn start(vault: &Vault, arguments: &[&str], script: &str) -> (Running, Output) {
    let all = [&["run"][..], arguments, &["--", "sh", "-c", script]].concat();
    let mut running = vault.run(&all).env("VAULT_CACHE_TTL_SECONDS", "1").spawn();
    let output = Output::of(&mut running);
    (running, output)
}

#[tokio::test]
async fn row23_a_program_that_ignores_sigterm_is_killed_when_its_time_is_up() {
    let vault = Vault::start().await;
    let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let (running, mut output) = start(&vault, &["-e", "K=myapp/api-keys#stripe", "--grace", "300ms"], script);
    output.is("ready").await;
    running.send(Signal::SIGTERM);
    let ended = ended(running).await;
    assert_eq!(ended.code(), 137, "{ended:?}");
    assert!(ended.stderr.contains("killing it"), "{ended:?}");
    assert_eq!(vault.server.count("POST", "auth/token/revoke-self"), 1);
}

#[tokio::test]
async fn row23_the_grace_period_is_granted() {
    let vault = Vault::start().await;
    let script = "trap 'sleep 0.5; echo tidied; exit 4' TERM; echo ready; while :; do sleep 0.05; done";
    let (running, mut output) = start(&vault, &["--grace", "50s"], script);
    output.is("ready").await;
    running.send(Signal::SIGTERM);
    output.is("tidied").await;
    assert_eq!(running.wait().await.code(), Some(4));
}

#[tokio::test]
async fn row23_what_a_program_leaves_behind_is_ended_with_it() {
    let vault = Vault::start().await;
    // Both hold our pipe open; the second will not go when asked.
    let script = "sleep 600 & echo $!; (trap '' TERM; while :; do sleep 0.05; done) & echo $!; exit 5";
    let (running, mut output) = start(&vault, &["--grace", "300ms"], script);
    let left: Vec<i32> =
        vec![output.line().await.unwrap().parse().unwrap(), output.line().await.unwrap().parse().unwrap()];
    assert_eq!(output.line().await, None, "the pipe is closed");
    assert_eq!(running.wait().await.code(), Some(5));
    eventually("all gone", || !left.iter().any(|pid| alive(*pid))).await;
}

#[tokio::test]
async fn row23_a_restart_ends_the_whole_group_first() {
    let vault = Vault::start().await;
    let script = "trap '' TERM; sleep 600 & echo \"$K $!\"; while :; do sleep 0.05; done";
    let arguments = ["-e", "K=myapp/api-keys#stripe", "--settle", "50ms", "--grace", "300ms"];
    let (running, mut output) = start(&vault, &arguments, script);
    let first = output.line().await.unwrap();
    let sleeper: i32 = first.strip_prefix("sk_test_xxx ").unwrap().parse().unwrap();
    vault.store("myapp/api-keys", &json!({ "stripe": "sk_2" })).await;
    assert!(output.line().await.unwrap().starts_with("sk_2 "));
    assert!(!alive(sleeper), "the old one is there when the new one starts");
    running.send(Signal::SIGTERM);
    assert_eq!(running.wait().await.code(), Some(137));
}

#[tokio::test]
async fn a_signal_during_a_restart_ends_it_for_good() {
    let vault = Vault::start().await;
    let script = "trap 'echo asked; sleep 1; exit 6' TERM; echo \"started $K\"; while :; do sleep 0.05; done";
    let arguments = ["-e", "K=myapp/api-keys#stripe", "--settle", "50ms"];
    let (running, mut output) = start(&vault, &arguments, script);
    output.is("started sk_test_xxx").await;
    vault.store("myapp/api-keys", &json!({ "stripe": "sk_2" })).await;
    output.is("asked").await;
    running.send(Signal::SIGTERM);
    assert_eq!(running.wait().await.code(), Some(6));
}

#[tokio::test]
async fn row23_a_frozen_vault_at_the_start_is_an_error_in_time() {
    let vault = Vault::start().await;
    let folder = crate::world::Folder::new();
    let template = folder.template("a.j2", "{{ secret('myapp/config').db_host }}");
    let other = folder.template("b.ctmpl", "{{ with secret \"kv1/x\" }}{{ end }}");
    vault.server.freeze();
    let arguments =
        ["run", "-t", &template, "-t", &other, "-e", "K=myapp/api-keys#stripe", "--", "touch", "started"];
    let mut invocation =
        vault.run(&arguments).env("VAULT_CLIENT_TIMEOUT", "2").env("VAULT_RETRY_MAX_ATTEMPTS", "1");
    invocation.command().current_dir(folder.path(""));
    let ended = invocation.run().await;
    assert!(ended.failed(5).contains("myapp/api-keys"), "{ended:?}");
    assert!(!folder.path("started").exists() && folder.out("a.j2").is_none());
}

#[tokio::test]
async fn the_command_can_come_from_the_file() {
    let vault = Vault::start().await;
    let folder = crate::world::Folder::new();
    folder.put("run.toml", "[run]\ncommand = [\"sh\", \"-c\", \"exit 3\"]\n");
    let config = folder.name("run.toml");
    assert_eq!(vault.run(&["run", "--config", &config]).run().await.code(), 3);
    assert_eq!(vault.run(&["run", "--config", &config, "--", "sh", "-c", "exit 4"]).run().await.code(), 4);
    vault.run(&["run"]).run().await.failed(2);
}

#[tokio::test]
async fn on_change_none_asks_nothing_of_the_program() {
    let vault = Vault::start().await;
    let script = "trap 'exit 0' TERM; echo \"started $K\"; while :; do sleep 0.05; done";
    let arguments = ["-e", "K=myapp/api-keys#stripe", "--settle", "50ms", "--on-change", "none"];
    let (running, mut output) = start(&vault, &arguments, script);
    output.is("started sk_test_xxx").await;
    vault.store("myapp/api-keys", &json!({ "stripe": "sk_2" })).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    running.send(Signal::SIGTERM);
    assert_eq!(output.line().await, None);
    assert_eq!(running.wait().await.code(), Some(0));
}
