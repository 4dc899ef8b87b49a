//! HCL 1 and JSON, the two forms of Vault's own configuration files, with the line of everything.
//!
//! A parser of our own because those for Rust read HCL 2, which is another language: it has no quoted keys, no two
//! settings in a line, no JSON, and takes `${` and `%{` in a template's text for its own. Vault takes files with all of
//! these.

/// Nested deeper than this is no configuration.
const DEEPEST: usize = 32;

/// More labels than this has no block.
const MOST_KEYS: usize = 4;

/// `address = "…"`, or `listener "tcp" { … }`, which has two keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) keys: Vec<String>,
    pub(super) value: Value,
    pub(super) line: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// As written.
    Number(String),
    Switch(bool),
    Null,
    List(Vec<Value>),
    Object(Vec<Entry>),
}

/// Why a file cannot be read. Never has a part of the file in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// All that a file says, in its order.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Flaw> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser { rest: text, line: 1, json: text.trim_start().starts_with('{') };
    if !parser.json {
        return parser.entries(None, 0);
    }
    parser.space()?;
    parser.eat('{');
    let entries = parser.entries(Some('}'), 1)?;
    parser.space()?;
    if parser.rest.is_empty() { Ok(entries) } else { Err(parser.flaw("there is more after the last }")) }
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    /// In JSON `${` means nothing.
    json: bool,
}

impl Parser<'_> {
    /// To `end`, or to the end of the file.
    fn entries(&mut self, end: Option<char>, depth: usize) -> Result<Vec<Entry>, Flaw> {
        let mut entries = Vec::new();
        loop {
            self.space()?;
            match (self.rest.chars().next(), end) {
                (None, None) => return Ok(entries),
                (None, Some(_)) => return Err(self.flaw("the file ends before a } that is missing")),
                (Some(found), Some(end)) if found == end => {
                    self.next();
                    return Ok(entries);
                }
                _ => entries.push(self.entry(depth)?),
            }
            self.space()?;
            self.eat(',');
        }
    }

    fn entry(&mut self, depth: usize) -> Result<Entry, Flaw> {
        let line = self.line;
        let mut keys = Vec::new();
        loop {
            let key = match self.rest.chars().next() {
                Some('"') => self.string()?,
                Some(c) if begins_name(c) => self.name(),
                _ => return Err(self.flaw("a name is expected here")),
            };
            keys.push(key);
            self.space()?;
            match self.rest.chars().next() {
                Some('=' | ':') if keys.len() == 1 => {
                    self.next();
                    self.space()?;
                    return Ok(Entry { keys, value: self.value(depth)?, line });
                }
                Some('{') => return Ok(Entry { keys, value: self.value(depth)?, line }),
                Some(c) if (c == '"' || begins_name(c)) && keys.len() < MOST_KEYS => {}
                _ => return Err(self.flaw("after a name, = or { is expected")),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Flaw> {
        if depth >= DEEPEST {
            return Err(self.flaw("is nested too deeply"));
        }
        match self.rest.chars().next() {
            Some('"') => self.string().map(Value::Text),
            Some('{') => {
                self.next();
                self.entries(Some('}'), depth + 1).map(Value::Object)
            }
            Some('[') => {
                self.next();
                self.list(depth + 1).map(Value::List)
            }
            Some('<') => self.heredoc().map(Value::Text),
            Some('0'..='9' | '-' | '+' | '.') => self.number().map(Value::Number),
            Some(c) if begins_name(c) => {
                let line = self.line;
                match self.name().as_str() {
                    "true" => Ok(Value::Switch(true)),
                    "false" => Ok(Value::Switch(false)),
                    "null" => Ok(Value::Null),
                    _ => Err(Flaw { line, what: "a text must stand in quotation marks" }),
                }
            }
            _ => Err(self.flaw("a value is expected here")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, Flaw> {
        let mut items = Vec::new();
        loop {
            self.space()?;
            if self.eat(']') {
                return Ok(items);
            }
            items.push(self.value(depth)?);
            self.space()?;
            if !self.eat(',') && !self.rest.starts_with(']') {
                return Err(self.flaw("in a list, a , or ] is expected here"));
            }
        }
    }

    /// `"…"`. What stands between `${` and its `}` is taken as it is, quotation marks and all, as in Vault.
    fn string(&mut self) -> Result<String, Flaw> {
        let mut text = String::new();
        let mut braces = 0_usize;
        self.next();
        loop {
            let what = "this text has no end";
            let line = self.line;
            match self.next() {
                None => return Err(Flaw { line, what }),
                Some('\n') if braces == 0 => return Err(Flaw { line, what }),
                Some('"') if braces == 0 => return Ok(text),
                Some('\\') => match self.escape(line)? {
                    Some(c) => text.push(c),
                    // The second half of a pair is missing.
                    None => return Err(Flaw { line, what: "there is no such character" }),
                },
                Some('$') if braces == 0 && !self.json && self.rest.starts_with('{') => {
                    self.next();
                    text.push_str("${");
                    braces = 1;
                }
                Some(c) => {
                    match c {
                        '{' if braces > 0 => braces += 1,
                        '}' => braces = braces.saturating_sub(1),
                        _ => {}
                    }
                    text.push(c);
                }
            }
        }
    }

    fn escape(&mut self, line: usize) -> Result<Option<char>, Flaw> {
        let unknown = Flaw { line, what: "there is no such escape in a text" };
        let c = self.next().ok_or(unknown.clone())?;
        let value = match c {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            '"' | '\\' | '/' | '\'' => return Ok(Some(c)),
            'x' => self.digits(2, 16).ok_or(unknown)?,
            'U' => self.digits(8, 16).ok_or(unknown)?,
            'u' => {
                let first = self.digits(4, 16).ok_or(unknown.clone())?;
                if (0xd800..0xdc00).contains(&first) && self.rest.starts_with("\\u") {
                    self.next();
                    self.next();
                    let second = self.digits(4, 16).ok_or(unknown)?;
                    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
                    return Ok(low.and_then(|low| char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)));
                }
                first
            }
            '0'..='7' => {
                let rest = self.digits(2, 8).ok_or(unknown)?;
                c.to_digit(8).unwrap_or(0) * 64 + rest
            }
            _ => return Err(unknown),
        };
        Ok(char::from_u32(value))
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count {
            value = value.checked_mul(radix)?.checked_add(self.next()?.to_digit(radix)?)?;
        }
        Some(value)
    }

    /// `<<EOF` to a line with `EOF`. With `<<-EOF` what all lines are indented by is taken away.
    fn heredoc(&mut self) -> Result<String, Flaw> {
        let start = self.line;
        let flaw = |what| Err(Flaw { line: start, what });
        let Some(rest) = self.rest.strip_prefix("<<") else { return flaw("a value is expected here") };
        let (head, _) = rest.split_once('\n').unwrap_or((rest, ""));
        let (indented, marker) = match head.strip_prefix('-') {
            Some(marker) => (true, marker.trim_end_matches('\r')),
            None => (false, head.trim_end_matches('\r')),
        };
        if marker.is_empty() || !marker.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return flaw("after << the mark of the text's end is expected");
        }
        let mut lines = Vec::new();
        self.take_line();
        loop {
            if self.rest.is_empty() {
                return flaw("this text has no end: its mark does not stand alone in a line");
            }
            let at_margin = !indented;
            let line = self.take_line();
            let end = line.trim_end_matches(['\n', '\r']);
            if end == marker || (!at_margin && end.trim_start() == marker) {
                let margin = end.len() - end.trim_start().len();
                return Ok(if indented { unindented(&lines, margin) } else { lines.concat() });
            }
            lines.push(line);
        }
    }

    fn take_line(&mut self) -> String {
        let length = self.rest.find('\n').map_or(self.rest.len(), |end| end + 1);
        let (line, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += usize::from(line.ends_with('\n'));
        line.to_owned()
    }

    fn number(&mut self) -> Result<String, Flaw> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(length);
        let unsigned = number.trim_start_matches(['-', '+']);
        let hexadecimal = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
        let right = match hexadecimal {
            Some(digits) => u64::from_str_radix(digits, 16).is_ok(),
            None => {
                unsigned.starts_with(|c: char| c == '.' || c.is_ascii_digit())
                    && number.parse::<f64>().is_ok()
            }
        };
        if !right {
            return Err(self.flaw("this is no number"));
        }
        self.rest = rest;
        Ok(number.to_owned())
    }

    fn name(&mut self) -> String {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        name.to_owned()
    }

    /// Skips white space and comments.
    fn space(&mut self) -> Result<(), Flaw> {
        loop {
            if self.rest.starts_with(char::is_whitespace) {
                self.next();
            } else if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.take_line();
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let length = comment.find("*/").ok_or_else(|| self.flaw("this comment has no end"))?;
                let (comment, rest) = comment.split_at(length + 2);
                self.line += comment.matches('\n').count();
                self.rest = rest;
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest.starts_with(wanted);
        if found {
            self.next();
        }
        found
    }

    fn flaw(&self, what: &'static str) -> Flaw {
        Flaw { line: self.line, what }
    }
}

fn begins_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Without the first `margin` bytes of each line, if all have at least so much white space there.
fn unindented(lines: &[String], margin: usize) -> String {
    let has_margin = |line: &String| {
        let start = line.get(..margin);
        start.is_some_and(|start| start.trim_start().is_empty()) || line.trim().is_empty()
    };
    if !lines.iter().all(has_margin) {
        return lines.concat();
    }
    let without = |line: &String| line.get(margin..).unwrap_or("\n").to_owned();
    lines.iter().map(without).collect()
}

#[cfg(test)]
#[path = "hcl_tests.rs"]
mod tests;
