//! With a person in front of it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;

use nix::pty::openpty;
use serde_json::json;

use crate::support::{HANG, Vault};
use crate::world::{alive, eventually};

/// What the terminal shows until this text is there.
async fn shows(terminal: &File, text: &'static str) -> String {
    let mut terminal = terminal.try_clone().unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut shown = String::new();
        let mut buffer = [0; 256];
        while !shown.contains(text) {
            let count = terminal.read(&mut buffer).unwrap();
            shown.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        shown
    });
    tokio::time::timeout(HANG, reading).await.expect(text).unwrap()
}

#[tokio::test]
async fn a_restart_on_a_terminal_ends_what_is_left_and_ctrl_c_ends_it_all() {
    let vault = Vault::start().await;
    let script = "sleep 600 & echo \"started $K by $! end\"; wait";
    let arguments = [
        "run",
        "-e",
        "K=myapp/api-keys#stripe",
        "--settle",
        "50ms",
        "--grace",
        "5s",
        "--",
        "sh",
        "-c",
        script,
    ];
    let mut invocation = vault.run(&arguments).env("VAULT_CACHE_TTL_SECONDS", "1");
    invocation.through(&["setsid", "--ctty"]);
    let pair = openpty(None, None).unwrap();
    let end = || -> Stdio { pair.slave.try_clone().unwrap().into() };
    invocation.command().stdin(end()).stdout(end()).stderr(end());
    let running = invocation.spawn();
    let terminal = File::from(pair.master);
    let sleeper = |shown: &str| -> i32 {
        shown.rsplit_once(" by ").unwrap().1.split(' ').next().unwrap().parse().unwrap()
    };
    let first = sleeper(&shows(&terminal, " end").await);
    vault.store("myapp/api-keys", &json!({ "stripe": "sk_2" })).await;
    let shown = shows(&terminal, " end").await;
    assert!(shown.contains("started sk_2 "), "{shown}");
    let second = sleeper(&shown);
    eventually("the first is gone", || !alive(first)).await;
    assert!(alive(second));
    (&terminal).write_all(b"\x03").unwrap();
    assert_eq!(running.wait().await.code(), Some(130));
    eventually("the second is gone", || !alive(second)).await;
}
