//! HTTP/1.1 by hand.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Only against hanging for ever.
const HANG_GUARD: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Connection(TcpStream);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

/// How an exchange failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused,
    Reset,
    /// Closed before anything came.
    Closed,
    /// Closed within the body.
    Cut,
    NotHttp,
    Other(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Self::Refused,
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => Self::Reset,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Failure> {
        Ok(Self(TcpStream::connect(address).await?))
    }

    pub(crate) async fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut head =
            format!("{method} {target} HTTP/1.1\r\nhost: vault\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        self.0.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
        tokio::time::timeout(HANG_GUARD, self.read_answer(method))
            .await
            .expect("an answer before the hang guard")
    }

    async fn read_answer(&mut self, method: &str) -> Result<Answer, Failure> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            if self.0.read_buf(&mut bytes).await? == 0 {
                return Err(match bytes.as_slice() {
                    [] => Failure::Closed,
                    started if started.starts_with(b"HTTP/") => Failure::Cut,
                    _ => Failure::NotHttp,
                });
            }
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or(Failure::NotHttp)?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let announced = headers.iter().find(|(name, _)| name == "content-length");
        let announced = announced.and_then(|(_, length)| length.parse().ok());
        let length = if method == "HEAD" || status == 204 { 0 } else { announced.unwrap_or(0) };
        while bytes.len() < head_end + 4 + length {
            if self.0.read_buf(&mut bytes).await? == 0 {
                return Err(Failure::Cut);
            }
        }
        let text = String::from_utf8_lossy(&bytes[head_end + 4..]).into_owned();
        Ok(Answer { status, headers, text })
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A member of `data`.
    pub(crate) fn data(&self, name: &str) -> Value {
        self.json()["data"][name].clone()
    }

    /// A text member of `auth`; the whole answer is good for nothing without it.
    pub(crate) fn auth(&self, name: &str) -> &str {
        self.text_after(&["auth", name])
    }

    pub(crate) fn wrap_info(&self, name: &str) -> &str {
        self.text_after(&["wrap_info", name])
    }

    fn text_after(&self, path: &[&str]) -> &str {
        let json = self.json();
        let value = path.iter().fold(&json, |value, name| &value[*name]);
        let text = value.as_str().unwrap_or_else(|| panic!("no {path:?} in {self:?}"));
        let at = self.text.find(text).unwrap_or_else(|| panic!("{text} is escaped in {self:?}"));
        &self.text[at..at + text.len()]
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error.as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let json = self.json();
        let warnings = json["warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().map(|warning| warning.as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
