//! TLS, with certificates made for the test.

use std::path::PathBuf;

use gds_vault::{Client, Error, ErrorKind, Method, TlsConfig};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use crate::support::{Authority, Reply, Server, builder, client};

async fn server(acceptor: TlsAcceptor) -> Server {
    Server::encrypted(acceptor, |_| Reply::data(&json!({"a": 1}))).await
}

fn with(server: &Server, tls: TlsConfig) -> Result<Client, Error> {
    builder().address(server.address()).tls(tls).build()
}

fn trusting(authority: &Authority) -> TlsConfig {
    TlsConfig { ca_cert: Some(authority.ca_file()), ..Default::default() }
}

async fn read(client: &Client) -> Result<(), Error> {
    client.request(Method::GET, "a").read().await.map(drop)
}

async fn tls_error(client: &Client) -> Error {
    let error = read(client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.is_unavailable());
    error
}

#[tokio::test]
async fn a_ca_file_is_trusted() {
    let authority = Authority::new();
    let server = server(authority.server(&["127.0.0.1"])).await;
    let client = with(&server, trusting(&authority)).unwrap();
    read(&client).await.unwrap();
    read(&client).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_folder_of_ca_files_is_trusted_whatever_else_lies_there() {
    let authority = Authority::new();
    authority.ca_file();
    authority.write("README.txt", "not a certificate");
    let server = server(authority.server(&["127.0.0.1"])).await;
    let tls = TlsConfig { ca_path: Some(authority.folder().to_owned()), ..Default::default() };
    read(&with(&server, tls).unwrap()).await.unwrap();
}

#[tokio::test]
async fn another_ca_is_not_trusted() {
    let server = server(Authority::new().server(&["127.0.0.1"])).await;
    let other = Authority::new();
    let error = tls_error(&with(&server, trusting(&other)).unwrap()).await;
    assert!(!error.was_sent());
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted_unless_that_name_is_asked_for() {
    let authority = Authority::new();
    let server = server(authority.server(&["vault.internal"])).await;
    tls_error(&with(&server, trusting(&authority)).unwrap()).await;
    let tls = TlsConfig { server_name: Some("vault.internal".to_owned()), ..trusting(&authority) };
    read(&with(&server, tls).unwrap()).await.unwrap();
    let tls = TlsConfig { server_name: Some("not a name!".to_owned()), ..trusting(&authority) };
    assert_eq!(with(&server, tls).unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn verification_can_be_skipped() {
    let authority = Authority::new();
    for acceptor in [authority.server(&["elsewhere"]), authority.old_server(&["elsewhere"])] {
        let server = server(acceptor).await;
        let tls = TlsConfig { skip_verify: true, ..Default::default() };
        read(&with(&server, tls).unwrap()).await.unwrap();
    }
}

/// Where the system's authorities are is told by the environment, which a test cannot change for itself alone: so
/// this test runs itself again, as a child with another environment.
#[tokio::test]
async fn the_systems_authorities_are_trusted_when_none_are_given() {
    const SELF: &str = "tls::the_systems_authorities_are_trusted_when_none_are_given";
    if let Ok(address) = std::env::var("GDS_VAULT_TEST_ADDRESS") {
        match (
            builder().address(address.parse().unwrap()).build(),
            std::env::var_os("GDS_VAULT_TEST_NO_ROOTS"),
        ) {
            (Ok(client), None) => read(&client).await.unwrap(),
            (Err(error), Some(_)) => {
                assert_eq!(error.kind(), ErrorKind::Configuration);
                assert!(error.to_string().contains("no certificate authorities"), "{error}");
            }
            (built, _) => panic!("{built:?}"),
        }
        return;
    }
    let authority = Authority::new();
    let server = server(authority.server(&["127.0.0.1"])).await;
    let child = || {
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", SELF]).env("GDS_VAULT_TEST_ADDRESS", server.address().to_string());
        child.env_remove("SSL_CERT_DIR").kill_on_drop(true);
        child
    };
    let trusting = child().env("SSL_CERT_FILE", authority.ca_file()).output().await.unwrap();
    assert!(trusting.status.success(), "{trusting:?}");
    assert_eq!(server.requests().len(), 1);
    let nothing = child()
        .env("SSL_CERT_FILE", authority.write("none.pem", ""))
        .env("GDS_VAULT_TEST_NO_ROOTS", "1")
        .output()
        .await
        .unwrap();
    assert!(nothing.status.success(), "{nothing:?}");
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let authority = Authority::new();
    let server = server(authority.strict_server(&["127.0.0.1"])).await;
    let (client_cert, client_key) = authority.client_files();
    let tls =
        TlsConfig { client_cert: Some(client_cert), client_key: Some(client_key), ..trusting(&authority) };
    read(&with(&server, tls).unwrap()).await.unwrap();
    // Without one the server hangs up, which the client may see as an alert or as a lost connection.
    let error = read(&with(&server, trusting(&authority)).unwrap()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Connect), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let server = server(authority.server(&["127.0.0.1"])).await;
    let missing = Some(PathBuf::from("/nonexistent/file.pem"));
    let empty = Some(authority.write("empty.pem", ""));
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = authority.client_files();
    let other = Authority::new();
    let (other_cert, _) = other.client_files();
    for (tls, said) in [
        (TlsConfig { ca_cert: missing.clone(), ..Default::default() }, "/nonexistent/file.pem"),
        (TlsConfig { ca_cert: empty.clone(), ..Default::default() }, "empty.pem"),
        (TlsConfig { ca_path: missing.clone(), ..Default::default() }, "/nonexistent/file.pem"),
        (
            TlsConfig { ca_path: Some(folder.path().to_owned()), ..Default::default() },
            "no certificate in the folder",
        ),
        (TlsConfig { client_cert: Some(cert.clone()), ..trusting(&authority) }, "not its key"),
        (TlsConfig { client_key: Some(key.clone()), ..trusting(&authority) }, "not its certificate"),
        (
            TlsConfig { client_cert: Some(cert.clone()), client_key: empty, ..trusting(&authority) },
            "empty.pem",
        ),
        (
            TlsConfig { client_cert: missing, client_key: Some(key.clone()), ..trusting(&authority) },
            "/nonexistent",
        ),
        (
            TlsConfig { client_cert: Some(other_cert), client_key: Some(key), ..trusting(&authority) },
            "cannot be used",
        ),
    ] {
        let error = with(&server, tls).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn tls_to_a_plain_port_fails_as_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let plain = async {
        // As Go answers what is not HTTP.
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        socket
    };
    let tls = TlsConfig { skip_verify: true, ..Default::default() };
    let client = builder().address(address).tls(tls).build().unwrap();
    let (error, _socket) = tokio::join!(tls_error(&client), plain);
    assert!(!error.was_sent());
}

#[tokio::test]
async fn plain_http_needs_no_certificates() {
    let plain = Server::always(Reply::data(&json!({}))).await;
    read(&client(&plain)).await.unwrap();
}
