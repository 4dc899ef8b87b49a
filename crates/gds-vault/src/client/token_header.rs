//! A token, ready to be sent.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::secret_string::SecretString;

pub(crate) const X_VAULT_TOKEN: HeaderName = HeaderName::from_static("x-vault-token");

/// A token and its header value, made once. Both are wiped when the last user is gone; clones share them.
#[derive(Clone)]
pub(crate) struct TokenHeader {
    secret: Arc<SecretString>,
    /// `None` if the token holds what no header can hold.
    value: Option<HeaderValue>,
}

impl TokenHeader {
    pub(crate) fn new(token: SecretString) -> Self {
        let bytes = Bytes::from_owner(Zeroizing::new(token.expose().as_bytes().to_vec()));
        let value = HeaderValue::from_maybe_shared(bytes).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Self { secret: Arc::new(token), value }
    }

    pub(crate) fn secret(&self) -> &Arc<SecretString> {
        &self.secret
    }

    pub(crate) fn header(&self) -> Result<HeaderValue, Error> {
        let mistake = || Error::new(ErrorKind::Configuration, "the token has a control character in it");
        self.value.clone().ok_or_else(mistake)
    }
}
