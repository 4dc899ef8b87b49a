//! A change to some fields of a secret that leaves the others as they are, to the letter.

use std::collections::BTreeMap;
use std::fmt;

use gds_vault::{Data, SecretString};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// Fields to set and to remove. Fields that are not named keep their exact JSON text.
#[derive(Clone, Default)]
pub struct Patch {
    fields: BTreeMap<String, Change>,
}

#[derive(Clone)]
enum Change {
    /// The field's new value, as JSON text.
    Set(SecretString),
    Remove,
}

impl Patch {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a field to a string.
    pub fn set(self, name: impl Into<String>, value: &SecretString) -> Self {
        let text = encode_string(value.expose());
        self.change(name, Change::Set(text))
    }

    /// Sets a field to a JSON value given as text; anything that is not one JSON value is refused.
    pub fn set_json(self, name: impl Into<String>, json: SecretString) -> Result<Self, Error> {
        let name = name.into();
        // serde_json's message may quote the input, so only its position is passed on.
        if let Err(error) = serde_json::from_str::<&RawValue>(json.expose()) {
            let what =
                format!("the value is not valid JSON (line {}, column {})", error.line(), error.column());
            return Err(Error::new(ErrorKind::InvalidRequest, name, what));
        }
        Ok(self.change(name, Change::Set(json)))
    }

    /// Removes a field; no error if it is not there.
    pub fn remove(self, name: impl Into<String>) -> Self {
        self.change(name, Change::Remove)
    }

    /// The names that are set or removed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn change(mut self, name: impl Into<String>, change: Change) -> Self {
        self.fields.insert(name.into(), change);
        self
    }

    /// The secret's new JSON text: `old` (nothing, if there was no secret) with the changes applied.
    pub(crate) fn apply(&self, old: Option<&Data>) -> Zeroizing<String> {
        let kept = old
            .into_iter()
            .flat_map(gds_vault::Data::iter)
            .filter(|(name, _)| !self.fields.contains_key(*name));
        let kept = kept.map(|(name, field)| (name, field.expose_json()));
        let set = self.fields.iter().filter_map(|(name, change)| match change {
            Change::Set(text) => Some((name.as_str(), text.expose())),
            Change::Remove => None,
        });
        let pairs: Vec<(SecretString, &str)> =
            kept.chain(set).map(|(name, text)| (encode_string(name), text)).collect();
        // Sized up front: a buffer that grows leaves unwiped copies behind.
        let size = pairs.iter().map(|(name, text)| name.expose().len() + text.len() + 2).sum::<usize>() + 2;
        let mut json = Zeroizing::new(String::with_capacity(size));
        json.push('{');
        for (i, (name, text)) in pairs.iter().enumerate() {
            if i > 0 {
                json.push(',');
            }
            json.push_str(name.expose());
            json.push(':');
            json.push_str(text);
        }
        json.push('}');
        json
    }
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions = self.fields.iter().map(|(name, change)| {
            (name, if matches!(change, Change::Remove) { "[removed]" } else { "[redacted]" })
        });
        f.debug_map().entries(actions).finish()
    }
}

/// A JSON string literal.
fn encode_string(text: &str) -> SecretString {
    // The longest escape is six bytes for one (`\u0000`), so this never grows.
    let mut json = Vec::with_capacity(text.len() * 6 + 2);
    match serde_json::to_writer(&mut json, text).map(|()| String::from_utf8(json)) {
        Ok(Ok(json)) => SecretString::new(json),
        // Writing a string into memory cannot fail, nor is its JSON ever anything but UTF-8.
        _ => SecretString::new("\"\""),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gds_vault::Secret;
    use proptest::prelude::*;

    use super::*;

    fn parse(json: &str) -> BTreeMap<String, serde_json::Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn untouched_fields_keep_their_exact_text() {
        let old = r#"{"data":{"big":12345678901234567890123,"nested":{"b":1,"a":[ 2 ]},"gone":"x","stripe":"old"}}"#;
        let old = Secret::parse(old.as_bytes().to_vec()).unwrap();
        let patch = Patch::new().set("stripe", &SecretString::new("n\"ew")).remove("gone");
        let new = patch.apply(Some(old.data()));
        assert_eq!(*new, r#"{"big":12345678901234567890123,"nested":{"b":1,"a":[ 2 ]},"stripe":"n\"ew"}"#);
    }

    #[test]
    fn debug_tells_names_only() {
        let patch = Patch::new().set("a", &SecretString::new("canary-4711")).remove("b");
        assert_eq!(format!("{patch:?}"), r#"{"a": "[redacted]", "b": "[removed]"}"#);
    }

    #[test]
    fn a_value_that_is_not_json_is_refused_without_being_quoted() {
        let error = Patch::new().set_json("n", SecretString::new("{canary-4711")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    proptest! {
        #[test]
        fn merges_like_a_map(
            old in proptest::collection::btree_map(".{0,6}", ".{0,8}", 0..6),
            set in proptest::collection::btree_map(".{0,6}", ".{0,8}", 0..6),
        ) {
            let body = serde_json::json!({ "data": old }).to_string();
            let secret = Secret::parse(body.into_bytes()).unwrap();
            let patch = set.iter().fold(Patch::new(), |p, (k, v)| p.set(k, &SecretString::new(v.clone())));
            let mut expected = old.clone();
            expected.extend(set);
            let expected: BTreeMap<_, _> = expected.into_iter().map(|(k, v)| (k, serde_json::Value::String(v))).collect();
            prop_assert_eq!(parse(&patch.apply(Some(secret.data()))), expected);
        }
    }
}
