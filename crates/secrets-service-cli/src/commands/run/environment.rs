//! The variables of the program: which there are, and what their values are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use secrets_service::SecretString;
use tokio::task::JoinSet;

use super::super::get::no_field;
use crate::failure::Failure;
use crate::notice;
use crate::template::sources::Sources;
use crate::template::{Reading, Source};

/// A variable, and where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) variable: String,
    pub(super) from: From,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    Field { path: String, name: String },
    DatabaseUrl { role: String },
}

/// The variables with their values.
pub(super) type Environment = Vec<(OsString, SecretString)>;

impl Wanted {
    /// `VAR=PATH#FIELD`.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let (variable, source) = text.split_once('=').unwrap_or_default();
        Self::field("--env ", variable, source)
    }

    /// `PATH#FIELD` for a variable. The last `#` counts: paths have one more often than names of fields.
    pub(super) fn field(option: &str, variable: &str, source: &str) -> Result<Self, Failure> {
        // Whoever mistakes this for Docker's option has a secret behind the `=`, so that is not repeated.
        let wrong = || Failure::usage(format!("{option}{variable}: what is needed is VAR=PATH#FIELD"));
        let (path, name) = source.rsplit_once('#').ok_or_else(wrong)?;
        if path.is_empty() || name.is_empty() {
            return Err(wrong());
        }
        let variable = checked_name(option, variable)?;
        Ok(Self { variable, from: From::Field { path: path.to_owned(), name: name.to_owned() } })
    }

    pub(super) fn database_url(option: &str, variable: &str, role: &str) -> Result<Self, Failure> {
        let variable = checked_name(option, variable)?;
        Ok(Self { variable, from: From::DatabaseUrl { role: role.to_owned() } })
    }

    pub(super) fn source(&self) -> Source {
        match &self.from {
            From::Field { path, .. } => Source::Secret { path: path.clone(), version: None },
            From::DatabaseUrl { role } => Source::Database { role: role.clone() },
        }
    }

    fn value(&self, reading: &Reading) -> Result<SecretString, Failure> {
        let value = match (&self.from, reading) {
            (From::Field { path, name }, Reading::Secret(read)) => {
                let field = read.field(name).filter(|field| !field.is_null());
                field.ok_or_else(|| no_field(path, name, read.data()))?.text()
            }
            (From::DatabaseUrl { .. }, Reading::Database { url, .. }) => url.clone(),
            _ => return Err(Failure::other(format!("{}: was read as something else", self.variable))),
        };
        if value.expose().contains('\0') {
            let what =
                format!("the value for {} has a NUL byte in it, which no variable can hold", self.variable);
            return Err(Failure::other(what));
        }
        Ok(value)
    }
}

fn checked_name(option: &str, variable: &str) -> Result<String, Failure> {
    let wrong = variable.is_empty() || variable.contains(['=', '\0', ' ', '#', '/']);
    if wrong {
        let option = option.trim_end();
        return Err(Failure::usage(format!("{option}: {variable:?} is not the name of a variable")));
    }
    Ok(variable.to_owned())
}

pub(super) fn sources(wanted: &[Wanted]) -> BTreeSet<Source> {
    wanted.iter().map(Wanted::source).collect()
}

/// All of them, asked for at once; or every failure.
pub(super) async fn values(
    wanted: &[Wanted],
    sources: &std::sync::Arc<Sources>,
) -> Result<Environment, Failure> {
    let mut under_way = JoinSet::new();
    for source in self::sources(wanted) {
        let sources = std::sync::Arc::clone(sources);
        under_way.spawn(async move {
            let reading = sources.get(&source).await;
            (source, reading)
        });
    }
    let mut readings: BTreeMap<_, _> = under_way.join_all().await.into_iter().collect();
    let mut values = Vec::with_capacity(wanted.len());
    let mut failures = None;
    for wanted in wanted {
        let source = wanted.source();
        let value = match readings.get(&source) {
            Some(Ok(reading)) => wanted.value(reading),
            Some(Err(error)) => Err(Failure::from(error.clone())),
            // Told with another variable that comes from the same secret.
            None => continue,
        };
        match value {
            Ok(value) => values.push((OsString::from(&wanted.variable), value)),
            Err(failure) => {
                if matches!(readings.get(&source), Some(Err(_))) {
                    readings.remove(&source);
                }
                Failure::join(&mut failures, failure);
            }
        }
    }
    failures.map_or(Ok(values), Err)
}

/// What is worth knowing about the values at the start.
pub(super) async fn say_what_they_are(wanted: &[Wanted], sources: &Sources) {
    for source in self::sources(wanted) {
        let reading = sources.get(&source).await;
        match (&source, reading.as_deref()) {
            (Source::Secret { path, .. }, Ok(Reading::Secret(read))) => notice::say_if_stale(path, read),
            (_, Ok(Reading::Database { credentials, .. })) => {
                notice::say(format_args!("database user {}: kept valid", credentials.username()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn the_last_hash_divides_path_and_field() {
        let wanted = Wanted::parse("VAR=secret/a#b/c=d#field").unwrap();
        let From::Field { path, name } = wanted.from else { panic!("not a field") };
        assert_eq!((&*wanted.variable, &*path, &*name), ("VAR", "secret/a#b/c=d", "field"));
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
        let texts = [
            "",
            "VAR",
            "VAR=",
            "VAR=canary",
            "VAR=canary#",
            "VAR=#canary",
            "=canary#field",
            "A B=canary#field",
        ];
        for text in texts {
            let failure = Wanted::parse(text).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage, "{text}");
            assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
        }
    }
}
