//! Where it listens: TCP, TLS, Unix sockets, what systemd hands over; several at once.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use crate::support::{Answer, Ask, CONFIG, Vault, eventually};

#[tokio::test]
async fn row28_a_socket_has_the_rights_that_were_asked_for() {
    let vault = Vault::start().await;
    let setup = vault.agent();
    let home = setup.home();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (private, open) = (home.join("private.sock"), home.join("open.sock"));
    let places = [
        format!("unix:{}", private.display()),
        format!("unix:{}?mode=0666&owner=nobody", open.display()),
        "127.0.0.1:0".to_owned(),
    ];
    let agent = setup.listen(&[&places[0], &places[1], &places[2]]).start().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&private), mode(&open)), (0o600, 0o666));
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.as_raw();
    assert_eq!(std::fs::metadata(&open).unwrap().uid(), nobody);
    // Nobody's browser can open it, so no header is needed; what came through a proxy is refused all the same.
    let ask = || Ask::get(CONFIG).without("x-vault-request").header("host", "anything");
    ask().send_to_socket(&private).await.is(200, "MISS");
    ask().send_to_socket(&open).await.is(200, "HIT");
    ask().header("x-forwarded-for", "1.2.3.4").send_to_socket(&open).await.is(403, "BYPASS");
    agent.get(CONFIG).await.is(200, "HIT");
    agent.send(Signal::SIGTERM);
    assert_eq!(agent.ended().await.0, Some(0));
    assert!(!private.exists() && !open.exists(), "tidied up");
}

#[tokio::test]
async fn row28_start_fails_where_a_socket_would_not_be_safe() {
    let vault = Vault::start().await;
    let setup = vault.agent();
    let home = setup.home();
    let file = setup.file("file", "");
    let open = home.join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let used = home.join("used.sock");
    let _listener = UnixListener::bind(&used).unwrap();
    for (place, told) in [
        (format!("unix:{}", open.join("a.sock").display()), "can be changed by others"),
        (format!("unix:{}", file.display()), "is no socket"),
        (format!("unix:{}", used.display()), "something listens"),
        (format!("unix:{}?owner=no-such-user", home.join("a.sock").display()), "no user no-such-user"),
        (format!("unix:{}", home.join("none/a.sock").display()), "No such file"),
    ] {
        let log = vault.agent().listen(&[&place]).fails(1).await;
        assert!(log.contains(told), "{place}: {log}");
    }
    assert!(file.exists() && used.exists());
    let log = vault.agent().listen(&["0.0.0.0:0"]).fails(2).await;
    assert!(log.contains("loopback"), "{log}");
}

#[tokio::test]
async fn a_socket_left_behind_by_a_crash_is_replaced() {
    let vault = Vault::start().await;
    let setup = vault.agent();
    let path = setup.home().join("a.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _agent = setup.listen(&[&format!("unix:{}", path.display())]).start().await;
    Ask::get(CONFIG).send_to_socket(&path).await.is(200, "MISS");
}

#[tokio::test]
async fn row28_other_users_are_turned_away_by_the_kernels_word() {
    let vault = Vault::start().await;
    let setup = vault.agent();
    let path = setup.home().join("a.sock");
    let not_me = nix::unistd::geteuid().as_raw() + 1;
    let place = format!("unix:{}?mode=0666&allow_uid={not_me}", path.display());
    let agent = setup.listen(&[&place]).start().await;
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
    assert!(read.is_err() || rest.is_empty());
    agent.says("this user may not use the socket").await;
}

/// A certificate for 127.0.0.1, and its key.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

async fn over_tls(address: &str, trusted: &str, request: Ask) -> Result<Answer, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
    Ok(request.over(TokioIo::new(stream), address).await)
}

#[tokio::test]
async fn tls_with_certificates_that_are_read_again() {
    let vault = Vault::start().await;
    let setup = vault.agent();
    let (old, old_key) = certificate();
    let (cert, key) = (setup.file("cert.pem", &old), setup.file("key.pem", &old_key));
    let place = format!("127.0.0.1:0?cert={}&key={}", cert.display(), key.display());
    let agent = setup.listen(&[&place]).start().await;
    assert!(agent.addresses[0].starts_with("https://"));
    over_tls(agent.address(), &old, Ask::get(CONFIG)).await.unwrap().is(200, "MISS");

    let (new, new_key) = certificate();
    assert!(over_tls(agent.address(), &new, Ask::get(CONFIG)).await.is_err());
    std::fs::write(&cert, &new).unwrap();
    std::fs::write(&key, "not a key").unwrap();
    agent.send(Signal::SIGHUP);
    agent.says("no PEM file of a private key").await;
    over_tls(agent.address(), &old, Ask::get(CONFIG)).await.unwrap().is(200, "HIT");
    std::fs::write(&key, &new_key).unwrap();
    agent.send(Signal::SIGHUP);
    eventually("new certificate", async || over_tls(agent.address(), &new, Ask::get(CONFIG)).await.is_ok())
        .await;
    assert!(over_tls(agent.address(), &old, Ask::get(CONFIG)).await.is_err());
    // Plain HTTP on it is no reason to fall over.
    let plain = TcpStream::connect(agent.address()).await.unwrap();
    plain.try_write(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    over_tls(agent.address(), &new, Ask::get(CONFIG)).await.unwrap().is(200, "HIT");
}

#[tokio::test]
async fn start_fails_without_usable_certificates() {
    let vault = Vault::start().await;
    let setup = vault.agent();
    let (cert, _) = certificate();
    let (_, other_key) = certificate();
    let (cert, key) = (setup.file("cert.pem", cert), setup.file("key.pem", other_key));
    let none = setup.home().join("none.pem");
    for (cert, key) in [(&cert, &key), (&cert, &none), (&none, &key), (&key, &key)] {
        let place = format!("127.0.0.1:0?cert={}&key={}", cert.display(), key.display());
        let log = vault.agent().listen(&[&place]).fails(1).await;
        assert!(log.contains(".pem") && !log.contains("BEGIN"), "{log}");
    }
}

/// systemd's clock.
fn monotonic_micros() -> u128 {
    std::time::Duration::from(nix::time::ClockId::CLOCK_MONOTONIC.now().unwrap()).as_micros()
}

#[tokio::test]
async fn systemd_hands_over_sockets_and_is_told_how_it_goes() {
    let vault = Vault::start().await;
    let folder = tempfile::tempdir().unwrap();
    let notify = folder.path().join("notify.sock");
    let told = UnixDatagram::bind(&notify).unwrap();
    told.set_read_timeout(Some(crate::support::HANG)).unwrap();
    let path = folder.path().join("handed.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // The third descriptor is where systemd puts it; a shell can do the same, and set LISTEN_PID to its own number,
    // which the program that takes its place keeps.
    let mut setup = vault.agent().listen(&[]).arg("--listen").arg("systemd");
    let standard = setup.command().as_std();
    let program = standard.get_program().to_owned();
    let arguments: Vec<_> = standard.get_args().map(std::ffi::OsStr::to_owned).collect();
    let variables: Vec<_> =
        standard.get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
    let mut command = tokio::process::Command::new("sh");
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    command.args(["-c", script]).arg(program).args(arguments).env_clear().envs(variables);
    command.stdin(std::process::Stdio::from(std::os::fd::OwnedFd::from(listener)));
    command.env("NOTIFY_SOCKET", &notify).kill_on_drop(true);
    command.stderr(std::process::Stdio::piped());
    *setup.command() = command;
    let agent = setup.start().await;
    let next = || {
        let mut buffer = [0; 64];
        let n = told.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    assert_eq!(next(), "READY=1");
    let before = monotonic_micros();
    agent.send(Signal::SIGHUP);
    let reloading = next();
    let told = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    assert!((before..=monotonic_micros()).contains(&told.parse().unwrap()), "{reloading}");
    assert_eq!(next(), "READY=1");
    Ask::get(CONFIG).send_to_socket(&path).await.is(200, "MISS");
    agent.send(Signal::SIGTERM);
    assert_eq!(agent.ended().await.0, Some(0));
    assert_eq!(next(), "STOPPING=1");
    assert!(path.exists(), "it is systemd's");
    let log = vault.agent().listen(&["systemd"]).fails(1).await;
    assert!(log.contains("LISTEN_FDS"), "{log}");
}
