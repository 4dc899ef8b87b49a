//! `secrets-service agent import`

use std::path::{Path, PathBuf};

use clap::Args;

use crate::agent::config::{Settings, Sources};
use crate::failure::{Exit, Failure};
use crate::import::{self, Import, Sort};
use crate::{notice, output, template};

/// Turn a configuration of Vault Agent or Vault Proxy into one of this program, and say what became of each setting.
///
/// The configuration goes to stdout, with all notes as comments; the notes go to stderr as well. Nothing is lost without
/// a word: what has no counterpart is a "to do" with what to do instead. Ends with 1 if there is any, and with 2 if the
/// file cannot be read.
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service agent import /etc/vault/agent.hcl >agent.toml
  secrets-service check --config agent.toml")]
pub(crate) struct ImportArgs {
    /// The configuration, in HCL or JSON.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: &ImportArgs) -> Result<Exit, Failure> {
    let Import { toml, notes } = import::read(&args.file).map_err(Failure::usage)?;
    output::write(&toml)?;
    let name = args.file.display();
    for note in &notes {
        let sort = note.sort.heading();
        notice::say(format_args!("{name}:{}: {sort}: {}: {}", note.line, note.subject, note.what));
    }
    for problem in problems_of(&toml).map_err(|error| Failure::other(error.to_string()))? {
        notice::say(format_args!("the result: {problem}"));
    }
    match notes.iter().filter(|note| note.sort == Sort::ToDo).count() {
        0 => Ok(Exit::Ok),
        1 => Err(Failure::summary(Exit::Other, "1 thing to do, told above")),
        more => Err(Failure::summary(Exit::Other, format!("{more} things to do, told above"))),
    }
}

/// Tells what is left to do with a configuration of Vault's that is used as it is.
pub(crate) fn warn(file: Option<&Path>) {
    for (place, what) in file.map(import::left_to_do).unwrap_or_default() {
        notice::say(format_args!("warning: {place}: {what}"));
    }
}

/// The same for the agent, which makes no files and starts no program.
pub(super) fn warn_agent(file: Option<&Path>) {
    warn(file);
    let sections = file.filter(|file| import::is_of_vault(file)).map(template::config::RunSections::read);
    if let (Some(file), Some(Ok(sections))) = (file, sections) {
        let file = file.display();
        if !sections.command.is_empty() {
            notice::say(format_args!(
                "warning: {file}: its program is started by `secrets-service run`, not here"
            ));
        } else if !sections.templates.is_empty() {
            notice::say(format_args!(
                "warning: {file}: its files are made by `secrets-service render`, not here"
            ));
        }
    }
}

/// What `check` would say of it here and now, files that are missing included.
fn problems_of(toml: &str) -> std::io::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("result.toml");
    std::fs::write(&file, toml)?;
    let mut problems = template::config::check(&file).problems;
    let variable = |name: &str| std::env::var_os(name);
    let sources = Sources { file: Some(&file), variable: &variable, listen: &[], admin: None };
    problems.extend(Settings::load(&sources).err().unwrap_or_default());
    let start = file.display().to_string();
    let told = problems.into_iter().map(|problem| match problem.place.strip_prefix(&start) {
        Some("") => problem.what,
        Some(line) => format!("line {}: {}", line.trim_start_matches(':'), problem.what),
        None => format!("{}: {}", problem.place, problem.what),
    });
    Ok(told.collect())
}
