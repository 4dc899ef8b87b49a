//! A child process that cannot outlive this one, not even if this one is killed.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::eventually::eventually;

/// Starts the program, tells its process id, and kills it once its own input ends: when the parent closes the pipe,
/// by whatever way it ends.
const KEEPER: &str = r#"
trap '' INT TERM HUP
"$@" >&2 </dev/null &
echo $!
read -r _
kill -KILL $!
wait $! 2>/dev/null
"#;

/// A running program. Killed when dropped.
pub(super) struct Guarded {
    keeper: Child,
    /// Closing it is the order to kill.
    lifeline: Option<ChildStdin>,
    pid: Pid,
}

impl Guarded {
    /// Runs `program` with nothing in its environment but `HOME`; what it writes goes to `log`.
    pub(super) async fn spawn<A: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = A>,
        home: &Path,
        log: std::fs::File,
    ) -> io::Result<Self> {
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(program)
            .args(args)
            .env_clear()
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let lifeline = keeper.stdin.take();
        let stdout = keeper.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let pid =
            line.trim().parse().map_err(|_| io::Error::other("the keeper did not tell a process id"))?;
        Ok(Self { keeper, lifeline, pid: Pid::from_raw(pid) })
    }

    /// Stops it, and waits until it has stopped: the signal reaches its threads one after the other.
    pub(super) async fn freeze(&self) {
        kill(self.pid, Signal::SIGSTOP).unwrap();
        eventually("every thread has stopped", || async { self.is_frozen().then_some(()) }).await;
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) {
        kill(self.pid, Signal::SIGCONT).unwrap();
    }

    /// Whether no thread of it runs. Where there is no `/proc`, that is not known, and taken to be so.
    fn is_frozen(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        threads.map(|thread| std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default()).all(
            |stat| {
                // The name of the program, in brackets, may have anything in it.
                stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 't']))
            },
        )
    }

    /// Kills it, and waits until it is gone.
    pub(super) async fn kill(mut self) {
        drop(self.lifeline.take());
        self.keeper.wait().await.unwrap();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.lifeline.take().is_some() {
            // At once, so that nothing of it is left when the next thing starts. The keeper sees to the rest.
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}
