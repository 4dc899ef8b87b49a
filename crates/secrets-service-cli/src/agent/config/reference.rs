//! The commented reference configuration, made from what the code itself goes by.

use std::fmt::Write;

use secrets_service::config::VARIABLES;

use super::options::{ALL, Value};
use super::vault_names::VaultNames;

/// A whole configuration file in which every line is a comment or a default.
pub(crate) fn reference() -> String {
    let mut text = String::from(
        "# Settings of `secrets-service agent`, all of them, with their defaults.\n\
         #\n\
         # Each is also a variable, named beside it, which comes before the file (lists are separated by commas).\n\
         # `secrets-service check --config FILE` finds every mistake, without a request.\n",
    );
    let mut table = "";
    for option in ALL {
        let (in_table, key) = option.key.rsplit_once('.').unwrap_or(("", option.key));
        if in_table != table {
            table = in_table;
            let _ = write!(text, "\n[{table}]\n");
        }
        text.push('\n');
        for line in option.about.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "# {}\n{key} = {}", option.variable(), shown(&option.default()));
    }
    text.push_str(
        "\n[vault]\n\n\
         # The way to Vault: every VAULT_ variable of the other commands, without VAULT_ and in lower case (and those of\n\
         # the cache on disk, without SECRETS_). No secret belongs here, only the names of files that hold one.\n",
    );
    for (key, variable) in VaultNames::new().all() {
        let default = VARIABLES.iter().find(|(name, _)| name == variable).map_or("", |(_, default)| default);
        let _ = writeln!(text, "#{key} = {}  # {variable}", literal(default));
    }
    text
}

fn literal(default: &str) -> String {
    let plain = default.parse::<u64>().is_ok() || matches!(default, "true" | "false");
    if plain { default.to_owned() } else { quoted(default) }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Texts(texts) => {
            let items: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Switch(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
