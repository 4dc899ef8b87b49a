//! The parts of `--help` that are made from what the code itself goes by.

use std::fmt::Write;

use secrets_service::config::{SECRET_VARIABLES, VARIABLES};

use crate::failure::Exit;

/// After `-h`.
pub(crate) const SHORT: &str = "\
Examples:
  secrets-service get secret/myapp/config --field db_host
  secrets-service put secret/myapp/config db_host=db1 db_password=-
  DATABASE_URL=$(secrets-service db-url) ./migrate
  secrets-service run --env STRIPE_KEY=secret/myapp/api-keys#stripe -- ./server
  secrets-service check

--help tells more: exit codes, environment variables. Each command has its own --help.";

/// After `--help`.
pub(crate) fn long() -> String {
    let examples = SHORT.split("\n\n").next().unwrap_or_default();
    format!("{examples}\n\n{}\n\n{}", exit_codes(), variables())
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:");
    for (code, meaning) in Exit::CODES {
        let _ = write!(text, "\n  {code}  {meaning}");
    }
    text + "\n  `run` exits as its program does: with its code, or 128 + the signal that ended it."
}

fn variables() -> String {
    let mut text = String::from(
        "Environment variables (defaults; [file]: may be given as NAME_FILE, the name of a file with the value):",
    );
    for (name, default) in VARIABLES {
        let file = if SECRET_VARIABLES.contains(name) { "[file]" } else { "" };
        let _ = write!(text, "\n  {}", format!("{name:<30} {default:<20} {file}").trim_end());
    }
    let _ = write!(text, "\n  {:<30} filter for log lines, such as debug; -v comes before it", "RUST_LOG");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_listed_once() {
        let text = variables();
        for (name, _) in VARIABLES {
            assert_eq!(
                text.matches(&format!("\n  {name} ")).count()
                    + text.matches(&format!("\n  {name}\n")).count(),
                1,
                "{name}"
            );
        }
    }
}
