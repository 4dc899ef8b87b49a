//! A handler around another one, which makes a span of each request.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::super::answer::AnswerBody;
use super::Tracer;
use super::context::{SpanContext, TRACEPARENT};
use super::otlp::Span;

/// Longer names have no mounts; what is longer is something else.
const LONGEST_MOUNT: usize = 40;

#[derive(Clone)]
pub(crate) struct Traced<H> {
    handler: H,
    tracer: Tracer,
}

impl<H> Traced<H> {
    pub(crate) fn new(handler: H, tracer: Tracer) -> Self {
        Self { handler, tracer }
    }
}

impl<H> Service<Request<Incoming>> for Traced<H>
where
    H: Service<Request<Incoming>, Response = Response<AnswerBody>, Error = Infallible>,
    H::Future: Unpin,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Tracing<H::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let begun = if self.tracer.is_on() { begin(&mut request) } else { None };
        let begun = begun.map(|(span, at)| Begun { span, at, tracer: self.tracer.clone() });
        Tracing { answering: self.handler.call(request), begun }
    }
}

/// An answer on its way; its span ends when it begins to be sent.
pub(crate) struct Tracing<F> {
    answering: F,
    begun: Option<Begun>,
}

struct Begun {
    span: Span,
    at: Instant,
    tracer: Tracer,
}

impl<F> Future for Tracing<F>
where
    F: Future<Output = Result<Response<AnswerBody>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = std::task::ready!(Pin::new(&mut self.answering).poll(context));
        if let (Some(begun), Ok(answer)) = (self.begun.take(), &answer) {
            begun.end(answer);
        }
        Poll::Ready(answer)
    }
}

impl Begun {
    fn end(self, answer: &Response<AnswerBody>) {
        let Self { mut span, at, tracer } = self;
        span.status = answer.status().as_u16();
        span.cache = match answer.headers().get("x-cache").map(http::HeaderValue::as_bytes) {
            Some(b"HIT") => "hit",
            Some(b"MISS") => "miss",
            Some(b"STALE") => "stale",
            Some(b"BYPASS") => "bypass",
            _ => "none",
        };
        span.end = span.start.saturating_add(nanoseconds(at.elapsed()));
        tracer.record(span);
    }
}

/// The span of a request, if its trace is recorded; the request then says that it is part of it.
fn begin<B>(request: &mut Request<B>) -> Option<(Span, Instant)> {
    let parent = SpanContext::of(request.headers());
    if parent.is_some_and(|parent| !parent.sampled) {
        return None;
    }
    let context = parent.map_or_else(SpanContext::root, SpanContext::child);
    if parent.is_none() {
        // It belongs to no trace that could be read.
        request.headers_mut().remove("tracestate");
    }
    if let Some(header) = context.header() {
        request.headers_mut().insert(TRACEPARENT, header);
    }
    let span = Span {
        context,
        parent: parent.map(|parent| parent.span),
        method: method(request.method()),
        route: route(request.uri().path()),
        cache: "none",
        status: 0,
        start: u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(0),
        end: 0,
    };
    Some((span, Instant::now()))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Any other word is the client's, and could be anything.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "LIST", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

/// `/v1/secret/*`: the mount, and nothing below it, where paths may have names of users and even tokens.
fn route(path: &str) -> String {
    let mount = path.strip_prefix("/v1/").map(|rest| rest.split('/').next().unwrap_or_default());
    // What has other characters is hardly a mount; a token has a dot.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    match mount {
        Some(mount) if !mount.is_empty() && mount.len() <= LONGEST_MOUNT && mount.chars().all(plain) => {
            format!("/v1/{mount}/*")
        }
        Some(_) => "/v1/*".to_owned(),
        None => "*".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_the_mount() {
        for (path, shown) in [
            ("/v1/secret/data/myapp/config", "/v1/secret/*"),
            ("/v1/auth/token/lookup/hvs.canary", "/v1/auth/*"),
            ("/v1/hvs.canary", "/v1/*"),
            ("/v1/CANARY/x", "/v1/*"),
            ("/v1/", "/v1/*"),
            ("/v1/%63anary", "/v1/*"),
            ("/canary", "*"),
            ("*", "*"),
        ] {
            assert_eq!(route(path), shown, "{path}");
        }
        assert_eq!(method(&Method::from_bytes(b"CANARY").unwrap()), "_OTHER");
    }

    #[test]
    fn a_request_goes_on_within_its_trace() {
        let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let request = |traceparent: &str| {
            let request = Request::builder().uri("/v1/a/b").header(TRACEPARENT, traceparent);
            request.header("tracestate", "a=b").body(()).unwrap()
        };
        let mut known = request(sent);
        let (span, _) = begin(&mut known).unwrap();
        assert_eq!(
            (span.context.trace, span.parent),
            (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, Some(0xb7ad_6b71_6920_3331))
        );
        assert_eq!(SpanContext::of(known.headers()), Some(span.context), "what is behind is a child of ours");
        assert!(known.headers().contains_key("tracestate"));
        let mut unknown = request("x");
        let (span, _) = begin(&mut unknown).unwrap();
        assert_eq!((span.parent, SpanContext::of(unknown.headers())), (None, Some(span.context)));
        assert!(!unknown.headers().contains_key("tracestate"));
        let mut unwanted = request("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        assert!(begin(&mut unwanted).is_none());
        assert!(
            unwanted.headers()[TRACEPARENT].to_str().unwrap().ends_with("b7ad6b7169203331-00"),
            "as it came"
        );
    }
}
