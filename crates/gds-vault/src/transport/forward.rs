//! Passing a request on: as [`Transport::exchange`], but streamed, and with every answer welcome.

use std::borrow::Cow;
use std::pin::pin;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use tokio::time::{Instant, timeout_at};

use super::{Answer, Deadlines, MAX_REDIRECTS, Outbound, Transport, failure, redirect};
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
        let mut request = http::Request::new(forward.body.attempt());
        *request.method_mut() = forward.method.clone();
        *request.headers_mut() = forward.headers.clone();
        *request.uri_mut() = address
            .join(target)
            .map_err(|_| Error::new(ErrorKind::Configuration, "the path is no part of a URL"))?;
        let connection = capture_connection(&mut request);
        let is_connected = || connection.connection_metadata().is_some();
        let mut answer = pin!(self.http.request(request));
        let head = match timeout_at(deadlines.connected, &mut answer).await {
            Ok(head) => head,
            Err(_) if !is_connected() => {
                return Err(failure::not_connected_in_time().with_address(address));
            }
            Err(_) => timeout_at(deadlines.answered, answer)
                .await
                .map_err(|_| failure::not_answered_in_time(deadlines.timeout).with_address(address))?,
        };
        head.map_err(|error| failure::of_request(&error, is_connected()).with_address(address))
    }
}

/// What is known of an answer before its body has come.
fn without_body(address: &Address, status: StatusCode, headers: HeaderMap) -> Answer {
    Answer { status, headers, body: Bytes::new(), address: address.clone() }
}
