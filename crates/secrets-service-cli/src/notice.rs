//! What people are told besides the data: on stderr, and never a secret.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use secrets_service::SecretRead;
use time::OffsetDateTime;
use time::macros::format_description;

/// How long a command may take before a person is told that it has not hung.
const SILENCE: Duration = Duration::from_secs(1);

/// One message. That stderr is closed is no reason to fail.
pub(crate) fn say(message: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// That a value is not current, if it is not.
pub(crate) fn say_if_stale(path: &str, read: &SecretRead) {
    if let Some(reason) = read.stale_reason() {
        let age = spoken(read.age());
        say(format_args!("warning: {path}: Vault is unavailable; this value is {age} old ({reason})"));
    }
}

/// How long something can be used.
pub(crate) fn until(life: Duration) -> String {
    let end =
        time::Duration::try_from(life).ok().and_then(|life| OffsetDateTime::now_utc().checked_add(life));
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    match end.and_then(|end| end.format(form).ok()) {
        Some(end) => format!("until {end} (in {})", spoken(life)),
        None => format!("for {}", spoken(life)),
    }
}

/// Two units, for a reader.
pub(crate) fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Does `work`; if that takes long and a person is watching, says what is being waited for.
pub(crate) async fn with_progress<T>(waiting_for: &str, work: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(SILENCE) => say(format_args!("waiting for {waiting_for} ...")),
    }
    work.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_two_units() {
        let cases = [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_600, "1 h 0 min"), (90_061, "1 d 1 h")];
        for (seconds, told) in cases {
            assert_eq!(spoken(Duration::from_secs(seconds)), told);
        }
        assert_eq!(until(Duration::MAX), format!("for {}", spoken(Duration::MAX)));
    }
}
