//! A Vault that answers every KV v2 read with one prepared body. It does no more than a socket costs, so that a
//! benchmark of a client does not measure the server.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A body as Vault 1.21 answers a KV v2 read, about 600 bytes.
const SECRET: &str = r#"{"request_id":"3f1b0c7a-6a4e-4b52-9f5e-0d7d2a1c9e44","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":{"db_host":"db.internal.example.com","db_name":"orders","db_port":"5432","api_key":"0123456789abcdef0123456789abcdef0123456789abcdef","endpoint":"https://api.example.com/v2/payments"},"metadata":{"created_time":"2026-01-22T10:00:00.000000000Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":7}},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}"#;
const MOUNT: &str = r#"{"request_id":"1","lease_id":"","renewable":false,"lease_duration":0,"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#;
const TOKEN: &str = r#"{"request_id":"1","lease_id":"","renewable":false,"lease_duration":0,"data":{"ttl":0,"creation_ttl":0,"renewable":false,"policies":["root"],"accessor":"a","type":"service","num_uses":0,"orphan":true,"path":"auth/token/root","display_name":"root","explicit_max_ttl":0}}"#;

/// Starts the server on a port of its own, on the current runtime; returns its address.
pub async fn start() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    Ok(address)
}

async fn serve(mut socket: TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut request = Vec::with_capacity(4096);
    loop {
        request.clear();
        while !request.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let has = |part: &str| line.windows(part.len()).any(|window| window == part.as_bytes());
        let body = match () {
            () if has("sys/internal/ui/mounts") => MOUNT,
            () if has("lookup-self") => TOKEN,
            () => SECRET,
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    }
}
