//! One postmaster, tied to this process: it ends when its handle is dropped, and also when this process is killed.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use nix::unistd::User;
use parking_lot::Mutex;

use crate::error::Error;

/// PostgreSQL starts in a fraction of a second; this is for a machine that is very busy.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Lines of PostgreSQL's log that are kept for error messages.
const KEPT_LINES: usize = 30;

/// Runs PostgreSQL, and ends it when its own standard input ends, which happens whichever way this process ends.
/// With nobody left to do it, it removes the directory as well.
const KEEPER: &str = r#"
dir=$1; shift
"$@" </dev/null &
pid=$!
exec 2>/dev/null
read -r order
kill -QUIT "$pid" 2>/dev/null
wait "$pid"
[ "$order" = keep ] || rm -rf -- "$dir"
"#;

/// A running postmaster and its keeper.
#[derive(Debug)]
pub(super) struct Server {
    keeper: Child,
    orders: Option<ChildStdin>,
}

/// How a start failed.
#[derive(Debug)]
pub(super) enum StartFailure {
    /// Somebody else took the port meanwhile.
    PortTaken,
    Other(Error),
}

/// Runs a command as `account`, in a process group of its own: Ctrl-C in a terminal is for us, not for it.
pub(super) fn command(program: &Path, account: Option<&User>) -> Command {
    let mut command = Command::new(program);
    run_as(&mut command, account);
    command
}

fn run_as(command: &mut Command, account: Option<&User>) {
    command.process_group(0).current_dir("/");
    if let Some(user) = account {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
}

impl Server {
    /// Starts `postgres` with these arguments, and waits until it takes connections.
    pub(super) fn start(
        postgres: &Path,
        account: Option<&User>,
        dir: &Path,
        arguments: &[String],
    ) -> Result<Self, StartFailure> {
        let mut keeper = command(Path::new("/bin/sh"), account);
        keeper.args(["-c", KEEPER, "keeper"]).arg(dir).arg(postgres).args(arguments);
        // Its messages are looked for below, in English.
        keeper.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child =
            keeper.spawn().map_err(|error| other(format!("could not start PostgreSQL: {error}")))?;
        let orders = child.stdin.take();
        let Some(log) = child.stderr.take() else { return Err(other("PostgreSQL has no log".to_owned())) };
        // From here on, dropping `server` ends the process.
        let server = Self { keeper: child, orders };
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let ready = read_log(log, Arc::clone(&lines));
        match ready.recv_timeout(START_TIMEOUT) {
            Ok(()) => Ok(server),
            Err(RecvTimeoutError::Timeout) => {
                Err(other(format!("PostgreSQL is not ready after {START_TIMEOUT:?}")))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let log = lines.lock().iter().cloned().collect::<Vec<String>>().join("\n");
                if log.contains("Address already in use") {
                    return Err(StartFailure::PortTaken);
                }
                Err(other(format!("PostgreSQL did not start:\n{log}")))
            }
        }
    }

    /// Ends PostgreSQL at once; its directory stays.
    pub(super) fn stop(mut self) {
        if let Some(orders) = self.orders.as_mut() {
            let _ = orders.write_all(b"keep\n");
        }
        // `drop` waits.
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is the keeper's signal. An immediate shutdown takes some milliseconds, and
        // PostgreSQL itself limits it to five seconds.
        drop(self.orders.take());
        let _ = self.keeper.wait();
    }
}

/// Reads the log for as long as the server runs (or it would block on a full pipe). The channel says when it is
/// ready, and closes when the log ends first.
fn read_log(log: impl Read + Send + 'static, kept: Arc<Mutex<VecDeque<String>>>) -> Receiver<()> {
    let (ready, is_ready) = sync_channel(1);
    std::thread::spawn(move || {
        let mut ready = Some(ready);
        let mut log = BufReader::new(log);
        let mut line = Vec::new();
        while log.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if text.contains("database system is ready to accept connections")
                && let Some(ready) = ready.take()
            {
                let _ = ready.try_send(());
            }
            let mut kept = kept.lock();
            if kept.len() >= KEPT_LINES {
                kept.pop_front();
            }
            // A terminated connection and such: only of interest to whoever looks for it.
            tracing::trace!(target: "vault_dev::postgres", "{text}");
            kept.push_back(text);
            line.clear();
        }
    });
    is_ready
}

fn other(message: String) -> StartFailure {
    StartFailure::Other(Error::Postgres(message))
}
