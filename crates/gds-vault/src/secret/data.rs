//! [`Data`] and [`Field`]: the fields of a secret, found in its body.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::unescape;
use crate::secret_string::SecretString;

/// The fields of a secret, in the order of their names.
///
/// An index over the body, made when it is first needed: the values are not copied. If a name comes twice, the
/// last one counts.
pub struct Data {
    /// The JSON text of an object, known to be well-formed; empty for no fields at all.
    json: Bytes,
    index: OnceLock<Vec<Entry>>,
}

/// One field: its name, and where its value stands in the JSON text.
struct Entry {
    name: Box<str>,
    value: Range<usize>,
}

impl Data {
    /// `json` must be a well-formed JSON object or empty.
    pub(super) fn new(json: Bytes) -> Self {
        Self { json, index: OnceLock::new() }
    }

    /// One field, if it is there.
    pub fn get(&self, name: &str) -> Option<Field<'_>> {
        let entries = self.entries();
        let found = entries.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?;
        Some(self.field(entries.get(found)?))
    }

    /// The names of the fields. Names are not treated as secret.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().iter().map(|entry| &*entry.name)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Field<'_>)> {
        self.entries().iter().map(|entry| (&*entry.name, self.field(entry)))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// The JSON text of the object, as it came; `{}` if there is none.
    pub fn expose_json(&self) -> &str {
        if self.json.is_empty() { "{}" } else { self.text() }
    }

    fn text(&self) -> &str {
        // Part of a body that was found to be UTF-8.
        std::str::from_utf8(&self.json).unwrap_or_default()
    }

    fn field(&self, entry: &Entry) -> Field<'_> {
        let json = self.json.get(entry.value.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok());
        Field { json: json.unwrap_or("null") }
    }

    fn entries(&self) -> &[Entry] {
        self.index.get_or_init(|| {
            let mut entries = serde_json::Deserializer::from_str(self.text())
                .deserialize_map(IndexVisitor { start: self.json.as_ptr() as usize })
                .unwrap_or_default();
            // Stable, so that of two equal names the later one stays the later one.
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            entries.dedup_by(|later, earlier| {
                let same = later.name == earlier.name;
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
            entries
        })
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Collects names and places. Names are taken raw, so that no spelling of a name can fail.
struct IndexVisitor {
    start: usize,
}

impl<'de> Visitor<'de> for IndexVisitor {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Entry>, A::Error> {
        let mut entries = Vec::new();
        while let Some((name, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
            let from = value.get().as_ptr() as usize - self.start;
            entries.push(Entry {
                name: unescape(name.get()).expose().into(),
                value: from..from + value.get().len(),
            });
        }
        Ok(entries)
    }
}

/// One value of a secret, where it stands in the body.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    json: &'a str,
}

impl<'a> Field<'a> {
    /// The JSON text of the value, as it came.
    pub fn expose_json(&self) -> &'a str {
        self.json
    }

    /// The value as text: a JSON string decoded, anything else as its JSON text. Numbers come as they were
    /// written, with all their digits.
    pub fn text(&self) -> SecretString {
        self.as_string().unwrap_or_else(|| self.json.into())
    }

    /// The text, only if the value is a JSON string. Half a surrogate pair in it becomes U+FFFD.
    pub fn as_string(&self) -> Option<SecretString> {
        self.json.starts_with('"').then(|| unescape(self.json))
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.json == "null"
    }

    /// The number, if it is a whole one from 0 to 2⁶⁴−1.
    pub fn as_u64(&self) -> Option<u64> {
        serde_json::from_str(self.json).ok()
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.json {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
