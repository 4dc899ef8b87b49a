//! `--format env`: fields as lines that a POSIX shell reads as assignments.

use std::collections::BTreeMap;

use secrets_service::gds_vault::Field;
use zeroize::Zeroizing;

/// `NAME='value'` lines. Fields that are null are left out. The error names the field.
pub(crate) fn lines<'a>(
    fields: impl Iterator<Item = (&'a str, Field<'a>)>,
) -> Result<Zeroizing<String>, String> {
    let mut from = BTreeMap::new();
    let mut pieces = Vec::new();
    for (field, value) in fields.filter(|(_, value)| !value.is_null()) {
        let name = variable_name(field)?;
        if let Some(other) = from.insert(name.clone(), field) {
            return Err(format!("the fields {other:?} and {field:?} would both be the variable {name}"));
        }
        let value = value.text();
        if value.expose().contains('\0') {
            return Err(format!("the field {field:?} has a NUL byte in it, which no variable can hold"));
        }
        pieces.push((name, quoted(value.expose())));
    }
    // Sized up front: a buffer that grows leaves unwiped copies behind.
    let size = pieces.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut text = Zeroizing::new(String::with_capacity(size));
    for (name, value) in &pieces {
        for piece in [name, "=", value, "\n"] {
            text.push_str(piece);
        }
    }
    Ok(text)
}

/// A value as one word of a shell, whatever is in it.
pub(crate) fn quoted(value: &str) -> Zeroizing<String> {
    // Sized up front, as below; `str::replace` is not.
    let mut text = Zeroizing::new(String::with_capacity(value.len() + 3 * value.matches('\'').count() + 2));
    text.push('\'');
    for (n, piece) in value.split('\'').enumerate() {
        if n > 0 {
            text.push_str(r"'\''");
        }
        text.push_str(piece);
    }
    text.push('\'');
    text
}

/// `db-host` is `DB_HOST`: upper case, punctuation and spaces as `_`. What then is no name is an error.
fn variable_name(field: &str) -> Result<String, String> {
    let valid = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let name: String = field
        .chars()
        .map(|c| if c.is_ascii_punctuation() || c == ' ' { '_' } else { c.to_ascii_uppercase() })
        .collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(valid) {
        return Err(format!(
            "the field {field:?} cannot be a variable's name (letters, digits and _, not beginning with a digit)"
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use secrets_service::gds_vault::Secret;

    use super::*;

    fn formatted(data: &serde_json::Value) -> Result<String, String> {
        let secret = Secret::parse(serde_json::json!({ "data": data }).to_string().into_bytes()).unwrap();
        lines(secret.data().iter()).map(|text| text.to_string())
    }

    #[test]
    fn values_are_quoted_and_names_made_valid() {
        let data = serde_json::json!({
            "db_host": "localhost", "db-port": 5432, "tls.ca": "line 1\nline 2", "odd": "it's $HOME `x` \\ \"q\"",
            "on": true, "none": null, "tree": {"a": [1]},
        });
        let expected = concat!(
            "DB_PORT='5432'\n",
            "DB_HOST='localhost'\n",
            "ODD='it'\\''s $HOME `x` \\ \"q\"'\n",
            "ON='true'\n",
            "TLS_CA='line 1\nline 2'\n",
            "TREE='{\"a\":[1]}'\n",
        );
        assert_eq!(formatted(&data).unwrap(), expected);
    }

    #[test]
    fn a_shell_reads_back_what_went_in() {
        let value = "a'b\"c$d`e\\f!g\n\th *?[ü]; & | > < ( ) # ~ = %";
        let text = formatted(&serde_json::json!({ "value": value })).unwrap();
        let script = format!("{text}printf %s \"$VALUE\"");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }

    #[test]
    fn what_cannot_be_a_variable_is_an_error_that_names_it() {
        let cases = [
            (serde_json::json!({"1st": "x"}), "\"1st\""),
            (serde_json::json!({"": "x"}), "\"\""),
            (serde_json::json!({"naïve": "x"}), "\"naïve\""),
            (serde_json::json!({"tab\t": "x"}), "\"tab\\t\""),
            (serde_json::json!({"a-b": "x", "A_B": "y"}), "A_B"),
            (serde_json::json!({"nul": "canary\u{0}"}), "\"nul\""),
        ];
        for (data, named) in cases {
            let error = formatted(&data).unwrap_err();
            assert!(error.contains(named) && !error.contains("canary"), "{error}");
        }
    }
}
