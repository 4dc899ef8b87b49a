use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpListener;

use super::super::{Outbound, TlsConfig, tls};
use super::*;

const NEVER: Duration = Duration::from_hours(1);

fn pool(idle_timeout: Duration) -> Pool {
    Pool::new(tls::connector(HttpConnector::new(), &TlsConfig::default(), false).unwrap(), idle_timeout)
}

fn address() -> Address {
    Address::parse("http://127.0.0.1:1").unwrap()
}

/// A connection, and the server's end of it.
async fn connection() -> (Sender, DuplexStream) {
    let (ours, theirs) = duplex(1024);
    let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap();
    (sender, theirs)
}

/// A server that answers `answers` requests on each connection; counts connections.
async fn server(answers: usize) -> (Address, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                for _ in 0..answers {
                    let mut seen = Vec::new();
                    while !seen.ends_with(b"\r\n\r\n") {
                        if socket.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            });
        }
    });
    (address, count)
}

async fn get(pool: &Pool, address: &Address) -> Result<(), Failed> {
    let body = Outbound::Whole(Full::default());
    let mut request = Request::new(Attempt::new(body, super::super::outbound::Taken::default()));
    *request.uri_mut() = address.target("/v1/x").unwrap();
    let (answer, lent) = pool.send(address.clone(), request).await?;
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
    drop(lent);
    Ok(())
}

#[tokio::test]
async fn one_request_after_the_other_takes_one_connection() {
    let (pool, (address, count)) = (pool(NEVER), server(usize::MAX).await);
    for _ in 0..20 {
        assert!(get(&pool, &address).await.is_ok());
        // Until it has come back, should it not have done so at once.
        while pool.0.state().servers.iter().all(|server| server.idle.is_empty()) {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_fails_no_request() {
    let (pool, (address, count)) = (pool(NEVER), server(1).await);
    for _ in 0..20 {
        assert!(get(&pool, &address).await.is_ok());
    }
    assert_eq!(count.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn a_request_that_a_closed_connection_has_not_taken_goes_out_on_another() {
    let (pool, (address, count)) = (pool(NEVER), server(usize::MAX).await);
    let (sender, theirs) = connection().await;
    pool.0.put(&address, sender);
    drop(theirs);
    assert!(pool.0.state().servers[0].idle[0].sender.is_ready(), "its task has not run since");
    assert!(get(&pool, &address).await.is_ok());
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_there_is_a_failure_to_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let pool = pool(NEVER);
    assert!(matches!(get(&pool, &address).await, Err(Failed::Connecting(_))));
    assert!(pool.0.state().servers.is_empty(), "nothing is remembered of it");
}

#[tokio::test]
async fn what_becomes_idle_goes_to_whoever_waits_and_else_on_the_shelf() {
    let (pool, address) = (pool(NEVER), address());
    let gone = pool.0.wait(&address);
    let mut first = pool.0.wait(&address);
    drop(gone);
    let (sender, _theirs) = connection().await;
    pool.0.put(&address, sender);
    assert!(first.given.try_recv().is_ok_and(|sender| sender.is_ready()));
    assert!(pool.0.take_idle(&address).is_none());
    drop(first);
    assert!(pool.0.state().servers.is_empty());

    let left = pool.0.wait(&address);
    let (sender, _theirs) = connection().await;
    pool.0.put(&address, sender);
    drop(left);
    assert!(pool.0.take_idle(&address).is_some(), "what was given to someone who left is there for others");

    let (sender, _theirs) = connection().await;
    pool.0.put(&address, sender);
    assert!(pool.0.take_idle(&Address::parse("http://127.0.0.1:2").unwrap()).is_none());
    assert!(pool.0.take_idle(&address).is_some());
    assert!(pool.0.take_idle(&address).is_none());
}

#[tokio::test]
async fn a_new_connection_that_comes_too_late_serves_the_next() {
    let (pool, (address, count)) = (pool(NEVER), server(usize::MAX).await);
    let (sender, _theirs) = connection().await;
    let wanted = pool.0.connection(&address);
    let mut wanted = Box::pin(wanted);
    assert!(once(wanted.as_mut()).await.is_none());
    pool.0.put(&address, sender);
    assert!(matches!(wanted.await, Ok((_, true))));
    while pool.0.state().servers.iter().all(|server| server.idle.is_empty()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(get(&pool, &address).await.is_ok());
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// One poll.
async fn once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn closed_and_surplus_connections_are_not_kept() {
    let (pool, address) = (pool(NEVER), address());
    let (closed, theirs) = connection().await;
    pool.0.put(&address, closed);
    drop(theirs);
    while pool.0.state().servers[0].idle[0].sender.is_ready() {
        tokio::task::yield_now().await;
    }
    assert!(pool.0.take_idle(&address).is_none());
    let mut theirs = Vec::new();
    for _ in 0..=MAX_IDLE_PER_SERVER {
        let (sender, their) = connection().await;
        pool.0.put(&address, sender);
        theirs.push(their);
    }
    assert_eq!(pool.0.state().servers[0].idle.len(), MAX_IDLE_PER_SERVER);
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_for_too_long_is_let_go_of() {
    let (pool, address) = (pool(Duration::from_secs(30)), address());
    let (sender, mut theirs) = connection().await;
    pool.0.put(&address, sender);
    tokio::time::advance(Duration::from_secs(20)).await;
    let sender = pool.0.take_idle(&address).unwrap();
    pool.0.put(&address, sender);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(pool.0.take_idle(&address).is_none(), "too old, whether or not it has been swept");
    let (sender, mut others) = connection().await;
    pool.0.put(&address, sender);
    // Nobody asks, and still it ends: the server reads the end.
    assert_eq!(others.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
    while pool.0.state().is_swept {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(pool.0.state().servers.is_empty());
}

#[test]
fn the_end_of_a_runtime_ends_nothing_else() {
    let (pool, address) = (pool(NEVER), address());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (sender, _theirs) = first.block_on(connection());
    let outside = pool.clone();
    // Outside of any runtime it is kept, only not swept.
    outside.0.put(&address, sender);
    assert!(!pool.0.state().is_swept);
    let sender = pool.0.take_idle(&address).unwrap();
    first.block_on(async { pool.0.put(&address, sender) });
    assert!(pool.0.state().is_swept);
    drop(first);
    assert!(!pool.0.state().is_swept);
    let second = runtime();
    second.block_on(async {
        assert!(pool.0.take_idle(&address).is_none());
        let (sender, _theirs) = connection().await;
        pool.0.put(&address, sender);
        assert!(pool.0.take_idle(&address).is_some() && pool.0.state().is_swept);
    });
}
