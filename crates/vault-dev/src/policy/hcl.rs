//! The part of HCL 1 that policies use: blocks, attributes, strings, heredocs, lists, numbers, comments; and JSON.

use crate::json::{Json, parse as parse_json};

/// `keys… value`: `path "x" { … }` has two keys, `capabilities = [ … ]` has one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) keys: Vec<String>,
    pub(super) value: Value,
    /// For complaints; 0 in JSON.
    pub(super) line: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    String(String),
    Number(String),
    Bool(bool),
    List(Vec<Value>),
    Object(Vec<Item>),
}

/// Nobody nests a policy deeper.
const MAX_DEPTH: usize = 20;

/// The top-level items of a policy text. `Err` says where, as HCL does.
pub(super) fn parse(text: &str) -> Result<Vec<Item>, String> {
    if text.trim_start().starts_with('{') {
        let Ok(Json::Object(members)) = parse_json(text.as_bytes()) else {
            return Err("the policy starts with '{' but is not a JSON object".to_owned());
        };
        return Ok(json_items(&members));
    }
    let mut parser = Parser { text: text.as_bytes(), at: 0, line: 1, line_start: 0 };
    let items = parser.items(MAX_DEPTH)?;
    match parser.peek() {
        None => Ok(items),
        Some(byte) => {
            let expected = "expected: IDENT | STRING | ASSIGN | LBRACE got:";
            Err(parser.complaint(&format!("{expected} {}", token(byte))))
        }
    }
}

fn json_items(members: &crate::json::Object) -> Vec<Item> {
    let item = |(name, value): (&String, &Json)| Item {
        keys: vec![name.clone()],
        value: json_value(value),
        line: 0,
    };
    members.iter().map(item).collect()
}

fn json_value(value: &Json) -> Value {
    match value {
        Json::Null => Value::String(String::new()),
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(digits) => Value::Number(digits.clone()),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(json_value).collect()),
        Json::Object(members) => Value::Object(json_items(members)),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    line_start: usize,
}

impl Parser<'_> {
    /// Items up to a closing brace or the end; does not take the brace.
    fn items(&mut self, depth: usize) -> Result<Vec<Item>, String> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.complaint("nested too deeply"))?;
        let mut items = Vec::new();
        loop {
            match self.peek() {
                None | Some(b'}') => return Ok(items),
                Some(b',') => self.take(),
                Some(_) => items.push(self.item(depth)?),
            }
        }
    }

    fn item(&mut self, depth: usize) -> Result<Item, String> {
        let mut keys = Vec::new();
        let line = self.line;
        loop {
            match self.peek() {
                Some(b'"') => keys.push(self.string()?),
                Some(b'=' | b':') if !keys.is_empty() => {
                    self.take();
                    return Ok(Item { keys, value: self.value(depth)?, line });
                }
                Some(b'{') if !keys.is_empty() => {
                    return Ok(Item { keys, value: self.object(depth)?, line });
                }
                Some(byte) if is_word(byte) => keys.push(self.word()),
                Some(byte) => {
                    return Err(self.complaint(&format!("expected: IDENT | STRING got: {}", token(byte))));
                }
                None => {
                    return Err(
                        self.complaint("key expected start of object ('{') or assignment ('=') got: EOF")
                    );
                }
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        match self.peek() {
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'<') => self.heredoc(),
            Some(byte) if is_word(byte) => Ok(match self.word().as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                word if word.parse::<f64>().is_ok() => Value::Number(word.to_owned()),
                word => return Err(self.complaint(&format!("Unknown token: IDENT {word}"))),
            }),
            Some(byte) => Err(self.complaint(&format!("Unknown token: {}", token(byte)))),
            None => Err(self.complaint("Unknown token: EOF")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        self.take();
        let items = self.items(depth)?;
        if self.peek().is_none() {
            return Err(self.complaint("object expected closing RBRACE got: EOF"));
        }
        self.take();
        Ok(Value::Object(items))
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.complaint("nested too deeply"))?;
        self.take();
        let mut values = Vec::new();
        loop {
            match self.peek() {
                None => {
                    return Err(self.complaint("error parsing list, expected comma or list end, got: EOF"));
                }
                Some(b']') => {
                    self.take();
                    return Ok(Value::List(values));
                }
                Some(b',') => self.take(),
                Some(byte @ (b'}' | b'=' | b':')) => {
                    let what =
                        format!("error parsing list, expected comma or list end, got: {}", token(byte));
                    return Err(self.complaint(&what));
                }
                Some(_) => values.push(self.value(depth)?),
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.take();
        let mut out = Vec::new();
        loop {
            match self.text.get(self.at).copied() {
                None | Some(b'\n') => return Err(self.complaint("literal not terminated")),
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    out.push(match self.text.get(self.at) {
                        Some(b'n') => b'\n',
                        Some(b't') => b'\t',
                        Some(b'r') => b'\r',
                        Some(byte @ (b'"' | b'\\')) => *byte,
                        _ => return Err(self.complaint("illegal char escape")),
                    });
                }
                Some(byte) => out.push(byte),
            }
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(out).map_err(|_| self.complaint("illegal UTF-8 encoding"))
    }

    /// `<<END … END`, `<<-END` with an indented end.
    fn heredoc(&mut self) -> Result<Value, String> {
        let rest = std::str::from_utf8(&self.text[self.at..])
            .map_err(|_| self.complaint("illegal UTF-8 encoding"))?;
        let (head, mut body) =
            rest.split_once('\n').ok_or_else(|| self.complaint("heredoc not terminated"))?;
        let anchor = head.trim_start_matches('<').trim_start_matches('-').trim().to_owned();
        if !head.starts_with("<<") || anchor.is_empty() {
            return Err(self.complaint("zero-length heredoc anchor"));
        }
        self.at += head.len() + 1;
        self.newline();
        let mut out = String::new();
        loop {
            let (line, following) = body.split_once('\n').unwrap_or((body, ""));
            self.at += line.len();
            if line.trim() == anchor {
                return Ok(Value::String(out));
            }
            if self.at >= self.text.len() {
                return Err(self.complaint("heredoc not terminated"));
            }
            self.at += 1;
            self.newline();
            out.push_str(line);
            out.push('\n');
            body = following;
        }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.text.get(self.at).is_some_and(|byte| is_word(*byte)) {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.text[start..self.at]).into_owned()
    }

    /// The next byte that means something: white space and comments are skipped.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            let next = self.text.get(self.at + 1).copied();
            match (byte, next) {
                (b'\n', _) => {
                    self.at += 1;
                    self.newline();
                }
                (b' ' | b'\t' | b'\r', _) => self.at += 1,
                (b'#', _) | (b'/', Some(b'/')) => self.skip_until(|text| text.starts_with(b"\n"), 0),
                (b'/', Some(b'*')) => self.skip_until(|text| text.starts_with(b"*/"), 2),
                _ => return Some(byte),
            }
        }
    }

    fn skip_until(&mut self, reached: impl Fn(&[u8]) -> bool, also: usize) {
        while self.at < self.text.len() && !reached(&self.text[self.at..]) {
            self.at += 1;
            if self.text[self.at - 1] == b'\n' {
                self.newline();
            }
        }
        self.at = (self.at + also).min(self.text.len());
    }

    fn take(&mut self) {
        self.at += 1;
    }

    fn newline(&mut self) {
        self.line += 1;
        self.line_start = self.at;
    }

    fn complaint(&self, what: &str) -> String {
        // HCL counts the end of the text as a character of its own.
        let column = self.at - self.line_start + if self.at >= self.text.len() { 2 } else { 1 };
        format!("At {}:{column}: {what}", self.line)
    }
}

/// HCL's name for a token.
fn token(byte: u8) -> String {
    match byte {
        b'{' => "LBRACE".to_owned(),
        b'}' => "RBRACE".to_owned(),
        b'[' => "LBRACK".to_owned(),
        b']' => "RBRACK".to_owned(),
        b'=' => "ASSIGN".to_owned(),
        other => format!("{:?}", char::from(other)),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_attributes_comments() {
        let items = parse(
            "# one\n// two\n/* three\n */ path \"a/*\" {\n  capabilities = [\"read\", \"list\",]\n  min_wrapping_ttl = 90\n}\nname = \"x\"\n",
        )
        .unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].keys, ["path", "a/*"]);
        assert_eq!(items[0].line, 4);
        let Value::Object(members) = &items[0].value else { panic!("{items:?}") };
        assert_eq!(members[0].keys, ["capabilities"]);
        assert_eq!(
            members[0].value,
            Value::List(vec![Value::String("read".to_owned()), Value::String("list".to_owned())])
        );
        assert_eq!(members[1].value, Value::Number("90".to_owned()));
    }

    #[test]
    fn heredoc_and_escapes() {
        let items = parse("a = <<-EOT\n  one\n  EOT\nb = \"q\\\"\\n\"\n").unwrap();
        assert_eq!(items[0].value, Value::String("  one\n".to_owned()));
        assert_eq!(items[1].value, Value::String("q\"\n".to_owned()));
        assert_eq!(items[1].line, 4);
    }

    #[test]
    fn json() {
        let items = parse(r#"{"path":{"x":{"capabilities":["read"]}}}"#).unwrap();
        assert_eq!(items[0].keys, ["path"]);
        assert!(matches!(items[0].value, Value::Object(_)));
        assert!(parse("{nope").is_err());
    }

    #[test]
    fn complaints_say_where() {
        assert_eq!(parse("path \"x\" { ").unwrap_err(), "At 1:13: object expected closing RBRACE got: EOF");
        for bad in [
            "path",
            "path \"x",
            "path \"x\" = ",
            "a = [1",
            "= 3",
            "a = <<\n",
            "a = <<X\nb",
            "a = zzz",
            "}",
            "a = \"\\q\"",
        ] {
            assert!(parse(bad).unwrap_err().starts_with("At "), "{bad}");
        }
        assert!(parse(&"a {".repeat(1000)).unwrap_err().contains("deeply"));
        assert!(parse(&format!("a = {}", "[".repeat(1000))).unwrap_err().contains("deeply"));
    }
}
