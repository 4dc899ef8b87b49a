//! [`Request`]: one request to Vault, being put together.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, Headers, Standing, TokenHeader, X_VAULT_TOKEN};
use crate::error::{self, Error, ErrorKind, Scrubber};
use crate::path;
use crate::response::Response;
use crate::secret::Secret;
use crate::secret_string::SecretString;
use crate::transport::Outgoing;
use crate::wiped::json_bytes;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const MERGE_PATCH: HeaderValue = HeaderValue::from_static("application/merge-patch+json");
const X_VAULT_WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");

/// One request, put together step by step and sent by [`send`](Self::send), [`read`](Self::read),
/// [`write`](Self::write) or [`send_any`](Self::send_any). A mistake on the way (a bad path, a value that cannot be
/// JSON) is reported when it is sent, as [`ErrorKind::Configuration`].
///
/// ```no_run
/// # async fn example(client: gds_vault::Client) -> Result<(), gds_vault::Error> {
/// use gds_vault::Method;
///
/// let secret = client.request(Method::GET, "secret/data/app").query("version", "2").read().await?;
/// # Ok(()) }
/// ```
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    // Boxed, for it is moved through several layers.
    parts: Box<Parts>,
}

struct Parts {
    client: Client,
    method: Method,
    operation: Cow<'static, str>,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
    /// Whether the values in the body may appear in errors: not for what people store.
    body_is_public: bool,
    token: Token,
    in_namespace: bool,
    timeout: Option<Duration>,
    secrets: Vec<SecretString>,
    mistake: Option<Error>,
}

enum Token {
    OfClient,
    Own(TokenHeader),
    None,
}

impl Request {
    pub(crate) fn new(client: Client, method: Method, path: String) -> Self {
        let trimmed = path::trim(&path);
        let path = if trimmed.len() == path.len() { path } else { trimmed.to_owned() };
        let mut operation = Cow::Borrowed(match method.as_str() {
            "GET" => "GET",
            "POST" => "POST",
            "PUT" => "PUT",
            "LIST" => "LIST",
            _ => "",
        });
        if operation.is_empty() {
            operation = method.as_str().to_owned().into();
        }
        let is_list = operation == "LIST";
        let parts = Parts {
            client,
            operation,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            body_is_public: false,
            token: Token::OfClient,
            in_namespace: true,
            timeout: None,
            secrets: Vec::new(),
            mistake: None,
            // The same to Vault, and proxies let it through.
            method: if is_list { Method::GET } else { method },
            path,
        };
        let request = Self { parts: Box::new(parts) };
        if is_list { request.query("list", "true") } else { request }
    }

    /// Adds a query parameter. Never put a secret there: servers log queries.
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parts.query.push((name.into(), value.into()));
        self
    }

    /// Sends a value as JSON. None of the values in it will appear in an error, even if Vault repeats them.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        match json_bytes(value) {
            Ok(body) => {
                self.parts.body = body;
                self.parts.headers.entry(CONTENT_TYPE).or_insert(JSON);
            }
            Err(_) => self.note("the body cannot be written as JSON"),
        }
        self
    }

    /// Sends JSON whose values, but for [`secrets`](Self::secrets), may appear in errors: role names and the like.
    pub(crate) fn public_json(mut self, value: &impl Serialize) -> Self {
        self.parts.body_is_public = true;
        self.json(value)
    }

    /// Sends JSON as a patch to what is there (KV v2; RFC 7396).
    pub(crate) fn merge_patch(mut self, value: &impl Serialize) -> Self {
        self.parts.headers.insert(CONTENT_TYPE, MERGE_PATCH);
        self.json(value)
    }

    /// Sends a body as it is. If it is JSON, its values are kept out of errors as by [`json`](Self::json).
    pub fn body(mut self, body: Bytes) -> Self {
        self.parts.body = body;
        self
    }

    /// Uses this token instead of the client's.
    pub fn token(mut self, token: &SecretString) -> Self {
        self.parts.token = Token::Own(TokenHeader::new(token.clone()));
        self
    }

    /// Sends no token.
    pub fn no_token(mut self) -> Self {
        self.parts.token = Token::None;
        self
    }

    /// Sends no namespace: for the few paths that exist in the root namespace only.
    pub(crate) fn in_root_namespace(mut self) -> Self {
        self.parts.in_namespace = false;
        self
    }

    /// Adds a header, replacing one of the same name. `X-Vault-Token` is the same as [`token`](Self::token).
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), _) if name == X_VAULT_TOKEN => return self.token(&value.into()),
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(name == AUTHORIZATION);
                self.parts.headers.insert(name, value);
            }
            _ => self.note("a header of the request is not valid"),
        }
        self
    }

    /// Asks Vault to wrap the answer for so long (whole seconds, at least 1); see [`Secret::wrap_info`].
    pub fn wrap_ttl(mut self, ttl: Duration) -> Self {
        let seconds = ttl.as_secs().max(1);
        self.parts.headers.insert(X_VAULT_WRAP_TTL, HeaderValue::from(seconds));
        self
    }

    /// The time for the whole answer, instead of the client's. It covers everything: connecting, other addresses,
    /// redirects.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.parts.timeout = Some(timeout);
        self
    }

    /// What errors and logs call this request, instead of its method: `login (approle)`.
    pub fn label(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        self.parts.operation = operation.into();
        self
    }

    /// Further values that Vault's messages must not repeat in an error. The token and the values of a JSON body
    /// are kept out anyway.
    pub fn secrets(mut self, secrets: impl IntoIterator<Item = SecretString>) -> Self {
        self.parts.secrets.extend(secrets);
        self
    }

    /// Sends it. A status outside of 2xx is an error, classified.
    pub async fn send(self) -> Result<Response, Error> {
        self.exchange(true).await
    }

    /// Sends it. Any whole answer is `Ok`, whatever its status: for proxies, and for `sys/health`. Redirects of a
    /// standby are followed all the same.
    pub async fn send_any(self) -> Result<Response, Error> {
        self.exchange(false).await
    }

    /// Sends it and reads the answer, which must be Vault's JSON.
    pub async fn read(self) -> Result<Secret, Error> {
        self.answer(|secret| Ok(secret.clone())).await
    }

    /// Sends it and reads the answer, if there is one: `None` for 204 or an empty body.
    pub async fn write(self) -> Result<Option<Secret>, Error> {
        let client = self.parts.client.clone();
        let response = self.send().await?;
        if response.body.is_empty() { Ok(None) } else { secret_of(&client, &response).map(Some) }
    }

    /// Sends it and takes something from the answer. An error of `take` is told as one of this request.
    pub(crate) async fn answer<T>(self, take: impl FnOnce(&Secret) -> Result<T, Error>) -> Result<T, Error> {
        let client = self.parts.client.clone();
        let response = self.send().await?;
        take(&secret_of(&client, &response)?).map_err(|error| response.place(error))
    }

    /// Sends it and reads the fields of the answer as a type.
    pub(crate) async fn fields<T: DeserializeOwned>(self) -> Result<T, Error> {
        self.answer(Secret::decode).await
    }

    async fn exchange(self, refuse: bool) -> Result<Response, Error> {
        let mut parts = self.parts;
        let standing = parts.client.standing();
        let path_and_query =
            path::encode(&parts.path, &parts.query).map_err(|mistake| parts.place(mistake))?;
        let headers = parts.headers(&standing).map_err(|mistake| parts.place(mistake))?;
        let outgoing = Outgoing {
            method: &parts.method,
            path_and_query: &path_and_query,
            headers: &headers,
            body: &parts.body,
            any_status: !refuse,
            timeout: parts.timeout,
            operation: &parts.operation,
            path: &parts.path,
        };
        // Boxed: it is large, and would be moved at each of the layers above.
        let answer = Box::pin(parts.client.transport().exchange(&outgoing)).await?;
        let response = Response {
            status: answer.status.as_u16(),
            headers: answer.headers,
            body: answer.body,
            address: answer.address,
            operation: std::mem::take(&mut parts.operation),
            path: std::mem::take(&mut parts.path),
        };
        if !refuse || (200..300).contains(&response.status) {
            return Ok(response);
        }
        let mut scrubber = Scrubber::default();
        let token = parts.token(&standing).map(|token| &**token.secret());
        for secret in token.into_iter().chain(&parts.secrets) {
            scrubber.add(secret);
        }
        if !parts.body_is_public {
            scrubber.add_values_of(&parts.body);
        }
        Err(response.place(error::from_answer(&response, &scrubber)))
    }

    fn note(&mut self, mistake: &str) {
        self.parts.mistake.get_or_insert_with(|| Error::new(ErrorKind::Configuration, mistake));
    }
}

impl Parts {
    /// The token that it goes out with.
    fn token<'a>(&'a self, standing: &'a Standing) -> Option<&'a TokenHeader> {
        match &self.token {
            Token::OfClient => standing.token(),
            Token::Own(header) => Some(header),
            Token::None => None,
        }
    }

    /// The headers that it goes out with, or the first mistake.
    fn headers(&mut self, standing: &Arc<Standing>) -> Result<Headers, Error> {
        if let Some(mistake) = self.mistake.take() {
            return Err(mistake);
        }
        let is_usual = self.headers.is_empty() && matches!(self.token, Token::OfClient) && self.in_namespace;
        if is_usual && let Some(headers) = standing.headers() {
            return Ok(headers);
        }
        let own = std::mem::take(&mut self.headers);
        self.client.headers(own, self.token(standing), self.in_namespace)
    }

    fn place(&self, mistake: Error) -> Error {
        mistake.with_operation(self.operation.clone()).with_path(&self.path)
    }
}

/// The secret in an answer that should have one. A server that answers anything else is asked last for a while.
fn secret_of(client: &Client, response: &Response) -> Result<Secret, Error> {
    response.secret().inspect_err(|_| client.transport().demote(&response.address))
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.parts.method)
            .field("operation", &self.parts.operation)
            .field("path", &self.parts.path)
            .finish_non_exhaustive()
    }
}
