//! [`Wrapping`]: answers that can be opened once.

use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::json::{nullable, seconds};
use crate::secret::{Secret, WrapInfo};
use crate::secret_string::SecretString;

/// Response wrapping (Vault API, "/sys/wrapping").
#[derive(Debug, Clone)]
pub struct Wrapping {
    client: Client,
}

/// What is known of a wrapping token without opening it.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct WrapLookup {
    /// The path of the request whose answer is inside.
    #[serde(default, deserialize_with = "nullable")]
    pub creation_path: String,
    /// When it was wrapped, RFC 3339.
    #[serde(default, deserialize_with = "nullable")]
    pub creation_time: String,
    /// How long it can be opened, from then on.
    #[serde(default, deserialize_with = "seconds")]
    pub creation_ttl: Duration,
}

impl Wrapping {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Wraps any JSON object.
    pub async fn wrap(&self, fields: &impl Serialize, ttl: Duration) -> Result<WrapInfo, Error> {
        let request = self.client.request(Method::POST, "sys/wrapping/wrap").json(fields).wrap_ttl(ttl);
        let missing = || Error::new(ErrorKind::MalformedAnswer, "there is no wrapping token in the answer");
        request.answer(|secret| secret.wrap_info().cloned().ok_or_else(missing)).await
    }

    /// Asks about a wrapping token, without opening it. One that is opened, over or unknown is
    /// [`BadRequest`](crate::ErrorKind::BadRequest). Needs no token of the client's.
    pub async fn lookup(&self, token: &SecretString) -> Result<WrapLookup, Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            token: &'a str,
        }
        let request = self.client.request(Method::POST, "sys/wrapping/lookup").no_token();
        request.json(&Named { token: token.expose() }).fields().await
    }

    /// Opens a wrapped answer. The wrapping token is used up even if the answer is lost on its way.
    pub async fn unwrap(&self, token: &SecretString) -> Result<Secret, Error> {
        self.client.request(Method::POST, "sys/wrapping/unwrap").token(token).read().await
    }
}
