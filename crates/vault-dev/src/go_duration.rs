//! Durations as Vault reads and prints them: `90m`, `1h30m`, `3600`, `"3600"`, `2d`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::FAR;

/// Reads what Vault's API accepts as a duration in seconds. `Err` is Go's complaint.
/// Negative values are `Err` too: nothing here accepts one.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Duration::ZERO);
    }
    if let Some(rest) = text.strip_prefix('-') {
        return match parse(rest)? {
            Duration::ZERO => Ok(Duration::ZERO),
            other => Err(format!("cannot provide negative value '-{}'", other.as_secs())),
        };
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(seconds(text.parse().unwrap_or(u64::MAX)));
    }
    if let Some(days) = text.strip_suffix('d') {
        let days: u64 =
            days.parse().map_err(|_| format!("strconv.ParseInt: parsing {days:?}: invalid syntax"))?;
        return Ok(seconds(days.saturating_mul(86_400)));
    }
    parse_units(text).ok_or_else(|| format!("time: invalid duration {text:?}"))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count).min(FAR)
}

fn parse_units(text: &str) -> Option<Duration> {
    let mut total = 0.0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Some(Duration::try_from_secs_f64(total).unwrap_or(FAR).min(FAR))
}

/// As Go prints it: `1h0m0s`, `90s` becomes `1m30s`.
pub(crate) fn full(duration: Duration) -> String {
    let total = duration.as_secs();
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// As Vault's warnings print it: without the zero parts, `1h30m`.
pub(crate) fn brief(duration: Duration) -> String {
    let total = duration.as_secs();
    let mut out = String::new();
    for (count, unit) in [(total / 3600, 'h'), (total / 60 % 60, 'm'), (total % 60, 's')] {
        if count > 0 {
            let _ = write!(out, "{count}{unit}");
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        for (text, expected) in
            [("", 0), ("90", 90), ("90s", 90), ("1h30m", 5400), ("2d", 172_800), ("1.5m", 90), ("-0s", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(expected)), "{text}");
        }
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("99999999999999999999h"), Ok(FAR));
    }

    #[test]
    fn complains_as_go_does() {
        assert_eq!(parse("bad"), Err("strconv.ParseInt: parsing \"ba\": invalid syntax".to_owned()));
        assert_eq!(parse("x"), Err("time: invalid duration \"x\"".to_owned()));
        assert_eq!(parse("-1h"), Err("cannot provide negative value '-3600'".to_owned()));
    }

    #[test]
    fn prints() {
        let all = |seconds| (full(Duration::from_secs(seconds)), brief(Duration::from_secs(seconds)));
        assert_eq!(all(0), ("0s".to_owned(), "0s".to_owned()));
        assert_eq!(all(5400), ("1h30m0s".to_owned(), "1h30m".to_owned()));
        assert_eq!(all(2_764_800), ("768h0m0s".to_owned(), "768h".to_owned()));
        assert_eq!(all(20), ("20s".to_owned(), "20s".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_is_read_back(seconds in 0..4_000_000_000_u64) {
            let duration = Duration::from_secs(seconds).min(FAR);
            proptest::prop_assert_eq!(parse(&full(duration)), Ok(duration));
            proptest::prop_assert_eq!(parse(&brief(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,20}") {
            let _ = parse(&text);
        }
    }
}
