//! One request and its answer, faults included.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, ORIGIN, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::Shared;
use super::read_request::{self, Incoming as IncomingRequest};
use crate::core::Written;
use crate::faults::{ADMIN, Fault, RawAct, handle_admin};
use crate::sys::health_body;

pub(super) async fn answer(
    shared: &Arc<Shared>,
    take_socket: &mpsc::Sender<RawAct>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    if let Some(path) = head.uri.path().strip_prefix(ADMIN) {
        // No page in a browser has any business here.
        if head.headers.contains_key(ORIGIN) {
            return respond(&Written::errors(403, &["not for browsers".to_owned()]), &[]);
        }
        let written = match read_request::collect(body).await {
            Ok(body) => handle_admin(shared, head.method.as_str(), path, &body).await,
            Err(refusal) => Written::refusal(&refusal),
        };
        return respond(&written, &[]);
    }
    let asked = IncomingRequest::of(&head);
    let ticket = shared.requests.arrived(asked.method(), asked.path());
    let is_head = head.method == Method::HEAD;
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let body = read_request::collect(body).await;
    let work = async {
        if !asked.is_printable() {
            return Written { status: 400, body: String::new() };
        }
        match body.and_then(|body| asked.complete(&head.headers, &body)) {
            Ok(request) => handle(shared, request).await,
            Err(written) => Written::refusal(&written),
        }
    };
    let hit = shared.faults.hit(asked.path());
    let response = match hit.as_ref().map(|hit| &hit.fault) {
        Some(Fault::Frozen) => {
            if let Some(hit) = &hit {
                hit.lifted.cancelled().await;
            }
            respond(&work.await, &[])
        }
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(*delay).await;
            respond(&work.await, &[])
        }
        Some(Fault::Status { status, retry_after }) => {
            let errors = [format!("injected fault: status {status}")];
            let seconds = retry_after.map(|after| (RETRY_AFTER, whole_seconds(after).to_string()));
            respond(&Written::errors(*status, &errors), seconds.as_slice())
        }
        Some(Fault::Standby(status)) => standby(shared, asked.path(), *status),
        Some(Fault::Garbage) => garbage(),
        Some(Fault::Redirect(url)) => redirect(&format!("{}{target}", url.trim_end_matches('/'))),
        Some(Fault::NotHttp) => {
            take(take_socket, RawAct::Close(b"SSH-2.0-OpenSSH_9.9\r\nProtocol mismatch.\n".to_vec())).await
        }
        Some(Fault::Reset) => take(take_socket, RawAct::Reset(Vec::new())).await,
        Some(Fault::CutBody) => take(take_socket, RawAct::Close(half(&work.await))).await,
        Some(Fault::ResetMidBody) => take(take_socket, RawAct::Reset(half(&work.await))).await,
        Some(Fault::Drip(pause)) => take(take_socket, RawAct::Drip(on_the_wire(&work.await), *pause)).await,
        Some(Fault::Sealed | Fault::Refused) | None => {
            match asked.clean_path().filter(|_| asked.is_printable()) {
                Some(clean) => redirect(&clean),
                None => respond(&work.await, &[]),
            }
        }
    };
    shared.requests.answered(ticket, response.status().as_u16());
    if is_head { response.map(|_| Full::default()) } else { response }
}

/// Runs the request in a task of its own: a client that hangs up must not leave work half done (a database role
/// without a lease). The permit lets shutdown wait for it.
async fn handle(shared: &Arc<Shared>, request: crate::core::Request) -> Written {
    let gone = || Written::errors(503, &["the server is shutting down".to_owned()]);
    let Ok(permit) = Arc::clone(&shared.working).acquire_owned().await else { return gone() };
    let core = Arc::clone(&shared.core);
    let task = tokio::spawn(async move {
        let written = core.handle(request).await;
        drop(permit);
        written
    });
    task.await.unwrap_or_else(|_| Written::errors(500, &["internal error".to_owned()]))
}

fn respond(written: &Written, extra: &[(HeaderName, String)]) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(written.body.clone())));
    *response.status_mut() =
        StatusCode::from_u16(written.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !written.body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in extra {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    response
}

fn standby(shared: &Shared, path: &str, status: u16) -> Response<Full<Bytes>> {
    if path == "sys/health" {
        let body = crate::json::Json::Object(health_body(&shared.core, true));
        return respond(&Written { status, body: format!("{}\n", crate::json::encode(&body)) }, &[]);
    }
    respond(&Written::errors(status, &["Vault is in standby mode".to_owned()]), &[])
}

fn garbage() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(
        b"<html><body>Please log in to the network</body></html>\n",
    )));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

fn redirect(location: &str) -> Response<Full<Bytes>> {
    respond(&Written { status: 307, body: String::new() }, &[(LOCATION, location.to_owned())])
}

/// Leaves the socket to the connection's task, which drops this future.
async fn take(take_socket: &mpsc::Sender<RawAct>, act: RawAct) -> Response<Full<Bytes>> {
    let _ = take_socket.send(act).await;
    std::future::pending().await
}

/// The head of the whole answer, with half of its body (of an empty one: nothing, but a promise).
fn half(written: &Written) -> Vec<u8> {
    let mut bytes = head(written.status, written.body.len().max(2));
    bytes.extend_from_slice(&written.body.as_bytes()[..written.body.len() / 2]);
    bytes
}

fn on_the_wire(written: &Written) -> Vec<u8> {
    let mut bytes = head(written.status, written.body.len());
    bytes.extend_from_slice(written.body.as_bytes());
    bytes
}

fn head(status: u16, length: usize) -> Vec<u8> {
    // 204 has no body to cut.
    let status = if status == 204 && length > 0 { 200 } else { status };
    format!(
        "HTTP/1.1 {status} Fault\r\ncache-control: no-store\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )
    .into_bytes()
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
