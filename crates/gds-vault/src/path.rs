//! Request paths: checked, and encoded so that every name survives the journey.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Error, ErrorKind};

/// All but RFC 3986's unreserved characters. Stricter than a path needs, so that `+`, `:` or `;` cannot mean
/// something else to a proxy in between.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same, of a whole path: what stands between its segments stays.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// What a byte is in a path.
const CLASSES: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        classes[byte as usize] = match byte {
            b'/' => SLASH,
            b'.' => DOT,
            b'-' | b'_' | b'~' => PLAIN,
            _ if byte.is_ascii_alphanumeric() => PLAIN,
            _ => OTHER,
        };
        byte += 1;
    }
    classes
};
const PLAIN: u8 = 0;
/// Stays as it is, but must not begin a segment without a closer look.
const DOT: u8 = 1;
const SLASH: u8 = 2;
/// To be encoded, or refused.
const OTHER: u8 = 3;

/// A path as its user may write it, without what does not matter: slashes around it and a leading `v1/`.
pub(crate) fn trim(path: &str) -> &str {
    let path = path.trim_matches('/');
    path.strip_prefix("v1/").unwrap_or(path).trim_matches('/')
}

/// Whether something in Vault can have this path, given without slashes around it: no segment is empty, `.` or `..`, and
/// there is no control character. Requests refuse all others with [`ErrorKind::Configuration`].
///
/// ```
/// assert!(gds_vault::is_path("secret/data/my app"));
/// assert!(!gds_vault::is_path("secret/../sys/seal") && !gds_vault::is_path("secret//x"));
/// ```
pub fn is_path(path: &str) -> bool {
    is_plain(path) || check(path).is_ok()
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

/// Whether it can go out as it is and there is nothing in it that a closer look could refuse: so it is with nearly
/// every path, and one pass finds it out.
fn is_plain(path: &str) -> bool {
    let mut most = PLAIN;
    for byte in path.bytes() {
        let class = CLASSES[usize::from(byte)];
        if class > most {
            return false;
        }
        most = if class == SLASH { PLAIN } else { SLASH };
    }
    most == SLASH
}

/// As bytes: quicker than as texts, and a slash is a slash in UTF-8.
fn segments(path: &str) -> impl Iterator<Item = &[u8]> {
    path.as_bytes().split(|byte| *byte == b'/')
}

fn has_control_character(path: &str) -> bool {
    path.chars().any(char::is_control)
}

/// `/v1/` and the path and query, percent-encoded; an error if the path is not one that [`check`] allows. The path must
/// be [trimmed](trim).
pub(crate) fn encode(path: &str, query: &[(String, String)]) -> Result<String, Error> {
    let mut encoded = String::with_capacity(path.len() + 16);
    encoded.push_str("/v1/");
    if is_plain(path) {
        encoded.push_str(path);
    } else {
        check(path)?;
        encoded.extend(utf8_percent_encode(path, RESERVED_IN_PATH));
    }
    for (n, (name, value)) in query.iter().enumerate() {
        let (name, value) = (utf8_percent_encode(name, RESERVED), utf8_percent_encode(value, RESERVED));
        // Writing to a String cannot fail.
        let _ = write!(encoded, "{}{name}={value}", if n == 0 { '?' } else { '&' });
    }
    Ok(encoded)
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
        assert_eq!(encode("secret/data/plain-name_1.2~", &[]).unwrap(), "/v1/secret/data/plain-name_1.2~");
        assert_eq!(encode("s/a b+c%2F#?é", &[]).unwrap(), "/v1/s/a%20b%2Bc%252F%23%3F%C3%A9");
        let query = [("list".to_owned(), "true".to_owned()), ("a&b".to_owned(), "1 2".to_owned())];
        assert_eq!(encode("s", &query).unwrap(), "/v1/s?list=true&a%26b=1%202");
    }

    #[test]
    fn bytes_that_stay_are_those_that_are_not_encoded() {
        for byte in 0..=127_u8 {
            let text = char::from(byte).to_string();
            let stays = utf8_percent_encode(&text, RESERVED_IN_PATH).to_string() == text;
            assert_eq!(CLASSES[usize::from(byte)] != OTHER, stays, "{byte}");
        }
        assert!(CLASSES[128..].iter().all(|class| *class == OTHER));
    }

    proptest! {
        #[test]
        fn a_path_goes_out_if_it_is_good(path in "[a./é \\x00-\\x7f]{0,8}") {
            let segments = path.split('/');
            let good = !path.chars().any(char::is_control) && segments.clone().all(|s| !matches!(s, "" | "." | ".."));
            prop_assert_eq!(is_path(&path), good);
            prop_assert_eq!(check(&path).is_ok(), good);
            let encoded = encode(&path, &[]);
            prop_assert_eq!(encoded.is_ok(), good);
            if let Ok(encoded) = encoded {
                let plainly = format!("/v1/{}", utf8_percent_encode(&path, RESERVED_IN_PATH));
                prop_assert_eq!(encoded, plainly);
            }
        }

        #[test]
        fn every_good_path_comes_back(path in "[^/\\x00-\\x1f]{1,12}(/[^/\\x00-\\x1f]{1,12}){0,3}") {
            prop_assume!(check(&path).is_ok());
            let encoded = encode(&path, &[]).unwrap();
            prop_assert!(encoded.parse::<http::uri::PathAndQuery>().is_ok());
            let decoded = percent_decode_str(&encoded).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(decoded.strip_prefix("/v1/").unwrap(), &path);
        }
    }
}
