//! [`Credential`]: where a secret value comes from.

use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::secret_string::SecretString;

/// Largest credential file read, in bytes: many times the largest token or JWT.
const MAX_FILE: usize = 64 << 10;

/// A secret value, or a file that holds it. A file is read anew each time, so that it can be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// The value itself.
    Value(SecretString),
    /// A file with the value in it; space around it does not matter. At most 64 KiB.
    File(PathBuf),
}

impl Credential {
    /// The value, without space around it. Errors name the file, never its content.
    pub async fn read(&self) -> Result<SecretString, Error> {
        match self {
            Self::Value(value) => match value.expose().trim() {
                "" => Err(Error::new(ErrorKind::Configuration, "a credential is empty")),
                trimmed if trimmed.len() == value.len() => Ok(value.clone()),
                trimmed => Ok(trimmed.into()),
            },
            Self::File(file) => read_file(file).await,
        }
    }
}

impl From<SecretString> for Credential {
    fn from(value: SecretString) -> Self {
        Self::Value(value)
    }
}

async fn read_file(file: &Path) -> Result<SecretString, Error> {
    let bad = |why: &str| {
        Err(Error::new(ErrorKind::Configuration, format!("the credential file {} {why}", file.display())))
    };
    let opened = match tokio::fs::File::open(file).await {
        Ok(opened) => opened,
        Err(error) => return bad(&format!("cannot be opened: {error}")),
    };
    // One byte more than allowed, to know when there is more. Allocated at once, so that it never moves.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    if let Err(error) = opened.take(MAX_FILE as u64 + 1).read_to_end(&mut content).await {
        return bad(&format!("cannot be read: {error}"));
    }
    if content.len() > MAX_FILE {
        return bad("is larger than 64 KiB");
    }
    match std::str::from_utf8(&content).map(str::trim) {
        Err(_) => bad("is not text"),
        Ok("") => bad("is empty"),
        Ok(text) => Ok(text.into()),
    }
}
