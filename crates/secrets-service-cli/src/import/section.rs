//! One block on its way into the draft.

use std::ops::RangeInclusive;

use super::draft::{Draft, Sort};
use super::table::{Item, Table};

/// Where a setting goes: its table and key in our file.
pub(super) type Target = (&'static str, &'static str);

/// A block whose settings are taken out one by one; what is left in the end is told.
pub(super) struct Section<'a> {
    pub(super) draft: &'a mut Draft,
    pub(super) table: Table,
    /// `auto_auth.method`; empty for the file itself.
    name: String,
    /// Of the block.
    pub(super) line: usize,
}

impl<'a> Section<'a> {
    pub(super) fn new(draft: &'a mut Draft, name: impl Into<String>, line: usize, table: Table) -> Self {
        Self { draft, table, name: name.into(), line }
    }

    /// How the file names a setting of this block.
    pub(super) fn subject(&self, name: &str) -> String {
        if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) }
    }

    pub(super) fn note(&mut self, sort: Sort, line: usize, name: &str, what: impl Into<String>) {
        let subject = self.subject(name);
        self.draft.note(sort, line, subject, what);
    }

    /// About the block as a whole.
    pub(super) fn note_all(&mut self, sort: Sort, what: impl Into<String>) {
        self.draft.note(sort, self.line, self.name.clone(), what);
    }

    /// A text that is not empty, and its line.
    pub(super) fn text(&mut self, name: &str) -> Option<(String, usize)> {
        let (text, line) = self.taken(name, "a text", Item::text)?;
        if text.is_empty() {
            self.note(Sort::NotNeeded, line, name, "is empty");
            return None;
        }
        Some((text, line))
    }

    pub(super) fn switch(&mut self, name: &str) -> Option<(bool, usize)> {
        self.taken(name, "true or false", Item::switch)
    }

    pub(super) fn number(&mut self, name: &str) -> Option<(i64, usize)> {
        self.taken(name, "a whole number", Item::number)
    }

    pub(super) fn seconds(&mut self, name: &str) -> Option<(u64, usize)> {
        self.taken(name, "a time such as 30s", Item::seconds)
    }

    /// The text means the same as `target`.
    pub(super) fn text_to(&mut self, name: &str, target: Target) {
        if let Some((text, line)) = self.text(name) {
            let subject = self.subject(name);
            self.draft.set(target, text, line, &subject);
        }
    }

    pub(super) fn switch_to(&mut self, name: &str, target: Target) {
        if let Some((on, line)) = self.switch(name) {
            let subject = self.subject(name);
            self.draft.set(target, on, line, &subject);
        }
    }

    /// The number of seconds, cut to what `target` takes.
    pub(super) fn seconds_to(&mut self, name: &str, target: Target, range: RangeInclusive<u64>) {
        if let Some((seconds, line)) = self.seconds(name) {
            self.cut_to(name, line, seconds, target, range);
        }
    }

    /// The number, cut to what `target` takes.
    pub(super) fn number_to(&mut self, name: &str, target: Target, range: RangeInclusive<u64>) {
        if let Some((number, line)) = self.number(name) {
            self.cut_to(name, line, u64::try_from(number).unwrap_or(0), target, range);
        }
    }

    fn cut_to(&mut self, name: &str, line: usize, number: u64, target: Target, range: RangeInclusive<u64>) {
        let subject = self.subject(name);
        let taken = number.clamp(*range.start(), *range.end());
        if taken != number {
            let what = format!("{number} cannot be had here: from {} to {}", range.start(), range.end());
            self.draft.note(Sort::Differs, line, subject.clone(), what);
        }
        self.draft.set(target, taken, line, &subject);
    }

    /// Settings that need no counterpart, and why.
    pub(super) fn not_needed(&mut self, names: &[&str], why: &str) {
        self.each(names, Sort::NotNeeded, why);
    }

    pub(super) fn differs(&mut self, names: &[&str], how: &str) {
        self.each(names, Sort::Differs, how);
    }

    pub(super) fn missing(&mut self, names: &[&str], what: &str) {
        self.each(names, Sort::ToDo, what);
    }

    /// A switch that only matters when it is on.
    pub(super) fn if_on(&mut self, name: &str, sort: Sort, what: &str) {
        if let Some((on, line)) = self.switch(name) {
            let (sort, what) = if on { (sort, what) } else { (Sort::NotNeeded, "is off") };
            self.note(sort, line, name, what);
        }
    }

    fn each(&mut self, names: &[&str], sort: Sort, what: &str) {
        for name in names {
            if let Some(item) = self.table.take(name) {
                self.note(sort, item.line, name, what);
            }
        }
    }

    /// Tells what nobody has taken.
    pub(super) fn finish(self) {
        for (name, line) in self.table.left() {
            let subject = if self.name.is_empty() { name } else { format!("{}.{name}", self.name) };
            let what = "is not known here, and was left out; see whether anything needs it";
            self.draft.note(Sort::ToDo, line, subject, what);
        }
    }

    fn taken<T>(&mut self, name: &str, what: &str, read: impl Fn(&Item) -> Option<T>) -> Option<(T, usize)> {
        let item = self.table.take(name)?;
        let value = read(&item);
        if value.is_none() {
            self.note(Sort::ToDo, item.line, name, format!("is not {what}, and was left out"));
        }
        value.map(|value| (value, item.line))
    }
}
