//! The program: started, sent our signals, waited for.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};
use secrets_service::SecretString;
use tokio::signal::unix::{self, SignalKind};

use super::shown;
use crate::failure::{Exit, Failure};
use crate::signals::Signals;

/// A program that has been started.
pub(super) struct Child {
    pid: Pid,
    ended: unix::Signal,
    /// The terminal, if there is one. Then the program is in our own process group: only there do Ctrl-C, Ctrl-Z and
    /// reading from the terminal work as without us. Otherwise it leads a group of its own, so that signals can be
    /// sent to all its descendants.
    terminal: Option<File>,
}

impl Child {
    pub(super) fn start(
        program: &OsStr,
        arguments: &[OsString],
        hidden_variables: &[&str],
        secrets: &[(OsString, SecretString)],
    ) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| Failure::spawn(shown(program), &error);
        // Before the start, or the end of a short program could be missed.
        let ended = unix::signal(SignalKind::child()).map_err(cannot)?;
        let terminal = File::open("/dev/tty").ok();
        let mut command = Command::new(program);
        command.args(arguments);
        for variable in hidden_variables {
            command.env_remove(variable).env_remove(format!("{variable}_FILE"));
        }
        command.envs(secrets.iter().map(|(variable, value)| (variable, value.expose())));
        if terminal.is_none() {
            command.process_group(0);
        }
        let pid = command.spawn().map_err(cannot)?.id();
        let pid = i32::try_from(pid).map_err(|_| Failure::other("the program has no valid process id"))?;
        Ok(Self { pid: Pid::from_raw(pid), ended, terminal })
    }

    /// Waits for its end, and meanwhile sends it our signals.
    pub(super) async fn wait(mut self, signals: &mut Signals) -> Result<Exit, Failure> {
        loop {
            if let Some(exit) = self.reap()? {
                return Ok(exit);
            }
            tokio::select! {
                _ = self.ended.recv() => {}
                signal = signals.next() => self.forward(signal),
            }
        }
    }

    /// How it ended, if it has. Takes note of every child: as process 1 of a container we inherit orphans.
    fn reap(&self) -> Result<Option<Exit>, Failure> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.pid => {
                    return Ok(Some(Exit::Child(u8::try_from(code & 0xff).unwrap_or(u8::MAX))));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.pid => {
                    return Ok(Some(Exit::signalled(signal)));
                }
                Ok(WaitStatus::StillAlive) => return Ok(None),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(Failure::other(format!("lost sight of the program: {error}"))),
            }
        }
    }

    fn forward(&self, signal: Signal) {
        // It may have ended a moment ago; the next round will see.
        let _ = match &self.terminal {
            None => killpg(self.pid, signal),
            Some(terminal) if sent_by_the_terminal(signal, terminal) => Ok(()),
            Some(_) => kill(self.pid, signal),
        };
    }
}

/// Ctrl-C and Ctrl-\ go to the whole foreground group, so the program has got them already.
fn sent_by_the_terminal(signal: Signal, terminal: &File) -> bool {
    matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && tcgetpgrp(terminal) == Ok(getpgrp())
}
