//! The command line: what all commands share. Each command's own arguments are in its file.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{agent, api_key, check, completions, db_url, dev, get, list, put, render, run};
use crate::help;

/// Secrets from HashiCorp Vault (or OpenBao) on the command line.
///
/// Settings are environment variables (listed by --help), Vault's own where it has one. Data goes to stdout,
/// everything else to stderr.
// No `Debug`: arguments may hold secrets.
#[derive(Parser)]
#[command(
    name = "secrets-service",
    version,
    after_help = help::SHORT,
    after_long_help = help::long(),
    arg_required_else_help = false,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) logs: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// After the options of the command itself.
const LOGGING: &str = "Logging";

#[derive(Args)]
pub(crate) struct LogArgs {
    /// Log more on stderr: -v requests and logins, -vv everything. Never a secret.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = LOGGING)]
    pub(crate) verbose: u8,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    #[arg(help_heading = LOGGING)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Get(get::GetArgs),
    Put(put::PutArgs),
    List(list::ListArgs),
    ApiKey(api_key::ApiKeyArgs),
    DbUrl(db_url::DbUrlArgs),
    Run(run::RunArgs),
    Render(render::RenderArgs),
    Agent(agent::AgentArgs),
    Check(check::CheckArgs),
    Dev(dev::DevArgs),
    Completions(completions::CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_defined() {
        super::Cli::command().debug_assert();
    }
}
