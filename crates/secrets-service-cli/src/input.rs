//! Values from stdin and from files.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use secrets_service::SecretString;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::prompt;

/// The largest value read, in bytes: Vault's own default limit for a whole KV v2 secret in its integrated storage
/// (`max_entry_size`, Vault documentation, "Integrated storage (Raft) backend").
const LARGEST: usize = 1 << 20;

/// A value from stdin, or typed in by a person, who does not see it. `of` says in the prompt what it is for.
pub(crate) fn from_stdin(of: &str) -> Result<SecretString, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return prompt::hidden(of);
    }
    // `File` rather than `Stdin`, whose buffer would keep an unwiped copy.
    let file = std::os::fd::AsFd::as_fd(&stdin).try_clone_to_owned().map(File::from);
    file.and_then(|file| read(&file)).map_err(|error| unreadable("stdin", &error))?.into_text("stdin")
}

/// A value from a file.
pub(crate) fn from_file(path: &Path) -> Result<SecretString, Failure> {
    let name = path.display().to_string();
    let bytes = File::open(path).and_then(|file| read(&file)).map_err(|error| unreadable(&name, &error))?;
    bytes.into_text(&name)
}

/// What was read, wiped when dropped.
struct Bytes(Zeroizing<Vec<u8>>);

impl Bytes {
    /// The text, without one newline at its end: the one that `echo` and editors add.
    fn into_text(self, source: &str) -> Result<SecretString, Failure> {
        if self.0.len() > LARGEST {
            return Err(Failure::usage(format!(
                "{source} has more than 1 MiB ({LARGEST} bytes); a value may not"
            )));
        }
        let Ok(text) = std::str::from_utf8(&self.0) else {
            let what = "is not UTF-8 text; encode it first, for example with base64";
            return Err(Failure::usage(format!("{source} {what}")));
        };
        let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        Ok(text.into())
    }
}

/// One byte more than allowed, to know when there is more. Allocated at once, so that it never moves.
fn read(file: &File) -> io::Result<Bytes> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Bytes(bytes))
}

fn unreadable(source: &str, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read {source}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Result<String, Failure> {
        Bytes(Zeroizing::new(bytes.to_vec())).into_text("stdin").map(|text| text.expose().to_owned())
    }

    #[test]
    fn exactly_one_newline_is_lost() {
        for (given, kept) in
            [("a\n", "a"), ("a", "a"), ("a\n\n", "a\n"), ("a\r\n", "a"), ("\n", ""), ("a\r", "a\r")]
        {
            assert_eq!(text(given.as_bytes()).unwrap(), kept, "{given:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_value_is_refused() {
        assert!(text(b"\xff\xfe").is_err());
        assert!(text(&vec![b'a'; LARGEST + 1]).is_err());
        assert_eq!(text(&vec![b'a'; LARGEST]).unwrap().len(), LARGEST);
    }
}
