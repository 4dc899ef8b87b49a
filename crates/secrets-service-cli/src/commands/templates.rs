//! What `run` and `render` have in common: where templates come from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use secrets_service::config::SECRET_VARIABLES;
use secrets_service::{SecretsService, ServiceConfig};

use crate::commands::agent::import;
use crate::failure::Failure;
use crate::service;
use crate::template::config::RunSections;
use crate::template::follow::Settling;
use crate::template::set::TemplateSet;
use crate::template::{Outside, TemplateSpec};

/// Without a change for this long, changes have settled: several fields of several secrets are written by hand or by a
/// script in less.
const QUIET: Duration = Duration::from_secs(1);

/// Something that changes all the time must not keep the rest from being used.
const AT_MOST: Duration = Duration::from_secs(10);

const TEMPLATES: &str = "Templates";

#[derive(Args)]
pub(crate) struct TemplateArgs {
    /// Make the file DEST from the template SRC. Can be repeated. MODE is octal [default: 0600].
    ///
    /// SRC is a Jinja template, or one of consul-template if it ends in .ctmpl, .tmpl or .tpl.
    #[arg(short, long = "template", value_name = "SRC:DEST[:MODE]", help_heading = TEMPLATES)]
    templates: Vec<TemplateSpec>,
    /// A TOML file with a [run] table and [[template]] tables. Its [vault] table is the way to Vault where no variable
    /// says otherwise. One that ends in .hcl is a configuration of Vault Agent, taken as `agent import` would.
    #[arg(long, value_name = "FILE", help_heading = TEMPLATES)]
    config: Option<PathBuf>,
    /// Act on changes when nothing has changed for this long (or for ten seconds in all) [default: 1s].
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = TEMPLATES)]
    settle: Option<Duration>,
}

impl TemplateArgs {
    /// The service that everything is read with.
    pub(crate) fn service(&self) -> Result<SecretsService, Failure> {
        service::open(self.config.as_deref())
    }

    /// What the file says; nothing without a file.
    pub(crate) fn sections(&self) -> Result<RunSections, Failure> {
        import::warn(self.config.as_deref());
        self.config.as_deref().map_or_else(|| Ok(RunSections::default()), read)
    }

    /// All templates, those of the file first.
    pub(crate) fn load(
        &self,
        sections: &mut RunSections,
        config: &ServiceConfig,
    ) -> Result<TemplateSet, Failure> {
        let mut specs = std::mem::take(&mut sections.templates);
        specs.extend(self.templates.iter().cloned());
        let outside = Outside { default_role: config.db_role.clone(), hidden_variables: SECRET_VARIABLES };
        TemplateSet::load(specs, outside)
    }

    pub(crate) fn settling(&self, sections: &RunSections) -> Settling {
        let quiet = self.settle.or(sections.settle).unwrap_or(QUIET);
        Settling { quiet, at_most: sections.settle_at_most.unwrap_or(AT_MOST).max(quiet) }
    }
}

fn read(path: &Path) -> Result<RunSections, Failure> {
    RunSections::read(path).map_err(|problems| {
        let lines = problems.iter().map(|problem| format!("{}: {}", problem.place, problem.what));
        Failure::usage(lines.collect::<Vec<_>>().join("\nerror: "))
    })
}

/// `10s`, `500ms`, `2m`, or a number of seconds.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number = number.parse::<u64>().ok();
    let time = match unit {
        "ms" => number.map(Duration::from_millis),
        "" | "s" => number.map(Duration::from_secs),
        "m" => number.and_then(|minutes| Some(Duration::from_secs(minutes.checked_mul(60)?))),
        _ => None,
    };
    let longest = Duration::from_secs(86_400);
    time.filter(|time| *time <= longest)
        .ok_or_else(|| format!("{text:?} is not a time, such as 10s, 500ms or 2m (at most a day)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(parse_time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_time("7"), Ok(Duration::from_secs(7)));
        for wrong in ["", "s", "1h", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615m", "2d"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
