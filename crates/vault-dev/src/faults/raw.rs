//! Faults that need the bare socket.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// What is done to a connection that has been taken away from HTTP.
#[derive(Debug)]
pub(crate) enum RawAct {
    /// Send this, then close in good order.
    Close(Vec<u8>),
    /// Send this (if anything), then reset.
    Reset(Vec<u8>),
    /// Send this byte by byte, then close.
    Drip(Vec<u8>, Duration),
}

/// A reset discards what the peer has not read yet. This long it gets to read the first half.
const TIME_TO_READ: Duration = Duration::from_millis(20);

impl RawAct {
    /// Best effort: a peer that has gone already is as failed as it can be.
    pub(crate) async fn perform(self, mut stream: TcpStream) {
        match self {
            Self::Close(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Self::Reset(bytes) => {
                if !bytes.is_empty() {
                    let _ = stream.write_all(&bytes).await;
                    sleep(TIME_TO_READ).await;
                }
                let _ = stream.set_zero_linger();
            }
            Self::Drip(bytes, pause) => {
                let _ = stream.set_nodelay(true);
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    sleep(pause).await;
                }
                let _ = stream.shutdown().await;
            }
        }
    }
}
