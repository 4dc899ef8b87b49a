//! Where PostgreSQL's programs are, and as whom they run.

use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use crate::error::Error;

/// Debian's layout: one folder per major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder that holds `initdb` and `postgres`: on PATH, else the newest that Debian installed.
pub(super) fn programs() -> Result<PathBuf, Error> {
    on_path().or_else(newest_of_debian).ok_or(Error::NoPostgres)
}

fn on_path() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).find(|folder| is_complete(folder))
}

fn newest_of_debian() -> Option<PathBuf> {
    let folders = std::fs::read_dir(DEBIAN).ok()?.filter_map(Result::ok);
    let versions = folders.filter_map(|folder| {
        let version: u32 = folder.file_name().to_str()?.parse().ok()?;
        let programs = folder.path().join("bin");
        is_complete(&programs).then_some((version, programs))
    });
    versions.max_by_key(|(version, _)| *version).map(|(_, programs)| programs)
}

fn is_complete(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}

/// PostgreSQL refuses to run as root. `None`: we are not root, and it runs as we do.
pub(super) fn account() -> Result<Option<User>, Error> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Ok(Some(user)) = User::from_name(name) {
            return Ok(Some(user));
        }
    }
    Err(Error::Postgres(
        "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`".to_owned(),
    ))
}
