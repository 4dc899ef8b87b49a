//! The accept loop, whose port can be closed and opened again without ever being lost.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection;
use super::{MAX_CONNECTIONS, Shared};

/// A port of ours. `reservation` is bound and never listens: connections are refused while nothing else listens
/// on the port, and nobody gets it who asks for any free port.
pub(crate) struct Listening {
    address: SocketAddr,
    _reservation: TcpSocket,
    listener: Option<TcpListener>,
}

/// Clients that have connected and are not accepted yet.
const BACKLOG: u32 = 1024;

/// Pause after a failed accept or bind (out of file descriptors): the loop must not spin.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn bind(address: SocketAddr) -> io::Result<Listening> {
    let reservation = new_socket(address)?;
    // A port of the kernel's choice is ours alone only if we do not share it. A given one may still have
    // connections of its last user in TIME_WAIT, which only SO_REUSEADDR ignores.
    reservation.set_reuseaddr(address.port() != 0)?;
    reservation.bind(address)?;
    // From here on, a second socket of ours may have the port: Linux lets sockets with SO_REUSEADDR share one that
    // none of them listens on. There is no moment at which the port is nobody's.
    reservation.set_reuseaddr(true)?;
    let address = reservation.local_addr()?;
    let listener = listen(address)?;
    Ok(Listening { address, _reservation: reservation, listener: Some(listener) })
}

/// Fails when anybody listens there: SO_REUSEADDR does not go as far as sharing that.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn new_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

impl Listening {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until the server stops. `open` says whether to listen; `applied` says what has been done about it.
    pub(crate) async fn run(
        mut self,
        shared: Arc<Shared>,
        mut open: watch::Receiver<bool>,
        applied: watch::Sender<bool>,
    ) {
        let mut connections = JoinSet::new();
        let mut hang_up = CancellationToken::new();
        loop {
            let want_open = *open.borrow_and_update();
            if !want_open && self.listener.take().is_some() {
                hang_up.cancel();
                while connections.join_next().await.is_some() {}
                hang_up = CancellationToken::new();
            }
            if want_open && self.listener.is_none() {
                match listen(self.address) {
                    Ok(listener) => self.listener = Some(listener),
                    Err(error) => {
                        tracing::error!(%error, address = %self.address, "could not listen again");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                }
            }
            applied.send_replace(want_open);
            let full = connections.len() >= MAX_CONNECTIONS;
            tokio::select! {
                () = shared.stop.cancelled() => break,
                changed = open.changed() => if changed.is_err() { break },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = accept(self.listener.as_ref()), if !full => match accepted {
                    Ok(stream) => {
                        shared.requests.connected();
                        connections.spawn(connection::serve(stream, Arc::clone(&shared), hang_up.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not accept a connection");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
        self.listener = None;
        hang_up.cancel();
        while connections.join_next().await.is_some() {}
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}
