//! Somebody else's API.

use anyhow::{Context as _, bail};
use axum::body::Bytes;
use axum::http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrets_service::{ReadOptions, SecretString, SecretsService};

const LONGEST_ANSWER: usize = 64 * 1024;

#[derive(Clone)]
pub(crate) struct Payments {
    url: String,
    secrets: SecretsService,
    /// A real one would have TLS: hyper-rustls has the connector for it.
    http: Client<HttpConnector, Full<Bytes>>,
}

impl Payments {
    pub(crate) fn new(url: &str, secrets: SecretsService) -> anyhow::Result<Self> {
        let _: Uri = url.parse().context("PAYMENTS_URL")?;
        let http = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { url: url.trim_end_matches('/').to_owned(), secrets, http })
    }

    /// Charges for an item, and returns the receipt. The key is asked for each time: that costs a look into the cache,
    /// and a new one is used without a restart.
    pub(crate) async fn charge(&self, item: i32) -> anyhow::Result<String> {
        let key = self.secrets.get_api_key("stripe").await?;
        let (mut status, mut receipt) = self.post(item, &key).await?;
        if status == StatusCode::UNAUTHORIZED {
            // The key was changed since it was cached.
            let path = &self.secrets.config().api_keys_path;
            let anew = ReadOptions { bypass_cache: true, ..ReadOptions::default() };
            let keys = self.secrets.vault().get_secret_with(path, anew).await?;
            let key = keys.field("stripe").context("there is no key")?.text();
            (status, receipt) = self.post(item, &key).await?;
        }
        if status != StatusCode::OK {
            bail!("the payment service answers {status}");
        }
        Ok(receipt)
    }

    async fn post(&self, item: i32, key: &SecretString) -> anyhow::Result<(StatusCode, String)> {
        let mut bearer = header::HeaderValue::try_from(format!("Bearer {}", key.expose()))?;
        bearer.set_sensitive(true);
        let request = Request::post(format!("{}/charges/{item}", self.url))
            .header(header::AUTHORIZATION, bearer)
            .body(Full::default())?;
        let answer = self.http.request(request).await.context("the payment service does not answer")?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the payment service's answer: {error}"))?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }
}
