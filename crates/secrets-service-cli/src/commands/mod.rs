//! One file (or folder) per command: its arguments, its help, what it does.

pub(crate) mod agent;
pub(crate) mod api_key;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod db_url;
pub(crate) mod dev;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod put;
pub(crate) mod render;
pub(crate) mod run;
pub(crate) mod templates;

use crate::args::Command;
use crate::failure::{Exit, Failure};

pub(crate) async fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Get(args) => get::run(&args).await,
        Command::Put(args) => put::run(&args).await,
        Command::List(args) => list::run(&args).await,
        Command::ApiKey(args) => api_key::run(args).await,
        Command::DbUrl(args) => db_url::run(&args).await,
        Command::Run(args) => run::run(&args).await,
        Command::Render(args) => render::run(&args).await,
        Command::Agent(args) => agent::run(&args).await,
        Command::Check(args) => check::run(&args).await,
        Command::Dev(args) => dev::run(&args).await,
        Command::Completions(args) => completions::run(&args),
    }
}
