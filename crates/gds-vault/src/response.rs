//! [`Response`]: an answer of Vault, whatever its status.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::HeaderMap;

use crate::address::Address;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

/// A whole answer.
#[derive(Clone)]
#[non_exhaustive]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers, as they came.
    pub headers: HeaderMap,
    /// The body, as it came, in memory that is wiped with its last clone. May hold plain secrets.
    pub body: Bytes,
    /// The server that answered.
    pub address: Address,
    pub(crate) operation: Cow<'static, str>,
    pub(crate) path: String,
}

impl Response {
    /// The body as a secret. Anything but Vault's JSON is [`MalformedAnswer`](crate::ErrorKind::MalformedAnswer).
    pub fn secret(&self) -> Result<Secret, Error> {
        Secret::parse(self.body.clone()).map_err(|malformed| self.place(malformed.into()))
    }

    /// The body as text, for the few answers that are not of [`Secret`]'s shape.
    pub(crate) fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body)
            .map_err(|_| Error::new(ErrorKind::MalformedAnswer, "the answer is not UTF-8"))
    }

    /// An error about this answer.
    pub(crate) fn place(&self, error: Error) -> Error {
        error
            .with_operation(self.operation.clone())
            .with_path(&self.path)
            .with_address(&self.address)
            .with_status(self.status)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("address", &self.address)
            .field("operation", &self.operation)
            .field("path", &self.path)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
