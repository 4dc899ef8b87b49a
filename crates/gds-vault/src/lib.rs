//! A small, careful client for HashiCorp Vault and OpenBao.
//!
//! Mechanism only: it talks to Vault, takes the answers apart and classifies what goes wrong. It does not cache, does
//! not retry and does nothing in the background but drive its connections; when to do what is for the layer above to
//! decide.
//!
//! ```no_run
//! # async fn example() -> Result<(), gds_vault::Error> {
//! use gds_vault::{Address, AppRoleAuth, AuthMethod, Client, Credential, SecretId, SecretString};
//!
//! let client = Client::builder().addresses(Address::parse_list("https://vault-1:8200,https://vault-2:8200")?).build()?;
//!
//! let role_id = Credential::Value(SecretString::from("app"));
//! let secret_id = SecretId::Plain(Credential::File("/run/secrets/secret_id".into()));
//! let auth = AppRoleAuth::new(role_id, secret_id).login(&client).await?;
//! client.set_token(Some(auth.client_token));
//!
//! let path = client.mounts().resolve("myapp/config", Some("secret")).await?;
//! let secret = client.read_path(&path, None).await?;
//! if let Some(password) = secret.field("db_password") {
//!     connect(password.text().expose());
//! }
//! # Ok(()) }
//! # fn connect(_: &str) {}
//! ```
//!
//! # Where things are
//!
//! | | |
//! |---|---|
//! | [`Client`], [`Request`], [`Response`] | any request to any path, over one or several servers |
//! | [`Secret`], [`Data`], [`Field`], [`Lease`] | what an answer holds; values are looked up in its body, not copied |
//! | [`Forward`], [`Forwarded`] | requests passed on as they came, streamed: for proxies |
//! | [`Error`], [`ErrorKind`] | what went wrong, and whether a retry can help |
//! | [`Kv1`], [`Kv2`], [`Database`], [`Leases`], [`Tokens`], [`Wrapping`], [`Sys`] | the endpoints that applications use |
//! | [`AuthMethod`] and its implementations | logging in |
//! | [`Mounts`], [`SecretPath`] | three spellings of a path, one meaning |
//! | [`SecretString`], [`Credential`] | secret values, and where they come from |
//!
//! # What becomes of secrets
//!
//! Tokens, bodies and values live in memory that is wiped when their last user is gone. None appears in a log, an
//! error, a URL, or in the `Debug` form of any type. What cannot be wiped from here: the buffers of the HTTP and TLS
//! libraries and of the kernel.

mod address;
mod auth;
mod client;
mod engines;
mod error;
mod json;
mod mounts;
mod path;
mod request;
mod response;
mod secret;
mod secret_string;
mod sys;
mod transport;
mod wiped;

pub use address::Address;
pub use auth::{
    AppRoleAuth, AuthMethod, BoxFuture, CertAuth, Credential, JwtAuth, KubernetesAuth, SecretId, TokenAuth,
    UserpassAuth,
};
pub use client::{Client, ClientBuilder, Forward, Forwarded, ForwardedBody};
pub use engines::{Database, Kv1, Kv2, LeaseLookup, Leases, TokenLookup, Tokens, WrapLookup, Wrapping};
pub use error::{Error, ErrorKind};
pub use http::Method;
pub use mounts::{KnownMounts, MountInfo, MountKind, Mounts, SecretPath};
pub use path::is_path;
pub use request::Request;
pub use response::Response;
pub use secret::{AuthInfo, Data, Field, Lease, Malformed, Secret, TokenType, VersionMetadata, WrapInfo};
pub use secret_string::SecretString;
pub use sys::{Health, SealStatus, Sys};
pub use transport::TlsConfig;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
