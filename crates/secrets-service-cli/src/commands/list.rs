//! `secrets-service list`

use clap::Args;

use crate::failure::{Exit, Failure};
use crate::output;
use crate::service::{Done, for_one_command};

/// Print the names of the secrets directly below a path, one per line.
///
/// A name that ends in / has names below it in turn. That there are none is "not found" (4).
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service list secret
  secrets-service list secret/myapp")]
pub(crate) struct ListArgs {
    /// The folder, such as secret/myapp.
    path: String,
}

pub(crate) async fn run(args: &ListArgs) -> Result<Exit, Failure> {
    for_one_command(async |service| {
        let names = service.vault().list_secrets(&args.path).await?;
        let terminal = output::is_terminal();
        let shown = names.iter().map(|name| if terminal { output::shown(name) } else { name.clone() });
        output::write(&shown.map(|name| name + "\n").collect::<String>())?;
        Ok(Done::with(Exit::Ok))
    })
    .await
}
