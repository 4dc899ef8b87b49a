use proptest::prelude::*;

use super::hcl::{Entry, Value};
use super::*;

const FILES: [(&str, &str); 4] = [
    ("agent.hcl", include_str!("../../tests/fixtures/vault/agent.hcl")),
    ("proxy.hcl", include_str!("../../tests/fixtures/vault/proxy.hcl")),
    ("supervisor.hcl", include_str!("../../tests/fixtures/vault/supervisor.hcl")),
    ("sidecar.json", include_str!("../../tests/fixtures/vault/sidecar.json")),
];

fn imported(text: &str) -> (toml::Table, Vec<Note>) {
    let Import { toml, notes } = import("f.hcl", text).unwrap();
    let table = toml.parse().unwrap_or_else(|error| panic!("{error}\n{toml}"));
    (table, notes)
}

fn file(name: &str) -> (toml::Table, Vec<Note>) {
    imported(FILES.iter().find(|(known, _)| *known == name).unwrap().1)
}

fn toml(text: &str) -> toml::Table {
    text.parse().unwrap()
}

/// Lines and subjects of the notes of one sort.
fn told(notes: &[Note], sort: Sort) -> Vec<String> {
    let of_sort = notes.iter().filter(|note| note.sort == sort);
    of_sort.map(|note| format!("{} {}", note.line, note.subject)).collect()
}

#[test]
fn an_agent_on_a_machine() {
    let (table, notes) = file("agent.hcl");
    let expected = r#"
        listen = ["127.0.0.1:8100", "unix:/run/vault/agent.sock?mode=0660&group=root"]

        [own]
        lend = true

        [vault]
        addr = "https://vault.example.com:8200"
        namespace = "team-a/"
        cacert = "/etc/vault/ca.pem"
        tls_server_name = "vault.internal"
        skip_verify = false
        retry_max_attempts = 6
        auth_method = "approle"
        auth_mount = "approle-prod"
        role_id_file = "/etc/vault/role_id"
        secret_id_file = "/etc/vault/secret_id"
        cache_file = "/var/lib/vault-agent/secrets-service.cache"
        cache_key = "secret_id"
        cache_ttl_seconds = 600

        [[template]]
        source = "/etc/vault/server.key.ctmpl"
        destination = "/run/app/server.key"
        mode = "0640"
        syntax = "consul"

        [[template]]
        contents = "  {{- with secret \"secret/data/myapp/config\" }}\n  host = {{ .Data.data.db_host }}\n  {{- end }}\n"
        destination = "/run/app/app.conf"
        syntax = "consul"
    "#;
    assert_eq!(table, toml(expected));
    let expected = [
        "28 auto_auth.sink",
        "55 listener \"tcp\".agent_api.enable_quit",
        "76 template.command",
        "95 telemetry.statsd_address",
    ];
    assert_eq!(told(&notes, Sort::ToDo), expected);
}

#[test]
fn a_proxy_in_a_pod() {
    let (table, notes) = file("proxy.hcl");
    let expected = r#"
        listen = ["127.0.0.1:8100?cert=/tls/tls.crt&key=/tls/tls.key"]
        admin = "127.0.0.1:8101"

        [own]
        lend = true

        [tokens]
        check_seconds = 3600

        [limits]
        body_bytes = 1048576
        idle_seconds = 300

        [vault]
        addr = "https://vault:8200"
        retry_max_attempts = 1
        auth_method = "kubernetes"
        auth_role = "myapp"
    "#;
    assert_eq!(table, toml(expected));
    let expected = [
        "17 api_proxy.use_auto_auth_token",
        "24 cache.disable_caching_dynamic_secrets",
        "28 listener \"tcp\".address",
        "31 listener \"tcp\".tls_min_version",
    ];
    assert_eq!(told(&notes, Sort::ToDo), expected);
}

#[test]
fn a_program_with_variables() {
    let (table, notes) = file("supervisor.hcl");
    let expected = r#"
        [vault]
        addr = "http://127.0.0.1:8200"
        auth_method = "token"
        token_file = "/home/app/.vault-token"
        cache_ttl_seconds = 300

        [run]
        command = ["/usr/bin/app", "--port", "80"]
        on_change = "restart"
        grace_seconds = 30

        [run.env]
        DB_PASSWORD = "secret/data/app#password"
    "#;
    assert_eq!(table, toml(expected));
    let expected = ["21 env_template \"DB_URL\".contents", "27 exec.restart_stop_signal"];
    assert_eq!(told(&notes, Sort::ToDo), expected);
}

#[test]
fn a_sidecar_in_json() {
    let (table, notes) = file("sidecar.json");
    let expected = r#"
        listen = ["unix:/run/vault/agent.sock"]

        [own]
        lend = false

        [vault]
        addr = "https://vault.vault.svc:8200"
        auth_method = "kubernetes"
        auth_role = "web"
        jwt_file = "/var/run/secrets/token"

        [[template]]
        contents = "{{ with secret \"secret/data/web\" }}{{ .Data.data.a }}\n{{ end }}"
        destination = "/vault/secrets/config"
        syntax = "consul"
    "#;
    assert_eq!(table, toml(expected));
    let expected = [
        "2 exit_after_auth",
        "11 auto_auth.sink",
        "21 template.left_delimiter",
        "21 template.right_delimiter",
    ];
    assert_eq!(told(&notes, Sort::ToDo), expected);
}

/// Whether something was said about each setting, or about a block that it is in.
fn nothing_is_lost(entries: &[Entry], notes: &[Note], of_a_block: bool, lost: &mut Vec<String>) {
    for entry in entries {
        let mut here = notes.iter().filter(|note| note.line == entry.line);
        let objects: Vec<_> = match &entry.value {
            Value::Object(entries) => vec![entries],
            Value::List(items) => items
                .iter()
                .filter_map(|item| if let Value::Object(it) = item { Some(it) } else { None })
                .collect(),
            _ => Vec::new(),
        };
        if objects.is_empty() {
            let is_named = here.clone().any(|note| note.subject.ends_with(&entry.keys[0]));
            if !is_named && !of_a_block && entry.keys[0] != "type" {
                lost.push(format!("{} {}", entry.line, entry.keys[0]));
            }
            continue;
        }
        let told = here.any(|note| note.sort != Sort::Mapped && note.subject.ends_with(&entry.keys[0]));
        for entries in objects {
            nothing_is_lost(entries, notes, told || of_a_block, lost);
        }
    }
}

#[test]
fn something_is_said_about_every_setting() {
    let odd = r#"
        color = "red"
        vault { address = "http://a:1" adress = "b" retry { num_retries = 1 backoff = "1s" } }
        listener "tcp" { address = "127.0.0.1:1" tls_disable = true cors { enabled = true } unheard_of = { a = 1 } }
        auto_auth { method "approle" { mount_path = "approle" config { role_id = "x" } } method "aws" {} other = 1 }
        auto_auth { method "aws" { config = { type = "iam" } } }
        template { destination = "/a" } template { source = "a.ctmpl" user = "root" uid = -1 colour = "red" }
        template { contents = "{{ nope }}" destination = "" perms = "0777" }
        exec { command = 5 colour = 1 } env_template "A" { source = "x" } env_template { contents = "x" }
        cache { use_auto_auth_token = true persist "kubernetes" { path = "/x" } } persist = true
        api_proxy { use_auto_auth_token = maybe }
    "#
    .replace("= maybe", "= \"maybe\"");
    for (name, text) in FILES.into_iter().chain([("odd", odd.as_str())]) {
        let Import { notes, .. } = import(name, text).unwrap();
        let mut lost = Vec::new();
        nothing_is_lost(&hcl::parse(text).unwrap(), &notes, false, &mut lost);
        assert_eq!(lost, [""; 0], "{name}: {notes:#?}");
    }
}

#[test]
fn logins_that_are_not_there_are_told() {
    for kind in ["aws", "azure", "gcp", "ldap", "alicloud", "kerberos", "oci", "cf"] {
        let (table, notes) =
            imported(&format!("auto_auth {{\n method \"{kind}\" {{ config = {{ role = \"r\" }} }}\n}}"));
        assert_eq!(told(&notes, Sort::ToDo), [format!("2 auto_auth.method \"{kind}\"")]);
        assert_eq!(table["vault"].as_table().unwrap().len(), 1, "{table:?}");
    }
    let (table, _) = imported("auto_auth { method \"jwt\" { config { path = \"/jwt\" role = \"r\" } } }");
    let expected =
        "addr = \"https://127.0.0.1:8200\"\nauth_method = \"jwt\"\nauth_role = \"r\"\njwt_file = \"/jwt\"";
    assert_eq!(table["vault"], toml(expected).into());
}

#[test]
fn blocks_may_stand_in_a_block_of_blocks() {
    let hcl = "auto_auth { method { type = \"cert\" } sinks { sink { type = \"file\" } sink \"file\" { } } }\n\
        listeners { listener \"unix\" { address = \"/a\" } }";
    let json = r#"{ "auto_auth": { "method": [{ type = "cert" config = {} }],
        "sinks": [{ "sink": { type = "file" } }, { "sink": { "type": "file" } }] },
        "listener": { "unix": { "address": "/a" } } }"#;
    for text in [hcl, json] {
        let (table, notes) = imported(text);
        assert_eq!(table["listen"], toml::Value::from(vec!["unix:/a"]), "{text}");
        assert_eq!(
            told(&notes, Sort::ToDo).iter().filter(|told| told.ends_with("auto_auth.sink")).count(),
            2
        );
        assert_eq!(told(&notes, Sort::ToDo).len(), 2, "{notes:?}");
    }
}

#[test]
fn what_is_not_known_is_told_without_its_value() {
    let text = "token = \"canary\"\nvault {\n x_y = \"canary\"\n}\nauto_auth { method \"approle\" { config { secret_id = \"canary\" } } }";
    let Import { toml, notes } = import("f.hcl", text).unwrap();
    assert!(!toml.contains("canary") && !format!("{notes:?}").contains("canary"), "{toml}");
    let told = told(&notes, Sort::ToDo);
    assert!(told.contains(&"1 token".to_owned()) && told.contains(&"3 vault.x_y".to_owned()), "{told:?}");
}

#[test]
fn no_name_gets_out_of_its_comment() {
    let text = "\"a\\nlisten = [\\\"x\\\"]\\u0007\" = 1\nenv_template \"A\\n[vault]\" { contents = \"x\" }";
    let (table, _) = imported(text);
    assert_eq!(table.keys().collect::<Vec<_>>(), ["own", "vault"]);
}

#[test]
fn texts_of_all_sorts_stay_what_they_are() {
    for contents in ["a\nb", "'''\n", "a\n'", "a\r\nb", "\u{7}\n\u{7f}", "\\\n\"", "\n\na", "ß\u{2028}\n\t"]
    {
        let written = serde_json::Value::from(contents).to_string();
        let (table, _) =
            imported(&format!("{{\"template\": {{\"contents\": {written}, \"destination\": \"/a\"}}}}"));
        assert_eq!(table["template"][0]["contents"].as_str(), Some(contents), "{contents:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Pieces of real files in any order: no panic, and what comes out is TOML.
    #[test]
    fn soup(pieces in proptest::collection::vec((0..FILES.len(), any::<u16>(), 0..60_usize), 0..8)) {
        let text: String = pieces.into_iter().map(|(file, start, length)| {
            let text: Vec<char> = FILES[file].1.chars().collect();
            let start = usize::from(start) % text.len();
            text[start..(start + length).min(text.len())].iter().collect::<String>()
        }).collect();
        if let Ok(result) = import("f", &text) {
            prop_assert!(result.toml.parse::<toml::Table>().is_ok(), "{}", result.toml);
        }
    }
}
