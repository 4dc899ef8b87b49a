//! The program: started, sent signals, ended, waited for.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, sleep, sleep_until};

use super::environment::Environment;
use super::group::{Group, LOOK_EVERY};
use crate::failure::{Exit, Failure};
use crate::notice;

/// How long killed processes may take to be gone. They are, but for those that wait for a broken disk.
const TIME_TO_DIE: Duration = Duration::from_secs(2);

/// How to start the program.
pub(super) struct Program<'a> {
    pub(super) name: &'a OsStr,
    pub(super) arguments: &'a [OsString],
    /// Not passed on.
    pub(super) hidden_variables: &'a [&'a str],
    /// From SIGTERM to SIGKILL.
    pub(super) grace: Duration,
}

/// A program that has been started.
pub(super) struct Child {
    pid: Pid,
    group: Group,
    ended: unix::Signal,
    grace: Duration,
    kill_at: Option<Instant>,
}

impl Child {
    pub(super) fn start(program: &Program<'_>, secrets: &Environment) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| Failure::spawn(shown(program.name), &error);
        adopt_orphans();
        // Before the start, or the end of a short program could be missed.
        let ended = unix::signal(SignalKind::child()).map_err(cannot)?;
        let terminal = File::open("/dev/tty").ok();
        let mut command = Command::new(program.name);
        command.args(program.arguments);
        for variable in program.hidden_variables {
            command.env_remove(variable).env_remove(format!("{variable}_FILE"));
        }
        command.envs(secrets.iter().map(|(variable, value)| (variable, value.expose())));
        if terminal.is_none() {
            command.process_group(0);
        }
        let pid = command.spawn().map_err(cannot)?.id();
        let pid = i32::try_from(pid).map_err(|_| Failure::other("the program has no valid process id"))?;
        let pid = Pid::from_raw(pid);
        Ok(Self { pid, group: Group::new(pid, terminal), ended, grace: program.grace, kill_at: None })
    }

    /// Waits for its end, and kills it when its time is up. Can be given up and begun again.
    pub(super) async fn ended(&mut self) -> Result<Exit, Failure> {
        loop {
            if let Some(exit) = self.reap()? {
                return Ok(exit);
            }
            let time_is_up = async {
                match self.kill_at {
                    Some(time) => sleep_until(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.ended.recv() => {}
                () = time_is_up => {
                    notice::say(format_args!("the program has not ended within {:?}: killing it", self.grace));
                    self.kill_at = None;
                    self.group.send(Signal::SIGKILL);
                }
            }
        }
    }

    /// Passes on a signal that we have got. After SIGTERM it has the grace period to end.
    pub(super) fn forward(&mut self, signal: Signal) {
        self.group.forward(signal);
        if signal == Signal::SIGTERM {
            self.time_runs();
        }
    }

    /// A signal of our own.
    pub(super) fn send(&self, signal: Signal) {
        self.group.send(signal);
    }

    /// Asks it to end.
    pub(super) fn terminate(&mut self) {
        self.group.send(Signal::SIGTERM);
        self.time_runs();
    }

    fn time_runs(&mut self) {
        self.kill_at.get_or_insert_with(|| Instant::now() + self.grace);
    }

    /// The program has ended; ends what it left behind, at first politely.
    pub(super) async fn end_the_rest(&mut self) {
        for (signal, time) in [(Signal::SIGTERM, self.grace), (Signal::SIGKILL, TIME_TO_DIE)] {
            if !self.is_anyone_left() {
                return;
            }
            self.group.send(signal);
            let until = Instant::now() + time;
            while self.is_anyone_left() && Instant::now() < until {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    fn is_anyone_left(&self) -> bool {
        // What has ended is only gone when someone has taken note of it.
        let _ = self.reap();
        self.group.is_there()
    }

    /// How it ended, if it has. Takes note of every child: we inherit orphans.
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
}

/// Orphans of the program become our children: to be ended with it, and taken note of when they end. As process 1 of a
/// container that is so anyway.
fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        tracing::warn!(%error, "processes that the program leaves behind may outlive it");
    }
}

/// For messages.
fn shown(program: &OsStr) -> String {
    crate::output::shown(&program.to_string_lossy())
}
