//! A value typed in by a person, who does not see it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use secrets_service::SecretString;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The longest line that can be typed or pasted, in bytes.
const LONGEST: usize = 64 * 1024;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const DELETE: u8 = 127;

/// Asks for one line. Each character is taken as it comes: the terminal's own line editing holds at most 4,095
/// bytes, and Ctrl-C must not leave it without echo.
pub(crate) fn hidden(of: &str) -> Result<SecretString, Failure> {
    let failed = |error: io::Error| Failure::other(format!("cannot read from the terminal: {error}"));
    let terminal = Hidden::begin().map_err(failed)?;
    let mut input = File::from(terminal.stdin.try_clone().map_err(failed)?);
    tell(&format!("{of} (one line, not shown; for more lines redirect a file to stdin): "));
    let line = read_line(&mut input);
    drop(terminal);
    tell("\n");
    line.map_err(failed)?
}

fn read_line(input: &mut impl Read) -> io::Result<Result<SecretString, Failure>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = [0];
    loop {
        if input.read(&mut byte)? == 0 {
            break;
        }
        match byte[0] {
            b'\n' | b'\r' | CTRL_D => break,
            CTRL_C => return Ok(Err(Failure::interrupted(Signal::SIGINT))),
            CTRL_U => line.clear(),
            BACKSPACE | DELETE => erase(&mut line),
            _ if line.len() == LONGEST => {
                return Ok(Err(Failure::usage(format!("the line has more than {LONGEST} bytes"))));
            }
            byte => line.push(byte),
        }
    }
    Ok(match std::str::from_utf8(&line) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(Failure::usage("what was typed is not UTF-8 text")),
    })
}

/// Removes the last character, which may be several bytes.
fn erase(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {}
}

fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// The terminal on stdin without echo, until dropped.
struct Hidden {
    stdin: OwnedFd,
    before: Termios,
}

impl Hidden {
    fn begin() -> io::Result<Self> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&stdin)?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        tcsetattr(&stdin, SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.stdin, SetArg::TCSANOW, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str) -> Result<String, Failure> {
        read_line(&mut keys.as_bytes()).unwrap().map(|line| line.expose().to_owned())
    }

    #[test]
    fn a_line_can_be_corrected_while_it_is_typed() {
        let cases = [
            ("abc\nrest", "abc"),
            ("abc\r", "abc"),
            ("abc", "abc"),
            ("abx\u{7f}c\n", "abc"),
            ("aü\u{7f}b\n", "ab"),
            ("\u{7f}a\n", "a"),
            ("wrong\u{15}right\n", "right"),
            ("abc\u{4}", "abc"),
        ];
        for (keys, line) in cases {
            assert_eq!(typed(keys).unwrap(), line, "{keys:?}");
        }
    }

    #[test]
    fn ctrl_c_gives_up() {
        let failure = typed("abc\u{3}").unwrap_err();
        assert_eq!(failure.exit(), crate::failure::Exit::signalled(Signal::SIGINT));
    }
}
