//! Buffers that leave nothing behind.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

/// A growing buffer that wipes the memory it outgrows, which `Vec` does not.
#[derive(Default)]
pub(crate) struct WipedBuffer(Zeroizing<Vec<u8>>);

impl WipedBuffer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn extend(&mut self, chunk: &[u8]) {
        let needed = self.0.len() + chunk.len();
        if needed > self.0.capacity() {
            let mut bigger = Vec::with_capacity(needed.max(self.0.capacity() * 2));
            bigger.extend_from_slice(&self.0);
            // The old buffer is wiped as it is replaced.
            self.0 = Zeroizing::new(bigger);
        }
        self.0.extend_from_slice(chunk);
    }

    /// Shares the content; the last clone wipes it.
    pub(crate) fn into_bytes(self) -> Bytes {
        if self.0.is_empty() { Bytes::new() } else { Bytes::from_owner(self.0) }
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
