//! What systemd and the agent tell each other: sockets to begin with, and how it goes (`sd_notify(3)`).

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::time::Duration;

use listenfd::ListenFd;
use nix::time::ClockId;

/// The sockets that were handed over.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) tcp: Vec<TcpListener>,
    pub(crate) unix: Vec<UnixListener>,
}

/// Takes what systemd has opened for us. An error if there is nothing, or something that nobody can listen at.
pub(crate) fn sockets() -> Result<Handed, String> {
    let mut given = ListenFd::from_env();
    if given.len() == 0 {
        return Err("no socket has been handed over by systemd (LISTEN_FDS)".to_owned());
    }
    let mut handed = Handed::default();
    for number in 0..given.len() {
        if let Ok(Some(socket)) = given.take_tcp_listener(number) {
            handed.tcp.push(socket);
        } else if let Ok(Some(socket)) = given.take_unix_listener(number) {
            handed.unix.push(socket);
        } else {
            return Err(format!("socket {number} from systemd is neither TCP nor Unix and listening"));
        }
    }
    Ok(handed)
}

/// How often systemd wants to hear from us, if at all: half of what it waits.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    let meant_for_us = match std::env::var("WATCHDOG_PID") {
        Ok(pid) => pid == std::process::id().to_string(),
        Err(_) => true,
    };
    (meant_for_us && micros > 0).then(|| Duration::from_micros(micros / 2))
}

/// Before the settings are read again, for `Type=notify-reload`: systemd waits until [`READY`] follows. With the time
/// of its own clock it can tell this answer from that to an earlier signal.
pub(crate) fn notify_reloading() {
    let now = ClockId::CLOCK_MONOTONIC.now().map(Duration::from);
    let micros = now.map_or(0, |now| now.as_micros());
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

/// What is to be told when requests are answered, at the start and after a reload.
pub(crate) const READY: &str = "READY=1";

/// Tells systemd, if it wants to know. That it does not listen is no reason to fail.
pub(crate) fn notify(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    let name = socket.as_encoded_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&socket),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::debug!(%error, "systemd could not be told");
    }
}
