//! What is wrong with a configuration: all of it, in one error.

use std::fmt;

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable (or variables) that it is about.
    pub variable: String,
    /// What is wrong and what would be right; never the value.
    pub what: String,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    pub(crate) fn one(variable: &str, what: impl Into<String>) -> Self {
        Self::new(vec![Problem { variable: variable.to_owned(), what: what.into() }])
    }

    /// The problems, in the order in which the settings are documented.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The problems of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.problems.extend(other.problems);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return write!(f, "configuration: {} {}", only.variable, only.what);
        }
        write!(f, "configuration: {} problems", self.problems.len())?;
        for problem in &self.problems {
            write!(f, "\n  {} {}", problem.variable, problem.what)?;
        }
        Ok(())
    }
}
