//! Who may own the file, its folder and the key: nobody else may read them, or put others in their place.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::geteuid;

/// Why nothing is read from, or written to, a place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("{} belongs to another user", .0.display())]
    Owner(PathBuf),
    #[error("{} is open to other users (mode {:o}); it must be {}", .0.display(), .1, .2)]
    Mode(PathBuf, u32, &'static str),
    #[error("{} is not {}", .0.display(), .1)]
    Sort(PathBuf, &'static str),
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

const STICKY: u32 = 0o1000;

/// The folder must be ours or root's, and nobody else may rename things in it.
pub(crate) fn check_folder(file: &Path) -> Result<PathBuf, Unfit> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Unfit::Io(folder, error)),
        Ok(()) | Err(_) => {}
    }
    let found = folder.metadata().map_err(|error| Unfit::Io(folder.clone(), error))?;
    if !found.is_dir() {
        return Err(Unfit::Sort(folder, "a folder"));
    }
    if !is_ours_or_roots(&found) {
        return Err(Unfit::Owner(folder));
    }
    if found.mode() & 0o022 != 0 && found.mode() & STICKY == 0 {
        return Err(Unfit::Mode(folder, found.mode() & 0o7777, "writable for its owner only"));
    }
    Ok(folder)
}

/// The file, locked, if there is one. It must be ours alone.
pub(crate) fn open_locked(path: &Path) -> Result<Option<File>, Unfit> {
    // A process that has just replaced the file holds the lock of another one than we opened: then once more.
    for _ in 0..3 {
        let file = match options().open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                return Err(Unfit::Sort(path.to_owned(), "a file but a link"));
            }
            Err(error) => return Err(Unfit::Io(path.to_owned(), error)),
        };
        let found = file.metadata().map_err(|error| Unfit::Io(path.to_owned(), error))?;
        if !found.is_file() {
            return Err(Unfit::Sort(path.to_owned(), "a file"));
        }
        if found.uid() != geteuid().as_raw() {
            return Err(Unfit::Owner(path.to_owned()));
        }
        if found.mode() & 0o077 != 0 {
            return Err(Unfit::Mode(path.to_owned(), found.mode() & 0o7777, "0600"));
        }
        lock(&file, path)?;
        if path.metadata().is_ok_and(|now| (now.dev(), now.ino()) == (found.dev(), found.ino())) {
            return Ok(Some(file));
        }
    }
    Err(Unfit::Locked(path.to_owned()))
}

/// A new, empty file beside `path`, locked, to be put in its place.
pub(crate) fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let beside = with_suffix(path, ".new");
    // Left by a process that was killed in the middle; whoever holds the lock of `path` may do away with it.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = options().create_new(true).open(&beside)?;
    lock(&file, &beside).map_err(io::Error::other)?;
    Ok((beside, file))
}

/// The name under which a file that cannot be used is kept, one at a time.
pub(crate) fn aside(path: &Path) -> PathBuf {
    with_suffix(path, ".unusable")
}

/// So that the renaming itself survives a power failure.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A file with a key in it: ours or root's, and closed to everyone else. Root may let our group read it, which is how
/// a key gets to a service that is not root's.
pub(crate) fn check_key_file(path: &Path, found: &Metadata) -> Result<(), Unfit> {
    if !is_ours_or_roots(found) {
        return Err(Unfit::Owner(path.to_owned()));
    }
    let roots_for_a_group = found.uid() == 0 && !geteuid().is_root();
    let closed = if roots_for_a_group { 0o037 } else { 0o077 };
    if found.mode() & closed != 0 {
        return Err(Unfit::Mode(path.to_owned(), found.mode() & 0o7777, "0600 or 0400"));
    }
    Ok(())
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Not through a link, and without waiting should it be a pipe.
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

fn lock(file: &File, path: &Path) -> Result<(), Unfit> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(Unfit::Locked(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(Unfit::Io(path.to_owned(), error)),
    }
}

fn is_ours_or_roots(found: &Metadata) -> bool {
    found.uid() == geteuid().as_raw() || found.uid() == 0
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
