//! One request to one server: the head of the answer, and its body.

use std::pin::{Pin, pin};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::outbound::{Attempt, Outbound, Taken};
use super::pool::{Failed, Lent, Pool};
use super::{Deadlines, Transport, body, failure};
use crate::address::Address;
use crate::error::{Error, ErrorKind};

/// A request that is to be sent.
pub(super) struct UnderWay {
    pool: Pool,
    address: Address,
    request: http::Request<Attempt>,
    taken: Taken,
}

impl Transport {
    /// Nothing is sent before the answer is waited for.
    pub(super) fn start(
        &self,
        address: Address,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Outbound,
    ) -> UnderWay {
        let taken = Taken::default();
        let mut request = http::Request::new(Attempt::new(body, taken.clone()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        UnderWay { pool: self.pool.clone(), address, request, taken }
    }

    /// The whole answer. If it will not do whatever its status (`any_status`), a body that is too large does not hide a
    /// status that says no.
    pub(super) async fn whole(
        &self,
        under_way: UnderWay,
        any_status: bool,
        deadlines: Deadlines,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Error> {
        let mut clock = pin!(sleep_until(deadlines.connected));
        // Goes back to the pool when the body has been read.
        let (head, _lent) = under_way.head(clock.as_mut(), deadlines).await?;
        let (parts, incoming) = head.into_parts();
        let whole = pin!(body::read(incoming, self.limits.max_response_bytes));
        let body = match in_time(whole, clock, deadlines.answered).await {
            Some(Ok(body)) => body,
            Some(Err(error))
                if error.kind() == ErrorKind::AnswerTooLarge && !any_status && !parts.status.is_success() =>
            {
                Bytes::new()
            }
            Some(Err(error)) => return Err(error.with_status(parts.status.as_u16())),
            None => return Err(failure::not_answered_in_time(deadlines.timeout)),
        };
        Ok((parts.status, parts.headers, body))
    }

    /// The head of the answer; its body is still to come.
    pub(super) async fn head(
        &self,
        under_way: UnderWay,
        deadlines: Deadlines,
    ) -> Result<http::Response<Incoming>, Error> {
        let clock = pin!(sleep_until(deadlines.connected));
        under_way.head(clock, deadlines).await.map(|(head, _)| head)
    }
}

impl UnderWay {
    /// The clock must be set to the earlier of the deadlines.
    async fn head(
        self,
        mut clock: Pin<&mut Sleep>,
        deadlines: Deadlines,
    ) -> Result<(http::Response<Incoming>, Lent), Error> {
        let Self { pool, address, request, taken } = self;
        let mut answer = pin!(pool.send(address, request));
        let head = match in_time(answer.as_mut(), clock.as_mut(), deadlines.connected).await {
            Some(head) => head,
            None if !taken.is_set() => return Err(failure::not_connected_in_time()),
            None => in_time(answer, clock, deadlines.answered)
                .await
                .ok_or_else(|| failure::not_answered_in_time(deadlines.timeout))?,
        };
        head.map_err(|failed: Failed| failure::of_request(&failed, taken.is_set()))
    }
}

/// What comes of `work`, if it comes until `until`. The clock may be set to an earlier moment; it is put on when that has
/// come. One clock for all deadlines of a request: to set one up and take it down costs more than to wait with it.
async fn in_time<F: Future + Unpin>(
    mut work: F,
    mut clock: Pin<&mut Sleep>,
    until: Instant,
) -> Option<F::Output> {
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = clock.as_mut() => {
                if clock.deadline() >= until {
                    return None;
                }
                clock.as_mut().reset(until);
            }
        }
    }
}
