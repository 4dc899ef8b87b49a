//! The processes that belong to a program: itself and what it started.

use std::fs::File;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid, getpgrp, tcgetpgrp};

/// Between two looks at whether processes that were told to end have ended: they are not ours, so nobody tells us.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) struct Group {
    leader: Pid,
    /// The terminal, if there is one. Then the program is in our own process group: only there do Ctrl-C, Ctrl-Z and
    /// reading from the terminal work as without us. Otherwise it leads a group of its own, so that signals can be
    /// sent to all its descendants.
    terminal: Option<File>,
}

impl Group {
    pub(super) fn new(leader: Pid, terminal: Option<File>) -> Self {
        Self { leader, terminal }
    }

    /// Passes a signal on that we have got.
    pub(super) fn forward(&self, signal: Signal) {
        match &self.terminal {
            Some(terminal) if sent_by_the_terminal(signal, terminal) => {}
            _ => self.send(signal),
        }
    }

    /// To all of it; with a terminal, where the group is ours too, to the program and the descendants that it left.
    pub(super) fn send(&self, signal: Signal) {
        // It may have ended a moment ago; the next look will see.
        if self.terminal.is_none() {
            let _ = killpg(self.leader, signal);
            return;
        }
        let _ = kill(self.leader, signal);
        for orphan in self.orphans() {
            let _ = kill(orphan, signal);
        }
    }

    /// Whether anyone is left. Processes that have ended but were not taken note of count.
    pub(super) fn is_there(&self) -> bool {
        match self.terminal {
            None => killpg(self.leader, None) != Err(Errno::ESRCH),
            Some(_) => !self.orphans().is_empty(),
        }
    }

    /// Descendants of the program in our group. We are told to adopt those whose parent has ended, so they are children
    /// of ours.
    fn orphans(&self) -> Vec<Pid> {
        let ours = getpgrp();
        let children = own_children().into_iter();
        children.filter(|pid| *pid != self.leader && getpgid(Some(*pid)) == Ok(ours)).collect()
    }
}

/// As Linux lists them. Nothing where it does not.
fn own_children() -> Vec<Pid> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = threads.flatten().map(|thread| std::fs::read_to_string(thread.path().join("children")));
    let lists: Vec<_> = lists.map(Result::unwrap_or_default).collect();
    let numbers = lists.iter().flat_map(|list| list.split_ascii_whitespace());
    numbers.filter_map(|number| number.parse().ok()).map(Pid::from_raw).collect()
}

/// Ctrl-C and Ctrl-\ go to the whole foreground group, so the program has got them already.
fn sent_by_the_terminal(signal: Signal, terminal: &File) -> bool {
    matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && tcgetpgrp(terminal) == Ok(getpgrp())
}
