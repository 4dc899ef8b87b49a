//! The way to Vault: its variables, and where those are not set the `[vault]` table of the file.

use std::ffi::OsString;
use std::path::Path;

use secrets_service::VaultConfig;

use super::Problem;
use super::file::FileValues;
use super::vault_names::VaultNames;

type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What the variables and the file say about it.
pub(super) struct Way<'a> {
    names: VaultNames,
    file: &'a FileValues,
    variable: Variable<'a>,
}

/// For commands other than the agent: what `file` says where the environment says nothing.
pub(crate) fn vault_config(file: &Path) -> Result<VaultConfig, Vec<Problem>> {
    let mut problems = Vec::new();
    let values = FileValues::of(Some(file), &mut problems);
    let variable = |name: &str| std::env::var_os(name);
    let way = Way::new(&values, &variable, &mut problems);
    // Only one process can have the cache on disk, and in a file for both that is the agent.
    let is_the_agents = values.get("listen").is_some();
    let loaded = VaultConfig::from_variables(|name| {
        if is_the_agents && name.starts_with("SECRETS_CACHE_") { variable(name) } else { way.get(name) }
    });
    match loaded {
        Ok(config) if problems.is_empty() => Ok(config),
        Ok(_) => Err(problems),
        Err(error) => {
            problems.extend(way.placed(&error));
            Err(problems)
        }
    }
}

impl<'a> Way<'a> {
    /// Tells what in `[vault]` is none of the settings.
    pub(super) fn new(file: &'a FileValues, variable: Variable<'a>, problems: &mut Vec<Problem>) -> Self {
        let names = VaultNames::new();
        for (key, place) in file.vault_keys() {
            if let Err(what) = names.check(key) {
                problems.push(Problem::new(place, what));
            }
        }
        Self { names, file, variable }
    }

    /// A setting, as its variable would have it.
    pub(super) fn get(&self, name: &str) -> Option<OsString> {
        // `VAULT_TOKEN` in the environment stands before `token_file` in the file, and the other way round.
        let other_form = match name.strip_suffix("_FILE") {
            Some(plain) => plain.to_owned(),
            None => format!("{name}_FILE"),
        };
        let value = self.in_environment(name);
        if value.is_some() || self.in_environment(&other_form).is_some() {
            return value;
        }
        self.file.vault(&self.names.key(name)?).map(Into::into)
    }

    /// The problems, each where what is wrong was said.
    pub(super) fn placed(&self, error: &secrets_service::ConfigError) -> Vec<Problem> {
        let placed = error.problems().iter().map(|problem| {
            let in_file = self.file.vault_place(&self.names, &problem.variable);
            let from_file = self.in_environment(&problem.variable).is_none();
            let place = in_file.filter(|_| from_file).unwrap_or_else(|| problem.variable.clone());
            Problem::new(place, problem.what.clone())
        });
        placed.collect()
    }

    fn in_environment(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}
