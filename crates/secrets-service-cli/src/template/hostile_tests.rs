//! Templates that nobody would write: no panic, no overflow of the stack, no end that never comes.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn outside() -> Outside {
    Outside { default_role: "myapp".to_owned(), hidden_variables: &[] }
}

/// Whether it could be parsed.
fn render(text: &str, syntax: Syntax) -> bool {
    let Ok(engine) = Engine::parse(text.to_owned(), syntax) else { return false };
    let spec = TemplateSpec::new("a", "b").unwrap();
    let template = Template { spec, engine: Arc::new(engine) };
    if let Rendering::Failed(trouble) = template.render(Readings::new(), &outside()) {
        assert_ne!(trouble, sudden_end(), "{text:?}");
    }
    true
}

fn jinja(text: &str) -> bool {
    render(text, Syntax::Jinja)
}

fn consul(text: &str) -> bool {
    render(text, Syntax::Consul)
}

#[test]
fn deep_nesting() {
    for depth in [90, 600, 2_000, 4_000, 100_000] {
        let nested = |open: &str, inner: &str, close: &str| {
            [open.repeat(depth), inner.to_owned(), close.repeat(depth)].concat()
        };
        for (open, close) in
            [("(", ")"), ("[", "]"), ("not ", ""), ("- ", ""), ("{'a':", "}"), ("range(", ")")]
        {
            jinja(&format!("{{{{ {} }}}}", nested(open, "1", close)));
        }
        jinja(&format!("{{% if false %}}{}{{% endif %}}", nested("{% elif true %}", "x", "")));
        jinja(&format!("{{{{ 1 {} }}}}", nested("+1", "", "")));
        jinja(&format!("{{{{ 1 {} }}}}", nested(" if 1 else 1", "", "")));
        jinja(&format!("{{{{ a{} }}}}", nested("[0]", "", "")));
        jinja(&nested("{% if true %}", "x", "{% endif %}"));
        jinja(&nested("{% for x in [1] %}", "x", "{% endfor %}"));
        jinja(&nested("{% macro m() %}", "x", "{% endmacro %}"));
        jinja(&format!("{{{{ 1 {} }}}}", nested("| json ", "", "")));
        jinja(&format!("{{{{ a{} }}}}", nested(".b", "", "")));
        consul(&format!("{{{{ {} }}}}", nested("(", "1", ")")));
        consul(&format!("{{{{ {} }}}}", nested("(not ", "1", ")")));
        consul(&nested("{{ if true }}", "x", "{{ end }}"));
        consul(&nested("{{ with 1 }}", "x", "{{ end }}"));
        consul(&nested("{{ range 1 }}", "x", "{{ end }}"));
        consul(&format!("{}{{{{ end }}}}", nested("{{ if false }}{{ else if false }}", "x", "")));
        consul(&format!("{{{{ if false }}}}{}{{{{ end }}}}", nested("{{ else if false }}", "x", "")));
        consul(&format!("{{{{ 1 {} }}}}", nested("| toJSON ", "", "")));
        consul(&format!("{{{{ .a{} }}}}", nested(".b", "", "")));
    }
}

#[test]
fn a_loop_without_an_end_ends() {
    assert!(jinja("{% for a in range(9999) %}{% for b in range(9999) %}{{ a * b }}{% endfor %}{% endfor %}"));
    assert!(jinja("{% macro a(n) %}{{ a(n) }}{{ a(n) }}{% endmacro %}{{ a(1) }}"));
    assert!(jinja(
        "{% set ns = namespace(x='aa') %}{% for a in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
    ));
    assert!(consul("{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}"));
    assert!(consul("{{ $x := \"aa\" }}{{ range 60 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}"));
    assert!(consul("{{ $x := \"aa\" }}{{ range 60 }}{{ $x = replaceAll \"a\" $x $x }}{{ end }}"));
    assert!(consul("{{ $x := \"aa\" }}{{ range 60 }}{{ $x = html (print $x $x) }}{{ end }}"));
    assert!(consul(
        "{{ printf \"%999999999d\" 1 }}{{ printf \"%*d\" 999999999 1 }}{{ printf \"%.999999999f\" 1.5 }}"
    ));
}

fn soup(tokens: &'static [&'static str]) -> impl Strategy<Value = String> {
    let token = prop_oneof![
        8 => proptest::sample::select(tokens).prop_map(str::to_owned),
        1 => "\\PC{0,3}",
    ];
    proptest::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn jinja_soup(text in soup(&[
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", " ", "\n", "(", ")", "[", "]", "'", "\"", "|", ".", ":", ",",
        "secret", "db", "env", "names", "if ", "endif", "for x in ", "endfor", "set x = ", "macro m()", "endmacro",
        "1", "9223372036854775807", "0", "1.5", "json", "yaml", "toml", "shell", "base64_decode", "x", "is ", "not ",
        "range", "default", "loop", "~", "*", "/", "//", "%", "**", "==", "{", "}", "none", "true", "items",
    ])) {
        jinja(&text);
    }

    #[test]
    fn consul_soup(text in soup(&[
        "{{", "}}", "{{-", "-}}", "/*", "*/", " ", "\n", "(", ")", "\"a\"", "`b`", "'c'", "|", ".", "$", ":=", "=", ",",
        "secret ", "secrets ", "env ", "if ", "else", "end", "range ", "with ", "define ", "template ", "block ", "$x",
        "1 ", "9223372036854775807 ", "-1 ", "0 ", "1.5 ", "toJSON ", "toYAML ", "printf ", "index ", "slice ", "len ",
        "call ", "print ", "html ", "js ", "divide ", "modulo ", "indent ", "split ", "join ", "parseJSON ", "nil ",
        "true ", "eq ", "lt ", "and ", "or ", "not ", "break", "continue", "\"%d%s%v%q%x%[1]*d\" ",
    ])) {
        consul(&text);
    }
}
