use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::super::envelope;
use super::*;

/// As Vault 1.21 answers.
const USUAL: &str = concat!(
    r#"{"request_id":"3f1b0c7a-6a4e","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":"#,
    r#"{"db":"orders","key":"-----\n\u003cx\u003e\"","n":-17,"list":[true,null,{"a":{}},[]],"é":"\\"},"#,
    r#""metadata":{"created_time":"2026-01-22T10:00:00.5Z","custom_metadata":{"owner":"me"},"deletion_time":"","#,
    r#""destroyed":false,"version":7}},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}"#,
    "\n"
);

/// What is read quickly is what serde reads.
fn assert_same(body: &str, quick: &Quick<'_>) {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let (envelope, data) = envelope::read_any(&bytes, std::str::from_utf8(&bytes).unwrap()).expect(body);
    assert_eq!(quick.request_id, &*envelope.request_id);
    assert_eq!(Some(quick.mount_type).filter(|kind| !kind.is_empty()), envelope.mount_type.as_deref());
    assert_eq!(quick.fields.unwrap_or("{}"), data.expose_json());
    assert_eq!(Some(&quick.version), envelope.version.as_ref());
    assert!(envelope.warnings.is_empty() && envelope.lease.is_none());
    assert!(envelope.auth.is_none() && envelope.wrap_info.is_none());
}

#[test]
fn what_vault_writes_is_read_quickly() {
    let deleted = USUAL
        .replace(r#""deletion_time":"""#, r#""deletion_time":"2026-01-23T10:00:00Z""#)
        .replace(r#""custom_metadata":{"owner":"me"}"#, r#""custom_metadata":null"#)
        .replace(r#""mount_type":"kv""#, r#""mount_type":"""#);
    let before_1_17 = USUAL.replace(r#","mount_type":"kv""#, "");
    let gone = r#"{"request_id":"","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":null,"metadata":{"created_time":"t","custom_metadata":null,"deletion_time":"t","destroyed":true,"version":0}},"wrap_info":null,"warnings":null,"auth":null}"#;
    for body in [USUAL, USUAL.trim_end(), &deleted, &before_1_17, gone] {
        let quick = read(body).unwrap_or_else(|| panic!("{body}"));
        assert_same(body, &quick);
    }
}

#[test]
fn anything_else_is_left_to_serde() {
    for (part, other) in [
        (r#""lease_id":"""#, r#""lease_id":"x""#),
        (r#""renewable":false"#, r#""renewable":true"#),
        (r#""lease_duration":0"#, r#""lease_duration":1"#),
        (r#""wrap_info":null"#, r#""wrap_info":{"token":"x"}"#),
        (r#""warnings":null"#, r#""warnings":["x"]"#),
        (r#""auth":null"#, r#""auth":{"client_token":"x"}"#),
        (r#""mount_type":"kv""#, r#""mount_type":"cubbyhole""#),
        (r#""mount_type":"kv""#, r#""mount_type":"kv","auth":null"#),
        ("\"kv\"}\n", "\"kv\"}\u{c}"),
        ("\"kv\"}\n", "\"kv\"}}"),
        (r#""version":7"#, r#""version":07"#),
        (r#""version":7"#, r#""version":7.0"#),
        (r#""version":7"#, r#""version":-7"#),
        (r#""version":7"#, r#""version":18446744073709551616"#),
        (r#""version":7"#, r#""version":"#),
        (r#""version":7"#, r#""version":7,"more":1"#),
        (r#""destroyed":false"#, r#""destroyed":null"#),
        ("3f1b0c7a", r"3\u0066"),
        ("3f1b0c7a", "3\tf"),
        (r#""n":-17"#, r#""n":1e3"#),
        (r#""n":-17"#, r#""n":-017"#),
        (r#""n":-17"#, r#""n":-"#),
        (r#""n":-17"#, r#""n": 17"#),
        (r#""n":-17"#, r#""n":17,"#),
        (r#""n":-17"#, r#""n":"\x""#),
        (r#""n":-17"#, r#""n":"\u12g4""#),
        (r#""n":-17"#, "\"n\":\"\n\""),
        (r#""n":-17"#, r#""n":nil"#),
        (r#""n":-17"#, "n:17"),
        ("[]", "[,]"),
        ("[]", "[1,]"),
        ("{}", "{,}"),
        ("{}", &"[".repeat(17)),
    ] {
        let body = USUAL.replacen(part, other, 1);
        assert_ne!(body, USUAL);
        assert_eq!(read(&body), None, "{body}");
    }
    for (at, _) in USUAL.char_indices() {
        assert!(read(&USUAL[..at]).is_none() || at + 1 == USUAL.len());
    }
}

/// Any JSON value as Vault would write it, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_fields_are_read_quickly_and_as_serde_reads_them(
        fields in prop::collection::hash_map(any::<String>(), any_json(), 0..6),
        version in 0..1_000_000_000_u64,
    ) {
        let fields = Value::Object(fields.into_iter().collect()).to_string();
        let body = format!(
            r#"{{"request_id":"r","lease_id":"","renewable":false,"lease_duration":0,"data":{{"data":{fields},"metadata":{{"created_time":"t","custom_metadata":null,"deletion_time":"","destroyed":false,"version":{version}}}}},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}}"#
        );
        let quick = read(&body);
        prop_assert_eq!(quick.as_ref().and_then(|quick| quick.fields), Some(&*fields));
        assert_same(&body, &quick.unwrap());
    }

    /// Bytes changed, left out or doubled anywhere: read as serde reads it or not at all.
    #[test]
    fn nothing_is_accepted_that_serde_would_not_read_the_same(
        changes in prop::collection::vec((0..USUAL.len(), 0..3_u8, prop_oneof![
            prop::sample::select(br#"{}[]":,\0123eEtfnu/. "#.to_vec()),
            any::<u8>(),
        ]), 1..4),
    ) {
        let mut body = USUAL.as_bytes().to_vec();
        for (at, how, byte) in changes {
            let at = at.min(body.len() - 1);
            match how {
                0 => body[at] = byte,
                1 => drop(body.remove(at)),
                _ => body.insert(at, byte),
            }
        }
        if let Ok(body) = std::str::from_utf8(&body)
            && let Some(quick) = read(body)
        {
            assert_same(body, &quick);
        }
    }

    #[test]
    fn plain_text_ends_where_it_ends(text in r#"[a-zA-Z0-9 é€"\\\u{0}-\u{1f}\u{7f}\u{80}]{0,40}"#) {
        let end = text.bytes().position(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\'));
        prop_assert_eq!(plain_length(text.as_bytes()), end.unwrap_or(text.len()));
    }
}
