//! JSON as Vault keeps it: numbers verbatim, object keys sorted; and written as Go writes it.

mod encode;
mod go_value;
mod parse;
mod scalar;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use encode::encode;
pub(crate) use parse::{Malformed, parse};
pub(crate) use scalar::scalar_kind;

/// An object's members.
pub(crate) type Object = BTreeMap<String, Json>;

/// One JSON value. Unlike [`serde_json::Value`] it does not turn `123456789012345678901234567890` into a float:
/// a KV v1 secret comes back with the digits it was written with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// The digits as they were written.
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Object),
}

impl Json {
    pub(crate) fn as_object(&self) -> Option<&Object> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Go's name for the kind of value, as its decoding errors print it.
    pub(crate) fn go_kind(&self) -> &'static str {
        match self {
            Self::Null => "nil",
            Self::Bool(_) => "bool",
            Self::Number(_) => "json.Number",
            Self::String(_) => "string",
            Self::Array(_) => "slice",
            Self::Object(_) => "map",
        }
    }

    /// What KV v2 does to a secret: every number becomes a double, printed as Go prints doubles.
    pub(crate) fn with_doubles(self) -> Self {
        match self {
            Self::Number(digits) => Self::Number(encode::go_double(&digits)),
            Self::Array(items) => Self::Array(items.into_iter().map(Self::with_doubles).collect()),
            Self::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (name, value.with_doubles())).collect())
            }
            other => other,
        }
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number.to_string()),
            Value::String(text) => Self::String(text),
            Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (name, Self::from(value))).collect())
            }
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<bool> for Json {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<Object> for Json {
    fn from(members: Object) -> Self {
        Self::Object(members)
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod properties;

/// `object! { "name" => value, … }`: an [`Object`] of anything that turns into [`Json`].
macro_rules! object {
    ($($name:expr => $value:expr),* $(,)?) => {
        $crate::json::Object::from([$(($name.to_string(), $crate::json::Json::from($value))),*])
    };
}
pub(crate) use object;
