//! A small HTTP/1.1 server that does as it is told, and remembers what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use gds_vault::Address;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::Reply;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    /// The path and query, still encoded.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Recorded {
    /// The path without the query, decoded.
    pub(crate) fn path(&self) -> String {
        let path = self.target.split('?').next().unwrap();
        percent_encoding::percent_decode_str(path).decode_utf8().unwrap().into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

type Answer = Box<dyn FnMut(&Recorded) -> Reply + Send>;

struct State {
    answer: Answer,
    requests: Vec<Recorded>,
    connections: usize,
}

/// Stops when it is dropped, with all its connections.
pub(crate) struct Server {
    address: Address,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Gives these answers, one after the other; a request too many gets 599.
    pub(crate) async fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        let mut replies: VecDeque<Reply> = replies.into_iter().collect();
        Self::answering(move |_| {
            replies.pop_front().unwrap_or_else(|| Reply::errors(599, &["not in the script"]))
        })
        .await
    }

    /// Gives the same answer each time.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::answering(move |_| reply.clone()).await
    }

    pub(crate) async fn answering(answer: impl FnMut(&Recorded) -> Reply + Send + 'static) -> Self {
        Self::start(None, Box::new(answer)).await
    }

    /// The same over TLS.
    pub(crate) async fn encrypted(
        acceptor: TlsAcceptor,
        answer: impl FnMut(&Recorded) -> Reply + Send + 'static,
    ) -> Self {
        Self::start(Some(acceptor), Box::new(answer)).await
    }

    async fn start(tls: Option<TlsAcceptor>, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = Address::parse(&format!("{scheme}://{}", listener.local_addr().unwrap())).unwrap();
        let state = Arc::new(Mutex::new(State { answer, requests: Vec::new(), connections: 0 }));
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
        Self { address, state, task }
    }

    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The methods and targets of all requests so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }

    /// The only request so far.
    #[track_caller]
    pub(crate) fn only_request(&self) -> Recorded {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{:?}", self.log());
        requests.into_iter().next().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    // Dropped with this task, and then aborts its own.
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).unwrap();
        state.lock().unwrap().connections += 1;
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        connections.spawn(async move {
            match tls {
                None => serve(socket, &state, |socket| drop(socket.set_zero_linger())).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(socket).await {
                        let reset = |stream: &tokio_rustls::server::TlsStream<TcpStream>| {
                            drop(stream.get_ref().0.set_zero_linger());
                        };
                        serve(stream, &state, reset).await;
                    }
                }
            }
        });
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, state: &Mutex<State>, reset: impl Fn(&S)) {
    let mut unread = Vec::new();
    while let Some(request) = receive(&mut stream, &mut unread).await {
        let reply = {
            let mut state = state.lock().unwrap();
            let reply = (state.answer)(&request);
            state.requests.push(request);
            reply
        };
        match reply {
            Reply::Raw(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Reply::ThenClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Reply::ThenReset(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.flush().await;
                reset(&stream);
                return;
            }
            Reply::ThenFreeze(bytes) => {
                let _ = stream.write_all(&bytes).await;
                std::future::pending::<()>().await;
            }
            Reply::Drip(bytes, pause) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// The next request of a connection; `None` when it is over.
async fn receive<S: AsyncRead + Unpin>(stream: &mut S, unread: &mut Vec<u8>) -> Option<Recorded> {
    let head_end = loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        read_more(stream, unread).await?;
    };
    let head = String::from_utf8(unread[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while unread.len() < head_end + length {
        read_more(stream, unread).await?;
    }
    let body = String::from_utf8(unread[head_end..head_end + length].to_vec()).unwrap();
    unread.drain(..head_end + length);
    let mut next = || first.next().unwrap().to_owned();
    Some(Recorded { method: next(), target: next(), headers, body })
}

async fn read_more<S: AsyncRead + Unpin>(stream: &mut S, unread: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk).await {
        Ok(0) | Err(_) => None,
        Ok(n) => {
            unread.extend_from_slice(&chunk[..n]);
            Some(())
        }
    }
}
