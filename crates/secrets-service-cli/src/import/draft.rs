//! The file that comes of it, and what is to be said about it.

use std::fmt::Write;

use serde_json::Value;

use crate::output::shown;
use crate::template::toml_value;

/// Something that the file said, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) sort: Sort,
    pub(crate) line: usize,
    /// The setting, as the file names it.
    pub(crate) subject: String,
    pub(crate) what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// Has no counterpart here: something is missing until somebody sees to it.
    ToDo,
    /// Has one that does not do the same.
    Differs,
    /// Is not needed here.
    NotNeeded,
    /// Means the same here.
    Mapped,
}

impl Sort {
    pub(crate) const ALL: [Self; 4] = [Self::ToDo, Self::Differs, Self::NotNeeded, Self::Mapped];

    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::ToDo => "to do",
            Self::Differs => "differs",
            Self::NotNeeded => "not needed",
            Self::Mapped => "mapped",
        }
    }
}

/// The settings so far. Tables come out in this order.
const TABLES: [&str; 6] = ["", "own", "tokens", "limits", "vault", "run"];

#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) notes: Vec<Note>,
    settings: Vec<Setting>,
    /// `[run.env]`
    environment: Vec<Setting>,
    templates: Vec<TemplateTable>,
}

#[derive(Debug)]
struct Setting {
    table: &'static str,
    key: String,
    value: Value,
}

/// A `[[template]]`.
#[derive(Debug)]
pub(super) struct TemplateTable {
    pub(super) settings: Vec<(&'static str, Value)>,
    /// Written as a comment, for someone to mend.
    pub(super) as_comment: bool,
}

impl Draft {
    pub(super) fn note(
        &mut self,
        sort: Sort,
        line: usize,
        subject: impl Into<String>,
        what: impl Into<String>,
    ) {
        let (subject, what) = (subject.into(), what.into());
        self.notes.push(Note { sort, line, subject: shown(&subject), what: shown(&what) });
    }

    /// Sets `key` of `table` to what the file says as `subject`. What is set already stays.
    pub(super) fn set(
        &mut self,
        (table, key): (&'static str, &str),
        value: impl Into<Value>,
        line: usize,
        subject: &str,
    ) {
        let (value, name) = (value.into(), dotted(table, key));
        match self.settings.iter().find(|setting| (setting.table, setting.key.as_str()) == (table, key)) {
            Some(there) if there.value == value => {}
            Some(_) => {
                let what = format!("{name} has a value from elsewhere in the file already; that one is kept");
                return self.note(Sort::ToDo, line, subject, what);
            }
            None => self.settings.push(Setting { table, key: key.to_owned(), value }),
        }
        self.note(Sort::Mapped, line, subject, name);
    }

    /// One more item of a list.
    pub(super) fn push(&mut self, (table, key): (&'static str, &str), item: &str) {
        let there = self.settings.iter_mut().find(|s| s.table == table && s.key == key);
        match there.map(|setting| &mut setting.value) {
            Some(Value::Array(items)) => items.push(item.into()),
            _ => self.settings.push(Setting { table, key: key.to_owned(), value: vec![item].into() }),
        }
    }

    pub(super) fn get(&self, table: &str, key: &str) -> Option<&Value> {
        let setting = self.settings.iter().find(|setting| setting.table == table && setting.key == key);
        setting.map(|setting| &setting.value)
    }

    /// A variable of `[run.env]`. Whether it was not there yet.
    pub(super) fn variable(&mut self, name: &str, value: String) -> bool {
        let new = self.environment.iter().all(|setting| setting.key != name);
        if new {
            self.environment.push(Setting { table: "run.env", key: name.to_owned(), value: value.into() });
        }
        new
    }

    pub(super) fn template(&mut self, template: TemplateTable) {
        self.templates.push(template);
    }

    pub(super) fn has_templates(&self) -> bool {
        !self.templates.is_empty()
    }

    /// The file. `head` comes first, as comments.
    pub(super) fn toml(&self, head: &[String]) -> String {
        let mut text = String::new();
        for line in head {
            let _ = writeln!(text, "{}", format!("# {line}").trim_end());
        }
        for table in TABLES {
            let settings = self.settings.iter().filter(|setting| setting.table == table);
            write_table(&mut text, table, settings);
        }
        write_table(&mut text, "run.env", self.environment.iter());
        for TemplateTable { settings, as_comment } in &self.templates {
            let mark = if *as_comment { "#" } else { "" };
            let _ = writeln!(text, "\n{mark}[[template]]");
            for (key, value) in settings {
                for line in literal(key, value).lines() {
                    let _ = writeln!(text, "{mark}{line}");
                }
            }
        }
        text
    }
}

fn write_table<'a>(text: &mut String, table: &str, settings: impl Iterator<Item = &'a Setting>) {
    let mut settings = settings.peekable();
    if settings.peek().is_none() {
        return;
    }
    let heading = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
    let _ = write!(text, "\n{heading}");
    for Setting { key, value, .. } in settings {
        let _ = writeln!(text, "{}", literal(key, value));
    }
}

/// `key = value`. A text of several lines stays one, if it can.
fn literal(key: &str, value: &Value) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let key = if bare { key.to_owned() } else { toml_value(&key.into()).unwrap_or_default() };
    let may_stand = |c: char| c == '\n' || c == '\t' || !c.is_control();
    if let Value::String(text) = value
        && text.contains('\n')
        && !text.contains("'''")
        && !text.ends_with('\'')
        && text.chars().all(may_stand)
    {
        return format!("{key} = '''\n{text}'''");
    }
    format!("{key} = {}", toml_value(value).unwrap_or_default())
}

pub(super) fn dotted(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}
