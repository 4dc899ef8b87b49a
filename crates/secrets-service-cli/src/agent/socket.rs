//! The Unix socket: made with exactly the rights that were asked for, or not at all.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Group, User, geteuid};

use super::config::UnixSocket;

/// Binds the socket and gives it its rights. An error says what to change.
pub(crate) fn bind(wanted: &UnixSocket) -> Result<(UnixListener, SocketFile), String> {
    let path = &wanted.path;
    let shown = path.display();
    let uid = wanted.owner.as_deref().map(user_id).transpose()?;
    let gid = wanted.group.as_deref().map(group_id).transpose()?;
    check_folder(path)?;
    remove_leftover(path)?;
    // Nobody can connect before the rights are as wanted.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound.map_err(|error| format!("cannot listen at {shown}: {error}"))?;
    let metadata = std::fs::symlink_metadata(path).map_err(|error| format!("{shown}: {error}"))?;
    let file = SocketFile { path: path.clone(), inode: metadata.ino() };
    if uid.is_some() || gid.is_some() {
        chown(path, uid, gid).map_err(|error| format!("cannot give {shown} its owner: {error}"))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(wanted.mode))
        .map_err(|error| format!("cannot give {shown} its mode: {error}"))?;
    check(path, wanted, uid, gid)?;
    Ok((listener, file))
}

/// Whether the peer of a connection may use the socket.
pub(crate) fn admits(allow_uids: &[u32], peer: u32) -> bool {
    allow_uids.is_empty() || allow_uids.contains(&peer)
}

/// A socket's file, removed when the agent ends, if it is still the agent's.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// File systems exist that take a mode and forget it.
fn check(path: &Path, wanted: &UnixSocket, uid: Option<u32>, gid: Option<u32>) -> Result<(), String> {
    let metadata = std::fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mode = metadata.mode() & 0o777;
    let owner = uid.unwrap_or_else(|| geteuid().as_raw());
    if mode != wanted.mode || metadata.uid() != owner || gid.is_some_and(|gid| gid != metadata.gid()) {
        return Err(format!(
            "{} has mode {mode:04o} and owner {}, not {:04o} and {owner} as it should",
            path.display(),
            metadata.uid(),
            wanted.mode
        ));
    }
    Ok(())
}

/// Whoever may rename files there could put a socket of their own in place of ours.
fn check_folder(path: &Path) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let metadata = std::fs::metadata(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mode = metadata.mode();
    let open_to_others = mode & 0o002 != 0 && mode & 0o1000 == 0;
    let owner = metadata.uid();
    if open_to_others || (owner != 0 && owner != geteuid().as_raw()) {
        return Err(format!(
            "{} can be changed by others (mode {:04o}, owner {owner}): no place for a socket that secrets go through",
            folder.display(),
            mode & 0o7777
        ));
    }
    Ok(())
}

/// A socket that nobody listens at any more is what a crash leaves behind. Anything else stays.
fn remove_leftover(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{shown}: {error}")),
        Ok(metadata) => metadata,
    };
    if !metadata.file_type().is_socket() {
        return Err(format!("{shown} is there already, and is no socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| format!("cannot remove the old {shown}: {error}"))
        }
        Ok(_) => Err(format!("something listens at {shown} already")),
        Err(error) => Err(format!("{shown} is there already: {error}")),
    }
}

fn user_id(name: &str) -> Result<u32, String> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let user = User::from_name(name).ok().flatten();
    user.map(|user| user.uid.as_raw()).ok_or_else(|| format!("there is no user {name}"))
}

fn group_id(name: &str) -> Result<u32, String> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let group = Group::from_name(name).ok().flatten();
    group.map(|group| group.gid.as_raw()).ok_or_else(|| format!("there is no group {name}"))
}
