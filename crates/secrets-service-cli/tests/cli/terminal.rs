//! What differs when a person sits in front of it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use nix::pty::openpty;
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, tcgetattr};
use serde_json::json;

use crate::support::{HANG, Invocation, Running, Vault};

/// Our end of a terminal, and the end that the command sees.
struct Terminal {
    ours: File,
    theirs: OwnedFd,
}

impl Terminal {
    fn open() -> Self {
        let pair = openpty(None, None).unwrap();
        Self { ours: pair.master.into(), theirs: pair.slave }
    }

    fn end(&self) -> Stdio {
        self.theirs.try_clone().unwrap().into()
    }

    /// What is shown until this text is.
    async fn shows(&self, text: &'static str) -> String {
        let mut ours = self.ours.try_clone().unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let mut shown = String::new();
            let mut buffer = [0; 256];
            while !shown.contains(text) {
                let count = ours.read(&mut buffer).unwrap();
                shown.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            }
            shown
        });
        tokio::time::timeout(HANG, reading).await.expect(text).unwrap()
    }

    /// Everything shown until all who had the terminal open have closed it.
    async fn shown(self) -> String {
        let Self { mut ours, theirs } = self;
        drop(theirs);
        let reading = tokio::task::spawn_blocking(move || {
            let mut shown = Vec::new();
            let mut buffer = [0; 4096];
            // The end is EIO.
            while let Ok(count @ 1..) = ours.read(&mut buffer) {
                shown.extend_from_slice(&buffer[..count]);
            }
            String::from_utf8(shown).unwrap()
        });
        tokio::time::timeout(HANG, reading).await.expect("the command hangs").unwrap()
    }
}

async fn on_a_terminal(mut invocation: Invocation) -> String {
    let terminal = Terminal::open();
    invocation.command().stdout(terminal.end());
    let running = invocation.spawn();
    let shown = terminal.shown().await;
    assert_eq!(running.wait().await.code(), Some(0), "{shown}");
    shown
}

#[tokio::test]
async fn values_are_shown_only_when_asked_for() {
    let vault = Vault::start().await;
    vault.store("myapp/x", &json!({ "k": "canary", "odd\u{1b}[31m": "canary" })).await;
    let shown = on_a_terminal(vault.run(&["get", "secret/myapp/x"])).await;
    assert!(shown.contains("k  [hidden]") && !shown.contains("canary"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "names do not steer the terminal: {shown:?}");
    for options in [&["--field", "k"][..], &["--format", "json"]] {
        let shown = on_a_terminal(vault.run(&[&["get", "secret/myapp/x"], options].concat())).await;
        assert!(shown.contains("canary"), "{options:?}: {shown}");
    }
}

/// Starts the command with a terminal for stdin, and waits until it asks.
async fn asked(mut invocation: Invocation) -> (Running, Terminal, String) {
    let terminal = Terminal::open();
    invocation.command().stdin(terminal.end()).stderr(terminal.end());
    let running = invocation.spawn();
    let shown = terminal.shows("): ").await;
    (running, terminal, shown)
}

#[tokio::test]
async fn a_value_is_asked_for_and_not_shown() {
    let vault = Vault::start().await;
    let (running, mut terminal, question) = asked(vault.run(&["api-key", "set", "stripe"])).await;
    assert!(question.contains("API key stripe"), "{question}");
    terminal.ours.write_all(b"canarx\x7fy\r").unwrap();
    let shown = terminal.shown().await;
    assert_eq!(running.wait().await.code(), Some(0), "{shown}");
    assert!(!shown.contains("canar"), "{shown}");
    assert_eq!(vault.stored("myapp/api-keys").await["stripe"], "canary");
}

#[tokio::test]
async fn ctrl_c_at_the_question_leaves_the_terminal_as_it_was() {
    let vault = Vault::start().await;
    let (running, mut terminal, _) = asked(vault.run(&["put", "secret/myapp/own", "k=-"])).await;
    assert!(!tcgetattr(&terminal.theirs).unwrap().local_flags.contains(LocalFlags::ECHO));
    terminal.ours.write_all(b"half\x03").unwrap();
    assert_eq!(running.wait().await.code(), Some(130));
    let after = tcgetattr(&terminal.theirs).unwrap().local_flags;
    assert!(after.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
    assert_eq!(vault.server.count("*", ""), 0);
}

#[tokio::test]
async fn ctrl_c_reaches_a_program_once_and_kill_reaches_it_too() {
    let vault = Vault::start().await;
    let terminal = Terminal::open();
    let script = "n=0; trap 'n=$((n+1)); echo int $n' INT; trap 'echo term; exit $((n+20))' TERM; echo ready; \
                  while :; do sleep 0.05; done";
    let mut invocation = vault.run(&["run", "--", "sh", "-c", script]);
    // In a session of its own, on this terminal, as in a terminal window.
    invocation.through(&["setsid", "--ctty"]);
    invocation.command().stdin(terminal.end()).stdout(terminal.end()).stderr(terminal.end());
    let running = invocation.spawn();
    terminal.shows("ready").await;
    (&terminal.ours).write_all(b"\x03").unwrap();
    terminal.shows("int 1").await;
    running.send(Signal::SIGTERM);
    terminal.shows("term").await;
    assert_eq!(running.wait().await.code(), Some(21));
}

#[tokio::test]
async fn somebody_who_waits_is_told_for_what() {
    let vault = Vault::start().await;
    vault.server.freeze();
    let terminal = Terminal::open();
    let mut invocation = vault.run(&["get", "secret/myapp/config"]);
    invocation.command().stderr(terminal.end());
    let running = invocation.spawn();
    let told = terminal.shows("...").await;
    assert!(told.contains(&format!("waiting for Vault ({})", vault.server.url())), "{told}");
    running.send(Signal::SIGTERM);
    assert_eq!(running.wait().await.code(), Some(143));
}
