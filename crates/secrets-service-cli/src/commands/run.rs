//! `secrets-service run`: a program with secrets in its environment and in files, kept current.
//!
//! `environment.rs` has the variables, `child.rs` and `group.rs` the program and what it starts, `supervise.rs` what
//! is done when something changes. The files are made in `template/`.

mod child;
mod environment;
mod group;
mod supervise;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use secrets_service::ServiceConfig;
use secrets_service::config::SECRET_VARIABLES;
use tokio::sync::mpsc;

use self::child::Program;
use self::environment::Wanted;
use self::supervise::{Policy, supervise, watch};
use super::templates::{TemplateArgs, parse_time};
use crate::failure::{Exit, Failure};
use crate::notice;
use crate::service::{Done, close, waiting_for};
use crate::signals::Signals;
use crate::template::config::RunSections;
use crate::template::follow::Following;
use crate::template::sources::Sources;
use crate::template::spec::OnChange;

/// What a container runtime gives at most before it kills everything itself is 10 s (Docker) or 30 s (Kubernetes).
const GRACE: Duration = Duration::from_secs(10);

/// Run a program with secrets in its environment and in files, and keep them current.
///
/// The program is started only when every secret is there and every file is written. It gets the signals that this
/// command gets, and its exit code is this command's. When it has ended, its database user and the login are revoked.
///
/// While it runs, database users are renewed and replaced before they end, and secrets are read again when their time
/// (VAULT_CACHE_TTL_SECONDS) has passed. When a variable changes, the program is restarted; when a file changes, it is
/// written again; --on-change says otherwise.
///
/// Secrets are in the environment of the program and in the files that were asked for only: in no argument, and not in
/// this process's own environment. What this command logs in to Vault with is not passed on, unless
/// --keep-vault-login is given.
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service run --env STRIPE_KEY=secret/myapp/api-keys#stripe -- ./server --port 80
  secrets-service run --db-url DATABASE_URL -- ./server
  secrets-service run -t app.conf.j2:/run/app/app.conf:0640 --on-change signal:SIGHUP -- ./server
  secrets-service run --config run.toml -- ./server

A template: password = \"{{ secret('secret/myapp/config').db_password }}\"
docs/run.md has all that templates can do.

127 and 126 mean that the program was not found or cannot be run, as in a shell.

After SIGTERM the program has the --grace period to end; then it is killed. What it started and left behind in its \
process group is ended as well. Without a terminal the program gets a process group of its own, and signals go to all \
of it. With one it stays in the group of this command, so that Ctrl-C and Ctrl-Z reach it as they do without this \
command. As process 1 of a container it takes note of the end of every orphan.")]
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
    #[command(flatten)]
    templates: TemplateArgs,
    /// What to do when a variable or a file changes: restart, signal:SIGHUP (or another), none [default: restart for
    /// variables, none for files].
    #[arg(long, value_name = "ACTION")]
    on_change: Option<OnChange>,
    /// How long the program may take to end after SIGTERM before it is killed [default: 10s].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    grace: Option<Duration>,
    /// Leave VAULT_TOKEN, VAULT_SECRET_ID and the like in the program's environment.
    #[arg(long)]
    keep_vault_login: bool,
    /// The program and its arguments.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) async fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let mut sections = args.templates.sections()?;
    let command = match args.command.as_slice() {
        [] => sections.command.iter().map(OsString::from).collect(),
        command => command.to_vec(),
    };
    let Some((name, arguments)) = command.split_first() else {
        let what = "which program? Give it after `--`, or as `command` in [run]; `run --help` tells more";
        return Err(Failure::usage(what));
    };
    // What was typed comes before the settings; what is wrong with those is told by the service.
    let config = ServiceConfig::from_environment().unwrap_or_default();
    let wanted = wanted(args, &sections, &config.db_role)?;
    let templates = args.templates.load(&mut sections, &config)?;
    let service = args.templates.service()?;
    let on_change = args.on_change.or(sections.on_change);
    let policy = Policy {
        environment: on_change.unwrap_or(OnChange::Restart),
        files: on_change.unwrap_or(OnChange::Nothing),
    };
    let keep_login = args.keep_vault_login || sections.keep_vault_login.unwrap_or(false);
    let program = Program {
        name,
        arguments,
        hidden_variables: if keep_login { &[] } else { SECRET_VARIABLES },
        grace: args.grace.or(sections.grace).unwrap_or(GRACE),
    };
    // From here on a signal must not end this process before it has tidied up in Vault.
    let mut signals = Signals::to_forward()?;
    let following = Following {
        also_used: environment::sources(&wanted),
        sources: Arc::new(Sources::new(&service, true)),
        templates,
        settling: args.templates.settling(&sections),
    };
    let result = supervised(&program, following, wanted, policy, &mut signals).await.map(Done::with);
    close(&service, result).await
}

async fn supervised(
    program: &Program<'_>,
    mut following: Following,
    wanted: Vec<Wanted>,
    policy: Policy,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let waiting_for = waiting_for(following.sources.service());
    let prepare = notice::with_progress(&waiting_for, prepare(&mut following, &wanted));
    let environment = Arc::new(signals.unless(prepare).await?);
    environment::say_what_they_are(&wanted, &following.sources).await;
    // One change that has not been acted on yet is enough: it says how things are, not what has happened.
    let (tell, changes) = mpsc::channel(1);
    let watching = tokio::spawn(watch(following, wanted, policy, Arc::clone(&environment), tell));
    let result = supervise(program, environment, signals, changes).await;
    watching.abort();
    // Nothing is looked at any more when what it was made with is revoked.
    let _ = watching.await;
    result
}

/// Reads and writes everything, at once; or tells of every failure. A template that fails keeps no other from being
/// written.
async fn prepare(following: &mut Following, wanted: &[Wanted]) -> Result<environment::Environment, Failure> {
    let sources = Arc::clone(&following.sources);
    let (values, _) =
        tokio::join!(environment::values(wanted, &sources), following.templates.render_all(&sources));
    match (values, following.templates.news_of_failures()) {
        (Ok(values), None) => Ok(values),
        (Err(failure), None) | (Ok(_), Some(failure)) => Err(failure),
        (Err(one), Some(other)) => Err(one.and(other)),
    }
}

/// All that is wrong with what was asked for, in one failure.
fn wanted(args: &RunArgs, sections: &RunSections, default_role: &str) -> Result<Vec<Wanted>, Failure> {
    let role = args.role.as_deref().or(sections.role.as_deref()).unwrap_or(default_role);
    let from_file = sections.env.iter().map(|(variable, from)| Wanted::field("[run.env] ", variable, from));
    let from_arguments = args.env.iter().map(|text| Wanted::parse(text));
    let database_in_file = sections.db_url.iter().filter(|_| args.db_url.is_none());
    let database_in_file = database_in_file.map(|name| Wanted::database_url("db_url", name, role));
    let database = args.db_url.iter().map(|name| Wanted::database_url("--db-url", name, role));
    let mut all: Vec<Wanted> = Vec::new();
    let mut failures = None;
    for result in from_file.chain(from_arguments).chain(database_in_file).chain(database) {
        let result = result.and_then(|wanted| {
            if all.iter().any(|other| other.variable == wanted.variable) {
                return Err(Failure::usage(format!("the variable {} is given twice", wanted.variable)));
            }
            Ok(wanted)
        });
        match result {
            Ok(wanted) => all.push(wanted),
            Err(failure) => Failure::join(&mut failures, failure),
        }
    }
    failures.map_or(Ok(all), Err)
}
