//! Request paths: checked, and encoded so that every name survives the journey.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Error, ErrorKind};

/// All but RFC 3986's unreserved characters. Stricter than a path needs, so that `+`, `:` or `;` cannot mean
/// something else to a proxy in between.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same, of a whole path: what stands between its segments stays.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// A path as its user may write it, without what does not matter: slashes around it and a leading `v1/`.
pub(crate) fn trim(path: &str) -> &str {
    let path = path.trim_matches('/');
    path.strip_prefix("v1/").unwrap_or(path).trim_matches('/')
}

/// Refuses what Vault or a proxy would take for another path, and what would forge log lines.
pub(crate) fn check(path: &str) -> Result<(), Error> {
    let problem = if path.is_empty() {
        "the path is empty"
    } else if has_control_character(path) {
        "the path has a control character in it"
    } else if segments(path).any(|segment| matches!(segment, b"." | b"..")) {
        "the path has a `.` or `..` segment"
    } else if segments(path).any(<[u8]>::is_empty) {
        "the path has an empty segment (`//`)"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Configuration, problem).with_path(path))
}

/// As bytes: quicker than as texts, and a slash is a slash in UTF-8.
fn segments(path: &str) -> impl Iterator<Item = &[u8]> {
    path.as_bytes().split(|byte| *byte == b'/')
}

fn has_control_character(path: &str) -> bool {
    // The first look is quick, and enough for nearly every path.
    !path.bytes().all(|byte| (b' '..0x7f).contains(&byte)) && path.chars().any(char::is_control)
}

/// `/v1/` and the path and query, percent-encoded. The path must be [trimmed](trim) and [checked](check).
pub(crate) fn encode(path: &str, query: &[(String, String)]) -> String {
    let mut encoded = String::with_capacity(path.len() + 16);
    encoded.push_str("/v1/");
    encoded.extend(utf8_percent_encode(path, RESERVED_IN_PATH));
    for (n, (name, value)) in query.iter().enumerate() {
        let (name, value) = (utf8_percent_encode(name, RESERVED), utf8_percent_encode(value, RESERVED));
        // Writing to a String cannot fail.
        let _ = write!(encoded, "{}{name}={value}", if n == 0 { '?' } else { '&' });
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    #[test]
    fn trims_what_does_not_matter() {
        for written in
            ["secret/a", "/secret/a", "secret/a/", "v1/secret/a", "//v1/secret/a//", "/v1//secret/a"]
        {
            assert_eq!(trim(written), "secret/a");
        }
        assert_eq!(trim("v1"), "v1");
        assert_eq!(trim("v11/x"), "v11/x");
    }

    #[test]
    fn refuses_traps_and_names_the_path() {
        for (path, word) in [
            ("", "empty"),
            ("a//b", "empty segment"),
            ("a/../b", ".."),
            ("..", ".."),
            ("a/.", ".."),
            ("a\nb", "control"),
            ("a/b\u{7f}", "control"),
        ] {
            let error = check(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(word), "{error}");
            assert!(!error.to_string().contains('\n'));
        }
        assert!(check("a/.../b. c").is_ok());
    }

    #[test]
    fn encodes_names_and_queries() {
        assert_eq!(encode("secret/data/plain-name_1.2~", &[]), "/v1/secret/data/plain-name_1.2~");
        assert_eq!(encode("s/a b+c%2F#?é", &[]), "/v1/s/a%20b%2Bc%252F%23%3F%C3%A9");
        let query = [("list".to_owned(), "true".to_owned()), ("a&b".to_owned(), "1 2".to_owned())];
        assert_eq!(encode("s", &query), "/v1/s?list=true&a%26b=1%202");
    }

    proptest! {
        #[test]
        fn every_good_path_comes_back(path in "[^/\\x00-\\x1f]{1,12}(/[^/\\x00-\\x1f]{1,12}){0,3}") {
            prop_assume!(check(&path).is_ok());
            let encoded = encode(&path, &[]);
            prop_assert!(encoded.parse::<http::uri::PathAndQuery>().is_ok());
            let decoded = percent_decode_str(&encoded).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(decoded.strip_prefix("/v1/").unwrap(), &path);
        }
    }
}
