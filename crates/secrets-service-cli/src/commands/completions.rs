//! `secrets-service completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::{Exit, Failure};
use crate::output;

/// Print a script that completes this command's arguments in your shell.
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service completions bash >~/.local/share/bash-completion/completions/secrets-service
  secrets-service completions fish >~/.config/fish/completions/secrets-service.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "secrets-service", &mut script);
    output::write(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
