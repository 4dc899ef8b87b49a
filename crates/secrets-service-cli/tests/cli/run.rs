use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{HANG, Running, Vault, alive};

const STRIPE: [&str; 3] = ["run", "--env", "KEY=secret/myapp/api-keys#stripe"];

fn with(program: &[&'static str]) -> Vec<&'static str> {
    [&STRIPE[..], &["--"], program].concat()
}

#[tokio::test]
async fn secrets_are_in_the_environment_and_in_no_argument() {
    let vault = Vault::start().await;
    let arguments = [
        &STRIPE[..],
        &[
            "-e",
            "HOST=myapp/config#db_host",
            "--",
            "sh",
            "-c",
            "echo $KEY $HOST $OWN; cat /proc/$PPID/cmdline",
        ],
    ];
    let ended = vault.run(&arguments.concat()).env("OWN", "mine").run().await;
    let output = ended.succeeded();
    assert!(output.starts_with("sk_test_xxx localhost mine\n"), "{output}");
    assert_eq!(output.matches("sk_test_xxx").count(), 1, "{output}");
}

#[tokio::test]
async fn the_vault_login_is_not_passed_on_unless_asked_for() {
    let vault = Vault::start().await;
    let ended = vault.run(&["run", "--", "env"]).run().await;
    assert!(!ended.succeeded().contains(&vault.secret_id), "{ended:?}");
    assert!(ended.stdout.contains("VAULT_ADDR="), "{ended:?}");
    let ended = vault.run(&["run", "--keep-vault-login", "--", "env"]).run().await;
    assert!(ended.succeeded().contains(&vault.secret_id), "{ended:?}");
}

#[tokio::test]
async fn ends_as_the_program_does() {
    let vault = Vault::start().await;
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
    {
        let ended = vault.run(&["run", "--", "sh", "-c", script]).run().await;
        assert_eq!((ended.code(), &*ended.stderr), (code, ""), "{script}");
    }
    let ended = vault.run(&["run", "--", "/nonexistent"]).run().await;
    assert!(ended.failed(127).contains("/nonexistent"), "{ended:?}");
    vault.run(&["run", "--", "/etc/passwd"]).run().await.failed(126);
}

#[tokio::test]
async fn stdin_and_arguments_reach_the_program() {
    let vault = Vault::start().await;
    let ended = vault.run(&with(&["sh", "-c", "cat; echo $1", "sh", "--flag"])).stdin("in ").run().await;
    assert_eq!(ended.succeeded(), "in --flag\n");
}

#[tokio::test]
async fn row24_a_missing_field_starts_nothing_and_everything_missing_is_named() {
    let vault = Vault::start().await;
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        &STRIPE[..],
        &[
            "--env",
            "A=secret/myapp/api-keys#stirpe",
            "--env",
            "B=secret/myapp/nothing#x",
            "--",
            "touch",
            "started",
        ],
    ];
    let mut invocation = vault.run(&arguments.concat());
    invocation.command().current_dir(folder.path());
    let ended = invocation.run().await;
    let complaint = ended.failed(4);
    assert!(complaint.contains("stirpe") && complaint.contains("secret/myapp/nothing"), "{complaint}");
    assert!(!complaint.contains("sk_test_xxx"), "{complaint}");
    assert!(!folder.path().join("started").exists());
}

/// Starts a program that prints a line when it is ready.
async fn ready(vault: &Vault, script: &str) -> (Running, BufReader<tokio::process::ChildStdout>) {
    let mut running = vault.run(&[&STRIPE[..], &["--", "sh", "-c", script]].concat()).spawn();
    let mut output = BufReader::new(running.child.stdout.take().unwrap());
    assert_eq!(line(&mut output).await, "ready\n");
    (running, output)
}

async fn line(output: &mut BufReader<tokio::process::ChildStdout>) -> String {
    let mut line = String::new();
    tokio::time::timeout(HANG, output.read_line(&mut line)).await.expect("no output").unwrap();
    line
}

#[tokio::test]
async fn signals_are_forwarded() {
    let vault = Vault::start().await;
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
    ] {
        let script =
            format!("trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.05; done");
        let (running, mut output) = ready(&vault, &script).await;
        running.send(signal);
        assert_eq!(line(&mut output).await, format!("got {name}\n"));
        assert_eq!(running.wait().await.code(), Some(9), "{name}");
    }
}

#[tokio::test]
async fn a_program_that_a_forwarded_signal_ends() {
    let vault = Vault::start().await;
    let (running, _output) = ready(&vault, "echo ready; exec sleep 600").await;
    running.send(Signal::SIGTERM);
    let status = running.wait().await;
    assert_eq!((status.code(), status.signal()), (Some(143), None));
}

#[tokio::test]
async fn without_a_terminal_descendants_get_the_signal_too() {
    let vault = Vault::start().await;
    // The shell waits for its child and has no trap: without the group, `sleep` would stay behind.
    let (running, mut output) = ready(&vault, "sleep 600 & echo ready; echo $!; wait").await;
    let sleeper: i32 = line(&mut output).await.trim().parse().unwrap();
    running.send(Signal::SIGTERM);
    assert_eq!(running.wait().await.code(), Some(143));
    let gone = async {
        while alive(sleeper) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, gone).await.expect("the descendant is still there");
}

#[tokio::test]
async fn ignored_signals_stay_ignored() {
    let vault = Vault::start().await;
    let mut invocation = vault.run(&["run", "--", "sh", "-c", "echo ready; sleep 0.2; echo survived"]);
    invocation.through(&["sh", "-c", "trap '' HUP; exec \"$@\"", "nohup"]);
    let mut running = invocation.spawn();
    let mut output = BufReader::new(running.child.stdout.take().unwrap());
    assert_eq!(line(&mut output).await, "ready\n");
    running.send(Signal::SIGHUP);
    assert_eq!(line(&mut output).await, "survived\n");
    assert_eq!(running.wait().await.code(), Some(0));
}

#[tokio::test]
async fn a_signal_while_vault_is_being_waited_for_ends_it() {
    let vault = Vault::start().await;
    vault.server.freeze();
    for arguments in [with(&["true"]), vec!["get", "secret/myapp/config"]] {
        vault.server.reset_counts();
        let running = vault.run(&arguments).spawn();
        let asked = async {
            while vault.server.count("*", "") == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(HANG, asked).await.expect("Vault was not asked");
        running.send(Signal::SIGTERM);
        assert_eq!(running.wait().await.code(), Some(143));
    }
}

#[tokio::test]
async fn the_login_lives_as_long_as_the_program() {
    let vault = Vault::start().await;
    let (running, _output) = ready(&vault, "echo ready; exec sleep 600").await;
    assert_eq!(vault.server.count("POST", "auth/approle/login"), 1);
    assert_eq!(vault.server.count("POST", "auth/token/revoke-self"), 0);
    running.send(Signal::SIGTERM);
    running.wait().await;
    assert_eq!(vault.server.count("POST", "auth/token/revoke-self"), 1);
}

#[tokio::test]
async fn a_value_that_no_variable_can_hold() {
    let vault = Vault::start().await;
    vault.store("myapp/x", &json!({ "nul": "can\u{0}ary" })).await;
    let ended = vault.run(&["run", "--env", "V=secret/myapp/x#nul", "--", "true"]).run().await;
    assert!(ended.failed(1).contains("for V"), "{ended:?}");
}
