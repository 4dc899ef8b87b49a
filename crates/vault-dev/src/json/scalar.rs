//! Texts that are neither a list nor an object: Go's decoder reads their first value, and has its own words for what is
//! wrong with it.

use super::Malformed;

/// What the value that `text` begins with is: `null`, `bool`, `number` or `string`. Whatever comes after it does not
/// count, as in Go.
pub(crate) fn scalar_kind(text: &[u8]) -> Result<&'static str, Malformed> {
    let text = text.trim_ascii_start();
    match text.first() {
        Some(b'n') => literal(text, "null").map(|()| "null"),
        Some(b't') => literal(text, "true").map(|()| "bool"),
        Some(b'f') => literal(text, "false").map(|()| "bool"),
        Some(b'"') => string(&text[1..]).map(|()| "string"),
        Some(b'-' | b'0'..=b'9') => number(text).map(|()| "number"),
        other => Err(unexpected(other.copied(), "looking for beginning of value")),
    }
}

fn literal(text: &[u8], word: &str) -> Result<(), Malformed> {
    for (index, wanted) in word.bytes().enumerate() {
        let found = text.get(index).copied();
        if found != Some(wanted) {
            let place = format!("in literal {word} (expecting '{}')", char::from(wanted));
            return Err(unexpected(found, &place));
        }
    }
    Ok(())
}

fn number(text: &[u8]) -> Result<(), Malformed> {
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    // No digit may follow a zero at the beginning; the number ends there.
    rest = match rest {
        [b'0', after @ ..] => after,
        _ => digits(rest, "in numeric literal")?,
    };
    if let Some(after) = rest.strip_prefix(b".") {
        rest = digits(after, "after decimal point in numeric literal")?;
    }
    if let [b'e' | b'E', after @ ..] = rest {
        let after = match after {
            [b'+' | b'-', after @ ..] => after,
            _ => after,
        };
        digits(after, "in exponent of numeric literal")?;
    }
    Ok(())
}

/// What comes after the digits, of which there must be one.
fn digits<'a>(text: &'a [u8], place: &str) -> Result<&'a [u8], Malformed> {
    match text.iter().position(|byte| !byte.is_ascii_digit()) {
        Some(0) => Err(unexpected(text.first().copied(), place)),
        None if text.is_empty() => Err(unexpected(None, place)),
        Some(end) => Ok(&text[end..]),
        None => Ok(&[]),
    }
}

/// `text` begins after the quote.
fn string(text: &[u8]) -> Result<(), Malformed> {
    let mut bytes = text.iter().copied();
    loop {
        match bytes.next() {
            Some(b'"') => return Ok(()),
            Some(b'\\') => match bytes.next() {
                Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => {}
                Some(b'u') => {
                    for _ in 0..4 {
                        let digit = bytes.next();
                        if !digit.is_some_and(|digit| digit.is_ascii_hexdigit()) {
                            return Err(unexpected(digit, "in \\u hexadecimal character escape"));
                        }
                    }
                }
                other => return Err(unexpected(other, "in string escape code")),
            },
            found @ (None | Some(0..0x20)) => return Err(unexpected(found, "in string literal")),
            Some(_) => {}
        }
    }
}

/// Go takes the byte for a character, and quotes it if it cannot be printed.
fn unexpected(found: Option<u8>, place: &str) -> Malformed {
    let Some(byte) = found else { return Malformed("unexpected EOF".to_owned()) };
    let character = match byte {
        b'\'' => r"\'".to_owned(),
        b'\\' => r"\\".to_owned(),
        0x07 => r"\a".to_owned(),
        0x08 => r"\b".to_owned(),
        0x0b => r"\v".to_owned(),
        0x0c => r"\f".to_owned(),
        b'\n' => r"\n".to_owned(),
        b'\r' => r"\r".to_owned(),
        b'\t' => r"\t".to_owned(),
        0..0x20 | 0x7f => format!(r"\x{byte:02x}"),
        0x80..=0xa0 | 0xad => format!(r"\u{byte:04x}"),
        _ => char::from(byte).to_string(),
    };
    Malformed(format!("invalid character '{character}' {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_begins_with() {
        for (text, kind) in [
            ("null", "null"),
            ("nullx", "null"),
            (" true", "bool"),
            ("false x", "bool"),
            ("-1.5e+3", "number"),
            ("01", "number"),
            ("1x", "number"),
            (r#""a\u00e9\n" y"#, "string"),
        ] {
            assert_eq!(scalar_kind(text.as_bytes()).unwrap(), kind, "{text}");
        }
    }

    #[test]
    fn go_words() {
        for (text, complaint) in [
            ("not json", "invalid character 'o' in literal null (expecting 'u')"),
            ("falsy", "invalid character 'y' in literal false (expecting 'e')"),
            ("nul", "unexpected EOF"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("'a'", r"invalid character '\'' looking for beginning of value"),
            ("\u{1}", r"invalid character '\x01' looking for beginning of value"),
            ("é", "invalid character 'Ã' looking for beginning of value"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("-", "unexpected EOF"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1e", "unexpected EOF"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("\"abc", "unexpected EOF"),
            ("\"a\nb\"", r"invalid character '\n' in string literal"),
            (r#""a\q""#, "invalid character 'q' in string escape code"),
        ] {
            assert_eq!(scalar_kind(text.as_bytes()).unwrap_err().0, complaint, "{text}");
        }
    }
}
