//! `[run]` and `[[template]]` of a file, and the templates themselves.

use std::path::Path;

use super::report::Report;
use crate::failure::{Exit, Failure};
use crate::template::config;

/// Tells every problem, with file and line. Makes no request and writes no file. Whether the file has more to check.
pub(super) fn check(report: &mut Report, file: &Path) -> Result<bool, Failure> {
    let checked = config::check(file);
    for problem in &checked.problems {
        report.problem(Exit::Usage, &problem.place, &problem.what)?;
    }
    if checked.templates > 0 {
        Report::ok("templates", format!("{} can be parsed", checked.templates))?;
    }
    Ok(checked.says_more)
}
