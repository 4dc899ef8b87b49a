//! Data for stdout.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use secrets_service::SecretString;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Whether a person is looking at it.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes all of it. Not through `std::io::stdout()`, whose buffer would keep an unwiped copy.
pub(crate) fn write(data: &str) -> Result<(), Failure> {
    write_to_stdout(data.as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::output_closed(),
        _ => Failure::other(format!("cannot write to stdout: {error}")),
    })
}

/// One value and a newline, which a value read from stdin loses again.
pub(crate) fn write_line(value: &SecretString) -> Result<(), Failure> {
    write(&Zeroizing::new([value.expose(), "\n"].concat()))
}

fn write_to_stdout(data: &[u8]) -> io::Result<()> {
    File::from(io::stdout().as_fd().try_clone_to_owned()?).write_all(data)
}

/// A name from Vault as it can be shown: without the characters that steer a terminal.
pub(crate) fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
