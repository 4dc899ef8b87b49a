//! The functions of consul-template that users of Vault have in their files.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value, ValueFunc};

use super::super::context::{Context, no_field};
use super::super::json::Json;
use super::super::reading::{Reading, Source};
use super::super::{LARGEST, filters};
use super::tree::{NOTE_LINE, PRINT};
use crate::failure::Exit;

/// Beginning of the messages that may be told as they are.
pub(super) const OURS: &str = "secrets-service: ";

/// The engine's own.
const BUILT_IN: &[&str] = &[
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print",
    "printf", "println", "slice", "urlquery",
];

/// Ours that need the context.
const FROM_CONTEXT: &[&str] = &["secret", "secrets", "env", "mustEnv", "envOrDefault"];

pub(super) fn is_known(name: &str) -> bool {
    BUILT_IN.contains(&name) || FROM_CONTEXT.contains(&name) || PURE.iter().any(|(pure, _)| *pure == name)
}

type Answer = Result<Value, TemplateError>;

pub(super) fn all(context: &Arc<Context>) -> FuncMap {
    let mut all = FuncMap::new();
    for (name, function) in PURE {
        all.insert((*name).to_owned(), Arc::new(function));
    }
    for name in ["print", "printf", "println"] {
        all.insert(name.to_owned(), Arc::new(move |arguments: &[Value]| formatted(name, arguments)));
    }
    let mut add = |name: &str, function: fn(&Context, &[Value]) -> Answer| {
        let context = Arc::clone(context);
        let function: ValueFunc = Arc::new(move |arguments: &[Value]| function(&context, arguments));
        all.insert(name.to_owned(), function);
    };
    add(NOTE_LINE, note_line);
    add(PRINT, print);
    add("index", index);
    add("secret", secret);
    add("secrets", secrets);
    add("env", |context, arguments| {
        let value = context.variable(one_text(arguments)?).map_err(|_| stopped())?;
        Ok(text(value.unwrap_or_default()))
    });
    add("mustEnv", |context, arguments| {
        let name = one_text(arguments)?;
        let value = context.variable(name).map_err(|_| stopped())?;
        value.map(text).ok_or_else(|| {
            context.fail(Exit::Usage, format!("the variable {name} is not set"));
            stopped()
        })
    });
    add("envOrDefault", |context, arguments| {
        let [name, default] = texts(arguments)?;
        let value = context.variable(name).map_err(|_| stopped())?;
        Ok(text(value.unwrap_or_else(|| default.to_owned())))
    });
    all
}

fn note_line(context: &Context, arguments: &[Value]) -> Answer {
    let line = arguments.first().and_then(Value::as_int).and_then(|line| usize::try_from(line).ok());
    context.set_line(line.ok_or_else(|| refused("needs a line"))?);
    Ok(text(String::new()))
}

/// What is missing or null is printed as `<no value>` by Go. A file with that in it is worse than none.
fn print(context: &Context, arguments: &[Value]) -> Answer {
    match arguments {
        [Value::Nil] => {
            let what = context.missed(|_| true);
            context.fail(Exit::NotFound, what.unwrap_or_else(|| "the value is null or missing".to_owned()));
            Err(stopped())
        }
        [value] => Ok(value.clone()),
        _ => Err(refused("prints one value")),
    }
}

/// As Go's: a key that is not there gives nothing, which can be tested for, but not be printed.
fn index(context: &Context, arguments: &[Value]) -> Answer {
    let Some((value, keys)) = arguments.split_first().filter(|(_, keys)| !keys.is_empty()) else {
        return Err(refused("index needs a value and a key"));
    };
    let mut value = value.clone();
    for key in keys {
        let found = value.index(key)?;
        if let (Value::Map(_), Value::String(key), Value::Nil) = (&value, key, &found) {
            context.miss(key, missing(context, key));
        }
        value = found;
    }
    Ok(value)
}

/// Which secret has no such field. The engine does not say; it is the last one used that has none.
pub(super) fn missing(context: &Context, key: &str) -> String {
    let used = context.used();
    let objects = used.iter().rev().filter_map(|(source, reading)| {
        let Reading::Secret(read) = &**reading else { return None };
        let Some(Json::Object(fields)) = Json::parse(read.data().expose_json()) else { return None };
        Some((source, fields, read.version().is_some()))
    });
    let mut objects: Vec<_> = objects.collect();
    if let Some((source, ..)) = objects.iter().find(|(_, fields, kv2)| *kv2 && fields.contains_key(key)) {
        return format!("{source} is of KV version 2: its field {key:?} is .Data.data.{key}");
    }
    objects.retain(|(_, fields, _)| !fields.contains_key(key));
    match objects.first() {
        Some((source, fields, _)) => no_field(source, key, fields.keys()),
        None => format!("there is no field {key:?}"),
    }
}

fn secret(context: &Context, arguments: &[Value]) -> Answer {
    let Some((Value::String(path), parameters)) = arguments.split_first() else {
        return Err(refused("secret needs a path"));
    };
    if !parameters.is_empty() {
        return Err(refused("secret with parameters writes to Vault, which templates do not do here"));
    }
    let (path, version) = match path.split_once("?version=") {
        Some((path, version)) => {
            (path, Some(version.parse().map_err(|_| refused("?version= needs a number"))?))
        }
        None => (&**path, None),
    };
    let source = Source::Secret { path: path.to_owned(), version };
    let reading = context.read(source).map_err(|_| stopped())?;
    let Reading::Secret(read) = &*reading else { return Err(stopped()) };
    // The whole answer, as Vault sent it: `.Data.data` for KV version 2, `.Data` for everything else.
    let body = std::str::from_utf8(read.raw_body()).ok().and_then(Json::parse);
    let body = body.ok_or_else(|| refused("the answer is nested too deeply"))?;
    let mut fields = BTreeMap::new();
    for (name, go) in [
        ("data", "Data"),
        ("lease_id", "LeaseID"),
        ("lease_duration", "LeaseDuration"),
        ("renewable", "Renewable"),
        ("request_id", "RequestID"),
    ] {
        fields.insert(go.into(), body.get(name).map_or(Value::Nil, value));
    }
    Ok(Value::Map(Arc::new(fields)))
}

fn secrets(context: &Context, arguments: &[Value]) -> Answer {
    // Files have the path of Vault's API, `secret/metadata/myapp`.
    let path = one_text(arguments)?.trim_end_matches('/');
    let path = match path.split_once("/metadata") {
        Some((mount, rest)) if rest.is_empty() || rest.starts_with('/') => format!("{mount}{rest}"),
        _ => path.to_owned(),
    };
    let reading = context.read(Source::Names { path }).map_err(|_| stopped())?;
    let Reading::Names(names) = &*reading else { return Err(stopped()) };
    Ok(list(names.iter().map(|name| text(name.clone()))))
}

/// The engine's own, with a limit to what comes out: in a loop it could double a text without end.
fn formatted(name: &str, arguments: &[Value]) -> Answer {
    if name == "printf" && !matches!(arguments.first(), Some(Value::String(_))) {
        return Err(refused("printf needs a format"));
    }
    let call: Vec<_> = (0..arguments.len()).map(|n| format!("(index . {n})")).collect();
    let source = format!("{{{{ {name} {} }}}}", call.join(" "));
    let template = gotmpl::Template::new("").parse(&source)?;
    sized(template.execute_to_string(&list(arguments.iter().cloned()))?)
}

type Pure = fn(&[Value]) -> Answer;

const PURE: &[(&str, Pure)] = &[
    ("base64Encode", |a| sized(filters::base64_encode(one_text(a)?))),
    ("base64Decode", |a| {
        filters::base64_decode(one_text(a)?).map(text).ok_or_else(|| refused("is not base64 of a UTF-8 text"))
    }),
    ("toJSON", |a| sized(filters::json(&one_plain(a)?))),
    ("toUnescapedJSON", |a| sized(filters::json(&one_plain(a)?))),
    ("toJSONPretty", |a| sized(filters::json_pretty(&one_plain(a)?))),
    ("toYAML", |a| sized(filters::yaml(&one_plain(a)?))),
    ("parseJSON", |a| {
        Json::parse(one_text(a)?)
            .as_ref()
            .map(value)
            .ok_or_else(|| refused("is not JSON, or nested too deeply"))
    }),
    ("parseInt", |a| one_text(a)?.parse().map(Value::Int).map_err(|_| refused("is not a whole number"))),
    ("parseBool", |a| one_text(a)?.parse().map(Value::Bool).map_err(|_| refused("is not true or false"))),
    ("toLower", |a| Ok(text(one_text(a)?.to_lowercase()))),
    ("toUpper", |a| Ok(text(one_text(a)?.to_uppercase()))),
    ("trimSpace", |a| Ok(text(one_text(a)?.trim().to_owned()))),
    ("trim", |a| texts(a).map(|[cut, s]| text(s.trim_matches(|c| cut.contains(c)).to_owned()))),
    ("trimPrefix", |a| texts(a).map(|[cut, s]| text(s.strip_prefix(cut).unwrap_or(s).to_owned()))),
    ("trimSuffix", |a| texts(a).map(|[cut, s]| text(s.strip_suffix(cut).unwrap_or(s).to_owned()))),
    ("replaceAll", |a| texts(a).and_then(|[from, to, s]| sized(s.replace(from, to)))),
    ("split", |a| texts(a).map(|[by, s]| list(s.split(by).map(|part| text(part.to_owned()))))),
    ("join", |a| match a {
        [Value::String(by), Value::List(items)] => {
            let items: Vec<_> = items.iter().map(ToString::to_string).collect();
            sized(items.join(by))
        }
        _ => Err(refused("join needs a separator and a list")),
    }),
    ("contains", |a| match a {
        [Value::String(part), Value::String(whole)] => Ok(Value::Bool(whole.contains(&**part))),
        [item, Value::List(items)] => Ok(Value::Bool(items.contains(item))),
        _ => Err(refused("contains needs an item and a list, or two texts")),
    }),
    ("indent", |a| match a {
        [Value::Int(spaces), Value::String(lines)] => {
            let spaces = " ".repeat(usize::try_from(*spaces).unwrap_or(0).min(1_000));
            let lines: Vec<_> = lines
                .split('\n')
                .map(|line| if line.is_empty() { String::new() } else { format!("{spaces}{line}") })
                .collect();
            sized(lines.join("\n"))
        }
        _ => Err(refused("indent needs a number and a text")),
    }),
    ("add", |a| calculated(a, i64::checked_add)),
    ("subtract", |a| calculated(a, |a, b| b.checked_sub(a))),
    ("multiply", |a| calculated(a, i64::checked_mul)),
    ("divide", |a| calculated(a, |a, b| b.checked_div(a))),
    ("modulo", |a| calculated(a, |a, b| b.checked_rem(a))),
    ("sha256Hex", |a| Ok(text(filters::sha256(one_text(a)?)))),
];

fn calculated(arguments: &[Value], operation: fn(i64, i64) -> Option<i64>) -> Answer {
    match arguments {
        [Value::Int(a), Value::Int(b)] => {
            operation(*a, *b).map(Value::Int).ok_or_else(|| refused("has no result"))
        }
        _ => Err(refused("needs two whole numbers")),
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(on) => Value::Bool(*on),
        // Whole numbers can be calculated with; the others keep their text.
        Json::Number(number) => match number.parse() {
            Ok(whole) if i64::to_string(&whole) == *number => Value::Int(whole),
            _ => text(number.clone()),
        },
        Json::Text(string) => text(string.clone()),
        Json::List(items) => list(items.iter().map(value)),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, json)| (Arc::from(name.as_str()), value(json)));
            Value::Map(Arc::new(fields.collect()))
        }
    }
}

fn plain(value: &Value) -> Option<serde_json::Value> {
    use serde_json::Value as Plain;
    Some(match value {
        Value::Nil => Plain::Null,
        Value::Bool(on) => Plain::Bool(*on),
        Value::Int(number) => Plain::from(*number),
        Value::Uint(number) => Plain::from(*number),
        Value::Float(number) => Plain::from(*number),
        Value::String(string) => Plain::from(&**string),
        Value::List(items) => Plain::Array(items.iter().map(plain).collect::<Option<_>>()?),
        Value::Map(fields) => {
            let fields = fields.iter().map(|(name, value)| Some((name.to_string(), plain(value)?)));
            Plain::Object(fields.collect::<Option<_>>()?)
        }
        Value::Function(_) => return None,
    })
}

fn one_plain(arguments: &[Value]) -> Result<serde_json::Value, TemplateError> {
    match arguments {
        [value] => plain(value).ok_or_else(|| refused("a function has no JSON form")),
        _ => Err(refused("needs one value")),
    }
}

fn one_text(arguments: &[Value]) -> Result<&str, TemplateError> {
    texts(arguments).map(|[one]| one)
}

fn texts<const N: usize>(arguments: &[Value]) -> Result<[&str; N], TemplateError> {
    let texts: Option<Vec<&str>> = arguments
        .iter()
        .map(|argument| if let Value::String(text) = argument { Some(&**text) } else { None })
        .collect();
    texts.and_then(|texts| texts.try_into().ok()).ok_or_else(|| {
        refused(if N == 1 {
            "needs one text"
        } else {
            "needs texts, and as many as are said in its description"
        })
    })
}

fn text(text: String) -> Value {
    Value::String(text.into())
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    Value::List(items.collect())
}

fn sized(result: String) -> Answer {
    if result.len() > LARGEST { Err(refused("makes a text larger than 16 MiB")) } else { Ok(text(result)) }
}

fn refused(what: &str) -> TemplateError {
    TemplateError::Exec(format!("{OURS}{what}"))
}

/// The context knows why.
fn stopped() -> TemplateError {
    TemplateError::Exec(OURS.to_owned())
}
