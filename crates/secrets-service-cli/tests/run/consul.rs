use serde_json::json;

use crate::support::Vault;
use crate::world::{refuses, renders};

async fn vault() -> Vault {
    let vault = Vault::start().await;
    let data = json!({
        "text": "canary \"q\"\n", "host": "db1", "port": 5432, "ratio": 1.50, "on": true, "none": null,
        "list": ["a", "b"], "tree": {"x": {"y": "deep"}}, "encoded": "aGk=", "json": "{\"a\":[1]}",
    });
    vault.store("myapp/all", &data).await;
    vault.store("myapp/versions", &json!({ "v": "first" })).await;
    vault.store("myapp/versions", &json!({ "v": "second" })).await;
    crate::support::write(&vault.root, "kv1/flat", &json!({ "k": "one" })).await;
    vault
}

/// With the secret as the dot.
fn with(text: &str) -> String {
    format!("{{{{ with secret \"secret/data/myapp/all\" }}}}{text}{{{{ end }}}}")
}

#[tokio::test]
async fn what_templates_can_do() {
    let vault = vault().await;
    let inside = [
        ("{{ .Data.data.host }}", "db1"),
        ("{{ .Data.data.port }} {{ .Data.data.ratio }} {{ .Data.data.on }}", "5432 1.5 true"),
        ("{{ .Data.metadata.version }}", "1"),
        ("{{ .Data.data.tree.x.y }}", "deep"),
        ("{{ range .Data.data.list }}<{{ . }}>{{ end }}", "<a><b>"),
        ("{{ range $i, $x := .Data.data.list }}{{ $i }}{{ $x }}{{ end }}", "0a1b"),
        ("{{ range $k, $v := .Data.data.tree }}{{ $k }}={{ $v.y }}{{ end }}", "x=deep"),
        ("{{ if .Data.data.on }}yes{{ else }}no{{ end }}", "yes"),
        ("{{ if eq .Data.data.host \"db2\" }}2{{ else if eq .Data.data.host \"db1\" }}1{{ end }}", "1"),
        ("{{ if index .Data.data \"nope\" }}there{{ else }}not there{{ end }}", "not there"),
        ("{{ index .Data.data \"host\" }}", "db1"),
        ("{{ with $d := .Data.data }}{{ $d.host }}{{ end }}", "db1"),
        ("{{- /* a comment */ -}} x {{- .Data.data.host -}} y", "xdb1y"),
        ("{{ printf \"%s:%d\" .Data.data.host .Data.data.port }}", "db1:5432"),
        ("{{ .Data.data.text | toJSON }}", r#""canary \"q\"\n""#),
        ("{{ .Data.data.tree | toJSON }}", r#"{"x":{"y":"deep"}}"#),
        ("{{ .Data.data.tree | toYAML }}", "\"x\":\n  \"y\": \"deep\""),
        ("{{ toJSONPretty .Data.data.tree.x }}", "{\n  \"y\": \"deep\"\n}"),
        ("{{ .Data.data.encoded | base64Decode }} {{ base64Encode .Data.data.host }}", "hi ZGIx"),
        ("{{ with .Data.data.json | parseJSON }}{{ range .a }}{{ . }}{{ end }}{{ end }}", "1"),
        ("{{ .Data.data.host | toUpper | replaceAll \"B\" \"X\" }}", "DX1"),
        ("{{ \" a \" | trimSpace }}{{ \"xax\" | trim \"x\" }}{{ trimPrefix \"a\" \"ab\" }}{{ \"ab\" | trimSuffix \"b\" }}", "aaba"),
        ("{{ \"a,b\" | split \",\" | join \"+\" }}", "a+b"),
        ("{{ if .Data.data.list | contains \"b\" }}has b{{ end }}", "has b"),
        ("{{ \"a\\nb\" | indent 2 }}", "  a\n  b"),
        ("{{ add 1 2 }}{{ subtract 1 3 }}{{ multiply 2 4 }}{{ divide 2 9 }}{{ modulo 4 9 }}", "32841"),
        ("{{ .LeaseDuration }}{{ .Renewable }}", "0false"),
    ]
    .map(|(text, expected)| (with(text), expected.to_owned()));
    let cases: Vec<_> = inside.iter().map(|(text, expected)| (text.as_str(), expected.as_str())).collect();
    renders(&vault, ".ctmpl", &cases).await;
    let cases = [
        ("plain\n", "plain\n"),
        ("{{ (secret \"secret/data/myapp/versions?version=1\").Data.data.v }}", "first"),
        ("{{ with secret \"secret/myapp/versions\" }}{{ .Data.data.v }}{{ end }}", "second"),
        ("{{ with secret \"kv1/flat\" }}{{ .Data.k }}{{ end }}", "one"),
        (
            "{{ env \"FROM_OUTSIDE\" }}{{ env \"NOT_THERE\" }}{{ envOrDefault \"NOT_THERE\" \"d\" }}",
            "out sided",
        ),
        ("{{ mustEnv \"FROM_OUTSIDE\" }}", "out side"),
        ("{{ range secrets \"secret/metadata/myapp\" }}{{ . }} {{ end }}", "all api-keys config versions "),
        ("{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" \"x\" }}", "<x>"),
        ("{{ block \"b\" 1 }}{{ . }}{{ end }}", "1"),
        ("{{ sha256Hex \"abc\" }}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ];
    for ending in [".ctmpl", ".tmpl", ".tpl"] {
        renders(&vault, ending, &cases[..3]).await;
    }
    renders(&vault, ".ctmpl", &cases).await;
}

#[tokio::test]
async fn row24_what_is_missing_or_wrong_is_named_and_no_file_is_written() {
    let vault = vault().await;
    let cases: [(&str, i32, &[&str]); 11] = [
        (
            "\n{{ .Data.data.hots }}",
            4,
            &["case.ctmpl:2: secret/data/myapp/all has no field \"hots\"", "host"],
        ),
        (
            "\n\n{{ index .Data.data \"hots\" }}",
            4,
            &["case.ctmpl:3: secret/data/myapp/all has no field \"hots\""],
        ),
        ("{{ .Data.host }}", 4, &[":1:", ".Data.data.host"]),
        ("{{ .Data.data.none }}", 4, &[":1:", "null"]),
        ("{{ if .Data.data.hots }}{{ end }}", 4, &[":1:", "\"hots\""]),
        ("{{ .Data.data.text.x }}", 2, &[":1:", "can't evaluate field x"]),
        ("{{ len .Data.data.port }}", 2, &[":1:"]),
        ("{{ printf .Data.data.port }}", 2, &[":1:", "printf"]),
        ("{{ .Data.data.text | parseInt }}", 2, &[":1:", "whole number"]),
        ("{{ base64Decode .Data.data.text }}", 2, &[":1:", "base64"]),
        ("{{ range $i, $x := .Data.data.port }}{{ end }}", 2, &[":1:"]),
    ];
    let cases = cases.map(|(text, code, parts)| (with(text), code, parts));
    let cases: Vec<_> = cases.iter().map(|(text, code, parts)| (text.as_str(), *code, *parts)).collect();
    refuses(&vault, ".ctmpl", &cases).await;
    let cases: [(&str, i32, &[&str]); 17] = [
        (
            "\n{{ with secret \"secret/data/myapp/nothing\" }}x{{ end }}",
            4,
            &["case.ctmpl:2:", "myapp/nothing"],
        ),
        ("{{ with secret \"other/x\" }}x{{ end }}", 6, &["other/x"]),
        ("\n\n{{ key \"a\" }}", 2, &[":3:", "\"key\""]),
        ("{{ secrte \"a\" }}", 2, &[":1:", "secrte"]),
        ("\n{{ if true }}", 2, &[":2:", "has no {{end}}"]),
        ("a\n{{ end }}b", 2, &[":2:", "unexpected {{end}}"]),
        ("{{ \"open", 2, &[":1:"]),
        ("{{ template \"none\" }}", 2, &[":1:", "none"]),
        ("{{ secret \"pki/issue/x\" \"common_name=a\" }}", 2, &[":1:", "writes"]),
        ("{{ mustEnv \"NOT_THERE\" }}", 2, &[":1:", "NOT_THERE"]),
        ("{{ env \"VAULT_SECRET_ID\" }}", 2, &[":1:", "VAULT_SECRET_ID"]),
        ("{{ env \"VAULT_TOKEN_FILE\" }}", 2, &[":1:"]),
        ("{{ range 99999999999 }}{{ end }}", 2, &["loops"]),
        ("{{ $x := \"aa\" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}", 2, &["16 MiB"]),
        ("{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}", 2, &["too deeply"]),
        ("{{ divide 0 1 }}{{ add 9223372036854775807 1 }}", 2, &[":1:", "no result"]),
        ("{{ range 1000000 }}xxxxxxxxxxxxxxxxxxxxxxxxx{{ end }}", 2, &["16 MiB"]),
    ];
    refuses(&vault, ".ctmpl", &cases).await;
}
