//! Buffers that leave nothing behind.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroize;

/// A growing buffer that wipes what it outgrows, which `Vec` does not, and itself when it is dropped.
///
/// It only ever grows, so that beyond its length there is nothing to wipe. Wiped as one slice, which is many times
/// faster than the element by element of `Zeroizing<Vec<u8>>`.
#[derive(Default)]
pub(crate) struct WipedBuffer(Vec<u8>);

impl WipedBuffer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn extend(&mut self, chunk: &[u8]) {
        let needed = self.0.len() + chunk.len();
        if needed > self.0.capacity() {
            let mut bigger = Vec::with_capacity(needed.max(self.0.capacity() * 2));
            bigger.extend_from_slice(&self.0);
            // The old memory is wiped as it is dropped.
            drop(Self(std::mem::replace(&mut self.0, bigger)));
        }
        self.0.extend_from_slice(chunk);
    }

    /// Shares the content; the last clone wipes it.
    pub(crate) fn into_bytes(self) -> Bytes {
        if self.0.is_empty() { Bytes::new() } else { Bytes::from_owner(self) }
    }
}

impl Drop for WipedBuffer {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl AsRef<[u8]> for WipedBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl io::Write for WipedBuffer {
    fn write(&mut self, chunk: &[u8]) -> io::Result<usize> {
        self.extend(chunk);
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value as JSON, in memory that is wiped once nobody uses it.
pub(crate) fn json_bytes(value: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    let mut buffer = WipedBuffer::with_capacity(256);
    serde_json::to_writer(&mut buffer, value)?;
    Ok(buffer.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_keeps_its_content() {
        let mut buffer = WipedBuffer::default();
        let mut expected = Vec::new();
        for n in 0..=255_u8 {
            buffer.extend(&[n; 7]);
            expected.extend_from_slice(&[n; 7]);
        }
        assert_eq!(buffer.len(), expected.len());
        assert_eq!(buffer.into_bytes(), expected);
    }

    #[test]
    fn json_is_serde_jsons() {
        let value = serde_json::json!({"a": [1, "two", null]});
        assert_eq!(json_bytes(&value).unwrap(), serde_json::to_vec(&value).unwrap());
        assert!(WipedBuffer::default().into_bytes().is_empty());
    }
}
