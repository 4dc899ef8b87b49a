//! Passing a request on: as [`Transport::exchange`], but streamed, and with every answer welcome.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{Answer, Deadlines, MAX_REDIRECTS, Outbound, Transport, redirect};
use crate::address::Address;
use crate::client::{Forward, Forwarded, ForwardedBody};
use crate::error::{Error, ErrorKind, Scrubber};

impl Transport {
    /// Sends the request to the first server that can be reached.
    pub(crate) async fn forward(&self, forward: Forward) -> Result<Forwarded, Error> {
        let started = Instant::now();
        let outcome = self.forward_to_servers(&forward, started).await;
        let ms = started.elapsed().as_millis();
        let method = &forward.method;
        match outcome {
            Ok((address, head)) => {
                let status = head.status().as_u16();
                let path = Scrubber::default().path(forward.path());
                tracing::debug!(%method, path, %address, status, ms, "vault request passed on");
                let (parts, body) = head.into_parts();
                let body = ForwardedBody::incoming(body, forward.idle_timeout);
                Ok(Forwarded { status, headers: parts.headers, body })
            }
            Err(error) => {
                let error = error.with_operation(method.to_string()).with_path(forward.path());
                tracing::debug!(%error, ms, "vault request passed on");
                Err(error)
            }
        }
    }

    async fn forward_to_servers(
        &self,
        forward: &Forward,
        started: Instant,
    ) -> Result<(Address, http::Response<Incoming>), Error> {
        let ask = |server, deadlines| self.forward_along_redirects(server, forward, deadlines);
        self.one_after_another(started, forward.head_timeout, ask, |(_, head)| head.status()).await
    }

    /// Follows a standby's redirects as far as that is possible; an answer that cannot be followed is the answer.
    async fn forward_along_redirects(
        &self,
        server: usize,
        forward: &Forward,
        deadlines: Deadlines,
    ) -> Result<(Address, http::Response<Incoming>), Error> {
        let mut address = self.servers.addresses()[server].clone();
        let mut target = Cow::Borrowed(forward.target.as_str());
        let mut redirected_by = None;
        for _ in 0..MAX_REDIRECTS {
            let head = self.forward_once(&address, &target, forward, deadlines).await;
            let head = head.map_err(|error| redirect::failed(error, redirected_by.as_ref()))?;
            let can_go_on = matches!(forward.body, Outbound::Whole(_));
            if !can_go_on || !head.status().is_redirection() {
                return Ok((address, head));
            }
            match redirect::target(&without_body(&address, head.status(), head.headers().clone())) {
                Ok(Some((next, rest))) => {
                    redirected_by = Some(std::mem::replace(&mut address, next));
                    target = Cow::Owned(rest);
                }
                Ok(None) | Err(_) => return Ok((address, head)),
            }
        }
        let head = self.forward_once(&address, &target, forward, deadlines).await?;
        Ok((address, head))
    }

    async fn forward_once(
        &self,
        address: &Address,
        target: &str,
        forward: &Forward,
        deadlines: Deadlines,
    ) -> Result<http::Response<Incoming>, Error> {
        let uri = address
            .target(target)
            .map_err(|_| Error::new(ErrorKind::Configuration, "the path is no part of a URL"))?;
        let mut headers = forward.headers.clone();
        headers.entry(HOST).or_insert_with(|| address.host_header());
        let under_way =
            self.start(address.clone(), forward.method.clone(), uri, headers, forward.body.attempt());
        self.head(under_way, deadlines).await.map_err(|error| error.with_address(address))
    }
}

/// What is known of an answer before its body has come.
fn without_body(address: &Address, status: StatusCode, headers: HeaderMap) -> Answer {
    Answer { status, headers, body: Bytes::new(), address: address.clone() }
}
