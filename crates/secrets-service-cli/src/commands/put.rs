//! `secrets-service put`

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;
use secrets_service::{Patch, SecretString};

use crate::failure::{Exit, Failure};
use crate::service::{Done, for_one_command};
use crate::{input, notice};

/// Set fields of a secret and keep the others.
///
/// The secret is created if there is none. On KV v2 the change is made by check-and-set: whoever else writes at the
/// same time, nothing is lost.
///
/// A value given as K=V can be seen by every user of the machine while the command runs, and stays in the shell's
/// history. Use K=- or K=@FILE for values that matter.
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service put secret/myapp/config db_host=db1 db_port=5432
  secrets-service put secret/myapp/config db_password=- <password.txt
  secrets-service put secret/myapp/tls key=@key.pem cert=@cert.pem

A value from stdin or a file loses one newline at its end. A value that begins with @, or is -, is written with \
a backslash before it: K='\\@home', K='\\-'.")]
pub(crate) struct PutArgs {
    /// The secret, such as secret/myapp/config.
    path: String,
    /// K=V: the value itself; K=@FILE: a file's content; K=-: from stdin, or typed in unseen.
    #[arg(required = true, value_name = "K=V")]
    fields: Vec<OsString>,
}

pub(crate) async fn run(args: &PutArgs) -> Result<Exit, Failure> {
    let patch = patch(&args.fields)?;
    for_one_command(async |service| {
        let version = service.vault().patch_secret(&args.path, &patch).await?;
        let names = patch.names().collect::<Vec<_>>().join(", ");
        let version = version.map(|version| format!(" (version {version})")).unwrap_or_default();
        notice::say(format_args!("{}: stored {names}{version}", args.path));
        Ok(Done::with(Exit::Ok))
    })
    .await
}

fn patch(fields: &[OsString]) -> Result<Patch, Failure> {
    let mut sources = Vec::new();
    let mut names = BTreeSet::new();
    for (number, field) in fields.iter().enumerate() {
        let (name, source) = parse(field, number + 1)?;
        if !names.insert(name.clone()) {
            return Err(Failure::usage(format!("the field {name:?} is given twice")));
        }
        sources.push((name, source));
    }
    if sources.iter().filter(|(_, source)| matches!(source, Source::Stdin)).count() > 1 {
        return Err(Failure::usage("only one value can come from stdin"));
    }
    sources.into_iter().try_fold(Patch::new(), |patch, (name, source)| {
        let value = match source {
            Source::Value(value) => value,
            Source::File(path) => input::from_file(Path::new(path))?,
            Source::Stdin => input::from_stdin(&format!("Value of {name}"))?,
        };
        Ok(patch.set(name, &value))
    })
}

enum Source<'a> {
    Value(SecretString),
    File(&'a OsStr),
    Stdin,
}

/// Complaints name the argument by its place: what was meant as a value may stand anywhere in it.
fn parse(field: &OsStr, number: usize) -> Result<(String, Source<'_>), Failure> {
    let wrong = |what: &str| Failure::usage(format!("field {number} {what}"));
    let bytes = field.as_bytes();
    let Some(equals) = bytes.iter().position(|byte| *byte == b'=') else {
        return Err(wrong("is not of the form K=V, K=@FILE or K=-"));
    };
    let (name, rest) = bytes.split_at(equals);
    let Ok(name) = std::str::from_utf8(name) else { return Err(wrong("has a name that is not UTF-8 text")) };
    if name.is_empty() {
        return Err(wrong("has no name before the ="));
    }
    let value = match rest.get(1..).unwrap_or_default() {
        b"-" => return Ok((name.to_owned(), Source::Stdin)),
        [b'@'] => return Err(wrong("names no file after the @")),
        [b'@', file @ ..] => return Ok((name.to_owned(), Source::File(OsStr::from_bytes(file)))),
        [b'\\', literal @ ..] if literal == b"-" || literal.starts_with(b"@") => literal,
        value => value,
    };
    match std::str::from_utf8(value) {
        Ok(value) => Ok((name.to_owned(), Source::Value(value.into()))),
        Err(_) => Err(wrong("has a value that is not UTF-8 text; encode it first, for example with base64")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(field: &str) -> Result<String, String> {
        let described = |(name, source)| match source {
            Source::Value(value) => format!("{name}: value {}", value.expose()),
            Source::File(path) => format!("{name}: file {}", path.display()),
            Source::Stdin => format!("{name}: stdin"),
        };
        parse(OsStr::new(field), 1).map(described).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn every_form_of_a_field() {
        let cases = [
            ("a=b", "a: value b"),
            ("a=b=c", "a: value b=c"),
            ("a=", "a: value "),
            ("a=-", "a: stdin"),
            ("a=--", "a: value --"),
            ("a=@f", "a: file f"),
            (r"a=\@f", "a: value @f"),
            (r"a=\-", "a: value -"),
            (r"a=\n", r"a: value \n"),
        ];
        for (field, expected) in cases {
            assert_eq!(parsed(field).unwrap(), expected);
        }
    }

    #[test]
    fn complaints_do_not_repeat_what_may_be_a_value() {
        for field in ["canary", "=canary", "a=@"] {
            let complaint = parsed(field).unwrap_err();
            assert!(complaint.contains("field 1") && !complaint.contains("canary"), "{complaint}");
        }
    }
}
