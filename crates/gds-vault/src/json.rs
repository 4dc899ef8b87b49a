//! Small things about JSON that serde does not do: wiping, tolerance, and errors that repeat no value.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::secret_string::SecretString;

/// A JSON text as a value; the error never repeats what stands there.
pub(crate) fn parse<'a, T: Deserialize<'a>>(what: &str, text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::new(ErrorKind::MalformedAnswer, describe(what, &error)))
}

/// What serde found wrong, without the value it found: its own text quotes values.
pub(crate) fn describe(what: &str, error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let text = error.to_string();
    // The name of a missing field comes from the type that was asked for, not from the answer.
    let missing = text.strip_prefix("missing field ").and_then(|rest| rest.split('`').nth(1));
    let problem = match (error.classify(), missing) {
        (Category::Data, Some(name)) => format!("{what} lack `{name}`"),
        (Category::Data, None) => format!("{what}: one value is not of the expected type"),
        (Category::Eof, _) => format!("{what}: the JSON ends too early"),
        (Category::Syntax | Category::Io, _) => format!("{what}: not JSON"),
    };
    format!("{problem} (line {}, column {})", error.line(), error.column())
}

/// A number of seconds; `null` is 0, and so is anything negative.
#[derive(Default, Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Option::<i64>::deserialize(deserializer)?.unwrap_or_default();
        Ok(Self(Duration::from_secs(u64::try_from(number).unwrap_or_default())))
    }
}

/// For `#[serde(deserialize_with)]`: `null` as the default value. Go writes `null` for its empty lists and maps.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// For `#[serde(deserialize_with)]`: seconds as a duration.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Seconds::deserialize(deserializer).map(|seconds| seconds.0)
}

/// The text of a JSON string, given with its quotes. Leaves no unwiped copy behind, unlike serde's scratch buffer.
///
/// The string must be well-formed. Half a surrogate pair, which JSON allows and UTF-8 does not, becomes U+FFFD.
pub(crate) fn unescape(quoted: &str) -> SecretString {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted);
    if !inner.contains('\\') {
        return inner.into();
    }
    // Unescaping never makes a string longer, so this never grows.
    let mut text = Zeroizing::new(String::with_capacity(inner.len()));
    let mut rest = inner;
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        let (c, length) = unescape_one(escape);
        text.push(c);
        rest = escape.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    text.as_str().into()
}

/// The character that an escape (after its backslash) stands for, and how many bytes it takes.
fn unescape_one(escape: &str) -> (char, usize) {
    match escape.as_bytes().first() {
        Some(b'n') => ('\n', 1),
        Some(b't') => ('\t', 1),
        Some(b'r') => ('\r', 1),
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'u') => match (hex(escape, 1), escape.get(5..7), hex(escape, 7)) {
            (high @ 0xD800..=0xDBFF, Some("\\u"), low @ 0xDC00..=0xDFFF) => {
                let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11)
            }
            (code, _, _) => (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 5),
        },
        // `"`, `\`, `/`.
        Some(other) => (char::from(*other), 1),
        None => (char::REPLACEMENT_CHARACTER, 0),
    }
}

/// Four hexadecimal digits; `u32::MAX`, which is no character, if they are not.
fn hex(text: &str, at: usize) -> u32 {
    text.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, serde::Deserialize)]
    struct Two {
        #[serde(deserialize_with = "seconds")]
        _ttl: Duration,
        _name: String,
    }

    #[test]
    fn errors_say_what_and_where_but_no_value() {
        for (text, said) in [
            (r#"{"_ttl": 1, "_name": 424242}"#, "one value is not of the expected type (line 1, column 27)"),
            (r#"{"_ttl": "424242", "_name": ""}"#, "one value is not of the expected type"),
            (r#"{"_ttl": 424242}"#, "lack `_name`"),
            (r#"{"_ttl": 424242"#, "ends too early"),
            ("424242 {", "not JSON"),
        ] {
            let error = parse::<Two>("the fields", text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MalformedAnswer);
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("424242"), "{shown}");
            assert!(shown.contains(said) || text.starts_with("424242"), "{shown}");
        }
    }

    #[test]
    fn seconds_tolerate_null_and_negative() {
        for (text, expected) in [("null", 0), ("-1", 0), ("0", 0), ("3600", 3600)] {
            let Seconds(duration) = serde_json::from_str(text).unwrap();
            assert_eq!(duration, Duration::from_secs(expected));
        }
        assert!(serde_json::from_str::<Seconds>("\"1h\"").is_err());
    }

    #[test]
    fn half_surrogate_pairs_become_replacement_characters() {
        for (quoted, text) in [
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        ] {
            assert_eq!(unescape(quoted).expose(), text, "{quoted}");
        }
    }

    proptest! {
        #[test]
        fn unescaping_undoes_serdes_escaping(text in any::<String>()) {
            let quoted = serde_json::to_string(&text).unwrap();
            let unescaped = unescape(&quoted);
            prop_assert_eq!(unescaped.expose(), &text);
        }

        #[test]
        fn unescaping_agrees_with_serde_on_every_escape(escapes in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec!["\\n", "\\t", "\\r", "\\b", "\\f", "\\\"", "\\\\", "\\/", "é", "x", "\\ud83d\\ude00"])
                    .prop_map(str::to_owned),
                (0_u32..0xD800).prop_map(|code| format!("\\u{code:04X}")),
                (0xE000_u32..=0xFFFF).prop_map(|code| format!("\\u{code:04x}")),
            ],
            0..20,
        )) {
            let quoted = format!("\"{}\"", escapes.concat());
            let expected: String = serde_json::from_str(&quoted).unwrap();
            let unescaped = unescape(&quoted);
            prop_assert_eq!(unescaped.expose(), &expected);
        }

        #[test]
        fn unescaping_never_panics(text in any::<String>()) {
            unescape(&text);
            unescape(&format!("\"\\u{text}\""));
        }
    }
}
