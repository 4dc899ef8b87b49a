//! Files made from templates with secrets in them, and kept current.
//!
//! `spec.rs` says which file is made from which template, `config.rs` reads that from a TOML file. Rendering is pure: a
//! template and what has been read of Vault (`reading.rs`, `context.rs`) give a text, or the name of something that
//! must be read first. `jinja.rs` and `consul.rs` are the two syntaxes, `write.rs` puts the text into its file,
//! `sources.rs` reads and watches Vault, `set.rs` has all templates of one command and says what has changed.

mod actions;
pub(crate) mod config;
mod consul;
mod context;
mod filters;
pub(crate) mod follow;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod jinja;
mod json;
mod reading;
pub(crate) mod set;
pub(crate) mod sources;
pub(crate) mod spec;
mod write;

use std::sync::Arc;

use zeroize::Zeroizing;

use self::consul::ConsulTemplate;
use self::context::Context;
/// A text, number, switch or list as a TOML file has it.
pub(crate) use self::filters::toml as toml_value;
use self::jinja::JinjaTemplate;
pub(crate) use self::reading::{Reading, Readings, Source};
pub(crate) use self::spec::{Syntax, TemplateSpec};
use crate::failure::{Exit, Failure};

/// The largest file that a template may make, in bytes. Far more than any configuration, and far less than what would
/// hurt: what is larger is a loop that has gone wrong.
const LARGEST: usize = 16 << 20;

/// Whether a template can be parsed, and if not, why.
pub(crate) fn check_text(text: &str, syntax: Syntax) -> Result<(), Trouble> {
    Engine::parse(text.to_owned(), syntax).map(drop)
}

/// What was rendered, wiped when dropped.
type Content = Zeroizing<Vec<u8>>;

/// A template that is well formed.
pub(crate) struct Template {
    pub(crate) spec: TemplateSpec,
    engine: Arc<Engine>,
}

enum Engine {
    Jinja(JinjaTemplate),
    Consul(ConsulTemplate),
}

/// What came of one attempt to render.
enum Rendering {
    Done {
        content: Content,
        /// What it is made from.
        used: Vec<Source>,
    },
    /// This must be read first.
    Needs(Source),
    Failed(Trouble),
}

/// Why a template cannot be rendered. Names templates, lines, paths and fields, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// In the template, if it is known.
    pub(crate) line: Option<usize>,
    pub(crate) what: String,
    pub(crate) exit: Exit,
}

impl Trouble {
    fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { line: None, what: what.into(), exit }
    }

    /// The template itself is wrong.
    fn wrong(line: Option<usize>, what: impl Into<String>) -> Self {
        Self { line, ..Self::new(Exit::Usage, what) }
    }

    fn at(mut self, line: Option<usize>) -> Self {
        self.line = self.line.or(line);
        self
    }

    /// For people: `app.conf.j2:3: …`
    pub(crate) fn told(&self, name: &str) -> String {
        match self.line {
            Some(line) => format!("{name}:{line}: {}", self.what),
            None => format!("{name}: {}", self.what),
        }
    }
}

impl Template {
    /// Reads the template's file and parses it.
    pub(crate) fn load(spec: TemplateSpec) -> Result<Self, Trouble> {
        let text = spec.read()?;
        let engine = Engine::parse(text, spec.syntax)?;
        Ok(Self { spec, engine: Arc::new(engine) })
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> String {
        self.spec.name()
    }

    /// Takes as long as it takes: not for a thread that others wait for.
    fn render(&self, readings: Readings, outside: &Outside) -> Rendering {
        let context = Arc::new(Context::new(readings, outside.clone()));
        let (engine, seen) = (Arc::clone(&self.engine), Arc::clone(&context));
        let result = actions::with_room(move || engine.render(&seen));
        context.outcome(result.unwrap_or_else(|| Err(sudden_end())))
    }
}

impl Engine {
    fn parse(text: String, syntax: Syntax) -> Result<Self, Trouble> {
        actions::check(&text, syntax)?;
        let parsed = actions::with_room(move || match syntax {
            Syntax::Jinja => JinjaTemplate::parse(text).map(Self::Jinja),
            Syntax::Consul => ConsulTemplate::parse(&text).map(Self::Consul),
        });
        parsed.unwrap_or_else(|| Err(sudden_end()))
    }

    fn render(&self, context: &Arc<Context>) -> Result<Content, Trouble> {
        match self {
            Self::Jinja(template) => template.render(context),
            Self::Consul(template) => template.render(context),
        }
    }
}

fn sudden_end() -> Trouble {
    Trouble::new(Exit::Other, "working on it came to a sudden end")
}

/// What templates may know beside secrets.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    /// The role of `db()`.
    pub(crate) default_role: String,
    /// Variables that templates must not see: what this process logs in to Vault with.
    pub(crate) hidden_variables: &'static [&'static str],
}

impl From<(&Template, Trouble)> for Failure {
    fn from((template, trouble): (&Template, Trouble)) -> Self {
        Self::summary(trouble.exit, trouble.told(&template.name()))
    }
}

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod hostile_tests;
