//! `[run]` and `[[template]]` of a TOML file.
//!
//! The file may have other tables, which are for other commands and left alone here.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Template;
use super::spec::{OnChange, TemplateSpec, given_twice, parse_group, parse_mode, parse_owner};
use crate::agent::config::Problem;
use crate::import;

/// What is read here; the rest of a file is for others.
pub(crate) const OUR_TABLES: [&str; 2] = ["run", "template"];

/// Larger files are a mistake.
const LARGEST: u64 = 1 << 20;

/// What a file says about `run` and `render`. What is not said is `None` or empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RunSections {
    pub(crate) command: Vec<String>,
    /// Variable, and `PATH#FIELD`.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) db_url: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) on_change: Option<OnChange>,
    pub(crate) grace: Option<Duration>,
    pub(crate) settle: Option<Duration>,
    pub(crate) settle_at_most: Option<Duration>,
    pub(crate) keep_vault_login: Option<bool>,
    pub(crate) templates: Vec<TemplateSpec>,
}

const RUN_KEYS: &[&str] = &[
    "command",
    "db_url",
    "env",
    "grace_seconds",
    "keep_vault_login",
    "on_change",
    "role",
    "settle_at_most_seconds",
    "settle_seconds",
];

const TEMPLATE_KEYS: &[&str] =
    &["contents", "destination", "group", "mode", "on_change", "owner", "source", "syntax"];

/// An hour: no time here is longer.
const LONGEST: u64 = 3_600;

impl RunSections {
    /// Reads the file. All problems are told at once.
    pub(crate) fn read(path: &Path) -> Result<Self, Vec<Problem>> {
        let name = import::name_of(path);
        let alone = |what: String| vec![problem(name.clone(), what)];
        if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LARGEST) {
            return Err(alone("is larger than 1 MiB".to_owned()));
        }
        let text = import::text_of(path).map_err(|error| alone(format!("cannot be read: {error}")))?;
        Self::parse(&name, &text)
    }

    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader { name, text, problems: Vec::new() };
        for error in &errors {
            // The message without the line itself, which may hold what should not be told.
            let what = error.message().lines().next().unwrap_or("is not TOML").to_owned();
            reader.complain(error.span().map(|span| span.start), what);
        }
        let mut sections = Self::default();
        if errors.is_empty() {
            for (key, value) in table.get_ref() {
                match (key.get_ref().as_ref(), value.get_ref()) {
                    ("run", DeValue::Table(table)) => sections.take_run(table, &mut reader),
                    ("template", DeValue::Array(templates)) => {
                        for template in templates {
                            sections.templates.extend(reader.template(template));
                        }
                    }
                    ("run", _) => reader.complain(Some(key.span().start), "is a table: [run]"),
                    ("template", _) => {
                        reader.complain(Some(key.span().start), "is a list of tables: [[template]]");
                    }
                    (other, _) if ["runs", "templates", "tempate"].contains(&other) => {
                        let what = format!("{other} is not known; is [run] or [[template]] meant?");
                        reader.complain(Some(key.span().start), what);
                    }
                    _ => {}
                }
            }
        }
        if reader.problems.is_empty() { Ok(sections) } else { Err(reader.problems) }
    }

    fn take_run(&mut self, table: &DeTable<'_>, reader: &mut Reader<'_>) {
        for (key, value) in table {
            let at = Some(value.span().start);
            match key.get_ref().as_ref() {
                "command" => self.command = reader.texts(value).unwrap_or_default(),
                "env" => self.env = reader.text_table(value),
                "db_url" => self.db_url = reader.text(value),
                "role" => self.role = reader.text(value),
                "on_change" => self.on_change = reader.parsed(value, str::parse),
                "grace_seconds" => self.grace = reader.seconds(value),
                "settle_seconds" => self.settle = reader.seconds(value),
                "settle_at_most_seconds" => self.settle_at_most = reader.seconds(value),
                "keep_vault_login" => {
                    self.keep_vault_login = value.get_ref().as_bool();
                    if self.keep_vault_login.is_none() {
                        reader.complain(at, "is true or false");
                    }
                }
                other => reader.unknown(key, other, "run", RUN_KEYS),
            }
        }
    }
}

/// What a look at a file has found, without a request or a file written.
pub(crate) struct Checked {
    pub(crate) problems: Vec<Problem>,
    /// Templates in which nothing is wrong.
    pub(crate) templates: usize,
    /// Whether the file says anything that is not for `run` and `render`. Unknown if it is no TOML.
    pub(crate) says_more: bool,
}

/// Everything that is wrong with the file and with the templates that it names.
pub(crate) fn check(path: &Path) -> Checked {
    let name = import::name_of(path);
    let (sections, mut problems) = match RunSections::read(path) {
        Ok(sections) => (sections, Vec::new()),
        Err(problems) => (RunSections::default(), problems),
    };
    let text = import::text_of(path).unwrap_or_default();
    let says_more = text
        .parse::<toml::Table>()
        .is_ok_and(|table| table.is_empty() || table.keys().any(|key| !OUR_TABLES.contains(&key.as_str())));
    if let Some(destination) = given_twice(&sections.templates) {
        let what = format!("{}: two templates cannot be one file", destination.display());
        problems.push(problem(name.clone(), what));
    }
    let mut templates = 0;
    for spec in sections.templates {
        if let Err(what) = spec.check_destination() {
            problems.push(problem(name.clone(), what));
        }
        let source = spec.name();
        match Template::load(spec) {
            Ok(_) => templates += 1,
            Err(trouble) => {
                let place = trouble.line.map_or(source.clone(), |line| format!("{source}:{line}"));
                problems.push(problem(place, trouble.what));
            }
        }
    }
    Checked { problems, templates, says_more }
}

fn problem(place: String, what: impl Into<String>) -> Problem {
    Problem { place, what: what.into() }
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl Reader<'_> {
    fn complain(&mut self, offset: Option<usize>, what: impl Into<String>) {
        let place = offset.map_or_else(
            || self.name.to_owned(),
            |offset| {
                let before = self.text.as_bytes().iter().take(offset);
                format!("{}:{}", self.name, 1 + before.filter(|byte| **byte == b'\n').count())
            },
        );
        self.problems.push(problem(place, what));
    }

    fn unknown(&mut self, key: &Key<'_>, name: &str, table: &str, known: &[&str]) {
        let what = format!("{name} is not known in {table}; there are: {}", known.join(", "));
        self.complain(Some(key.span().start), what);
    }

    fn text(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.as_ref().is_none_or(String::is_empty) {
            self.complain(Some(value.span().start), "is a text, and not an empty one");
        }
        text
    }

    fn texts(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        let items = value.get_ref().as_array();
        let texts = items.and_then(|items| {
            items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        if texts.is_none() {
            self.complain(Some(value.span().start), "is a list of texts");
        }
        texts
    }

    fn text_table(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, String> {
        let Some(table) = value.get_ref().as_table() else {
            self.complain(Some(value.span().start), "is a table of texts");
            return BTreeMap::new();
        };
        let texts =
            table.iter().filter_map(|(key, value)| Some((key.get_ref().to_string(), self.text(value)?)));
        texts.collect()
    }

    fn seconds(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let seconds = number.filter(|seconds| *seconds <= LONGEST);
        if seconds.is_none() {
            self.complain(Some(value.span().start), format!("is a number of seconds, at most {LONGEST}"));
        }
        seconds.map(Duration::from_secs)
    }

    fn parsed<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(value)?;
        parse(&text).map_err(|what| self.complain(Some(value.span().start), what)).ok()
    }

    fn template(&mut self, value: &Spanned<DeValue<'_>>) -> Option<TemplateSpec> {
        let start = Some(value.span().start);
        let Some(table) = value.get_ref().as_table() else {
            self.complain(start, "is a table: [[template]]");
            return None;
        };
        let before = self.problems.len();
        let (mut source, mut contents, mut destination) = (None, None, None);
        let (mut mode, mut owner, mut group, mut syntax, mut on_change) = (None, None, None, None, None);
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "source" => source = self.text(value),
                "contents" => contents = self.text(value),
                "destination" => destination = self.text(value),
                "mode" => mode = self.parsed(value, parse_mode),
                "owner" => owner = self.parsed(value, parse_owner),
                "group" => group = self.parsed(value, parse_group),
                "syntax" => syntax = self.parsed(value, str::parse),
                "on_change" => on_change = self.parsed(value, str::parse),
                other => self.unknown(key, other, "template", TEMPLATE_KEYS),
            }
        }
        if self.problems.len() > before {
            return None;
        }
        let spec = match (source, contents, destination) {
            (Some(source), None, Some(destination)) => TemplateSpec::new(source, destination),
            (None, Some(contents), Some(destination)) => TemplateSpec::inline(contents, destination),
            _ => Err("a template needs a source (or contents) and a destination".to_owned()),
        };
        let spec = spec.map_err(|what| self.complain(start, what)).ok()?;
        Some(TemplateSpec {
            mode: mode.unwrap_or(spec.mode),
            syntax: syntax.unwrap_or(spec.syntax),
            owner,
            group,
            on_change,
            ..spec
        })
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
