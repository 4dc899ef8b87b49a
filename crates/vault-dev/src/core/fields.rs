//! Typed access to a request's members, as lenient as Vault: numbers may be strings, lists may have commas.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::Refusal;
use crate::go_duration;
use crate::json::{Json, Object, encode, parse};

/// The members of one request. `null` counts as absent, everywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(&'a Object);

impl<'a> Fields<'a> {
    pub(crate) fn of(members: &'a Object) -> Self {
        Self(members)
    }

    pub(crate) fn get(self, name: &str) -> Option<&'a Json> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn string(self, name: &str) -> Result<Option<String>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(Json::Number(digits)) => Ok(Some(digits.clone())),
            Some(Json::Bool(flag)) => Ok(Some(if *flag { "1" } else { "0" }.to_owned())),
            Some(other) => Err(unconvertible(
                name,
                &format!("'' expected type 'string', got unconvertible type '{}'", other.go_kind()),
            )),
        }
    }

    /// The text, or `""`.
    pub(crate) fn text(self, name: &str) -> Result<String, Refusal> {
        Ok(self.string(name)?.unwrap_or_default())
    }

    pub(crate) fn integer(self, name: &str) -> Result<Option<i64>, Refusal> {
        let digits = match self.get(name) {
            None => return Ok(None),
            Some(Json::Number(digits) | Json::String(digits)) => digits,
            Some(Json::Bool(flag)) => return Ok(Some(i64::from(*flag))),
            Some(other) => {
                let kind = other.go_kind();
                return Err(unconvertible(
                    name,
                    &format!("'' expected type 'int', got unconvertible type '{kind}'"),
                ));
            }
        };
        digits.parse().map(Some).map_err(|_| {
            let complaint =
                format!("cannot parse '' as int: strconv.ParseInt: parsing {digits:?}: invalid syntax");
            unconvertible(name, &complaint)
        })
    }

    /// A count; negative ones are 0.
    pub(crate) fn count(self, name: &str) -> Result<Option<u64>, Refusal> {
        Ok(self.integer(name)?.map(|number| u64::try_from(number).unwrap_or(0)))
    }

    pub(crate) fn boolean(self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(*flag)),
            Some(Json::Number(digits)) => Ok(Some(digits != "0")),
            Some(Json::String(text)) if text.is_empty() => Ok(Some(false)),
            Some(Json::String(text)) => go_bool(text).map(Some).ok_or_else(|| {
                let complaint =
                    format!("cannot parse '' as bool: strconv.ParseBool: parsing {text:?}: invalid syntax");
                unconvertible(name, &complaint)
            }),
            Some(other) => {
                let kind = other.go_kind();
                Err(unconvertible(name, &format!("'' expected type 'bool', got unconvertible type '{kind}'")))
            }
        }
    }

    pub(crate) fn duration(self, name: &str) -> Result<Option<Duration>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Number(text) | Json::String(text)) => {
                // Fractions of a second are dropped, as Vault does.
                let text = text
                    .split_once('.')
                    .filter(|(_, rest)| is_digits(rest))
                    .map_or(text.as_str(), |(whole, _)| whole);
                go_duration::parse(text).map(Some).map_err(|complaint| unconvertible(name, &complaint))
            }
            Some(_) => Err(unconvertible(name, "could not parse duration from input")),
        }
    }

    /// A list, or a string with commas. Empty items are dropped.
    pub(crate) fn list(self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let items = match self.get(name) {
            None => return Ok(None),
            Some(Json::Array(items)) => items.iter().map(plain).collect(),
            Some(Json::String(text)) => text.split(',').map(str::to_owned).collect(),
            Some(Json::Number(digits)) => vec![digits.clone()],
            Some(other) => {
                let kind = other.go_kind();
                return Err(unconvertible(
                    name,
                    &format!("'' expected type 'string', got unconvertible type '{kind}'"),
                ));
            }
        };
        Ok(Some(
            items
                .iter()
                .map(|item: &String| item.trim().to_owned())
                .filter(|item| !item.is_empty())
                .collect(),
        ))
    }

    /// A list of statements: an array, or one string (which may be a JSON array itself).
    pub(crate) fn statements(self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        match self.get(name) {
            Some(Json::String(text)) => Ok(Some(match parse(text.as_bytes()) {
                Ok(Json::Array(items)) => items.iter().map(plain).collect(),
                _ => vec![text.clone()],
            })),
            _ => self.list(name),
        }
    }

    /// An object. An empty list is one too.
    pub(crate) fn object(self, name: &str) -> Result<Option<&'a Object>, Refusal> {
        static EMPTY: Object = Object::new();
        match self.get(name) {
            None => Ok(None),
            Some(Json::Object(members)) => Ok(Some(members)),
            Some(Json::Array(items)) if items.is_empty() => Ok(Some(&EMPTY)),
            Some(other) => {
                // Go keeps a number as its digits.
                let kind = if matches!(other, Json::Number(_)) { "string" } else { other.go_kind() };
                Err(unconvertible(name, &format!("'' expected a map, got '{kind}'")))
            }
        }
    }

    /// Is the member there, be it as `null`?
    pub(crate) fn mentions(self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// An object of strings.
    pub(crate) fn string_map(self, name: &str) -> Result<Option<BTreeMap<String, String>>, Refusal> {
        Ok(self
            .object(name)?
            .map(|members| members.iter().map(|(name, value)| (name.clone(), plain(value))).collect()))
    }
}

/// How Vault begins a complaint about a field, except where it has looked at the fields before, to see whether the
/// write would be an update.
pub(super) const VALIDATION: &str = "Field validation failed: ";

/// `true` and its Go spellings.
pub(crate) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A value as a plain string: strings without quotes, anything else as its JSON.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| encode(value), str::to_owned)
}

fn unconvertible(name: &str, complaint: &str) -> Refusal {
    Refusal::bad_request(format!(
        "Field validation failed: error converting input for field {name:?}: {complaint}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::object;

    #[test]
    fn lenient_as_vault() {
        let members = object! {
            "n" => "12", "b" => "true", "t" => "1h", "seconds" => 90_u64, "list" => "a, b,,c", "nothing" => Json::Null,
        };
        let fields = Fields::of(&members);
        assert_eq!(fields.integer("n").unwrap(), Some(12));
        assert_eq!(fields.boolean("b").unwrap(), Some(true));
        assert_eq!(fields.duration("t").unwrap(), Some(Duration::from_secs(3600)));
        assert_eq!(fields.duration("seconds").unwrap(), Some(Duration::from_secs(90)));
        assert_eq!(fields.list("list").unwrap().unwrap(), ["a", "b", "c"]);
        assert_eq!(fields.string("nothing").unwrap(), None);
    }

    #[test]
    fn complaints_name_the_field() {
        let members = object! { "n" => "zz" };
        let refusal = Fields::of(&members).integer("n").unwrap_err();
        assert_eq!(refusal.status, 400);
        assert_eq!(
            refusal.errors,
            [
                "Field validation failed: error converting input for field \"n\": cannot parse '' as int: strconv.ParseInt: parsing \"zz\": invalid syntax"
            ]
        );
    }
}
