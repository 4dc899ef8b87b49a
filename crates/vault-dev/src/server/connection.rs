//! One connection: HTTP, until a fault takes the socket.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Shared, exchange};

pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>, hang_up: CancellationToken) {
    // Answers are small and complete: waiting for more to send would only add delay.
    let _ = stream.set_nodelay(true);
    let (take_socket, mut taken) = mpsc::channel(1);
    let service = service_fn(|request| {
        let (shared, take_socket) = (Arc::clone(&shared), take_socket.clone());
        async move { Ok::<_, Infallible>(exchange::answer(&shared, &take_socket, request).await) }
    });
    let mut http = http1::Builder::new();
    // No timer: a development server does not hurry its clients, and a paused test clock would.
    http.header_read_timeout(None);
    let mut connection = http.serve_connection(TokioIo::new(stream), service);
    let act = tokio::select! {
        biased;
        () = hang_up.cancelled() => return,
        Some(act) = taken.recv() => act,
        // Errors here are the client's: it went away, or did not speak HTTP.
        _ = &mut connection => return,
    };
    let stream = connection.into_parts().io.into_inner();
    tokio::select! {
        () = hang_up.cancelled() => {}
        () = act.perform(stream) => {}
    }
}
