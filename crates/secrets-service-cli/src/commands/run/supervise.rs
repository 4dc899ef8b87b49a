//! The program from its first start to its end: signals passed on, changes acted on.

use std::sync::Arc;

use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use super::child::{Child, Program};
use super::environment::{self, Environment, Wanted};
use crate::failure::{Exit, Failure};
use crate::notice;
use crate::signals::Signals;
use crate::template::follow::Following;
use crate::template::spec::OnChange;

/// What the program should be told.
pub(super) struct Change {
    /// What its environment should be now.
    pub(super) environment: Arc<Environment>,
    pub(super) restart: bool,
    /// Each once, in order. Of no use when it is restarted.
    pub(super) signals: Vec<Signal>,
}

/// Which action for which change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    pub(super) environment: OnChange,
    /// For files whose template does not say.
    pub(super) files: OnChange,
}

/// Runs the program to its end. Ends when it ends by itself, or was told to by a signal.
pub(super) async fn supervise(
    program: &Program<'_>,
    mut environment: Arc<Environment>,
    signals: &mut Signals,
    mut changes: mpsc::Receiver<Change>,
) -> Result<Exit, Failure> {
    let mut child = Child::start(program, &environment)?;
    let mut restarting = false;
    // A signal asked it to end: whatever changes now, it is not started again.
    let mut leaving = false;
    loop {
        tokio::select! {
            exit = child.ended() => {
                let exit = exit?;
                child.end_the_rest().await;
                if !restarting || leaving {
                    return Ok(exit);
                }
                while let Ok(change) = changes.try_recv() {
                    environment = change.environment;
                }
                child = Child::start(program, &environment)?;
                restarting = false;
            }
            signal = signals.next() => {
                leaving = leaving || matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT);
                child.forward(signal);
            }
            Some(change) = changes.recv(), if !restarting && !leaving => {
                environment = change.environment;
                if change.restart {
                    notice::say("secrets have changed: restarting the program");
                    restarting = true;
                    child.terminate();
                } else {
                    for signal in change.signals {
                        notice::say(format_args!("secrets have changed: sending {signal} to the program"));
                        child.send(signal);
                    }
                }
            }
        }
    }
}

/// Tells of changes until nobody listens any more.
pub(super) async fn watch(
    mut following: Following,
    wanted: Vec<Wanted>,
    policy: Policy,
    mut environment: Arc<Environment>,
    changes: mpsc::Sender<Change>,
) {
    // Told once, until it is different.
    let mut troubled = false;
    loop {
        let files = following.next().await;
        let mut actions: Vec<_> = files.iter().map(|file| file.on_change.unwrap_or(policy.files)).collect();
        match environment::values(&wanted, &following.sources).await {
            Ok(values) => {
                troubled = false;
                if values != *environment {
                    environment = Arc::new(values);
                    actions.push(policy.environment);
                }
            }
            Err(failure) if !troubled => {
                troubled = true;
                failure.report();
                notice::say("warning: the program keeps the variables that it was started with");
            }
            Err(_) => {}
        }
        let mut signals = Vec::new();
        for action in &actions {
            if let OnChange::Signal(signal) = action
                && !signals.contains(signal)
            {
                signals.push(*signal);
            }
        }
        let restart = actions.contains(&OnChange::Restart);
        if !restart && signals.is_empty() {
            continue;
        }
        let change = Change { environment: Arc::clone(&environment), restart, signals };
        if changes.send(change).await.is_err() {
            return;
        }
    }
}
