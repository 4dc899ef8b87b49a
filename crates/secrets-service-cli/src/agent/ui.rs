//! The status page: one file with all it needs, for a browser on this machine. It shows what `/agent/v1/status` and
//! `/agent/v1/cache` tell, and has no other way to anything.

use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response};

use super::answer::AnswerBody;

const STYLE: &str = include_str!("ui/status.css");
const SCRIPT: &str = include_str!("ui/status.js");

static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let page = include_str!("ui/status.html");
    page.replace("/*style*/", STYLE).replace("/*script*/", SCRIPT).into()
});

/// Nothing but what is in the page runs, and it speaks to nobody but the agent. With trusted types and no policy for
/// them, no text can be made into markup: paths and errors come from elsewhere.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hash(SCRIPT),
        hash(STYLE),
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The page, and what browsers should know about it.
pub(super) fn page() -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(PAGE.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    let fixed: [(HeaderName, &'static str); 7] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    format!("sha256-{}", BASE64_STANDARD.encode(digest))
}
