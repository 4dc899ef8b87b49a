//! `secrets-service db-url`

use clap::Args;
use secrets_service::{OnClose, SecretsService};

use crate::failure::{Exit, Failure};
use crate::service::{Done, for_one_command};
use crate::{notice, output};

/// Print a PostgreSQL connection string with a user made for it.
///
/// Host, port and database are those of the secret SECRETS_DB_CONFIG_PATH; Vault makes the user. Until when the user
/// is valid is told on stderr. It is not revoked when this command ends, as it is used afterwards; `run` takes better
/// care.
#[derive(Args)]
#[command(after_help = "\
Examples:
  DATABASE_URL=$(secrets-service db-url) ./migrate
  DATABASE_URL=$(secrets-service db-url --role readonly) ./report

The string holds the password: give it to a program in a variable rather than as an argument, which every user of \
the machine can see.")]
pub(crate) struct DbUrlArgs {
    /// The database role in Vault [default: $SECRETS_DB_ROLE].
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
}

pub(crate) async fn run(args: &DbUrlArgs) -> Result<Exit, Failure> {
    for_one_command(async |service| {
        let role = args.role.as_deref().unwrap_or(&service.config().db_role);
        let url = service.get_database_connection_string_for(role).await?;
        say_validity(service, role).await?;
        output::write_line(&url)?;
        Ok(Done { value: Exit::Ok, on_close: OnClose::Keep })
    })
    .await
}

/// Until when the credentials of `role`, got a moment ago, are valid.
pub(crate) async fn say_validity(service: &SecretsService, role: &str) -> Result<(), Failure> {
    // From the cache: these are the ones in the connection string.
    let credentials = service.vault().get_database_credentials(role).await?;
    let (user, until) = (credentials.username(), notice::until(credentials.usable_for()));
    notice::say(format_args!("database user {user}: valid {until}"));
    Ok(())
}
