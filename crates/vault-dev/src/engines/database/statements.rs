//! SQL out of templates: `{{name}}`, `{{password}}`, `{{expiration}}`.

use crate::clock::Timestamp;

/// What the placeholders stand for.
#[derive(Clone, Copy, Default)]
pub(super) struct Values<'a> {
    pub(super) username: &'a str,
    pub(super) password: &'a str,
    pub(super) expiration: &'a str,
}

/// The statements to execute one after the other, filled in.
pub(super) fn fill(templates: &[String], values: Values<'_>) -> Vec<String> {
    templates
        .iter()
        .flat_map(|template| split(template))
        .map(|statement| fill_one(&statement, values))
        .collect()
}

fn fill_one(template: &str, values: Values<'_>) -> String {
    template
        .replace("{{name}}", values.username)
        .replace("{{username}}", values.username)
        .replace("{{password}}", values.password)
        .replace("{{expiration}}", values.expiration)
}

/// At every semicolon, as Vault does, unless the text has a dollar-quoted body: that one stays whole.
fn split(template: &str) -> Vec<String> {
    if has_dollar_quote(template) {
        return vec![template.to_owned()];
    }
    let parts = template.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| format!("{part};")).collect()
}

/// `$$` or `$tag$`.
fn has_dollar_quote(text: &str) -> bool {
    text.split('$').skip(1).any(|between| between.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        && text.matches('$').count() > 1
}

/// How Vault writes `{{expiration}}`.
pub(super) fn expiration(at: Timestamp) -> String {
    let (date, time) = (at.date(), at.time());
    let (hour, minute, second) = time.as_hms();
    format!(
        "{:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02}+0000",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}

/// An SQL identifier in quotes.
pub(super) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// `v-DISPLAY-ROLE-RANDOM-TIME`, at most 63 characters: PostgreSQL cuts longer names.
pub(super) fn username(display_name: &str, role: &str, now: Timestamp) -> String {
    let cut = |text: &str, length| text.chars().take(length).collect::<String>();
    let random = crate::random::base62(20);
    let whole = format!("v-{}-{}-{random}-{}", cut(display_name, 8), cut(role, 8), now.unix_timestamp());
    cut(&whole, 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filled_and_split() {
        let templates = [
            "CREATE ROLE \"{{name}}\" PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT a TO \"{{username}}\" ;"
                .to_owned(),
        ];
        let values = Values { username: "u", password: "p", expiration: "e" };
        assert_eq!(
            fill(&templates, values),
            ["CREATE ROLE \"u\" PASSWORD 'p' VALID UNTIL 'e';", "GRANT a TO \"u\";"]
        );
        let body = "DO $$ BEGIN a; b; END $$;".to_owned();
        assert_eq!(fill(std::slice::from_ref(&body), values), [body]);
        let tagged = "DO $x$ a; b; $x$".to_owned();
        assert_eq!(fill(std::slice::from_ref(&tagged), values), [tagged]);
    }

    #[test]
    fn names_and_times() {
        let name = username("approle-with-a-long-name", "a-very-long-role", Timestamp::UNIX_EPOCH);
        assert!(name.starts_with("v-approle--a-very-l-"), "{name}");
        assert!(name.len() <= 63);
        assert_eq!(expiration(Timestamp::UNIX_EPOCH), "1970-01-01 00:00:00+0000");
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
    }
}
