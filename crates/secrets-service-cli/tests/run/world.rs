//! A folder with templates and what is made of them.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::ChildStdout;

pub(crate) use crate::support::alive;
use crate::support::{Ended, HANG, Running, Vault};

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    /// `SRC:DEST` for a template of this text and the file `NAME.out`.
    pub(crate) fn template(&self, name: &str, text: &str) -> String {
        self.put(name, text);
        format!("{}:{}", self.name(name), self.name(&format!("{name}.out")))
    }

    pub(crate) fn out(&self, name: &str) -> Option<String> {
        self.read(&format!("{name}.out"))
    }

    /// Waits until the file made of the template is this.
    pub(crate) async fn becomes(&self, name: &str, expected: &str) {
        eventually(&format!("{name} becomes {expected:?}"), || self.out(name).as_deref() == Some(expected))
            .await;
    }
}

pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(HANG, wait).await.is_ok(), "never: {what}");
}

/// How it ends, and what it says until then.
pub(crate) async fn ended(running: Running) -> Ended {
    let output = tokio::time::timeout(HANG, running.child.wait_with_output()).await;
    Ended::of(output.expect("the command hangs").unwrap())
}

/// Renders one template once.
pub(crate) async fn render(vault: &Vault, name: &str, text: &str) -> (Ended, Option<String>) {
    let folder = Folder::new();
    let template = folder.template(name, text);
    let ended = vault.run(&["render", "--once", "-t", &template]).env("FROM_OUTSIDE", "out side").run().await;
    (ended, folder.out(name))
}

/// Each template, and the file that it makes.
pub(crate) async fn renders(vault: &Vault, ending: &str, cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let (ended, out) = render(vault, &format!("case{ending}"), text).await;
        if out.as_deref() != Some(*expected) || ended.code() != 0 {
            wrong.push(format!("{text}\n  {out:?} instead of {expected:?}: {ended:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each template, the exit code, and what the complaint says. No file is written, and no value told.
pub(crate) async fn refuses(vault: &Vault, ending: &str, cases: &[(&str, i32, &[&str])]) {
    let mut wrong = Vec::new();
    let name = format!("case{ending}");
    for (text, code, parts) in cases {
        let (ended, out) = render(vault, &name, text).await;
        let complaint = &ended.stderr;
        let told = parts.iter().all(|part| complaint.contains(part)) && complaint.contains(&name);
        if out.is_some() || ended.code() != *code || !told || complaint.contains("canary") {
            wrong.push(format!("{text}\n  {out:?}, {code} and {parts:?} expected: {ended:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a running program prints.
pub(crate) struct Output(Lines<BufReader<ChildStdout>>);

impl Output {
    pub(crate) fn of(running: &mut Running) -> Self {
        Self(BufReader::new(running.child.stdout.take().unwrap()).lines())
    }

    pub(crate) async fn line(&mut self) -> Option<String> {
        tokio::time::timeout(HANG, self.0.next_line()).await.expect("no output").unwrap()
    }

    pub(crate) async fn is(&mut self, expected: &str) {
        assert_eq!(self.line().await.as_deref(), Some(expected));
    }
}
