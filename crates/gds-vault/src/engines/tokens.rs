//! [`Tokens`]: `auth/token`.

use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};

use super::auth_of;
use crate::client::Client;
use crate::error::Error;
use crate::json::{nullable, seconds};
use crate::secret::{AuthInfo, TokenType};

/// The client's own token, and new ones (Vault API, "Token auth method").
#[derive(Debug, Clone)]
pub struct Tokens {
    client: Client,
}

/// What Vault knows of a token. Not the token itself.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct TokenLookup {
    /// How long it is still good; 0 = for ever.
    #[serde(default, deserialize_with = "seconds")]
    pub ttl: Duration,
    /// How long it was good when it was made or last renewed.
    #[serde(default, deserialize_with = "seconds")]
    pub creation_ttl: Duration,
    /// The longest it can be renewed to, from its creation; 0 = no limit of its own.
    #[serde(default, deserialize_with = "seconds")]
    pub explicit_max_ttl: Duration,
    /// For a periodic token: what each renewal sets it to; 0 = it is not one.
    #[serde(default, deserialize_with = "seconds")]
    pub period: Duration,
    /// Whether Vault will renew it.
    #[serde(default, deserialize_with = "nullable")]
    pub renewable: bool,
    /// Its policies.
    #[serde(default, deserialize_with = "nullable")]
    pub policies: Vec<String>,
    /// Who it was made for: `token`, `approle`, `userpass-alice`.
    #[serde(default, deserialize_with = "nullable")]
    pub display_name: String,
    /// What operators know it by.
    #[serde(default, deserialize_with = "nullable")]
    pub accessor: String,
    /// When it ends, RFC 3339; `None` if never.
    #[serde(default)]
    pub expire_time: Option<String>,
    /// How many uses are left; 0 = no limit, -1 = this question was the last one.
    #[serde(default, deserialize_with = "nullable")]
    pub num_uses: i64,
    /// Whether it outlives the token that made it.
    #[serde(default, deserialize_with = "nullable")]
    pub orphan: bool,
    /// Service or batch.
    #[serde(default, rename = "type", deserialize_with = "nullable")]
    pub token_type: TokenType,
    /// Where it was made: `auth/approle/login`.
    #[serde(default, deserialize_with = "nullable")]
    pub path: String,
    /// The identity behind it; empty if none.
    #[serde(default, deserialize_with = "nullable")]
    pub entity_id: String,
}

#[derive(Serialize)]
struct Renew {
    #[serde(skip_serializing_if = "Option::is_none")]
    increment: Option<u64>,
}

impl Tokens {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks about the client's own token.
    pub async fn lookup_self(&self) -> Result<TokenLookup, Error> {
        self.client.request(Method::GET, "auth/token/lookup-self").fields().await
    }

    /// Renews the client's own token, by `increment` from now or the default. Vault may grant less.
    pub async fn renew_self(&self, increment: Option<Duration>) -> Result<AuthInfo, Error> {
        let body = Renew { increment: increment.map(|time| time.as_secs()) };
        self.client.request(Method::POST, "auth/token/renew-self").public_json(&body).answer(auth_of).await
    }

    /// Revokes the client's own token, and with it its leases and its children.
    pub async fn revoke_self(&self) -> Result<(), Error> {
        self.client.request(Method::POST, "auth/token/revoke-self").send().await.map(drop)
    }

    /// Makes a token: `policies`, `ttl`, `period`, `num_uses`, … as the API takes them.
    pub async fn create(&self, settings: &impl Serialize) -> Result<AuthInfo, Error> {
        self.client.request(Method::POST, "auth/token/create").json(settings).answer(auth_of).await
    }
}
