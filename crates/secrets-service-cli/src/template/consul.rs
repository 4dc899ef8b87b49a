//! Templates as consul-template and Vault Agent have them:
//! `{{ with secret "secret/data/myapp/config" }}{{ .Data.data.db_host }}{{ end }}`.
//!
//! The engine says neither where a template fails nor that it prints a value that is missing. So the tree is rewritten
//! (`tree.rs`): each action first notes its line, and prints through a function that refuses what is missing.

mod balance;
mod functions;
mod tree;

use std::sync::Arc;

use gotmpl::parse::{ListNode, Parser};
use gotmpl::{MissingKey, TemplateError, Value};

use super::context::{Context, Output, TOO_LARGE};
use super::{Content, Trouble};
use crate::failure::Exit;

/// Turns of all loops of a template together.
const MOST_TURNS: u64 = 1_000_000;

/// What the file itself is called among the templates that it defines. No file can define it.
const MAIN: &str = "\0";

pub(super) struct ConsulTemplate {
    trees: Vec<(String, ListNode)>,
}

impl ConsulTemplate {
    pub(super) fn parse(text: &str) -> Result<Self, Trouble> {
        let parser = Parser::new(text, "{{", "}}").map_err(|error| syntax(&error))?;
        let (main, defined) = parser.parse().map_err(|error| syntax(&error))?;
        balance::check(text).map_err(|(line, what)| Trouble::wrong(Some(line), what))?;
        let mut trees = vec![(MAIN.to_owned(), main)];
        for define in defined {
            let name = define.name.to_string();
            match trees.iter_mut().find(|(other, _)| *other == name) {
                None => trees.push((name, define.body)),
                Some(_) if define.body.is_empty_tree() => {}
                Some((_, body)) if body.is_empty_tree() => *body = define.body,
                Some(_) => {
                    let what = format!("the template {name:?} is defined twice");
                    return Err(Trouble::wrong(Some(define.pos.line), what));
                }
            }
        }
        let names: Vec<_> = trees.iter().map(|(name, _)| name.clone()).collect();
        for (_, tree) in &mut trees {
            tree::check(tree, &|function| functions::is_known(function), &names)
                .map_err(|(line, what)| Trouble::wrong(Some(line), what))?;
            tree::instrument(tree);
        }
        Ok(Self { trees })
    }

    pub(super) fn render(&self, context: &Arc<Context>) -> Result<Content, Trouble> {
        let mut template = gotmpl::Template::new("")
            .missing_key(MissingKey::Error)
            .max_range_iters(MOST_TURNS)
            .funcs(functions::all(context));
        for (name, tree) in &self.trees {
            template = template.add_parse_tree(name, tree.clone());
        }
        let mut output = Output::default();
        match template.execute_template_fmt(&mut output, MAIN, &Value::Nil) {
            Ok(()) => Ok(output.into_content()),
            Err(error) => Err(failed(&error, context)),
        }
    }
}

fn syntax(error: &TemplateError) -> Trouble {
    match error {
        TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
            Trouble::wrong(Some(*line), message.clone())
        }
        other => Trouble::wrong(None, other.to_string()),
    }
}

/// What may be told of an error: the engine puts values into some of its messages.
fn failed(error: &TemplateError, context: &Context) -> Trouble {
    use TemplateError as E;
    let line = context.line();
    match error {
        E::MissingKey { key } => {
            let what = functions::missing(context, key);
            Trouble { line, ..Trouble::new(Exit::NotFound, what) }
        }
        E::Write => Trouble::wrong(line, TOO_LARGE),
        E::RecursionLimit => Trouble::wrong(line, "templates call each other too deeply"),
        E::RangeIterLimit => Trouble::wrong(line, format!("loops more than {MOST_TURNS} times")),
        E::UndefinedTemplate(_)
        | E::UndefinedFunction(_)
        | E::UndefinedVariable(_)
        | E::TypeMismatch { .. }
        | E::ArgCount { .. }
        | E::NotIterable(_) => Trouble::wrong(line, error.to_string()),
        E::Exec(message) if message.starts_with(functions::OURS) => {
            Trouble::wrong(line, message.trim_start_matches(functions::OURS))
        }
        E::Exec(message) if tells_no_value(message) => Trouble::wrong(line, message.clone()),
        _ => Trouble::wrong(line, "cannot be carried out with this value"),
    }
}

/// Messages of the engine that are made of names and types only.
fn tells_no_value(message: &str) -> bool {
    let harmless = [
        "can't evaluate field",
        "can't give argument",
        "cannot index",
        "index of untyped nil",
        "incompatible types for comparison",
        "invalid type for comparison",
        "non-comparable type",
        "nil is not a command",
        "slice: cannot slice type",
    ];
    harmless.iter().any(|start| message.starts_with(start))
}
