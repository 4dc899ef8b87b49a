//! A value as Go's `%T` and `%v` show it: some of Vault's complaints do.

use super::{Json, encode};

impl Json {
    /// Go's name for the type that it decodes the value to.
    pub(crate) fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "<nil>",
            Self::Bool(_) => "bool",
            Self::Number(_) => "json.Number",
            Self::String(_) => "string",
            Self::Array(_) => "[]interface {}",
            Self::Object(_) => "map[string]interface {}",
        }
    }

    /// The value as Go prints it: `map[a:[1 x <nil>]]`.
    pub(crate) fn go_text(&self) -> String {
        match self {
            Self::Null => "<nil>".to_owned(),
            Self::String(text) => text.clone(),
            Self::Bool(_) | Self::Number(_) => encode(self),
            Self::Array(items) => {
                let items: Vec<String> = items.iter().map(Self::go_text).collect();
                format!("[{}]", items.join(" "))
            }
            Self::Object(members) => {
                let members: Vec<String> =
                    members.iter().map(|(name, value)| format!("{name}:{}", value.go_text())).collect();
                format!("map[{}]", members.join(" "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::json::parse;

    #[test]
    fn as_go_prints_it() {
        for (json, printed) in [
            (r#"{"b":{"d":[1.50,"y z",null],"c":true}}"#, "map[b:map[c:true d:[1.50 y z <nil>]]]"),
            ("{}", "map[]"),
            ("[]", "[]"),
        ] {
            assert_eq!(parse(json.as_bytes()).unwrap().go_text(), printed);
        }
    }
}
