//! A child process that cannot outlive this one, not even if this one is killed.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::eventually::eventually;

/// Starts the program, tells its process id, and kills it once its own input ends: when the parent closes the pipe,
/// by whatever way it ends. Unless it was told to keep the program's folder, it removes that, too.
const KEEPER: &str = r#"
trap '' INT TERM HUP
folder=$1; shift
"$@" >&2 </dev/null &
echo $!
read -r order
kill -KILL $!
wait $! 2>/dev/null
[ "$order" = keep ] || rm -rf -- "$folder"
"#;

/// A running program. Killed when dropped.
pub(super) struct Guarded {
    keeper: Child,
    /// Closing it is the order to kill.
    lifeline: Option<ChildStdin>,
    pid: Pid,
}

impl Guarded {
    /// Runs `program` with nothing in its environment but `HOME`, its own folder; what it writes goes to `log`.
    pub(super) async fn spawn<A: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = A>,
        home: &Path,
        log: std::fs::File,
    ) -> io::Result<Self> {
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(home)
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

    /// Whether it has ended by itself. Where there is no `/proc`, that is not known.
    pub(super) fn has_ended(&self) -> bool {
        // Its keeper does not ask for its status before the end, so it is not gone altogether.
        self.states().contains('Z')
    }

    /// Whether no thread of it runs. Where there is no `/proc`, that is not known, and taken to be so.
    fn is_frozen(&self) -> bool {
        self.states().chars().all(|state| state == 'T')
    }

    /// The states of its threads, a letter each (proc(5)).
    fn states(&self) -> String {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
        // The name of the program, in brackets, may have anything in it.
        stats.filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next()).collect()
    }

    /// Kills it, and waits until it is gone. Its folder stays.
    pub(super) async fn kill(mut self) {
        if let Some(mut lifeline) = self.lifeline.take() {
            lifeline.write_all(b"keep\n").await.unwrap();
        }
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
