use serde_json::json;

use crate::support::Vault;
use crate::world::{refuses, renders};

async fn vault() -> Vault {
    let vault = Vault::start().await;
    let data = json!({
        "text": "canary \"q\" <&>'\n", "host": "db1", "port": 5432, "ratio": 1.50, "on": true, "off": false,
        "none": null, "list": ["a", "b"], "tree": {"x": {"y": "deep"}}, "encoded": "aGk=",
    });
    vault.store("myapp/all", &data).await;
    vault.store("myapp/versions", &json!({ "v": "first" })).await;
    vault.store("myapp/versions", &json!({ "v": "second" })).await;
    crate::support::write(&vault.root, "kv1/flat", &json!({ "k": "one" })).await;
    vault
}

#[tokio::test]
async fn what_templates_can_do() {
    let cases = [
        ("", ""),
        ("no secret at all\n", "no secret at all\n"),
        ("host = {{ secret('secret/myapp/all').host }}\n", "host = db1\n"),
        ("{{ secret('myapp/all').port + 1 }} {{ secret('secret/data/myapp/all')['port'] }}", "5433 5432"),
        (
            "{{ secret('myapp/all').ratio }} {{ secret('myapp/all').on }} {{ secret('myapp/all').off }}",
            "1.5 true false",
        ),
        ("{{ secret('myapp/all').text }}", "canary \"q\" <&>'\n"),
        ("{{ secret('myapp/versions').v }} {{ secret('myapp/versions', version=1).v }}", "second first"),
        ("{{ secret('kv1/flat').k }}", "one"),
        ("{% for x in secret('myapp/all').list %}{{ loop.index }}{{ x }} {% endfor %}", "1a 2b "),
        ("{% for k, v in secret('myapp/versions')|items %}{{ k }}={{ v }}{% endfor %}", "v=second"),
        ("{{ secret('myapp/all').tree.x.y }}", "deep"),
        ("{{ secret('myapp/all').nope | default('else') }}", "else"),
        ("{% if secret('myapp/all').nope is defined %}a{% else %}b{% endif %}", "b"),
        ("{% if secret('myapp/all').none is none %}null{% endif %}", "null"),
        ("{% set s = secret('myapp/all') %}{{ s.host }}:{{ s.port }}", "db1:5432"),
        ("{{ secret('myapp/all').text | json }}", r#""canary \"q\" <&>'\n""#),
        ("{{ secret('myapp/all').tree | json }}", r#"{"x":{"y":"deep"}}"#),
        ("{{ secret('myapp/versions') | json }}", r#"{"v":"second"}"#),
        ("{{ secret('myapp/all').tree | yaml }}", "\"x\":\n  \"y\": \"deep\""),
        (
            "{{ secret('myapp/all').text | toml }} {{ secret('myapp/all').list | toml }}",
            "\"canary \\\"q\\\" <&>'\\n\" [\"a\", \"b\"]",
        ),
        ("{{ secret('myapp/all').text | shell }}", "'canary \"q\" <&>'\\''\n'"),
        (
            "{{ secret('myapp/all').host | base64 }} {{ secret('myapp/all').encoded | base64_decode }}",
            "ZGIx hi",
        ),
        ("{{ secret('myapp/all').host | upper }} {{ 'a b' | urlencode }}", "DB1 a%20b"),
        ("{{ env('FROM_OUTSIDE') }} {{ env('NOT_THERE', default='d') }}", "out side d"),
        ("{{ names('secret/myapp') | join(' ') }}", "all api-keys config versions"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(secret('myapp/all').host) }}", "<db1>"),
        ("{# a comment #}{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
    ];
    renders(&vault().await, ".j2", &cases).await;
}

#[tokio::test]
async fn row24_what_is_missing_or_wrong_is_named_and_no_file_is_written() {
    let vault = vault().await;
    let cases: [(&str, i32, &[&str]); 22] = [
        (
            "a\n\n{{ secret('secret/myapp/all').hots }}",
            4,
            &["case.j2:3: secret/myapp/all has no field \"hots\"", "host"],
        ),
        (
            "{% set s = secret('myapp/all') %}\n{{ s.hots | upper }}",
            4,
            &["case.j2:2: myapp/all has no field \"hots\""],
        ),
        ("{% if secret('myapp/all').hots %}{% endif %}", 4, &[":1:", "\"hots\""]),
        ("{{ secret('myapp/all')['hots'] }}", 4, &[":1:", "hots"]),
        ("{{ secret('myapp/all').tree.q }}", 4, &[":1:", "tree.q"]),
        ("\n{{ secret('myapp/nothing').x }}", 4, &["case.j2:2: secret/myapp/nothing"]),
        ("{{ secret('other/place').x }}", 6, &["other/place"]),
        ("{{ secret('myapp/all').none }}", 2, &[":1:", "null"]),
        ("{{ secret('myapp/all') }}", 2, &[":1:", "json"]),
        ("{{ secret('myapp/all').text + 1 }}", 2, &[":1:", "invalid operation"]),
        ("{{ -secret('myapp/all').text }}", 2, &[":1:"]),
        ("{{ secret('myapp/all').text | int }}", 2, &[":1:"]),
        ("{{ secret('myapp/all').text | base64_decode }}", 2, &[":1:", "base64"]),
        ("{{ secret('myapp/all', versoin=1).x }}", 2, &[":1:", "versoin"]),
        ("{{ env('NOT_THERE') }}", 2, &[":1:", "NOT_THERE"]),
        ("{{ env('VAULT_SECRET_ID') }}", 2, &[":1:", "VAULT_SECRET_ID"]),
        ("\n{{ secrte('myapp/all').x }}", 2, &[":2:", "secrte", "secret"]),
        ("{{ 'x' | nonsense }}", 2, &[":1:", "nonsense"]),
        ("\n{% if %}", 2, &[":2:", "syntax error"]),
        (
            "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
            2,
            &["does not come to an end"],
        ),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", 2, &[":1:"]),
        ("{% for i in range(9000) %}{{ secret('myapp/' ~ i).x }}{% endfor %}", 4, &["myapp/0"]),
    ];
    refuses(&vault, ".j2", &cases).await;
}
