//! How a command ends: the only place that knows which failure has which exit code.

use std::fmt::Display;
use std::process::ExitCode;

use nix::sys::signal::Signal;
use secrets_service::{ConfigError, Error, ErrorKind};

use crate::notice;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok,
    /// Anything that has no code of its own.
    Other,
    /// The command line, or the configuration.
    Usage,
    Authentication,
    NotFound,
    Unavailable,
    PermissionDenied,
    /// The status of the program that was run.
    Child(u8),
}

impl Exit {
    /// For `--help`.
    pub(crate) const CODES: &'static [(u8, &'static str)] = &[
        (0, "ok"),
        (2, "wrong usage or configuration"),
        (3, "Vault refused the login"),
        (4, "not found: no such secret, field or API key"),
        (5, "Vault is unavailable"),
        (6, "permission denied"),
        (1, "anything else"),
    ];

    fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::Authentication => 3,
            Self::NotFound => 4,
            Self::Unavailable => 5,
            Self::PermissionDenied => 6,
            Self::Child(code) => code,
        }
    }

    /// The shell's convention for a program that a signal ended.
    pub(crate) fn signalled(signal: Signal) -> Self {
        // The number of a signal is at most 64.
        Self::Child(128_u8.saturating_add(u8::try_from(signal as i32).unwrap_or(0)))
    }

    /// Of several failures, the one to mend first: without a configuration nothing can be tried, without an answer
    /// nobody logs in, without a login there are no permissions.
    pub(crate) fn worse_of(self, other: Self) -> Self {
        let rank = |exit| match exit {
            Self::Usage => 6,
            Self::Unavailable => 5,
            Self::Authentication => 4,
            Self::PermissionDenied => 3,
            Self::NotFound => 2,
            Self::Other | Self::Child(_) => 1,
            Self::Ok => 0,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Configuration => Self::Usage,
            ErrorKind::Authentication => Self::Authentication,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::PermissionDenied => Self::PermissionDenied,
            _ => Self::Other,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command failed, as told on stderr. Never holds a secret.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    messages: Vec<String>,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, messages: vec![message.into()] }
    }

    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::new(Exit::Other, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// The problems have been told; this sums them up.
    pub(crate) fn summary(exit: Exit, message: impl Into<String>) -> Self {
        Self::new(exit, message)
    }

    /// The program could not be started: 127 if there is none of that name, 126 otherwise, as in a shell.
    pub(crate) fn spawn(program: impl Display, error: &std::io::Error) -> Self {
        let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        Self::new(Exit::Child(code), format!("cannot run {program}: {error}"))
    }

    /// A signal came while the command was at work.
    pub(crate) fn interrupted(signal: Signal) -> Self {
        Self { exit: Exit::signalled(signal), messages: Vec::new() }
    }

    /// Whether it is an [`interrupted`](Self::interrupted) one.
    pub(crate) fn is_interruption(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whoever read our output has had enough of it: no failure.
    pub(crate) fn output_closed() -> Self {
        Self { exit: Exit::Ok, messages: Vec::new() }
    }

    /// Both failures; ends as the worse.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.exit = self.exit.worse_of(other.exit);
        self.messages.extend(other.messages);
        self
    }

    /// Adds one to those that there are.
    pub(crate) fn join(failures: &mut Option<Self>, another: Self) {
        *failures = Some(match failures.take() {
            Some(failures) => failures.and(another),
            None => another,
        });
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells what went wrong.
    pub(crate) fn report(&self) {
        for message in &self.messages {
            notice::say(format_args!("error: {message}"));
        }
    }
}

impl From<Error> for Failure {
    /// The message ends with the advice already.
    fn from(error: Error) -> Self {
        let never_asked = error.vault_error().is_none();
        let exit = match error.kind() {
            // Found to be wrong before Vault was asked: what was typed.
            ErrorKind::InvalidRequest if never_asked => Exit::Usage,
            kind => kind.into(),
        };
        Self::new(exit, error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let advice = "correct these environment variables; `secrets-service --help` lists them";
        Self::new(Exit::Usage, format!("{error}\n{advice}"))
    }
}

impl From<vault_dev::Error> for Failure {
    fn from(error: vault_dev::Error) -> Self {
        let exit = if matches!(error, vault_dev::Error::NotLoopback(_)) { Exit::Usage } else { Exit::Other };
        Self::new(exit, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_code() {
        let codes = [
            (ErrorKind::Configuration, 2),
            (ErrorKind::Authentication, 3),
            (ErrorKind::NotFound, 4),
            (ErrorKind::Unavailable, 5),
            (ErrorKind::PermissionDenied, 6),
            (ErrorKind::Conflict, 1),
            (ErrorKind::InvalidRequest, 1),
            (ErrorKind::InvalidSecret, 1),
            (ErrorKind::Closed, 1),
        ];
        for (kind, code) in codes {
            assert_eq!(Exit::from(kind).code(), code, "{kind:?}");
            assert!(Exit::CODES.iter().any(|(documented, _)| *documented == code), "{kind:?}");
        }
    }

    #[test]
    fn the_worst_comes_first_in_the_order_of_mending() {
        let order = [
            Exit::Usage,
            Exit::Unavailable,
            Exit::Authentication,
            Exit::PermissionDenied,
            Exit::NotFound,
            Exit::Other,
            Exit::Ok,
        ];
        for pair in order.windows(2) {
            assert_eq!(pair[0].worse_of(pair[1]), pair[0]);
            assert_eq!(pair[1].worse_of(pair[0]), pair[0]);
        }
    }

    #[test]
    fn a_signal_is_told_as_a_shell_does() {
        assert_eq!(Exit::signalled(Signal::SIGTERM).code(), 143);
        assert_eq!(Exit::signalled(Signal::SIGINT).code(), 130);
    }
}
