//! `secrets-service run`: a program with secrets in its environment, and nowhere else.

mod child;

use std::ffi::{OsStr, OsString};

use clap::Args;
use secrets_service::config::SECRET_VARIABLES;
use secrets_service::{SecretString, SecretsService};
use tokio::task::JoinSet;

use self::child::Child;
use super::db_url::say_validity;
use super::get::no_field;
use crate::failure::{Exit, Failure};
use crate::notice;
use crate::service::{Done, close, waiting_for};
use crate::signals::Signals;

/// Run a program with secrets in its environment.
///
/// The program is started only when every secret is there. It gets the signals that this command gets, and its exit
/// code is this command's. When it has ended, the database user made for it is revoked.
///
/// Secrets are in the environment of the program only: in no argument, no file, and not in this process's own. What
/// this command logs in to Vault with is not passed on, unless --keep-vault-login is given.
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service run --env STRIPE_KEY=secret/myapp/api-keys#stripe -- ./server --port 80
  secrets-service run --db-url DATABASE_URL -- ./migrate
  secrets-service run -e SMTP_USER=secret/smtp#user -e SMTP_PASS=secret/smtp#password -- ./send

127 and 126 mean that the program was not found or cannot be run, as in a shell.

The database user lives as long as its lease, which is told on stderr; nothing renews it while the program runs.

Without a terminal the program gets a process group of its own, and signals go to all of it. With one it stays in \
the group of this command, so that Ctrl-C and Ctrl-Z reach it as they do without this command.")]
pub(crate) struct RunArgs {
    /// Put a field of a secret into a variable. Can be repeated.
    #[arg(short, long = "env", value_name = "VAR=PATH#FIELD")]
    env: Vec<String>,
    /// Put a PostgreSQL connection string, with a user made for the program, into this variable.
    #[arg(long, value_name = "VAR")]
    db_url: Option<String>,
    /// The database role in Vault for --db-url [default: $SECRETS_DB_ROLE].
    #[arg(long, value_name = "NAME", requires = "db_url")]
    role: Option<String>,
    /// Leave VAULT_TOKEN, VAULT_SECRET_ID and the like in the program's environment.
    #[arg(long)]
    keep_vault_login: bool,
    /// The program and its arguments.
    #[arg(required = true, last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) async fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let wanted = wanted(args)?;
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::usage("which program?"));
    };
    let service = SecretsService::from_environment()?;
    // From here on a signal must not end this process before it has tidied up in Vault.
    let mut signals = Signals::to_forward()?;
    let result = async {
        let waiting_for = waiting_for(&service);
        let secrets = notice::with_progress(&waiting_for, fetch_all(&service, wanted));
        let secrets = signals.unless(secrets).await?;
        let hidden = if args.keep_vault_login { &[] } else { SECRET_VARIABLES };
        let child = Child::start(program, arguments, hidden, &secrets)?;
        drop(secrets);
        Ok(Done::with(child.wait(&mut signals).await?))
    }
    .await;
    close(&service, result).await
}

/// A variable, and where its value comes from.
struct Wanted {
    variable: String,
    source: Source,
}

enum Source {
    Field { path: String, name: String },
    DatabaseUrl { role: Option<String> },
}

/// All that is wrong with the arguments, in one failure.
fn wanted(args: &RunArgs) -> Result<Vec<Wanted>, Failure> {
    let fields = args.env.iter().map(|text| parse(text));
    let source = Source::DatabaseUrl { role: args.role.clone() };
    let database = args.db_url.iter().zip([source]).map(|(variable, source)| {
        let variable = checked_name("--db-url", variable)?;
        Ok(Wanted { variable, source })
    });
    let mut all: Vec<Wanted> = Vec::new();
    let mut failures: Option<Failure> = None;
    for result in fields.chain(database) {
        let result = result.and_then(|wanted| {
            if all.iter().any(|other| other.variable == wanted.variable) {
                return Err(Failure::usage(format!("the variable {} is given twice", wanted.variable)));
            }
            Ok(wanted)
        });
        match result {
            Ok(wanted) => all.push(wanted),
            Err(failure) => failures = Some(together(failures, failure)),
        }
    }
    failures.map_or(Ok(all), Err)
}

/// `VAR=PATH#FIELD`. The last `#` counts: paths have one more often than names of fields.
fn parse(text: &str) -> Result<Wanted, Failure> {
    let (variable, source) = text.split_once('=').unwrap_or_default();
    // Whoever mistakes this for Docker's option has a secret behind the `=`, so that is not repeated.
    let wrong = || Failure::usage(format!("--env {variable}: what is needed is VAR=PATH#FIELD"));
    let (path, name) = source.rsplit_once('#').ok_or_else(wrong)?;
    if path.is_empty() || name.is_empty() {
        return Err(wrong());
    }
    let variable = checked_name("--env", variable)?;
    Ok(Wanted { variable, source: Source::Field { path: path.to_owned(), name: name.to_owned() } })
}

fn checked_name(option: &str, variable: &str) -> Result<String, Failure> {
    let wrong = variable.is_empty() || variable.contains(['=', '\0', ' ', '#', '/']);
    if wrong {
        return Err(Failure::usage(format!("{option}: {variable:?} is not the name of a variable")));
    }
    Ok(variable.to_owned())
}

/// All of them, asked for at once; or every failure.
async fn fetch_all(
    service: &SecretsService,
    wanted: Vec<Wanted>,
) -> Result<Vec<(OsString, SecretString)>, Failure> {
    let mut under_way = JoinSet::new();
    for (place, wanted) in wanted.into_iter().enumerate() {
        let service = service.clone();
        under_way.spawn(async move { (place, fetch(&service, wanted).await) });
    }
    let mut results = under_way.join_all().await;
    results.sort_by_key(|(place, _)| *place);
    let mut secrets = Vec::with_capacity(results.len());
    let mut failures: Option<Failure> = None;
    for (_, result) in results {
        match result {
            Ok(secret) => secrets.push(secret),
            Err(failure) => failures = Some(together(failures, failure)),
        }
    }
    failures.map_or(Ok(secrets), Err)
}

async fn fetch(service: &SecretsService, wanted: Wanted) -> Result<(OsString, SecretString), Failure> {
    let value = match wanted.source {
        Source::Field { path, name } => {
            let read = service.vault().get_secret(&path).await?;
            notice::say_if_stale(&path, &read);
            let field = read.field(&name).filter(|field| !field.is_null());
            field.ok_or_else(|| no_field(&path, &name, read.data()))?.text()
        }
        Source::DatabaseUrl { role } => {
            let role = role.as_deref().unwrap_or(&service.config().db_role);
            let url = service.get_database_connection_string_for(role).await?;
            say_validity(service, role).await?;
            url
        }
    };
    if value.expose().contains('\0') {
        let what =
            format!("the value for {} has a NUL byte in it, which no variable can hold", wanted.variable);
        return Err(Failure::other(what));
    }
    Ok((wanted.variable.into(), value))
}

fn together(failures: Option<Failure>, another: Failure) -> Failure {
    match failures {
        Some(failures) => failures.and(another),
        None => another,
    }
}

/// For messages.
fn shown(program: &OsStr) -> String {
    crate::output::shown(&program.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hash_divides_path_and_field() {
        let wanted = parse("VAR=secret/a#b/c=d#field").ok().unwrap();
        let Source::Field { path, name } = wanted.source else { panic!("not a field") };
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
            let failure = parse(text).err().unwrap();
            assert_eq!(failure.exit(), Exit::Usage, "{text}");
            assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
        }
    }
}
