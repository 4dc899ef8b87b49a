//! A block of the file as something to take settings out of. What nobody takes is told in the end.

use super::hcl::{Entry, Value};

/// A block's settings.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
}

/// `listener "tcp" { … }`
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) line: usize,
    /// What it is called, or its `type`.
    pub(super) label: Option<String>,
    pub(super) table: Table,
}

/// A setting that was taken out.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) line: usize,
    value: Value,
}

impl Table {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// The last setting of this name, as Vault does it.
    pub(super) fn take(&mut self, name: &str) -> Option<Item> {
        let (wanted, rest) = self.split(name);
        self.entries = rest;
        wanted.into_iter().last().map(|entry| Item { line: entry.line, value: entry.value })
    }

    /// All blocks of this name. They may be written as blocks, as one object, or as a list of objects.
    pub(super) fn take_blocks(&mut self, name: &str) -> Vec<Block> {
        let (wanted, rest) = self.split(name);
        self.entries = rest;
        let mut blocks = Vec::new();
        for Entry { keys, value, line } in wanted {
            let label = keys.into_iter().nth(1);
            for table in objects(value) {
                blocks.push(Block { line, label: label.clone(), table });
            }
        }
        blocks
    }

    /// The same for blocks with a label, which in JSON is the key of one more object.
    pub(super) fn take_labelled(&mut self, name: &str) -> Vec<Block> {
        let mut blocks = Vec::new();
        for mut block in self.take_blocks(name) {
            if block.label.is_some() || !block.table.holds_only_objects() {
                let by_type = block.table.take("type").and_then(|item| item.text());
                block.label = block.label.or(by_type);
                blocks.push(block);
                continue;
            }
            for entry in block.table.entries {
                let label = entry.keys.first().cloned();
                let tables = objects(entry.value);
                blocks.extend(tables.map(|table| Block { line: entry.line, label: label.clone(), table }));
            }
        }
        blocks
    }

    /// Puts what stands in blocks of this name in their place: `sinks { sink { … } }` is `sink { … }`.
    pub(super) fn unwrap_blocks(&mut self, name: &str) {
        let blocks = self.take_blocks(name);
        self.entries.extend(blocks.into_iter().flat_map(|block| block.table.entries));
    }

    /// Names and lines of what is left.
    pub(super) fn left(self) -> impl Iterator<Item = (String, usize)> {
        self.entries.into_iter().map(|entry| (entry.keys.join(" "), entry.line))
    }

    fn split(&mut self, name: &str) -> (Vec<Entry>, Vec<Entry>) {
        let is_wanted = |entry: &Entry| entry.keys.first().is_some_and(|key| key == name);
        std::mem::take(&mut self.entries).into_iter().partition(is_wanted)
    }

    fn holds_only_objects(&self) -> bool {
        let is_object = |value: &Value| match value {
            Value::Object(_) => true,
            Value::List(items) => {
                !items.is_empty() && items.iter().all(|item| matches!(item, Value::Object(_)))
            }
            _ => false,
        };
        !self.entries.is_empty() && self.entries.iter().all(|entry| is_object(&entry.value))
    }
}

/// Not an object: then there is nothing in it.
fn objects(value: Value) -> impl Iterator<Item = Table> {
    let items = match value {
        Value::List(items) => items,
        other => vec![other],
    };
    items.into_iter().map(|item| match item {
        Value::Object(entries) => Table::new(entries),
        _ => Table::default(),
    })
}

impl Item {
    /// Numbers and switches as they would be written.
    pub(super) fn text(&self) -> Option<String> {
        text(&self.value)
    }

    /// A list of texts, or one text.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        match &self.value {
            Value::List(items) => items.iter().map(text).collect(),
            other => Some(vec![text(other)?]),
        }
    }

    /// Whether it is one text, and no list of them.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.value, Value::Text(_))
    }

    /// As Vault reads them: `"true"` and `1` will do as well.
    pub(super) fn switch(&self) -> Option<bool> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" => Some(true),
            "0" | "f" | "false" | "" => Some(false),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<i64> {
        self.text()?.trim().parse().ok()
    }

    /// A number of seconds, or a time as Go writes it, `1h30m`; days as well, as Vault takes them. Rounded up.
    pub(super) fn seconds(&self) -> Option<u64> {
        let text = self.text()?;
        let mut rest = text.trim();
        if let Ok(seconds) = rest.parse() {
            return Some(seconds);
        }
        let mut total = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, after) = rest.split_at(digits);
            let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, after) = after.split_at(unit);
            let seconds = match unit {
                "d" => 86_400.0,
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
            total += number.parse::<f64>().ok()? * seconds;
            rest = after;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and cut off")]
        (!text.trim().is_empty()).then_some(total.ceil() as u64)
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        Value::Switch(on) => Some(on.to_string()),
        Value::Null | Value::List(_) | Value::Object(_) => None,
    }
}
