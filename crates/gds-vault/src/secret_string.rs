//! [`SecretString`]: the one type a secret text lives in.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A text that must not be seen: a token, a password, a `secret_id`, the value of a field.
///
/// Wiped from memory when dropped, printed as `[redacted]` by both [`Debug`](fmt::Debug) and
/// [`Display`](fmt::Display), compared in constant time (for texts of equal length; the length itself is not
/// hidden). [`expose`](Self::expose) is the only way out, so that every use of a plain value can be found by that
/// word. There is deliberately no `Serialize`.
///
/// What it cannot do: wipe copies made before the text arrived here. In particular `serde_json` unescapes a
/// string with escapes in a scratch buffer of its own; [`Field::text`](crate::Field::text) does not.
///
/// ```
/// use gds_vault::SecretString;
///
/// let password = SecretString::from("correct horse");
/// assert_eq!(format!("{password:?} {password}"), "[redacted] [redacted]");
/// assert_eq!(password.expose(), "correct horse");
/// ```
#[derive(Clone)]
pub struct SecretString(Zeroizing<Box<str>>);

impl SecretString {
    /// Takes over a text. See [`From<String>`](#impl-From<String>-for-SecretString) for what happens to the original.
    pub fn new(text: impl Into<String>) -> Self {
        Self::from(text.into())
    }

    /// The text itself. The only way out.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Length in bytes. Not treated as secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<String> for SecretString {
    /// Takes the buffer over when it fits exactly. Otherwise shrinking it could move the text and leave the old
    /// copy behind unwiped, so the text is copied here and the original wiped.
    fn from(mut text: String) -> Self {
        if text.capacity() == text.len() {
            return Self(Zeroizing::new(text.into_boxed_str()));
        }
        let copy = Self::from(text.as_str());
        text.zeroize();
        copy
    }
}

impl From<&str> for SecretString {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.into()))
    }
}

impl PartialEq for SecretString {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretString {}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for SecretString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = SecretString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<SecretString, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<SecretString, E> {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_spare_room_is_copied_to_its_exact_size() {
        let mut roomy = String::with_capacity(100);
        roomy.push_str("hunter2");
        let secret = SecretString::from(roomy);
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(secret.len(), 7);
    }

    #[test]
    fn equality_is_by_content() {
        assert_eq!(SecretString::new("same"), SecretString::from("same"));
        assert_ne!(SecretString::new("same"), SecretString::from("sane"));
        assert_ne!(SecretString::new("same"), SecretString::from("same but longer"));
    }

    #[test]
    fn prints_nothing_of_itself() {
        let secret = SecretString::new("canary");
        for printed in [format!("{secret}"), format!("{secret:?}"), format!("{:#?}", Some(&secret))] {
            assert!(!printed.contains("canary"), "{printed}");
        }
    }

    #[test]
    fn deserializes_plain_and_escaped_strings_and_nothing_else() {
        assert_eq!(serde_json::from_str::<SecretString>(r#""plain""#).unwrap().expose(), "plain");
        assert_eq!(serde_json::from_str::<SecretString>(r#""a\"b\u00e9""#).unwrap().expose(), "a\"bé");
        let error = serde_json::from_str::<SecretString>("42").unwrap_err().to_string();
        assert!(error.contains("expected a string"), "{error}");
        assert!(SecretString::from("").is_empty());
    }
}
