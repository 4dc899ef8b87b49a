//! Just enough HTTP to set a Vault up.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::Error;
use crate::json::{Json, Object, encode, parse};

/// Enabling a mount may take a Vault some seconds on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// No answer to a set-up request is larger.
const MAX_ANSWER: usize = 1024 * 1024;

pub(super) struct Client {
    authority: String,
    token: String,
}

impl Client {
    pub(super) fn new(address: &str, token: &str) -> Result<Self, Error> {
        let wrong = || Error::Example(format!("{address:?} is not an address like http://127.0.0.1:8200"));
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong());
        }
        Ok(Self { authority: format!("{host}:{}", uri.port_u16().unwrap_or(80)), token: token.to_owned() })
    }

    /// Writes; the answer must be a success. An empty one is `null`.
    pub(super) async fn put(&self, path: &str, members: Object) -> Result<Json, Error> {
        let (status, answer) = self.ask(Method::POST, path, &encode(&Json::Object(members))).await?;
        success(path, status, answer)
    }

    pub(super) async fn read(&self, path: &str) -> Result<Json, Error> {
        let (status, answer) = self.ask(Method::GET, path, "").await?;
        success(path, status, answer)
    }

    /// Is a mount there? (Vault answers 400 when it is not.)
    pub(super) async fn exists(&self, path: &str) -> Result<bool, Error> {
        match self.ask(Method::GET, path, "").await? {
            (200, _) => Ok(true),
            (400 | 404, _) => Ok(false),
            (status, answer) => success(path, status, answer).map(|_| true),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> Result<(u16, Json), Error> {
        let failed = |what: &dyn std::fmt::Display| Error::Example(format!("{path}: {what}"));
        let exchange = async {
            let stream = TcpStream::connect(&self.authority).await.map_err(|error| failed(&error))?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
            // Ends with the connection, which ends with the sender.
            tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(format!("/v1/{path}"))
                .header("host", &self.authority)
                .header("x-vault-token", &self.token)
                .header("x-vault-request", "true")
                .body(Full::new(Bytes::from(body.to_owned())))
                .map_err(|error| failed(&error))?;
            let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
            let status = response.status().as_u16();
            let answer = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let bytes = answer.map_err(|error| failed(&error))?.to_bytes();
            let json = if bytes.is_empty() {
                Json::Null
            } else {
                parse(&bytes).map_err(|error| failed(&error.0))?
            };
            Ok((status, json))
        };
        let late = || failed(&"no answer");
        tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| Err(late()))
    }
}

fn success(path: &str, status: u16, answer: Json) -> Result<Json, Error> {
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    // Only Vault's own words: an answer of another shape could be anything.
    let errors = answer.as_object().and_then(|members| members.get("errors")).map(encode).unwrap_or_default();
    Err(Error::Example(format!("{path}: status {status} {errors}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(
            Client::new("http://127.0.0.1:8200", "root").map(|client| client.authority).unwrap(),
            "127.0.0.1:8200"
        );
        assert_eq!(Client::new("http://vault/", "root").map(|client| client.authority).unwrap(), "vault:80");
        for wrong in ["https://127.0.0.1:8200", "127.0.0.1:8200", "", "http://"] {
            assert!(Client::new(wrong, "root").is_err(), "{wrong}");
        }
    }
}
