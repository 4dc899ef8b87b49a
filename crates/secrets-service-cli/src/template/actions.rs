//! The actions of a template (`{{ … }}`, `{% … %}`), found without the engines: both of them recurse for what stands in
//! one action, and one takes the end of the file for a missing `end`. So texts are looked at before they get there.

use super::{Syntax, Trouble};

/// Bytes of one action. What an engine does with more of them nested could need more than [`STACK`].
const LONGEST: usize = 8 << 10;

/// Branches of all conditions together, for the same reason.
const MOST_BRANCHES: usize = 2_000;

/// For parsing and rendering: measured to be more than twice of what the bounds above let through, in a debug build. It
/// is reserved, not used.
const STACK: usize = 64 << 20;

/// One `{{ … }}` or `{% … %}`.
pub(super) struct Action<'a> {
    pub(super) line: usize,
    /// What it begins with: `if`, `end`, …; empty if that is no word.
    pub(super) keyword: &'a str,
    /// The word after it.
    next: &'a str,
    length: usize,
}

/// Refuses what could exhaust the stack.
pub(super) fn check(text: &str, syntax: Syntax) -> Result<(), Trouble> {
    let mut branches = 0;
    for action in all(text, syntax) {
        if action.length > LONGEST {
            return Err(Trouble::wrong(Some(action.line), "has an action of more than 8 KiB"));
        }
        if action.keyword == "elif" || (action.keyword == "else" && !action.next.is_empty()) {
            branches += 1;
        }
        if branches > MOST_BRANCHES {
            let what = format!("has conditions with more than {MOST_BRANCHES} branches");
            return Err(Trouble::wrong(Some(action.line), what));
        }
    }
    Ok(())
}

/// Does `work` where there is room for what [`check`] lets through. `None` if it panics.
pub(super) fn with_room<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    std::thread::Builder::new().stack_size(STACK).spawn(work).ok()?.join().ok()
}

/// In their order.
pub(super) fn all(text: &str, syntax: Syntax) -> impl Iterator<Item = Action<'_>> {
    let (mut from, mut line, mut counted) = (0, 1, 0);
    std::iter::from_fn(move || {
        let (start, close) = next_start(text, from, syntax)?;
        let inside = text.get(start + 2..)?;
        let trimmed = inside.strip_prefix(['-', '+']).unwrap_or(inside).trim_start();
        let length = if close == "#}" {
            inside.find("#}").map_or(inside.len(), |end| end + 2)
        } else if syntax == Syntax::Consul && trimmed.starts_with("/*") {
            inside.find("*/").map_or(inside.len(), |end| end + 2)
        } else {
            length_of(inside, close)
        };
        from = start + 2 + length;
        line += text.get(counted..start)?.matches('\n').count();
        counted = start;
        let (keyword, rest) = first_word(trimmed);
        let (next, _) = first_word(rest.trim_start());
        let length = if close == "#}" { 0 } else { length };
        Some(Action { line, keyword, next, length })
    })
}

fn next_start(text: &str, from: usize, syntax: Syntax) -> Option<(usize, &'static str)> {
    let starts: &[(&str, &str)] = match syntax {
        Syntax::Consul => &[("{{", "}}")],
        Syntax::Jinja => &[("{{", "}}"), ("{%", "%}"), ("{#", "#}")],
    };
    let bytes = text.as_bytes().get(from..)?;
    let place = bytes.windows(2).position(|two| starts.iter().any(|(open, _)| open.as_bytes() == two))?;
    let open = bytes.get(place..place + 2)?;
    let (_, close) = starts.iter().find(|(start, _)| start.as_bytes() == open)?;
    Some((from + place, close))
}

fn first_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or(("", text))
}

/// To the end that is not in a text.
fn length_of(inside: &str, close: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (place, c) in inside.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some('"' | '\'') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if inside.get(place..).is_some_and(|rest| rest.starts_with(close)) => return place + 2,
            _ => {}
        }
    }
    inside.len()
}
