//! What was found, told line by line as it is found.

use secrets_service::Error;

use crate::failure::{Exit, Failure};
use crate::output;

/// The findings so far.
#[derive(Debug)]
pub(super) struct Report {
    problems: u32,
    worst: Exit,
}

impl Default for Report {
    fn default() -> Self {
        Self { problems: 0, worst: Exit::Ok }
    }
}

impl Report {
    pub(super) fn ok(subject: &str, what: impl AsRef<str>) -> Result<(), Failure> {
        tell("ok", subject, what.as_ref())
    }

    /// Worth knowing, but no reason to fail.
    pub(super) fn note(subject: &str, what: impl AsRef<str>) -> Result<(), Failure> {
        tell("note", subject, what.as_ref())
    }

    /// Could not be asked because of a problem told before.
    pub(super) fn skipped(subject: &str, why: impl AsRef<str>) -> Result<(), Failure> {
        tell("skipped", subject, why.as_ref())
    }

    pub(super) fn problem(
        &mut self,
        exit: Exit,
        subject: &str,
        what: impl AsRef<str>,
    ) -> Result<(), Failure> {
        self.problems += 1;
        self.worst = self.worst.worse_of(exit);
        tell("problem", subject, what.as_ref())
    }

    pub(super) fn error(&mut self, subject: &str, error: &Error) -> Result<(), Failure> {
        self.problem(error.kind().into(), subject, error.to_string())
    }

    /// The outcome: a failure if there was a problem.
    pub(super) fn finish(self) -> Result<Exit, Failure> {
        match self.problems {
            0 => Ok(Exit::Ok),
            1 => Err(Failure::summary(self.worst, "1 problem, told above")),
            more => Err(Failure::summary(self.worst, format!("{more} problems, told above"))),
        }
    }
}

fn tell(verdict: &str, subject: &str, what: &str) -> Result<(), Failure> {
    output::write(&format!("{verdict:<8} {}: {what}\n", output::shown(subject)))
}
