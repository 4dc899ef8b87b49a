//! `secrets-service api-key`

use std::ffi::OsString;

use clap::{Args, Subcommand};

use crate::failure::{Exit, Failure};
use crate::service::{Done, for_one_command};
use crate::{input, notice, output};

/// Print or store the API key of an external service.
///
/// The keys are the fields of one secret, SECRETS_API_KEYS_PATH.
#[derive(Args)]
#[command(
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  secrets-service api-key stripe
  secrets-service api-key get set           a key whose name is that of a command
  secrets-service api-key set stripe        asks for the value and does not show it
  secrets-service api-key set stripe <stripe.key"
)]
pub(crate) struct ApiKeyArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print the key of this name.
    #[arg(required = true)]
    name: Option<String>,
}

#[derive(Subcommand)]
enum Action {
    /// Print a key, and a newline.
    Get {
        /// The key's name, such as stripe.
        name: String,
    },
    /// Store a key, read from stdin, and keep the others. One newline at its end is not part of it.
    Set {
        /// The key's name, such as stripe.
        name: String,
        /// Taken only to say that it should not have been given.
        #[arg(hide = true)]
        value: Option<OsString>,
    },
}

pub(crate) async fn run(args: ApiKeyArgs) -> Result<Exit, Failure> {
    match (args.action, args.name) {
        (Some(_), Some(_)) => Err(Failure::usage("one API key at a time; see `api-key --help`")),
        (Some(Action::Set { name, value: None }), _) => set(&name).await,
        (Some(Action::Set { value: Some(_), .. }), _) => Err(Failure::usage(
            "the key is read from stdin: as an argument every user of this machine could see it. \
             It is in your shell's history now; consider replacing it",
        )),
        (Some(Action::Get { name }), _) | (None, Some(name)) => get(&name).await,
        (None, None) => Err(Failure::usage("which API key?")),
    }
}

async fn get(name: &str) -> Result<Exit, Failure> {
    for_one_command(async |service| {
        let key = service.get_api_key(name).await?;
        output::write_line(&key)?;
        Ok(Done::with(Exit::Ok))
    })
    .await
}

async fn set(name: &str) -> Result<Exit, Failure> {
    let key = input::from_stdin(&format!("API key {name}"))?;
    for_one_command(async |service| {
        service.set_api_key(name, &key).await?;
        notice::say(format_args!("{}: stored {name}", service.config().api_keys_path));
        Ok(Done::with(Exit::Ok))
    })
    .await
}
