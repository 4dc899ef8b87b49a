//! JSON as Vault sent it: numbers keep their text, so that a file says `1.50` where the secret does.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Deeper values are refused: both template engines recurse.
const DEEPEST: usize = 64;

#[derive(Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// `None` if it is not JSON, or too deep.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::parse_to(text.trim(), DEEPEST)
    }

    fn parse_to(text: &str, depth: usize) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        Some(match text.bytes().next()? {
            b'{' => {
                let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
                let fields =
                    fields.into_iter().map(|(name, value)| Some((name, Self::parse_to(value.get(), depth)?)));
                Self::Object(fields.collect::<Option<_>>()?)
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let items = items.into_iter().map(|item| Self::parse_to(item.get(), depth));
                Self::List(items.collect::<Option<_>>()?)
            }
            b'"' => Self::Text(serde_json::from_str(text).ok()?),
            b't' | b'f' => Self::Bool(serde_json::from_str(text).ok()?),
            b'n' => Self::Null,
            _ => {
                serde_json::from_str::<serde_json::Number>(text).ok()?;
                Self::Number(text.to_owned())
            }
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text_and_depth_is_bounded() {
        let json = Json::parse(r#" {"a":[1.50, 12345678901234567890123, -0.0, true, null, "\u00fc"]} "#);
        let Some(Json::List(items)) = json.as_ref().and_then(|json| json.get("a")) else { panic!() };
        let number = |text: &str| Json::Number(text.to_owned());
        assert!(items[0] == number("1.50") && items[1] == number("12345678901234567890123"));
        assert!(items[2] == number("-0.0") && items[5] == Json::Text("ü".to_owned()));
        assert!(Json::parse(&"[".repeat(1_000_000)).is_none());
        assert!(Json::parse(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).is_none());
        assert!(Json::parse("nope").is_none() || Json::parse("nope") == Some(Json::Null));
        assert!(Json::parse("").is_none());
    }
}
