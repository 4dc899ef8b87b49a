//! The `secrets-service` command: secrets from Vault (or OpenBao) for everything that is not a Rust or Python
//! program.
//!
//! Data goes to stdout, everything else to stderr. The folder `commands` has one file (or folder) per command;
//! `failure.rs` says which failure has which exit code, and is the only place that does.
//!
//! A library only so that fuzzers and tests can get at its parts: nothing of it is for other programs, and nothing of
//! it is stable.

mod agent;
mod args;
mod commands;
mod env_format;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod help;
mod import;
mod input;
mod logging;
mod notice;
mod output;
mod prompt;
mod service;
mod signals;
mod template;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::{Exit, Failure};

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to be told if this cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    logging::start(&cli.logs);
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report();
            failure.exit().into()
        }
    }
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let threads = match &cli.command {
        Command::Agent(args) => args.threads(),
        // One command, a few requests: one thread is enough, and starts fastest.
        _ => 1,
    };
    let mut builder = if threads > 1 {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime =
        builder.enable_all().build().map_err(|error| Failure::other(format!("cannot start: {error}")))?;
    let result = runtime.block_on(commands::run(cli.command));
    // Nothing that is still under way (a name being looked up, say) may hold up the end.
    runtime.shutdown_background();
    result
}
