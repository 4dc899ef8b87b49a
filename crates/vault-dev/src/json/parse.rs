//! Reading: one level at a time through `RawValue`, so that number literals survive.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Json;

/// The text is not JSON. Worded as Go words it, because Vault passes Go's words on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// Deeper nesting is refused rather than risked: every level costs stack, and no secret is this deep.
const MAX_DEPTH: usize = 100;

/// Parses one JSON text.
pub(crate) fn parse(text: &[u8]) -> Result<Json, Malformed> {
    let raw: &RawValue = serde_json::from_slice(text).map_err(|error| explain(text, &error))?;
    of_raw(raw, MAX_DEPTH)
}

fn of_raw(raw: &RawValue, depth: usize) -> Result<Json, Malformed> {
    let text = raw.get();
    let deeper = || depth.checked_sub(1).ok_or_else(|| Malformed("exceeded max depth".to_owned()));
    let wrong = |error: serde_json::Error| explain(text.as_bytes(), &error);
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(wrong)?;
            let depth = deeper()?;
            let parsed = members.into_iter().map(|(name, value)| Ok((name, of_raw(value, depth)?)));
            Json::Object(parsed.collect::<Result<_, Malformed>>()?)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(wrong)?;
            let depth = deeper()?;
            Json::Array(items.into_iter().map(|item| of_raw(item, depth)).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Json::String(serde_json::from_str(text).map_err(wrong)?),
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        Some(b'n') => Json::Null,
        _ => Json::Number(text.to_owned()),
    })
}

fn explain(text: &[u8], error: &serde_json::Error) -> Malformed {
    if error.is_eof() {
        return Malformed("malformed JSON, unclosed containers".to_owned());
    }
    let line = text.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let byte = line.get(error.column().saturating_sub(1)).copied().unwrap_or(b' ');
    let place = if error.to_string().starts_with("trailing characters") {
        "after top-level value"
    } else {
        "looking for beginning of value"
    };
    Malformed(format!("invalid character '{}' {place}", char::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        let parsed = parse(br#"{"b":[1.10,123456789012345678901234567890],"a":null}"#).unwrap();
        let numbers = parsed.as_object().unwrap()["b"].clone();
        assert_eq!(
            numbers,
            Json::Array(vec![
                Json::Number("1.10".to_owned()),
                Json::Number("123456789012345678901234567890".to_owned())
            ])
        );
    }

    #[test]
    fn go_words() {
        assert_eq!(parse(b"{bad").unwrap_err().0, "invalid character 'b' looking for beginning of value");
        assert_eq!(parse(b"{\"a\":").unwrap_err().0, "malformed JSON, unclosed containers");
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        assert!(parse(deep.as_bytes()).is_err());
        let deeper = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(deeper.as_bytes()).is_err());
    }
}
