//! Taking secrets out of texts that will be read by people.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::json::unescape;
use crate::secret_string::SecretString;

const REDACTED: &str = "[redacted]";

/// Longest line let through, in characters: room for any message Vault writes itself, none for a dumped page.
const MAX_LINE: usize = 300;

/// Longest path let through, in characters. Vault itself takes longer ones, but nobody can read those.
const MAX_PATH: usize = 1_000;

/// Shorter values are left alone: redacting every `1` or `on` would make messages unreadable, and tells little.
const MIN_SECRET: usize = 4;

/// The secrets that a text must not repeat. Whatever looks like a Vault token is always among them.
#[derive(Default)]
pub(crate) struct Scrubber {
    secrets: Vec<SecretString>,
}

impl Scrubber {
    pub(crate) fn add(&mut self, secret: &SecretString) {
        if secret.len() < MIN_SECRET {
            return;
        }
        // Go quotes values in its messages (%q), which escapes some characters.
        let quoted = SecretString::new(format!("{:?}", secret.expose()));
        let quoted = &quoted.expose()[1..quoted.len() - 1];
        if quoted != secret.expose() {
            self.secrets.push(quoted.into());
        }
        self.secrets.push(secret.clone());
    }

    /// Adds every value (not the names) in a JSON text.
    pub(crate) fn add_values_of(&mut self, json: &Bytes) {
        if let Ok(text) = std::str::from_utf8(json)
            && let Ok(value) = serde_json::from_str::<&RawValue>(text)
        {
            self.add_values(value.get());
        }
    }

    /// A walk over JSON that is known to be well-formed: a string that is followed by a colon is a name.
    fn add_values(&mut self, json: &str) {
        let bytes = json.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            if bytes[at] == b'"' {
                at = end_of_string(bytes, at);
                let next = bytes[at..].iter().find(|byte| !byte.is_ascii_whitespace());
                if next != Some(&b':') {
                    self.add(&unescape(&json[start..at]));
                }
            } else if is_scalar(bytes[at]) {
                while at < bytes.len() && is_scalar(bytes[at]) {
                    at += 1;
                }
                if !matches!(&json[start..at], "true" | "false" | "null") {
                    self.add(&json[start..at].into());
                }
            } else {
                at += 1;
            }
        }
    }

    /// The text as one line without secrets, cut if it is long.
    pub(crate) fn line(&self, text: &str) -> String {
        self.clean(text, MAX_LINE)
    }

    /// The same for a path.
    pub(crate) fn path(&self, text: &str) -> String {
        self.clean(text, MAX_PATH)
    }

    /// One pass: stops when enough is written, so that a long text costs no more than a short one.
    fn clean(&self, text: &str, max: usize) -> String {
        let mut line = String::with_capacity(text.len().min(max));
        let mut written = 0;
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            if written >= max {
                line.push('…');
                break;
            }
            if let Some(end) = self.secret_at(text, at) {
                line.push_str(REDACTED);
                written += REDACTED.len();
                at = end;
            } else {
                at += c.len_utf8();
                // Vault formats lists over several lines; control characters could forge log lines.
                if !c.is_whitespace() && !c.is_control() {
                    line.push(c);
                    written += 1;
                } else if !line.is_empty() && !line.ends_with(' ') {
                    line.push(' ');
                    written += 1;
                }
            }
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// The end of the secret that starts here, and of every other secret that overlaps it.
    fn secret_at(&self, text: &str, start: usize) -> Option<usize> {
        let mut end = self.longest_at(text, start)?;
        let mut inside = start + 1;
        while inside < end {
            if text.is_char_boundary(inside)
                && let Some(further) = self.longest_at(text, inside)
            {
                end = end.max(further);
            }
            inside += 1;
        }
        Some(end)
    }

    fn longest_at(&self, text: &str, start: usize) -> Option<usize> {
        let rest = &text[start..];
        let carried =
            self.secrets.iter().filter(|secret| rest.starts_with(secret.expose())).map(SecretString::len);
        carried.chain(token_length(text, start)).max().map(|length| start + length)
    }
}

/// The length of the token that seems to start here. Vault's forms: `hvs.`, `hvb.`, `hvr.` and a long tail, and
/// before 1.10 `s.`, `b.`, `r.` and at least 24 characters (Vault documentation, "Tokens").
fn token_length(text: &str, start: usize) -> Option<usize> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let bytes = text.as_bytes();
    if start > 0 && word(&bytes[start - 1]) {
        return None;
    }
    let rest = &bytes[start..];
    let (prefix, least) = match rest {
        [b'h', b'v', b's' | b'b' | b'r', b'.', ..] => (4, 6),
        [b's' | b'b' | b'r', b'.', ..] => (2, 24),
        _ => return None,
    };
    // A dot introduces a namespace identifier in tokens that have one.
    let tail = rest[prefix..].iter().take_while(|byte| word(byte) || matches!(byte, b'.' | b'=')).count();
    (tail >= least).then_some(prefix + tail)
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scrubber(secrets: &[&str]) -> Scrubber {
        let mut scrubber = Scrubber::default();
        for secret in secrets {
            scrubber.add(&SecretString::from(*secret));
        }
        scrubber
    }

    #[test]
    fn tokens_are_recognised_by_their_form() {
        for (text, clean) in [
            ("token hvs.CAESIJ-x_y is bad", "token [redacted] is bad"),
            ("(hvb.AAAAAQ)", "([redacted])"),
            ("hvr.abcdef12", "[redacted]"),
            ("s.abcdefghijklmnopqrstuvwx!", "[redacted]!"),
            ("s.abcdefghijklmnopqrstuvwx.nsId1 x", "[redacted] x"),
            ("b.AAAAAQKabcdefghijklmnop==", "[redacted]"),
            ("r.abcdefghijklmnopqrstuvwx", "[redacted]"),
            ("policies.are not tokens", "policies.are not tokens"),
            ("hvs.", "hvs."),
            ("s.short", "s.short"),
            ("éhvs.CAESIJabc", "é[redacted]"),
        ] {
            assert_eq!(scrubber(&[]).line(text), clean);
        }
    }

    #[test]
    fn carried_secrets_are_replaced_even_where_they_overlap() {
        assert_eq!(scrubber(&["abcdef", "defghi"]).line("xabcdefghiy"), "x[redacted]y");
        assert_eq!(scrubber(&["abcd", "abcdef"]).line("abcdefg abcdx"), "[redacted]g [redacted]x");
        assert_eq!(scrubber(&["pä$$wörd"]).line("é pä$$wörd é"), "é [redacted] é");
        assert_eq!(
            scrubber(&["two\nlines"]).line("got two\nlines and \"two\\nlines\""),
            "got [redacted] and \"[redacted]\""
        );
        assert_eq!(scrubber(&["abc"]).line("abc"), "abc", "too short to be worth it");
    }

    #[test]
    fn values_of_a_body_are_secrets_and_names_are_not() {
        let mut scrubber = Scrubber::default();
        let body =
            br#"{"name" : "value1", "list": ["value2", {"inner":"val\u0075e3"}], "n": 123456, "t": true}"#;
        scrubber.add_values_of(&Bytes::from_static(body));
        let line = scrubber.line("name list inner value1 value2 value3 123456 true");
        assert_eq!(line, "name list inner [redacted] [redacted] [redacted] [redacted] true");
        scrubber.add_values_of(&Bytes::from_static(b"not json"));
        assert_eq!(scrubber.line("not json"), "not json");
    }

    #[test]
    fn lines_are_one_line_and_short() {
        assert_eq!(scrubber(&[]).line("2 errors:\n\t* a\n\t* b\u{1b}[31m\n\n"), "2 errors: * a * b [31m");
        let long = scrubber(&[]).line(&"é".repeat(10_000));
        assert_eq!(long.chars().count(), 301);
        assert!(long.ends_with('…'));
    }

    proptest! {
        #[test]
        fn no_secret_survives(
            secrets in prop::collection::vec("[a-c]{4,8}", 1..4),
            text in "[a-c ]{0,60}",
        ) {
            let refs: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let line = scrubber(&refs).line(&text);
            // `[redacted]` itself has none of these words: its only run of a to c has one letter more at most.
            for secret in &secrets {
                prop_assert!(!line.contains(secret.as_str()), "{line}");
            }
        }

        #[test]
        fn any_text_is_survived(text in any::<String>(), secret in any::<String>()) {
            let line = scrubber(&[&secret]).line(&text);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert!(line.chars().count() <= MAX_LINE + REDACTED.len() + 1);
        }
    }
}
