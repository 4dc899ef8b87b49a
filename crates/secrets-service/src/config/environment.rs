//! Reads variables, and collects what is wrong with them instead of stopping at the first.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use gds_vault::{Address, Credential, SecretString};

use super::problem::{ConfigError, Problem};

/// Longer settings are a mistake (a file pasted into a variable).
const LONGEST_VALUE: usize = 64 * 1024;

/// No lifetime or timeout is longer than ten years.
const LONGEST_SECONDS: u64 = 10 * 365 * 24 * 3600;

type Get<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A view of the variables. A variable that is set to nothing counts as not set, as in Vault's own command.
pub(super) struct Environment<'a> {
    get: Get<'a>,
    problems: Vec<Problem>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(get: Get<'a>) -> Self {
        Self { get, problems: Vec::new() }
    }

    /// The error with all problems, if there are any.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError::new(self.problems)) }
    }

    pub(super) fn problem(&mut self, variable: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem { variable: variable.into(), what: what.into() });
    }

    /// Whether the variable, or its `_FILE` form, is set to anything, right or wrong.
    pub(super) fn is_set(&self, name: &str) -> bool {
        let set = |name: &str| (self.get)(name).is_some_and(|value| !value.is_empty());
        set(name) || set(&format!("{name}_FILE"))
    }

    /// The variable as written, if set to something.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let value = (self.get)(name).filter(|value| !value.is_empty())?;
        let Ok(value) = value.into_string() else {
            self.problem(name, "is not valid UTF-8");
            return None;
        };
        if value.len() > LONGEST_VALUE {
            self.problem(name, format!("is {} bytes long; at most {LONGEST_VALUE} are taken", value.len()));
            return None;
        }
        if value.contains('\0') || value.trim().is_empty() {
            self.problem(name, "is blank or has a NUL byte");
            return None;
        }
        Some(value)
    }

    /// A secret, given as `NAME` or as a file named by `NAME_FILE`. The file is read at each login, so here it
    /// only has to be there.
    pub(super) fn secret(&mut self, name: &str) -> Option<Credential> {
        let value = self.text(name).map(|value| SecretString::new(value.trim().to_owned()));
        let file_variable = format!("{name}_FILE");
        let file = self.readable_file(&file_variable);
        if value.is_some() && file.is_some() {
            self.problem(name, format!("and {file_variable} are both set; which one is meant?"));
        }
        super::value_or_file(value, file)
    }

    pub(super) fn addresses(&mut self, name: &str) -> Option<Vec<Address>> {
        let Some(value) = self.text(name) else {
            if !self.is_set(name) {
                self.problem(
                    name,
                    "is not set; it says where Vault is, such as https://vault.example.com:8200",
                );
            }
            return None;
        };
        match Address::parse_list(&value) {
            Ok(addresses) if addresses.is_empty() => {
                self.problem(name, "names no address");
                None
            }
            Ok(addresses) => Some(addresses),
            Err(error) => {
                self.problem(name, format!("is not a usable address: {error}"));
                None
            }
        }
    }

    pub(super) fn readable_file(&mut self, name: &str) -> Option<PathBuf> {
        self.path(name, "file", |metadata| metadata.is_file() || !metadata.is_dir())
    }

    pub(super) fn readable_folder(&mut self, name: &str) -> Option<PathBuf> {
        self.path(name, "folder", std::fs::Metadata::is_dir)
    }

    fn path(&mut self, name: &str, sort: &str, fits: impl Fn(&std::fs::Metadata) -> bool) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(name)?);
        match std::fs::metadata(&path) {
            Ok(metadata) if fits(&metadata) => return Some(path),
            Ok(_) => self.problem(name, format!("names {}, which is not a {sort}", path.display())),
            Err(error) => self.problem(name, format!("names {}: {error}", path.display())),
        }
        None
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        match self.text(name)?.trim().to_ascii_lowercase().as_str() {
            "1" | "t" | "true" | "yes" | "on" => Some(true),
            "0" | "f" | "false" | "no" | "off" => Some(false),
            _ => {
                self.problem(name, "must be true or false");
                None
            }
        }
    }

    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        match self.text(name)?.trim().parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let (from, to) = (range.start(), range.end());
                self.problem(name, format!("must be a whole number from {from} to {to}"));
                None
            }
        }
    }

    pub(super) fn seconds(&mut self, name: &str) -> Option<Duration> {
        self.number(name, 0..=LONGEST_SECONDS).map(Duration::from_secs)
    }

    /// As in Vault's own command: seconds, or a number with `ms`, `s`, `m` or `h`.
    pub(super) fn duration(&mut self, name: &str) -> Option<Duration> {
        let parsed = parse_duration(self.text(name)?.trim());
        if parsed.is_none() {
            self.problem(name, "must be a time above zero, such as 30, 30s, 500ms or 2m");
        }
        parsed
    }

    /// A mount's path: no slashes around it.
    pub(super) fn mount(&mut self, name: &str) -> Option<String> {
        self.secret_path(name)
    }

    /// A path in Vault: segments that are not empty, `.` or `..`, without control characters.
    pub(super) fn secret_path(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let path = crate::path::checked(text.trim());
        if path.is_none() {
            self.problem(name, "is not a path in Vault, such as secret/myapp/config");
        }
        path.map(str::to_owned)
    }

    /// A name without slashes, such as a role.
    pub(super) fn name(&mut self, name: &str) -> Option<String> {
        let value = self.secret_path(name)?;
        if value.contains('/') {
            self.problem(name, "must be a name without slashes");
            return None;
        }
        Some(value)
    }

    /// Two settings that mean nothing without each other.
    pub(super) fn together(&mut self, a: &str, has_a: bool, b: &str, has_b: bool) {
        if has_a != has_b {
            let (set, unset) = if has_a { (a, b) } else { (b, a) };
            self.problem(set, format!("needs {unset} as well"));
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "" | "s" => number,
        "ms" => number / 1_000.0,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return None,
    };
    let longest = Duration::from_secs(LONGEST_SECONDS).as_secs_f64();
    (seconds > 0.0 && seconds <= longest).then(|| Duration::from_secs_f64(seconds))
}
