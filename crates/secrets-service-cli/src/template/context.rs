//! One attempt to render a template: what its functions may see, and what they leave behind.

use std::sync::Arc;

use parking_lot::Mutex;

use super::json::Json;
use super::reading::{Reading, Readings, Source};
use super::{Content, LARGEST, Outside, Rendering, Trouble};
use crate::failure::{Exit, Failure};

/// A template that is made from more than this has a loop that has gone wrong.
const MOST_SOURCES: usize = 1_000;

/// Seen by the functions of one attempt.
pub(super) struct Context {
    readings: Readings,
    outside: Outside,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// In the order of their last use.
    used: Vec<Source>,
    /// Looked for in a secret, and not there.
    missed: Vec<Missed>,
    /// Why the attempt was given up.
    stop: Option<Stopped>,
    line: Option<usize>,
}

enum Stopped {
    Needs(Source),
    Failed(Trouble),
}

pub(super) struct Missed {
    pub(super) field: String,
    /// A sentence that names path, field, and the fields that there are.
    pub(super) what: String,
}

/// The attempt is over; why is in the context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop;

impl Context {
    pub(super) fn new(readings: Readings, outside: Outside) -> Self {
        Self { readings, outside, notes: Mutex::default() }
    }

    pub(super) fn default_role(&self) -> &str {
        &self.outside.default_role
    }

    /// What was read of a source, or the end of this attempt.
    pub(super) fn read(&self, source: Source) -> Result<Arc<Reading>, Stop> {
        let mut notes = self.notes.lock();
        let stop = match self.readings.get(&source) {
            Some(Ok(reading)) => {
                notes.used.retain(|used| *used != source);
                notes.used.push(source);
                return Ok(Arc::clone(reading));
            }
            Some(Err(error)) => {
                let failure = Failure::from(error.clone());
                Stopped::Failed(Trouble::new(failure.exit(), error.to_string()))
            }
            None if self.readings.len() >= MOST_SOURCES => Stopped::Failed(Trouble::wrong(
                None,
                format!("is made from more than {MOST_SOURCES} secrets"),
            )),
            None => Stopped::Needs(source),
        };
        notes.stop.get_or_insert(stop);
        Err(Stop)
    }

    /// A variable of this process's environment; an error if it is one to log in to Vault with.
    pub(super) fn variable(&self, name: &str) -> Result<Option<String>, Stop> {
        let plain = name.strip_suffix("_FILE").unwrap_or(name);
        if self.outside.hidden_variables.contains(&plain) {
            return Err(self.fail(Exit::Usage, format!("{name} is not for templates: it opens Vault")));
        }
        match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(_) => Err(self.fail(Exit::Usage, format!("the variable {name} is not UTF-8"))),
        }
    }

    /// Ends the attempt. `what` must not hold a value.
    pub(super) fn fail(&self, exit: Exit, what: impl Into<String>) -> Stop {
        let mut notes = self.notes.lock();
        let trouble = Trouble::new(exit, what).at(notes.line);
        notes.stop.get_or_insert(Stopped::Failed(trouble));
        Stop
    }

    pub(super) fn miss(&self, field: &str, what: String) {
        let mut notes = self.notes.lock();
        notes.missed.retain(|missed| missed.field != field);
        notes.missed.push(Missed { field: field.to_owned(), what });
    }

    /// The last miss that fits.
    pub(super) fn missed(&self, fits: impl Fn(&str) -> bool) -> Option<String> {
        let notes = self.notes.lock();
        notes.missed.iter().rev().find(|missed| fits(&missed.field)).map(|missed| missed.what.clone())
    }

    pub(super) fn used(&self) -> Vec<(Source, Arc<Reading>)> {
        let sources = self.notes.lock().used.clone();
        let readings = sources.into_iter().filter_map(|source| {
            let reading = self.readings.get(&source)?.as_ref().ok()?;
            Some((source, Arc::clone(reading)))
        });
        readings.collect()
    }

    pub(super) fn set_line(&self, line: usize) {
        self.notes.lock().line = Some(line);
    }

    pub(super) fn line(&self) -> Option<usize> {
        self.notes.lock().line
    }

    /// What came of the attempt. What a function left behind says more than the error that the engine made of it.
    pub(super) fn outcome(&self, result: Result<Content, Trouble>) -> Rendering {
        let mut notes = self.notes.lock();
        match (result, notes.stop.take()) {
            (_, Some(Stopped::Needs(source))) => Rendering::Needs(source),
            (Ok(_), Some(Stopped::Failed(trouble))) => Rendering::Failed(trouble),
            (Err(from_engine), Some(Stopped::Failed(trouble))) => {
                Rendering::Failed(trouble.at(from_engine.line))
            }
            (Err(trouble), None) => Rendering::Failed(trouble.at(notes.line)),
            (Ok(content), None) => Rendering::Done { content, used: std::mem::take(&mut notes.used) },
        }
    }
}

/// "secret/x has no field "a"; there are: b, c"
pub(super) fn no_field<'a>(source: &Source, field: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: Vec<_> = known.map(|name| crate::output::shown(name)).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("{source} has no field {field:?}; there are: {known}")
}

/// The fields of a reading, for whoever wants them by name.
pub(super) fn fields(reading: &Reading) -> Option<Json> {
    match reading {
        Reading::Secret(read) => Json::parse(read.data().expose_json()),
        Reading::Names(names) => Some(Json::List(names.iter().cloned().map(Json::Text).collect())),
        Reading::Database { credentials, url } => Some(object([
            ("username", credentials.username()),
            ("password", credentials.password().expose()),
            ("url", url.expose()),
        ])),
        Reading::StaticDatabase(credentials) => Some(object([
            ("username", credentials.username()),
            ("password", credentials.password().expose()),
        ])),
    }
}

pub(super) fn object<const N: usize>(fields: [(&str, &str); N]) -> Json {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), Json::Text(value.to_owned())));
    Json::Object(fields.collect())
}

/// What is being rendered: wiped when dropped, and refused when it gets too large.
#[derive(Default)]
pub(super) struct Output {
    content: Content,
}

impl Output {
    pub(super) fn into_content(self) -> Content {
        self.content
    }

    fn push(&mut self, bytes: &[u8]) -> bool {
        let needed = self.content.len() + bytes.len();
        if needed > LARGEST {
            return false;
        }
        if needed > self.content.capacity() {
            // A buffer that grows by itself leaves unwiped copies behind.
            let mut larger = Content::new(Vec::with_capacity(needed.next_power_of_two().max(4_096)));
            larger.extend_from_slice(&self.content);
            self.content = larger;
        }
        self.content.extend_from_slice(bytes);
        true
    }
}

impl std::io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.push(bytes) { Ok(bytes.len()) } else { Err(std::io::Error::other(TOO_LARGE)) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.push(text.as_bytes()) { Ok(()) } else { Err(std::fmt::Error) }
    }
}

pub(super) const TOO_LARGE: &str = "would make a file larger than 16 MiB";
