//! Listening: sockets of all sorts, a bounded number of connections, each in a task of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::config::ListenOn;
use super::connection::{self, ConnectionLimits, Handler};
use super::guard::Reach;
use super::socket::{self, SocketFile};
use super::systemd;
use super::tls::Tls;

/// How long to wait when no further connection can be accepted: file descriptors come free as others end.
const AFTER_TROUBLE: Duration = Duration::from_millis(100);

/// A place to accept connections at.
pub(crate) enum Listener {
    Tcp { socket: TcpListener, tls: Option<Arc<Tls>> },
    Unix { socket: UnixListener, allow_uids: Vec<u32>, _file: Option<SocketFile> },
}

/// What every connection is given.
#[derive(Clone)]
pub(crate) struct Room {
    /// One permit per connection.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) limits: ConnectionLimits,
    pub(crate) draining: watch::Receiver<bool>,
    /// How many connections are open.
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Room {
    /// Waits for a place for one more connection; `None` if there will be none any more.
    pub(crate) async fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Place { _permit: permit, connections: Arc::clone(&self.connections) })
    }
}

/// A place for one connection.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    connections: Arc<AtomicUsize>,
}

impl Place {
    /// Someone has taken it.
    pub(crate) fn open(self) -> Open {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }
}

/// An open connection: one of those counted, until dropped.
pub(crate) struct Open(Place);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Listener {
    /// Opens what is asked for.
    pub(crate) async fn open(wanted: &ListenOn) -> Result<Vec<Self>, String> {
        match wanted {
            ListenOn::Tcp { address, tls } => {
                let tls = tls.clone().map(Tls::load).transpose()?.map(Arc::new);
                Ok(vec![Self::tcp(*address, tls).await?])
            }
            ListenOn::Unix(wanted) => {
                let (socket, file) = socket::bind(wanted)?;
                let socket = nonblocking(socket).map_err(|error| error.to_string())?;
                Ok(vec![Self::Unix { socket, allow_uids: wanted.allow_uids.clone(), _file: Some(file) }])
            }
            ListenOn::Systemd => handed_over(),
        }
    }

    pub(crate) async fn tcp(address: SocketAddr, tls: Option<Arc<Tls>>) -> Result<Self, String> {
        let socket = TcpListener::bind(address).await;
        let socket = socket.map_err(|error| format!("cannot listen at {address}: {error}"))?;
        Ok(Self::Tcp { socket, tls })
    }

    /// Where it listens, for people and for those who asked for port 0.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Tcp { socket, tls } => {
                let scheme = if tls.is_some() { "https" } else { "http" };
                socket.local_addr().map(|address| format!("{scheme}://{address}")).unwrap_or_default()
            }
            Self::Unix { socket, .. } => {
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.map(|path| format!("unix:{}", path.display())).unwrap_or_default()
            }
        }
    }

    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        match self {
            Self::Tcp { tls, .. } => tls.as_ref(),
            Self::Unix { .. } => None,
        }
    }

    pub(crate) fn reach(&self) -> Reach {
        match self {
            Self::Tcp { .. } => Reach::Tcp,
            Self::Unix { .. } => Reach::Unix,
        }
    }

    /// Accepts until draining begins.
    pub(crate) async fn serve(self, handler: impl Handler, room: Room) {
        let mut draining = room.draining.clone();
        tokio::select! {
            biased;
            () = connection::begins(&mut draining) => {}
            () = self.accept_all(&handler, &room) => {}
        }
    }

    async fn accept_all(&self, handler: &impl Handler, room: &Room) {
        loop {
            // Taken before accepting: whoever finds no place waits outside, where it costs nothing.
            let Some(place) = room.place().await else { return };
            match self {
                Self::Tcp { socket, tls } => match socket.accept().await {
                    Ok((stream, _)) => serve_tcp(stream, tls.clone(), handler.clone(), room, place),
                    Err(error) => trouble(&error).await,
                },
                Self::Unix { socket, allow_uids, .. } => match socket.accept().await {
                    Ok((stream, _)) => {
                        if admitted(&stream, allow_uids) {
                            serve_unix(stream, handler.clone(), room, place);
                        }
                    }
                    Err(error) => trouble(&error).await,
                },
            }
        }
    }
}

fn serve_tcp(stream: TcpStream, tls: Option<Arc<Tls>>, handler: impl Handler, room: &Room, place: Place) {
    let room = room.clone();
    tokio::spawn(async move {
        let _open = place.open();
        // Answers are small: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            return connection::serve(stream, handler, room.limits, room.draining).await;
        };
        match tokio::time::timeout(room.limits.head_time, tls.accept(stream)).await {
            Ok(Ok(stream)) => connection::serve(stream, handler, room.limits, room.draining).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    });
}

fn serve_unix(stream: UnixStream, handler: impl Handler, room: &Room, place: Place) {
    let room = room.clone();
    tokio::spawn(async move {
        let _open = place.open();
        connection::serve(stream, handler, room.limits, room.draining).await;
    });
}

fn admitted(stream: &UnixStream, allow_uids: &[u32]) -> bool {
    let Ok(peer) = stream.peer_cred() else { return false };
    let admitted = socket::admits(allow_uids, peer.uid());
    if !admitted {
        tracing::warn!(
            uid = peer.uid(),
            pid = peer.pid(),
            "connection refused: this user may not use the socket"
        );
    }
    admitted
}

/// Out of file descriptors, or the client was gone before it was accepted.
async fn trouble(error: &io::Error) {
    let of_the_client = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !of_the_client {
        tracing::warn!(%error, "cannot accept a connection");
        tokio::time::sleep(AFTER_TROUBLE).await;
    }
}

fn handed_over() -> Result<Vec<Listener>, String> {
    let handed = systemd::sockets()?;
    let mut listeners = Vec::new();
    for socket in handed.tcp {
        let address = socket.local_addr().map_err(|error| error.to_string())?;
        if !is_loopback(address) {
            return Err(format!("the socket {address} from systemd can be reached from other machines"));
        }
        socket.set_nonblocking(true).map_err(|error| error.to_string())?;
        let socket = TcpListener::from_std(socket).map_err(|error| error.to_string())?;
        listeners.push(Listener::Tcp { socket, tls: None });
    }
    for socket in handed.unix {
        let socket = nonblocking(socket).map_err(|error| error.to_string())?;
        // Its rights are those of the socket unit.
        listeners.push(Listener::Unix { socket, allow_uids: Vec::new(), _file: None });
    }
    Ok(listeners)
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn nonblocking(socket: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket)
}
