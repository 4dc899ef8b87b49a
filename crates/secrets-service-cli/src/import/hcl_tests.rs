use super::*;

fn entry(keys: &[&str], value: Value, line: usize) -> Entry {
    Entry { keys: keys.iter().map(|key| (*key).to_owned()).collect(), value, line }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The value of the only setting.
fn value(written: &str) -> Result<Value, Flaw> {
    parse(&format!("a = {written}")).map(|mut entries| entries.remove(0).value)
}

#[test]
fn blocks_and_settings_have_their_lines() {
    let read = parse(
        "# c\nlistener \"tcp\" {\n  address = \"x\" // c\n  \"tls_disable\" = true, n = -1.5e3\n}\n/*\n*/ b { }",
    );
    let inside = vec![
        entry(&["address"], text("x"), 3),
        entry(&["tls_disable"], Value::Switch(true), 4),
        entry(&["n"], Value::Number("-1.5e3".to_owned()), 4),
    ];
    let expected =
        [entry(&["listener", "tcp"], Value::Object(inside), 2), entry(&["b"], Value::Object(Vec::new()), 7)];
    assert_eq!(read.unwrap(), expected);
}

#[test]
fn json_is_read_as_well() {
    let read = parse("{\n\"a\": [1, \"${\", null, {\"b\": \"\\ud83d\\ude00\\/\"}]}").unwrap();
    let object = Value::Object(vec![entry(&["b"], text("😀/"), 2)]);
    let items = vec![Value::Number("1".to_owned()), text("${"), Value::Null, object];
    assert_eq!(read, [entry(&["a"], Value::List(items), 2)]);
}

#[test]
fn texts() {
    for (written, meant) in [
        (r#""a\"b\\\n\t\x41\u00e9\101""#, "a\"b\\\n\tAéA"),
        (r#""{{ with secret \"a\" }}""#, "{{ with secret \"a\" }}"),
        (r#""${upper("x")} }""#, "${upper(\"x\")} }"),
        (r#""${{"a"}}""#, "${{\"a\"}}"),
        ("<<EOF\n a ${b\n\tEOF\nEOF\n", " a ${b\n\tEOF\n"),
        ("<<-EOF\n    a\n\n      b\n    EOF", "a\n\n  b\n"),
        ("<<-EOF\n  a\n    EOF", "  a\n"),
        ("<<EOF\r\na\r\nEOF\r\n", "a\r\n"),
    ] {
        assert_eq!(value(written), Ok(text(meant)), "{written}");
    }
}

#[test]
fn what_is_wrong_has_its_line_and_nothing_of_the_file() {
    for (written, line) in [
        ("a = canary", 1),
        ("\na = \"canary", 2),
        ("a = \"canary\ncanary\"", 1),
        ("a {\ncanary = 1\n", 3),
        ("a = [1 canary]", 1),
        ("a = 1canary", 1),
        ("a \"b\" = 1", 1),
        ("/* canary", 1),
        ("a = <<EOF\ncanary\n", 1),
        ("a = <<\"canary\"\n", 1),
        ("a = \"\\qcanary\"", 1),
        ("a = \"\\ud800canary\"", 1),
        ("a", 1),
        ("= 1", 1),
        ("}", 1),
        ("a b c d e { }", 1),
        ("{\"a\": 1} canary", 1),
        ("{\"a\": 1", 1),
    ] {
        let flaw = parse(written).unwrap_err();
        assert_eq!(flaw.line, line, "{written}: {flaw:?}");
        assert!(!flaw.what.contains("canary"));
    }
}

#[test]
fn nesting_has_an_end() {
    for depth in [31, 1_000_000] {
        for (open, close) in [("[", "]"), ("{ a = ", "}")] {
            let written = format!("a = {}1{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(parse(&written).is_ok(), depth < 32, "{open} {depth}");
        }
        let blocks = format!("{}{}", "a {".repeat(depth), "}".repeat(depth));
        assert_eq!(parse(&blocks).is_ok(), depth < 32, "{depth}");
    }
}

#[test]
fn an_empty_file_says_nothing() {
    for written in ["", "\u{feff}", " \n# c", "{}", "{ }\n"] {
        assert_eq!(parse(written), Ok(Vec::new()), "{written:?}");
    }
}
