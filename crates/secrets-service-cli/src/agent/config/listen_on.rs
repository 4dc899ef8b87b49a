//! Where to listen, as written in `--listen` and in the file.

use std::net::SocketAddr;
use std::path::PathBuf;

/// One place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListenOn {
    Tcp {
        address: SocketAddr,
        tls: Option<TlsFiles>,
    },
    Unix(UnixSocket),
    /// Whatever systemd hands over.
    Systemd,
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// A socket in the file system, and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnixSocket {
    pub(crate) path: PathBuf,
    /// 0600 unless told otherwise: whoever runs the agent.
    pub(crate) mode: u32,
    /// Names or numbers.
    pub(crate) owner: Option<String>,
    pub(crate) group: Option<String>,
    /// Only these users, whatever the mode lets; none given: all that it lets.
    pub(crate) allow_uids: Vec<u32>,
}

impl ListenOn {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "systemd" {
            return Ok(Self::Systemd);
        }
        let (place, options) = text.split_once('?').unwrap_or((text, ""));
        let options: Vec<(&str, &str)> = options
            .split('&')
            .filter(|option| !option.is_empty())
            .map(|option| {
                option.split_once('=').ok_or_else(|| format!("{option:?} in {place} is not NAME=VALUE"))
            })
            .collect::<Result<_, _>>()?;
        match place.strip_prefix("unix:") {
            Some(path) => unix(path, &options),
            None => tcp(place, &options),
        }
    }
}

fn tcp(place: &str, options: &[(&str, &str)]) -> Result<ListenOn, String> {
    let address: SocketAddr = place.parse().map_err(|_| {
        format!("{place:?} is not where one can listen: 127.0.0.1:8100, unix:/path or systemd")
    })?;
    if !address.ip().is_loopback() {
        return Err(format!("{place}: the agent listens on loopback addresses only (127.0.0.1, [::1])"));
    }
    let (mut cert, mut key) = (None, None);
    for (name, value) in options {
        match *name {
            "cert" => cert = Some(PathBuf::from(value)),
            "key" => key = Some(PathBuf::from(value)),
            _ => return Err(format!("{place} has no option {name}; there are cert and key")),
        }
    }
    let tls = match (cert, key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
        (None, None) => None,
        _ => return Err(format!("{place}: cert and key are needed together")),
    };
    Ok(ListenOn::Tcp { address, tls })
}

fn unix(path: &str, options: &[(&str, &str)]) -> Result<ListenOn, String> {
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err(format!("unix:{}: the path must be absolute", path.display()));
    }
    let mut socket = UnixSocket { path, mode: 0o600, owner: None, group: None, allow_uids: Vec::new() };
    for (name, value) in options {
        match *name {
            "mode" => {
                let mode =
                    u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o777 && mode & 0o600 == 0o600);
                socket.mode =
                    mode.ok_or("mode must be an octal number such as 0660, with the owner's read and write")?;
            }
            "owner" => socket.owner = Some((*value).to_owned()),
            "group" => socket.group = Some((*value).to_owned()),
            "allow_uid" => {
                socket.allow_uids.push(value.parse().map_err(|_| "allow_uid must be a user's number")?);
            }
            _ => {
                let known = "mode, owner, group and allow_uid";
                return Err(format!(
                    "unix:{} has no option {name}; there are {known}",
                    socket.path.display()
                ));
            }
        }
    }
    Ok(ListenOn::Unix(socket))
}
