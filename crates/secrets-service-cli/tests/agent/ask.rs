//! Requests to the agent or to Vault, and their answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

use crate::support::HANG;

/// A request, with the header that the agent wants.
#[derive(Clone)]
pub(crate) struct Ask {
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Ask {
    pub(crate) fn new(method: Method, target: &str) -> Self {
        let headers = vec![("x-vault-request".to_owned(), "true".to_owned())];
        Self { method, target: target.to_owned(), headers, body: Bytes::new() }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new(Method::GET, target)
    }

    pub(crate) fn method(name: &str, target: &str) -> Self {
        Self::new(Method::from_bytes(name.as_bytes()).unwrap(), target)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("x-vault-token", token)
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self.header("content-type", "application/json")
    }

    pub(crate) fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known == name)
    }

    pub(crate) async fn send_to(self, address: &str) -> Answer {
        let stream = TcpStream::connect(address).await.unwrap();
        self.over(TokioIo::new(stream), address).await
    }

    pub(crate) async fn send_to_socket(self, path: &std::path::Path) -> Answer {
        let stream = UnixStream::connect(path).await.unwrap();
        self.over(TokioIo::new(stream), "localhost").await
    }

    pub(crate) async fn over<S>(self, io: S, host: &str) -> Answer
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let running = tokio::spawn(connection);
        let mut request = Request::builder().method(self.method.clone()).uri(&self.target);
        if !self.has("host") {
            request = request.header("host", host);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body)).unwrap();
        let answer = async {
            let response = sender.send_request(request).await.unwrap();
            let (head, body) = response.into_parts();
            let headers = head.headers.iter();
            let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            Answer {
                status: head.status.as_u16(),
                headers: headers.collect(),
                body: body.collect().await.unwrap().to_bytes(),
            }
        };
        let answer = tokio::time::timeout(HANG, answer).await.expect("no answer");
        running.abort();
        answer
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn cache(&self) -> &str {
        self.header("x-cache")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The fields of a KV v2 read.
    pub(crate) fn data(&self) -> Value {
        self.json()["data"]["data"].clone()
    }

    /// The first of Vault's error messages.
    pub(crate) fn error(&self) -> String {
        self.json()["errors"][0].as_str().unwrap_or_default().to_owned()
    }

    /// The answer without what is different each time.
    pub(crate) fn comparable(&self) -> (u16, Value) {
        let mut body = if self.body.is_empty() { Value::Null } else { self.json() };
        if let Some(object) = body.as_object_mut() {
            object.remove("request_id");
        }
        (self.status, body)
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16, cache: &str) -> &Self {
        assert_eq!((self.status, self.cache()), (status, cache), "{self:?}");
        self
    }
}
