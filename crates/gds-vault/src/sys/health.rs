//! [`Health`] and [`SealStatus`].

use http::Method;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::{self, Error, Scrubber};
use crate::json::{self, nullable};
use crate::response::Response;
use crate::secret_string::SecretString;

/// How a server is (Vault API, "/sys/health").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are Vault's own fields, each told on its own")]
#[non_exhaustive]
pub struct Health {
    /// Whether it has ever been set up.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Whether another node is the active one.
    pub standby: bool,
    /// Whether it is a standby that answers reads itself (Enterprise).
    #[serde(default, rename = "performance_standby", deserialize_with = "nullable")]
    pub performance_standby: bool,
    /// Vault's version.
    #[serde(default, deserialize_with = "nullable")]
    pub version: String,
    /// The name of the cluster; empty while it is sealed.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_name: String,
    /// The id of the cluster; empty while it is sealed.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_id: String,
    /// The server's clock, in seconds since 1970.
    #[serde(default, deserialize_with = "nullable")]
    pub server_time_utc: u64,
}

/// Whether a server is sealed (Vault API, "/sys/seal-status").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SealStatus {
    /// Whether it is sealed.
    pub sealed: bool,
    /// Whether it has ever been set up.
    #[serde(default, deserialize_with = "nullable")]
    pub initialized: bool,
    /// How many shares of the key unseal it.
    #[serde(default, rename = "t", deserialize_with = "nullable")]
    pub threshold: u64,
    /// How many shares there are.
    #[serde(default, rename = "n", deserialize_with = "nullable")]
    pub shares: u64,
    /// How many shares of the present attempt were given.
    #[serde(default, deserialize_with = "nullable")]
    pub progress: u64,
    /// Vault's version.
    #[serde(default, deserialize_with = "nullable")]
    pub version: String,
}

pub(super) async fn health(client: &Client) -> Result<Health, Error> {
    let request = client.request(Method::GET, "sys/health").no_token().in_root_namespace();
    let response = request.send_any().await?;
    // Every status has the same body: 429 standby, 472 and 473 Enterprise standbys, 501 not set up, 503 sealed.
    parse(&response).map_err(|malformed| match response.status {
        200 | 429 | 472 | 473 | 501 | 503 => malformed,
        _ => response.place(error::from_answer(&response, &Scrubber::default())),
    })
}

pub(super) async fn seal_status(
    client: &Client,
    method: Method,
    path: &str,
    key: Option<&SecretString>,
) -> Result<SealStatus, Error> {
    #[derive(Serialize)]
    struct Share<'a> {
        key: &'a str,
    }
    let mut request = client.request(method, path).no_token().in_root_namespace();
    if let Some(key) = key {
        request = request.json(&Share { key: key.expose() });
    }
    parse(&request.send().await?)
}

/// These answers have no `data`: they are plain objects.
fn parse<T: serde::de::DeserializeOwned>(response: &Response) -> Result<T, Error> {
    response.text().and_then(|text| json::parse("the answer", text)).map_err(|error| response.place(error))
}
