//! The TOML file: what it says, and in which line.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;
use super::options::Value;
use super::vault_names::VaultNames;
use crate::import;
use crate::template::config::OUR_TABLES;

/// Larger files are a mistake.
const LARGEST: u64 = 1 << 20;

/// The values of a file by key (`limits.connections`), each with its place (`agent.toml:12`).
#[derive(Debug, Default)]
pub(super) struct FileValues {
    values: BTreeMap<String, (String, Value)>,
}

impl FileValues {
    /// Empty without a file.
    pub(super) fn of(path: Option<&Path>, problems: &mut Vec<Problem>) -> Self {
        path.map_or_else(Self::default, |path| Self::read(path, problems))
    }

    pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Self {
        let name = import::name_of(path);
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() > LARGEST => {
                problems.push(Problem::new(name, "is larger than 1 MiB"));
                return Self::default();
            }
            _ => {}
        }
        match import::text_of(path) {
            Ok(text) => Self::parse(&name, &text, problems),
            Err(error) => {
                problems.push(Problem::new(name, format!("cannot be read: {error}")));
                Self::default()
            }
        }
    }

    fn parse(name: &str, text: &str, problems: &mut Vec<Problem>) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let place = |offset: usize| format!("{name}:{}", line_of(text, offset));
        for error in &errors {
            let at = error.span().map_or_else(|| name.to_owned(), |span| place(span.start));
            // The message without the line itself, which may hold what should not be told.
            problems
                .push(Problem::new(at, error.message().lines().next().unwrap_or("is not TOML").to_owned()));
        }
        let mut file = Self::default();
        if errors.is_empty() {
            file.take(table.get_ref(), "", &place, problems);
        }
        file
    }

    /// Place and value of an option.
    pub(super) fn get(&self, key: &str) -> Option<(String, Value)> {
        self.values.get(key).cloned()
    }

    /// A setting of the `[vault]` table as its variable would have it.
    pub(super) fn vault(&self, key: &str) -> Option<String> {
        Some(match &self.values.get(&format!("vault.{key}"))?.1 {
            Value::Text(text) => text.clone(),
            Value::Texts(texts) => texts.join(","),
            Value::Switch(on) => on.to_string(),
            Value::Number(number) => number.to_string(),
        })
    }

    /// Where the file says something about a variable.
    pub(super) fn vault_place(&self, names: &VaultNames, variable: &str) -> Option<String> {
        let key = names.key(variable)?;
        self.values.get(&format!("vault.{key}")).map(|(place, _)| place.clone())
    }

    pub(super) fn agent_keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys().filter(|(key, _)| !key.starts_with("vault."))
    }

    pub(super) fn vault_keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys().filter_map(|(key, place)| Some((key.strip_prefix("vault.")?, place)))
    }

    fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, (place, _))| (key.as_str(), place.as_str()))
    }

    fn take(
        &mut self,
        table: &DeTable<'_>,
        prefix: &str,
        place: &dyn Fn(usize) -> String,
        problems: &mut Vec<Problem>,
    ) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            if OUR_TABLES.contains(&key.as_str()) {
                // For `run` and `render`; checked there.
                continue;
            }
            if let DeValue::Table(table) = value.get_ref() {
                self.take(table, &format!("{key}."), place, problems);
                continue;
            }
            let at = place(name.span().start);
            match scalar(value) {
                Some(value) => {
                    self.values.insert(key, (at, value));
                }
                None => problems.push(Problem::new(at, format!("{key} has a value that no option takes"))),
            }
        }
    }
}

fn scalar(value: &Spanned<DeValue<'_>>) -> Option<Value> {
    Some(match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(on) => Value::Switch(*on),
        DeValue::Integer(number) => Value::Number(u64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Array(array) => {
            let texts = array.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            Value::Texts(texts.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}
