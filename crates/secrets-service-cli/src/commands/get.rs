//! `secrets-service get`

use clap::{Args, ValueEnum};
use secrets_service::gds_vault::Data;
use secrets_service::{OnClose, ReadOptions, SecretRead};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::service::{Done, for_one_command};
use crate::{env_format, notice, output};

/// Print a secret, or one field of it.
///
/// Secrets are not thrown at a terminal unasked: there, `get PATH` shows the names of the fields only. With --field
/// or --format, or into a pipe or file, values are printed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service get secret/myapp/config
  secrets-service get secret/myapp/config --field db_host
  secrets-service get secret/myapp/tls --field key --format raw >key.pem
  eval \"$(secrets-service get secret/myapp/config --format env)\"
  secrets-service get database/creds/myapp --format json

Without --format: a field is printed with a newline after it, which `put` with K=- loses again; a whole secret is \
printed as JSON.

What has a lease, such as a database user, is not revoked when this command ends; until when it is valid is told on \
stderr.")]
pub(crate) struct GetArgs {
    /// The secret: `secret/myapp/config`, `secret/data/myapp/config` and, with the mount point, `myapp/config` are
    /// the same. Anything else that Vault lets be read works as well.
    path: String,
    /// Only this field.
    #[arg(short, long, value_name = "NAME")]
    field: Option<String>,
    /// How to print it.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// An older version (KV v2).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    version: Option<u64>,
    /// Ask Vault even if a cached value is at hand, and never fall back on one.
    #[arg(long)]
    bypass_cache: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The fields as Vault sent them, to the letter.
    Json,
    /// NAME='value' lines for a shell: names in upper case, other characters than letters and digits as _.
    Env,
    /// One value, nothing added.
    Raw,
}

pub(crate) async fn run(args: &GetArgs) -> Result<Exit, Failure> {
    for_one_command(async |service| {
        let options =
            ReadOptions { version: args.version, bypass_cache: args.bypass_cache, ..ReadOptions::default() };
        let read = service.vault().get_secret_with(&args.path, options).await?;
        notice::say_if_stale(&args.path, &read);
        output::write(&render(read.data(), args, output::is_terminal())?)?;
        Ok(Done { value: Exit::Ok, on_close: keep_what_was_handed_out(&args.path, &read) })
    })
    .await
}

/// A credential that was just printed must not be revoked at once.
fn keep_what_was_handed_out(path: &str, read: &SecretRead) -> OnClose {
    if read.lease().is_none() {
        return OnClose::Revoke;
    }
    notice::say(format_args!("{path}: valid {}", notice::until(read.usable_for())));
    OnClose::Keep
}

fn render(data: &Data, args: &GetArgs, terminal: bool) -> Result<Zeroizing<String>, Failure> {
    match (&args.field, args.format) {
        (None, None) if terminal => Ok(names_only(data)),
        (None, None | Some(Format::Json)) => Ok(line(data.expose_json())),
        (None, Some(Format::Env)) => {
            env_format::lines(data.iter()).map_err(|what| Failure::other(format!("{}: {what}", args.path)))
        }
        (None, Some(Format::Raw)) => match data.names().collect::<Vec<_>>().as_slice() {
            [only] => render_field(data, only, args),
            names => {
                let names = listed(names);
                let what = format!("{}: raw prints one value; choose it with --field: {names}", args.path);
                Err(Failure::usage(what))
            }
        },
        (Some(name), _) => render_field(data, name, args),
    }
}

fn render_field(data: &Data, name: &str, args: &GetArgs) -> Result<Zeroizing<String>, Failure> {
    let Some(field) = data.get(name) else { return Err(no_field(&args.path, name, data)) };
    match args.format {
        Some(Format::Json) => Ok(line(field.expose_json())),
        _ if field.is_null() => Err(Failure::not_found(format!("{}: the field {name:?} is null", args.path))),
        Some(Format::Env) => env_format::lines(std::iter::once((name, field)))
            .map_err(|what| Failure::other(format!("{}: {what}", args.path))),
        Some(Format::Raw) => Ok(Zeroizing::new(field.text().expose().to_owned())),
        None => Ok(line(field.text().expose())),
    }
}

/// There is no such field; which there are.
pub(crate) fn no_field(path: &str, name: &str, data: &Data) -> Failure {
    let names = listed(&data.names().collect::<Vec<_>>());
    Failure::not_found(format!("{path}: there is no field {name:?}; there are: {names}"))
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { output::shown(&names.join(", ")) }
}

fn names_only(data: &Data) -> Zeroizing<String> {
    notice::say("values are hidden on a terminal; --field NAME, --format json or --format env prints them");
    let lines = data.names().map(|name| format!("{}  [hidden]\n", output::shown(name)));
    Zeroizing::new(lines.collect())
}

fn line(text: &str) -> Zeroizing<String> {
    Zeroizing::new([text, "\n"].concat())
}

#[cfg(test)]
mod tests {
    use secrets_service::gds_vault::Secret;

    use super::*;

    fn rendered(json: &str, field: Option<&str>, format: Option<Format>, terminal: bool) -> String {
        let secret = Secret::parse(format!(r#"{{"data":{json}}}"#).into_bytes()).unwrap();
        let args = GetArgs {
            path: "secret/x".to_owned(),
            field: field.map(str::to_owned),
            format,
            version: None,
            bypass_cache: false,
        };
        render(secret.data(), &args, terminal).unwrap().to_string()
    }

    #[test]
    fn json_is_passed_on_to_the_letter() {
        let json = r#"{"z":1.50, "a":{"big":12345678901234567890123,  "\u0041":[ ]}}"#;
        assert_eq!(rendered(json, None, Some(Format::Json), true), format!("{json}\n"));
        assert_eq!(rendered(json, None, None, false), format!("{json}\n"));
        assert_eq!(rendered(json, Some("z"), Some(Format::Json), false), "1.50\n");
        assert_eq!(rendered(json, Some("z"), None, false), "1.50\n");
    }

    #[test]
    fn a_terminal_gets_values_only_if_asked_by_name_or_format() {
        let json = r#"{"k":"canary"}"#;
        assert_eq!(rendered(json, None, None, true), "k  [hidden]\n");
        assert_eq!(rendered(json, Some("k"), None, true), "canary\n");
        assert_eq!(rendered(json, None, Some(Format::Env), true), "K='canary'\n");
    }
}
