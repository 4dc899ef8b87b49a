//! Signals as they come, for commands that must not simply be ended by one.

use std::io;
use std::task::Poll;

use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind};

use crate::failure::Failure;

/// What asks a program to end.
const ENDING: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// What programs give a meaning of their own.
const CUSTOM: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGUSR2];

/// The signals that this process now receives here, instead of being ended by them.
pub(crate) struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
}

impl Signals {
    /// Those that ask a program to end.
    pub(crate) fn ending() -> Result<Self, Failure> {
        Self::listen(&ENDING)
    }

    /// Those that a program in our care should get as well.
    pub(crate) fn to_forward() -> Result<Self, Failure> {
        Self::listen(&[ENDING.as_slice(), &CUSTOM].concat())
    }

    fn listen(signals: &[Signal]) -> Result<Self, Failure> {
        let ignored = ignored_from_the_start();
        let wanted = signals.iter().filter(|signal| ignored & (1 << (**signal as i32 - 1)) == 0);
        let streams: io::Result<_> =
            wanted.map(|signal| Ok((*signal, unix::signal(SignalKind::from_raw(*signal as i32))?))).collect();
        match streams {
            Ok(streams) => Ok(Self { streams }),
            Err(error) => Err(Failure::other(format!("cannot receive signals: {error}"))),
        }
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (signal, stream) in &mut self.streams {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Does `work`, unless one comes first.
    pub(crate) async fn unless<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = work => done,
            signal = self.next() => Err(Failure::interrupted(signal)),
        }
    }
}

/// Signals that whoever started us wants ignored (`nohup`), as a bit mask: listening would undo that, for us and for
/// programs that we start.
fn ignored_from_the_start() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
