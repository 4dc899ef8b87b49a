//! What both syntaxes can do with a value: pure functions from JSON to text.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(super) fn json(value: &Value) -> String {
    value.to_string()
}

pub(super) fn json_pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// A value for a TOML file: a basic string, a number or a boolean. `None` for what has other forms in TOML.
pub(crate) fn toml(value: &Value) -> Option<String> {
    match value {
        // JSON's escapes are TOML's; it only wants DEL escaped as well.
        Value::String(_) => Some(value.to_string().replace('\u{7f}', "\\u007f")),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(toml).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// Block style for mappings and lists, double quotes for text: what YAML 1.1 and 1.2 read alike.
pub(super) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    write_yaml(&mut text, value, 0);
    text
}

fn write_yaml(text: &mut String, value: &Value, depth: usize) {
    let indent = |text: &mut String, first: bool| {
        if !first {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', 2 * depth));
        }
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (n, (name, value)) in fields.iter().enumerate() {
                indent(text, n == 0);
                let _ = write!(text, "{}:", yaml_text(name));
                let nested = match value {
                    Value::Object(fields) => !fields.is_empty(),
                    Value::Array(items) => !items.is_empty(),
                    _ => false,
                };
                if nested {
                    text.push('\n');
                    text.extend(std::iter::repeat_n(' ', 2 * (depth + 1)));
                } else {
                    text.push(' ');
                }
                write_yaml(text, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (n, item) in items.iter().enumerate() {
                indent(text, n == 0);
                text.push_str("- ");
                write_yaml(text, item, depth + 1);
            }
        }
        Value::String(string) => text.push_str(&yaml_text(string)),
        // `{}`, `[]`, null, booleans and numbers are written as in JSON.
        other => text.push_str(&other.to_string()),
    }
}

/// JSON's strings are YAML's, but for a few characters that YAML wants escaped.
fn yaml_text(string: &str) -> String {
    let mut text = String::new();
    for c in Value::from(string).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

pub(super) fn base64_encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// `None` if it is not base64 of a UTF-8 text.
pub(super) fn base64_decode(text: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()
}

/// One word of a POSIX shell, whatever is in it.
pub(super) fn shell(text: &str) -> String {
    crate::env_format::quoted(text).to_string()
}

pub(super) fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_is_what_yaml_readers_read() {
        let value = json!({
            "a": {"b": [1, {"c": "yes", "d": []}, ["x"]], "e": {}}, "n": null, "t": "line 1\nline 2: \"q\" \u{2028}",
        });
        let expected = concat!(
            "\"a\":\n  \"b\":\n    - 1\n    - \"c\": \"yes\"\n      \"d\": []\n    - - \"x\"\n  \"e\": {}\n",
            "\"n\": null\n\"t\": \"line 1\\nline 2: \\\"q\\\" \\u2028\"",
        );
        assert_eq!(yaml(&value), expected);
        assert_eq!(yaml(&json!("no")), "\"no\"");
    }

    #[test]
    fn toml_reads_back_what_went_in() {
        for value in [json!("a\"b\\c\nd\u{7f}\u{1}ü"), json!(1.5), json!(true), json!(["a", 1])] {
            let text = format!("v = {}", toml(&value).unwrap());
            let table: toml::Table = text.parse().unwrap();
            assert_eq!(serde_json::to_value(&table["v"]).unwrap(), value, "{text}");
        }
        assert_eq!(toml(&json!({"a": 1})), None);
    }

    #[test]
    fn base64_and_digest() {
        assert_eq!(base64_decode(&base64_encode("a\nü")).as_deref(), Some("a\nü"));
        assert_eq!(base64_decode("????"), None);
        assert_eq!(base64_decode("/w=="), None);
        assert_eq!(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
