//! Comparing JSON that has times and ids in it.

use std::collections::BTreeSet;

use serde_json::Value;

/// Asserts that `actual` is `expected`, to the last field, where these texts in `expected` stand for any value of
/// their sort: `<time>` (RFC 3339), `<uuid>`, `<text>` (not empty), `<number>`, `<any>`, and `<1..600>` for a number in
/// that range, both ends included.
#[track_caller]
pub(crate) fn assert_like(actual: &Value, expected: &Value) {
    let mut differences = Vec::new();
    compare("", actual, expected, &mut differences);
    assert!(differences.is_empty(), "{}\nin {actual}", differences.join("\n"));
}

fn compare(path: &str, actual: &Value, expected: &Value, differences: &mut Vec<String>) {
    match (actual, expected) {
        (Value::Object(a), Value::Object(e)) => {
            for name in a.keys().chain(e.keys()).collect::<BTreeSet<_>>() {
                let at = format!("{path}/{name}");
                match (a.get(name), e.get(name)) {
                    (Some(actual), Some(expected)) => compare(&at, actual, expected, differences),
                    (Some(actual), None) => differences.push(format!("{at}: {actual}, expected none")),
                    (None, _) => differences.push(format!("{at}: missing")),
                }
            }
        }
        (Value::Array(a), Value::Array(e)) if a.len() == e.len() => {
            for (i, (actual, expected)) in a.iter().zip(e).enumerate() {
                compare(&format!("{path}/{i}"), actual, expected, differences);
            }
        }
        _ => {
            if !is_like(actual, expected) {
                differences.push(format!("{path}: {actual}, expected {expected}"));
            }
        }
    }
}

fn is_like(actual: &Value, expected: &Value) -> bool {
    let Some(sort) = expected.as_str().and_then(|text| text.strip_prefix('<')?.strip_suffix('>')) else {
        return actual == expected;
    };
    let text = actual.as_str();
    match sort {
        "any" => true,
        "text" => text.is_some_and(|text| !text.is_empty()),
        "number" => actual.is_number(),
        "time" => text.is_some_and(is_time),
        "uuid" => text.is_some_and(is_uuid),
        range => {
            let range =
                range.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
            let (from, to): (i64, i64) = range.unwrap_or_else(|| panic!("no such sort: {expected}"));
            actual.as_i64().is_some_and(|number| (from..=to).contains(&number))
        }
    }
}

/// `2026-01-02T03:04:05.678Z`, with any number of digits behind the point, or none and no point.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let fraction = shape.strip_prefix("0000-00-00T00:00:00").and_then(|rest| rest.strip_suffix('Z'));
    fraction.is_some_and(|fraction| {
        fraction.is_empty()
            || fraction
                .strip_prefix('.')
                .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c == '0'))
    })
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differences(actual: &Value, expected: &Value) -> Vec<String> {
        let mut differences = Vec::new();
        compare("", actual, expected, &mut differences);
        differences
    }

    #[test]
    fn sorts_of_values() {
        for (value, sort) in [
            (json!("2026-11-23T21:34:53.058494644Z"), "<time>"),
            (json!("2026-11-23T21:34:53Z"), "<time>"),
            (json!("0daa3d25-10a3-1e2f-c4a8-0f3e5a6b7c8d"), "<uuid>"),
            (json!("x"), "<text>"),
            (json!(-1), "<number>"),
            (json!(null), "<any>"),
            (json!(600), "<570..600>"),
        ] {
            assert_eq!(differences(&value, &json!(sort)), Vec::<String>::new());
        }
        for (value, sort) in [
            (json!(""), "<time>"),
            (json!("2026-11-23T21:34:53.Z"), "<time>"),
            (json!("2026-11-23 21:34:53"), "<time>"),
            (json!("0daa3d25-10a3-1e2f-c4a8-0f3e5a6b7c8"), "<uuid>"),
            (json!(""), "<text>"),
            (json!(1), "<text>"),
            (json!("1"), "<number>"),
            (json!(601), "<570..600>"),
        ] {
            assert_eq!(differences(&value, &json!(sort)).len(), 1, "{value} is no {sort}");
        }
    }

    #[test]
    fn every_difference_is_told_with_its_place() {
        let actual = json!({"a": {"b": [1, 2]}, "more": 1, "same": null});
        let expected = json!({"a": {"b": [1, 3]}, "less": 1, "same": null});
        let expected_differences = ["/a/b/1: 2, expected 3", "/less: missing", "/more: 1, expected none"];
        assert_eq!(differences(&actual, &expected), expected_differences);
        assert_eq!(differences(&json!([1]), &json!([1, 2])), [": [1], expected [1,2]"]);
        assert_eq!(differences(&json!({"a": null}), &json!({})), ["/a: null, expected none"]);
    }
}
