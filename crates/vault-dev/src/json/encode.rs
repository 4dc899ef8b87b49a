//! Writing: compact, keys sorted, with the escapes of Go's `encoding/json`.

use std::fmt::Write as _;

use super::Json;

/// The text of `value`, without the newline that ends a body.
pub(crate) fn encode(value: &Json) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Json::Number(digits) => out.push_str(digits),
        Json::String(text) => write_string(text, out),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // Go escapes these so that JSON may stand inside HTML and old JavaScript.
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// A number literal as Go prints it after a round trip through a double: `100000` for `1e5`.
pub(super) fn go_double(digits: &str) -> String {
    let Ok(number) = digits.parse::<f64>() else { return digits.to_owned() };
    let size = number.abs();
    if number != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return match text.split_once('e') {
            Some((mantissa, exponent)) if !exponent.starts_with('-') => format!("{mantissa}e+{exponent:0>2}"),
            _ => text,
        };
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn go_escapes() {
        let value = Json::from("<&>\u{2028}\u{1}\"é");
        assert_eq!(encode(&value), "\"\\u003c\\u0026\\u003e\\u2028\\u0001\\\"é\"");
    }

    #[test]
    fn go_doubles() {
        for (written, printed) in [
            ("1e5", "100000"),
            ("1.10", "1.1"),
            ("123456789012345678901234567890", "1.2345678901234568e+29"),
            ("0.0000001", "1e-7"),
            ("0", "0"),
            ("-2.50", "-2.5"),
        ] {
            assert_eq!(go_double(written), printed, "{written}");
        }
    }

    #[test]
    fn sorted_and_compact() {
        let value = parse(br#" {"b": 1, "a": [true, null, {"z": "y"}]} "#).unwrap();
        assert_eq!(encode(&value), r#"{"a":[true,null,{"z":"y"}],"b":1}"#);
    }
}
