//! `rotation_schedule`: five cron fields, in the dialect and with the complaints of Vault's cron parser. Times are UTC.

use time::{Date, Time};

use crate::clock::Timestamp;

/// When to rotate: `0 0 * * SAT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    text: String,
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// One bit per value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// It was `*`. A day has to match the other of the two fields about days, then; otherwise one of the two.
    any: bool,
}

/// What may stand in a field.
struct Kind {
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

const MINUTES: Kind = Kind { min: 0, max: 59, names: &[] };
const HOURS: Kind = Kind { min: 0, max: 23, names: &[] };
const DAYS: Kind = Kind { min: 1, max: 31, names: &[] };
const MONTHS: Kind = Kind {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Kind = Kind { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// How many years ahead a matching day is looked for.
const YEARS: i32 = 5;

impl Schedule {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".to_owned());
        }
        let spec = in_utc(text)?.trim();
        if spec.starts_with('@') {
            return Err(format!("parser does not accept descriptors: {spec}"));
        }
        let fields: Vec<&str> = spec.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        Ok(Self {
            text: text.to_owned(),
            minutes: MINUTES.parse(minutes)?,
            hours: HOURS.parse(hours)?,
            days: DAYS.parse(days)?,
            months: MONTHS.parse(months)?,
            weekdays: WEEKDAYS.parse(weekdays)?,
        })
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The first time later than `at`. `None`: the 30th of February.
    pub(super) fn next(&self, at: Timestamp) -> Option<Timestamp> {
        let last_year = at.year() + YEARS;
        let hour_and_minute = (at.hour(), at.minute());
        let rest_of_today = self.times().find(|time| *time > hour_and_minute).filter(|_| self.has(at.date()));
        let (date, (hour, minute)) = if let Some(time) = rest_of_today {
            (at.date(), time)
        } else {
            let days = std::iter::successors(at.date().next_day(), |date| date.next_day());
            let mut days = days.take_while(|date| date.year() <= last_year);
            (days.find(|date| self.has(*date))?, self.times().next()?)
        };
        Some(date.with_time(Time::from_hms(hour, minute, 0).ok()?).assume_utc())
    }

    /// The times of a day, in order.
    fn times(&self) -> impl Iterator<Item = (u8, u8)> {
        let hours = (HOURS.min..=HOURS.max).filter(|hour| self.hours.has(*hour));
        hours.flat_map(|hour| {
            let minutes = (MINUTES.min..=MINUTES.max).filter(|minute| self.minutes.has(*minute));
            minutes.map(move |minute| (hour, minute))
        })
    }

    fn has(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().number_days_from_sunday());
        let either = !self.days.any && !self.weekdays.any;
        self.months.has(date.month().into()) && if either { day || weekday } else { day && weekday }
    }
}

/// Without the time zone in front. There is no table of time zones here: only UTC is known.
fn in_utc(text: &str) -> Result<&str, String> {
    let Some(zoned) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else {
        return Ok(text);
    };
    let (zone, spec) = zoned.split_once(' ').unwrap_or((zoned, ""));
    if matches!(zone, "UTC" | "") {
        Ok(spec)
    } else {
        Err(format!("this server knows no time zone but UTC: {zone}"))
    }
}

impl Kind {
    fn parse(&self, text: &str) -> Result<Field, String> {
        let mut field = Field { bits: 0, any: false };
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let part = self.range(item)?;
            field.bits |= part.bits;
            field.any |= part.any;
        }
        Ok(field)
    }

    /// `*`, `5`, `1-5`, and each with a step: `*/15`, `3/7` (from 3 on), `1-5/2`.
    fn range(&self, item: &str) -> Result<Field, String> {
        let (range, step) = match item.split('/').collect::<Vec<_>>()[..] {
            [range] => (range, None),
            [range, step] => (range, Some(number(step)?)),
            _ => return Err(format!("too many slashes: {item}")),
        };
        let ends: Vec<&str> = range.split('-').collect();
        let any = matches!(ends[..], ["*" | "?", ..]);
        let (first, last) = match ends[..] {
            _ if any => (self.min.into(), self.max.into()),
            [only] => {
                let only = self.value(only)?;
                (only, if step.is_some() { self.max.into() } else { only })
            }
            [first, last] => (self.value(first)?, self.value(last)?),
            _ => return Err(format!("too many hyphens: {item}")),
        };
        let step = step.unwrap_or(1);
        if first < self.min.into() {
            return Err(format!("beginning of range ({first}) below minimum ({}): {item}", self.min));
        }
        if last > self.max.into() {
            return Err(format!("end of range ({last}) above maximum ({}): {item}", self.max));
        }
        if first > last {
            return Err(format!("beginning of range ({first}) beyond end of range ({last}): {item}"));
        }
        if step == 0 {
            return Err(format!("step of range should be a positive number: {item}"));
        }
        let chosen = (self.min..=self.max).filter(|value| {
            let value = u64::from(*value);
            (first..=last).contains(&value) && (value - first).is_multiple_of(step)
        });
        Ok(Field { bits: chosen.fold(0, |bits, value| bits | 1 << value), any: any && step == 1 })
    }

    fn value(&self, text: &str) -> Result<u64, String> {
        let name = (self.min..).zip(self.names).find(|(_, name)| name.eq_ignore_ascii_case(text));
        name.map_or_else(|| number(text), |(value, _)| Ok(value.into()))
    }
}

fn number(text: &str) -> Result<u64, String> {
    let number: i64 = text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })?;
    u64::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}"))
}

impl Field {
    fn has(self, value: u8) -> bool {
        self.bits >> value & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use time::format_description::well_known::Rfc3339;

    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text, &Rfc3339).unwrap()
    }

    #[test]
    fn the_next_time() {
        // A Monday.
        let now = time("2026-11-23T21:48:52.5Z");
        for (schedule, next) in [
            ("* * * * *", "2026-11-23T21:49:00Z"),
            ("? ? ? ? ?", "2026-11-23T21:49:00Z"),
            ("48 21 * * *", "2026-11-24T21:48:00Z"),
            ("*/5 * * * *", "2026-11-23T21:50:00Z"),
            ("3/7 * * * *", "2026-11-23T21:52:00Z"),
            ("1-5/2 * * * *", "2026-11-23T22:01:00Z"),
            ("1,,2 * * * *", "2026-11-23T22:01:00Z"),
            (" 0  0 * * MON-FRI ", "2026-11-24T00:00:00Z"),
            ("0 0 * * SAT", "2026-11-28T00:00:00Z"),
            ("0 0 * * sun,mon", "2026-11-29T00:00:00Z"),
            ("0 0 1 JAN *", "2027-01-01T00:00:00Z"),
            ("0 0 1 1 MON", "2027-01-01T00:00:00Z"),
            ("0 0 1-5 * FRI", "2026-11-27T00:00:00Z"),
            ("0 0 */2 * FRI", "2026-11-25T00:00:00Z"),
            ("0 0 */1 * FRI", "2026-11-27T00:00:00Z"),
            ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
            ("59 23 31 12 *", "2026-12-31T23:59:00Z"),
            ("TZ=UTC 0 0 * * *", "2026-11-24T00:00:00Z"),
        ] {
            assert_eq!(Schedule::parse(schedule).unwrap().next(now), Some(time(next)), "{schedule}");
        }
        for never in ["0 0 30 2 *", ", * * * *"] {
            assert_eq!(Schedule::parse(never).unwrap().next(now), None, "{never}");
        }
    }

    #[test]
    fn on_the_minute_it_is_the_next_one() {
        let schedule = Schedule::parse("* * * * *").unwrap();
        assert_eq!(schedule.next(time("2026-12-31T23:59:00Z")), Some(time("2027-01-01T00:00:00Z")));
    }

    #[test]
    fn mistakes() {
        for (schedule, complaint) in [
            ("", "empty spec string"),
            ("   ", "expected exactly 5 fields, found 0: []"),
            ("bogus", "expected exactly 5 fields, found 1: [bogus]"),
            ("@daily", "parser does not accept descriptors: @daily"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("0 0 * * 7", "end of range (7) above maximum (6): 7"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("0 0 L * *", "failed to parse int from L: strconv.Atoi: parsing \"L\": invalid syntax"),
            ("1/ * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"),
            ("TZ=Mars 0 0 * * *", "this server knows no time zone but UTC: Mars"),
        ] {
            assert_eq!(Schedule::parse(schedule).unwrap_err(), complaint, "{schedule}");
        }
    }
}
