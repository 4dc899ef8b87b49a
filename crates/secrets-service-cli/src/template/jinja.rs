//! Jinja templates: `{{ secret("secret/myapp/config").db_host }}`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, escape_formatter};

use super::context::{Context, Output, Stop, TOO_LARGE, fields, no_field};
use super::json::Json;
use super::reading::Source;
use super::{Content, Trouble, filters};
use crate::failure::Exit;

/// How much a template may do: about one unit per step and per 64 bytes. Enough for a file of the largest size; spent
/// within a second or two by a loop without an end.
const FUEL: u64 = 5_000_000;

/// Only for the engine; `Trouble` names the file.
const NAME: &str = "template";

pub(super) struct JinjaTemplate {
    text: String,
}

impl JinjaTemplate {
    pub(super) fn parse(text: String) -> Result<Self, Trouble> {
        let environment = environment()?;
        let template = environment.template_from_named_str(NAME, &text).map_err(|error| trouble(&error))?;
        // Names that nothing will ever define, `secrte` say: found before anything is rendered.
        let mut unknown: Vec<_> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !FUNCTIONS.contains(&name.as_str()))
            .filter(|name| !environment.globals().any(|(global, _)| global == name))
            .collect();
        unknown.sort_unstable();
        if let Some(name) = unknown.first() {
            let line = text.lines().position(|line| line.contains(name.as_str())).map(|n| n + 1);
            let what = format!("there is nothing called {name:?}; there are: {}", FUNCTIONS.join(", "));
            return Err(Trouble::wrong(line, what));
        }
        Ok(Self { text })
    }

    pub(super) fn render(&self, context: &Arc<Context>) -> Result<Content, Trouble> {
        let mut environment = environment()?;
        add_functions(&mut environment, context);
        let mut output = Output::default();
        let template =
            environment.template_from_named_str(NAME, &self.text).map_err(|error| trouble(&error))?;
        match template.render_captured_to((), &mut output) {
            Ok(_) => Ok(output.into_content()),
            Err(error) => Err(with_what_was_missed(&error, context)),
        }
    }
}

/// What templates may call.
const FUNCTIONS: &[&str] = &["db", "env", "names", "secret"];

fn environment() -> Result<Environment<'static>, Trouble> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.map_err(|error| trouble(&error))?);
    environment.set_formatter(|out, state, value| match value.kind() {
        // As in JSON, YAML and TOML, not as in Python.
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" }).map_err(Error::from),
        ValueKind::None => Err(refused("the value is null: test for it, or give another with `default`")),
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => {
            Err(refused("the value is a list or an object: choose a part of it, or use json or yaml"))
        }
        _ => escape_formatter(out, state, value),
    });
    environment.add_filter("json", |value: Value, options: Kwargs| {
        let pretty = options.get::<Option<bool>>("pretty")?.unwrap_or(false);
        options.assert_all_used()?;
        let value = plain(&value)?;
        Ok::<_, Error>(if pretty { filters::json_pretty(&value) } else { filters::json(&value) })
    });
    environment.add_filter("yaml", |value: Value| Ok::<_, Error>(filters::yaml(&plain(&value)?)));
    environment.add_filter("toml", |value: Value| {
        filters::toml(&plain(&value)?).ok_or_else(|| refused("an object or null has no TOML value"))
    });
    environment.add_filter("base64", |text: String| filters::base64_encode(&text));
    environment.add_filter("base64_decode", |text: String| {
        filters::base64_decode(&text).ok_or_else(|| refused("the value is not base64 of a UTF-8 text"))
    });
    environment.add_filter("shell", |text: String| filters::shell(&text));
    environment.add_filter("sha256", |text: String| filters::sha256(&text));
    Ok(environment)
}

fn add_functions(environment: &mut Environment<'_>, context: &Arc<Context>) {
    let of = Arc::clone(context);
    environment.add_function("secret", move |path: String, options: Kwargs| {
        let version = options.get::<Option<u64>>("version")?;
        options.assert_all_used()?;
        lookup(&of, Source::Secret { path, version })
    });
    let of = Arc::clone(context);
    environment.add_function("names", move |path: String| lookup(&of, Source::Names { path }));
    let of = Arc::clone(context);
    environment.add_function("db", move |role: Option<String>, options: Kwargs| {
        let is_static = options.get::<Option<bool>>("static")?.unwrap_or(false);
        options.assert_all_used()?;
        let role = role.unwrap_or_else(|| of.default_role().to_owned());
        lookup(&of, if is_static { Source::StaticDatabase { role } } else { Source::Database { role } })
    });
    let of = Arc::clone(context);
    environment.add_function("env", move |name: String, options: Kwargs| {
        let default = options.get::<Option<String>>("default")?;
        options.assert_all_used()?;
        let value = of.variable(&name).map_err(stopped)?;
        value.or(default).ok_or_else(|| {
            stopped(of.fail(Exit::Usage, format!("the variable {name} is not set, and no default is given")))
        })
    });
}

fn lookup(context: &Arc<Context>, source: Source) -> Result<Value, Error> {
    let reading = context.read(source.clone()).map_err(stopped)?;
    let unreadable = || stopped(context.fail(Exit::Other, format!("{source} is nested too deeply")));
    match fields(&reading).ok_or_else(unreadable)? {
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, json)| (name.clone(), value(json))).collect();
            Ok(Value::from_object(SecretObject { source, fields, context: Arc::clone(context) }))
        }
        other => Ok(value(&other)),
    }
}

/// A secret in a template. Remembers what was looked for and is not there.
struct SecretObject {
    source: Source,
    fields: BTreeMap<String, Value>,
    context: Arc<Context>,
}

impl fmt::Debug for SecretObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[redacted]")
    }
}

impl Object for SecretObject {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let found = self.fields.get(name);
        if found.is_none() {
            self.context.miss(name, no_field(&self.source, name, self.fields.keys()));
        }
        found.cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names: Vec<_> = self.fields.keys().map(|name| Value::from(name.as_str())).collect();
        Enumerator::Values(names)
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(on) => Value::from(*on),
        Json::Number(text) => number(text),
        Json::Text(text) => Value::from(text.as_str()),
        Json::List(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, json)| (name.clone(), value(json)));
            Value::from(fields.collect::<BTreeMap<_, _>>())
        }
    }
}

/// A number if it would be printed with the same text, else that text.
fn number(text: &str) -> Value {
    let number = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from));
    number.ok().filter(|number| number.to_string() == text).unwrap_or_else(|| Value::from(text))
}

fn plain(value: &Value) -> Result<serde_json::Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    serde_json::to_value(value).map_err(|_| refused("the value has no JSON form"))
}

/// Beginning of the details that may be told as they are: they are ours.
const OURS: &str = "secrets-service: ";

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{OURS}{what}"))
}

/// The context knows why.
fn stopped(_: Stop) -> Error {
    Error::new(ErrorKind::InvalidOperation, OURS)
}

fn with_what_was_missed(error: &Error, context: &Context) -> Trouble {
    if error.kind() == ErrorKind::WriteFailure {
        return Trouble::wrong(error.line(), TOO_LARGE);
    }
    let detail = error.detail().unwrap_or_default();
    // "`config.host` is undefined", and the like in other errors.
    let missed = detail.contains("is undefined").then(|| {
        context
            .missed(|field| detail.contains(&format!(".{field}`")) || detail.contains(&format!("{field:?}")))
    });
    match missed.flatten() {
        Some(what) => Trouble { line: error.line(), ..Trouble::new(Exit::NotFound, what) },
        None => trouble(error),
    }
}

/// What may be told of an error: the engine puts values into the details of some.
fn trouble(error: &Error) -> Trouble {
    use ErrorKind as Kind;
    let detail = error.detail().unwrap_or_default();
    let what = match error.kind() {
        _ if detail.starts_with(OURS) => detail.trim_start_matches(OURS).to_owned(),
        Kind::UndefinedError if !detail.is_empty() => detail.to_owned(),
        Kind::SyntaxError
        | Kind::UnknownFilter
        | Kind::UnknownFunction
        | Kind::UnknownTest
        | Kind::UnknownMethod
        | Kind::MissingArgument
        | Kind::TooManyArguments
        | Kind::TemplateNotFound => format!("{}: {detail}", error.kind()),
        Kind::OutOfFuel => "does not come to an end, or does too much".to_owned(),
        kind => kind.to_string(),
    };
    let exit = if error.kind() == Kind::UndefinedError { Exit::NotFound } else { Exit::Usage };
    Trouble { line: error.line(), ..Trouble::new(exit, what) }
}
