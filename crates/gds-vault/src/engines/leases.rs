//! [`Leases`]: `sys/leases`.

use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};

use super::under;
use crate::client::Client;
use crate::error::Error;
use crate::json::{nullable, seconds};
use crate::request::Request;
use crate::secret::Secret;

/// Leases of dynamic secrets (Vault API, "/sys/leases").
#[derive(Debug, Clone)]
pub struct Leases {
    client: Client,
}

/// What Vault knows of a lease.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct LeaseLookup {
    /// The lease id.
    pub id: String,
    /// When it was granted, RFC 3339.
    pub issue_time: String,
    /// When it ends, RFC 3339; `None` if never.
    pub expire_time: Option<String>,
    /// Whether Vault will renew it.
    #[serde(default, deserialize_with = "nullable")]
    pub renewable: bool,
    /// How long it still runs.
    #[serde(default, deserialize_with = "seconds")]
    pub ttl: Duration,
}

#[derive(Serialize)]
struct Named<'a> {
    lease_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    increment: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<bool>,
}

impl Leases {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks about a lease. One that is unknown or over is [`BadRequest`](crate::ErrorKind::BadRequest).
    pub async fn lookup(&self, id: &str) -> Result<LeaseLookup, Error> {
        self.put("sys/leases/lookup", &Named { lease_id: id, increment: None, sync: None }).fields().await
    }

    /// Asks for more time: `increment` from now, or the default. Vault may grant less: see
    /// [`Secret::lease`] for what it granted and [`Secret::warnings`] for why.
    pub async fn renew(&self, id: &str, increment: Option<Duration>) -> Result<Secret, Error> {
        let body = Named { lease_id: id, increment: increment.map(|time| time.as_secs()), sync: None };
        self.put("sys/leases/renew", &body).read().await
    }

    /// Ends a lease. Vault does it in the background; see [`revoke_sync`](Self::revoke_sync).
    pub async fn revoke(&self, id: &str) -> Result<(), Error> {
        let body = Named { lease_id: id, increment: None, sync: None };
        self.put("sys/leases/revoke", &body).send().await.map(drop)
    }

    /// Ends a lease, and answers when the credentials are gone.
    pub async fn revoke_sync(&self, id: &str) -> Result<(), Error> {
        let body = Named { lease_id: id, increment: None, sync: Some(true) };
        self.put("sys/leases/revoke", &body).send().await.map(drop)
    }

    /// Ends all leases under a path (`database/creds/app`). Needs `sudo`.
    pub async fn revoke_prefix(&self, prefix: &str) -> Result<(), Error> {
        let path = under("sys/leases", "revoke-prefix", prefix);
        self.client.request(Method::PUT, path).send().await.map(drop)
    }

    fn put(&self, path: &str, body: &Named<'_>) -> Request {
        self.client.request(Method::PUT, path).public_json(body)
    }
}
