//! The answer to a KV v2 read as Vault and OpenBao write it, read in one pass.
//!
//! Their order of names is fixed, they put no spaces between, and nothing is set but the fields. Whatever differs is left
//! to serde (`envelope.rs`), which reads the same out of it and takes three times as long: so this may be strict wherever
//! that is simpler, but must never accept what serde would read otherwise.

use super::parts::VersionMetadata;

/// Deeper values are left to serde: far more than secrets have, and no danger to the stack.
const DEEPEST: u32 = 16;

/// Longest version number read here: any number of so many digits fits.
const MOST_DIGITS: usize = 18;

/// A KV v2 secret. The texts are parts of the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Quick<'a> {
    pub(super) request_id: &'a str,
    pub(super) mount_type: &'a str,
    /// The JSON text of an object; `None` for a version that has no data any more.
    pub(super) fields: Option<&'a str>,
    pub(super) version: VersionMetadata,
}

/// `None`: not of this form, though it may well be a KV v2 secret.
pub(super) fn read(body: &str) -> Option<Quick<'_>> {
    let mut rest = Rest(body);
    rest.expect(r#"{"request_id":"#)?;
    let request_id = rest.plain()?;
    rest.expect(r#","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":"#)?;
    let fields = rest.object_or_null()?;
    rest.expect(r#","metadata":{"created_time":"#)?;
    let created_time = rest.plain()?;
    rest.expect(r#","custom_metadata":"#)?;
    let custom_metadata = rest.object_or_null()?;
    rest.expect(r#","deletion_time":"#)?;
    let deletion_time = rest.plain()?;
    rest.expect(r#","destroyed":"#)?;
    let destroyed = rest.truth()?;
    rest.expect(r#","version":"#)?;
    let version = rest.number()?;
    rest.expect(r#"}},"wrap_info":null,"warnings":null,"auth":null"#)?;
    // Since Vault 1.17.
    let mount_type = if rest.expect(r#","mount_type":"#).is_some() { rest.plain()? } else { "" };
    rest.expect("}")?;
    if !matches!(mount_type, "" | "kv") || !matches!(rest.0, "" | "\n") {
        return None;
    }
    let version = VersionMetadata {
        version,
        created_time: created_time.to_owned(),
        deletion_time: (!deletion_time.is_empty()).then(|| deletion_time.to_owned()),
        destroyed,
        custom_metadata: (!custom_metadata.is_empty()).then(|| custom_metadata.to_owned()),
    };
    let fields = (!fields.is_empty()).then_some(fields);
    Some(Quick { request_id, mount_type, fields, version })
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn expect(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// Takes the first `length` bytes.
    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A string that has no escapes.
    fn plain(&mut self) -> Option<&'a str> {
        self.expect("\"")?;
        let text = self.take(plain_length(self.0.as_bytes()))?;
        self.expect("\"")?;
        Some(text)
    }

    fn truth(&mut self) -> Option<bool> {
        let truth = self.expect("true").is_some();
        if !truth {
            self.expect("false")?;
        }
        Some(truth)
    }

    fn number(&mut self) -> Option<u64> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let text = self.take(digits)?;
        let is_canonical = digits <= MOST_DIGITS && (digits == 1 || !text.starts_with('0'));
        is_canonical.then(|| text.parse().ok()).flatten()
    }

    /// The text of an object; empty for `null`.
    fn object_or_null(&mut self) -> Option<&'a str> {
        if self.expect("null").is_some() {
            return Some("");
        }
        let length = object_length(self.0.as_bytes(), DEEPEST)?;
        self.take(length)
    }
}

/// The number of bytes before the first that ends a string, escapes something, or must be escaped.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHEST: u64 = ONES * 0x80;
    // Of each byte the highest bit, if it is zero. Bytes after the first such may be taken for one, too.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHEST;
    let mut length = 0;
    while let Some(eight) = bytes.get(length..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHEST;
        let found =
            control | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && !matches!(**byte, b'"' | b'\\');
    length + bytes.get(length..).unwrap_or_default().iter().take_while(is_plain).count()
}

/// The length of the well-formed object that begins here.
fn object_length(json: &[u8], depth: u32) -> Option<usize> {
    if json.first() != Some(&b'{') {
        return None;
    }
    if json.get(1) == Some(&b'}') {
        return Some(2);
    }
    let mut at = 1;
    loop {
        at += string_length(json.get(at..)?)?;
        if json.get(at) != Some(&b':') {
            return None;
        }
        at += 1;
        at += value_length(json.get(at..)?, depth)?;
        match json.get(at)? {
            b',' => at += 1,
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn array_length(json: &[u8], depth: u32) -> Option<usize> {
    if json.get(1) == Some(&b']') {
        return Some(2);
    }
    let mut at = 1;
    loop {
        at += value_length(json.get(at..)?, depth)?;
        match json.get(at)? {
            b',' => at += 1,
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn value_length(json: &[u8], depth: u32) -> Option<usize> {
    match json.first()? {
        b'"' => string_length(json),
        b'{' => object_length(json, depth.checked_sub(1)?),
        b'[' => array_length(json, depth.checked_sub(1)?),
        b't' => json.starts_with(b"true").then_some(4),
        b'f' => json.starts_with(b"false").then_some(5),
        b'n' => json.starts_with(b"null").then_some(4),
        b'0'..=b'9' | b'-' => whole_number_length(json),
        _ => None,
    }
}

/// Whole numbers only; the others are seldom, and have more rules.
fn whole_number_length(json: &[u8]) -> Option<usize> {
    let sign = usize::from(json.first() == Some(&b'-'));
    let number = json.get(sign..)?;
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let leading_zero = digits > 1 && number.first() == Some(&b'0');
    let goes_on = matches!(number.get(digits), Some(b'.' | b'e' | b'E'));
    (digits > 0 && !leading_zero && !goes_on).then_some(sign + digits)
}

fn string_length(json: &[u8]) -> Option<usize> {
    if json.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += plain_length(json.get(at..)?);
        match json.get(at..)? {
            [b'"', ..] => return Some(at + 1),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => at += 2,
            [b'\\', b'u', code @ ..]
                if code.iter().take(4).filter(|hex| hex.is_ascii_hexdigit()).count() == 4 =>
            {
                at += 6;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
#[path = "quick_tests.rs"]
mod tests;
