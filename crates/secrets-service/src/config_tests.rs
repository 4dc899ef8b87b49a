use std::collections::BTreeMap;
use std::ffi::OsString;

use super::*;

fn variables(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + use<> {
    let map: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    move |name| map.get(name).map(OsString::from)
}

fn load(pairs: &[(&str, &str)]) -> Result<VaultConfig, ConfigError> {
    VaultConfig::from_variables(variables(pairs))
}

const ADDR: (&str, &str) = ("VAULT_ADDR", "http://127.0.0.1:8200");
const TOKEN: (&str, &str) = ("VAULT_TOKEN", "root");

#[test]
fn the_smallest_development_configuration_has_the_documented_defaults() {
    let config = load(&[ADDR, TOKEN]).unwrap();
    assert_eq!(config.auth.name(), "token");
    assert_eq!(config.cache_ttl, Duration::from_secs(300));
    assert_eq!(config.cache_max_stale, Duration::from_secs(86_400));
    assert_eq!(config.retry_max_attempts, 3);
    assert_eq!(config.request_timeout, Duration::from_secs(10));
    assert_eq!(config.mount_point.as_deref(), Some("secret"));
    assert_eq!(config.database_mount, "database");
    assert_eq!(config.cache_capacity, 10_000);
    assert_eq!(config.namespace, None);
}

#[test]
fn approle_is_chosen_when_there_is_a_role_id() {
    let config = load(&[ADDR, TOKEN, ("VAULT_ROLE_ID", "r"), ("VAULT_SECRET_ID", "s")]).unwrap();
    assert_eq!(config.auth.name(), "approle");
    let config = load(&[ADDR, TOKEN, ("VAULT_ROLE_ID", "r"), ("VAULT_AUTH_METHOD", "Token")]).unwrap();
    assert_eq!(config.auth.name(), "token");
}

#[test]
fn every_method_loads_and_makes_its_login() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("token", &[TOKEN]),
        ("token", &[("VAULT_TOKEN_FILE", path)]),
        ("approle", &[("VAULT_ROLE_ID", "r"), ("VAULT_SECRET_ID_FILE", path)]),
        ("approle", &[("VAULT_ROLE_ID_FILE", path), ("VAULT_WRAPPED_SECRET_ID", "w")]),
        ("userpass", &[("VAULT_AUTH_METHOD", "userpass"), ("VAULT_USERNAME", "u"), ("VAULT_PASSWORD", "p")]),
        (
            "kubernetes",
            &[("VAULT_AUTH_METHOD", "kubernetes"), ("VAULT_AUTH_ROLE", "r"), ("VAULT_JWT_FILE", path)],
        ),
        ("jwt", &[("VAULT_AUTH_METHOD", "jwt"), ("VAULT_AUTH_ROLE", "r"), ("VAULT_JWT", "j")]),
        ("cert", &[("VAULT_AUTH_METHOD", "cert"), ("VAULT_AUTH_MOUNT", "team/cert")]),
    ];
    for (method, variables) in cases {
        let all: Vec<_> = std::iter::once(ADDR).chain(variables.iter().copied()).collect();
        let config = load(&all).unwrap_or_else(|e| panic!("{method}: {e}"));
        assert_eq!(config.auth.name(), *method);
        assert_eq!(config.auth_method().name(), *method);
        config.vault_client().unwrap();
    }
}

#[test]
fn the_home_file_is_used_when_nothing_else_is_set() {
    let home = tempfile::tempdir().unwrap();
    let home_path = home.path().to_str().unwrap();
    assert!(load(&[ADDR, ("HOME", home_path)]).is_err());
    std::fs::write(home.path().join(".vault-token"), "root").unwrap();
    assert_eq!(load(&[ADDR, ("HOME", home_path)]).unwrap().auth.name(), "token");
}

#[test]
fn several_addresses_keep_their_order() {
    let config = load(&[("VAULT_ADDR", "https://a:8200, https://b:8200"), TOKEN]).unwrap();
    let shown: Vec<_> = config.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["https://a:8200", "https://b:8200"]);
}

#[test]
fn times_can_be_written_as_in_vaults_own_command() {
    for (text, millis) in
        [("30", 30_000), ("30s", 30_000), ("500ms", 500), ("2m", 120_000), ("1.5s", 1_500), ("1h", 3_600_000)]
    {
        let config = load(&[ADDR, TOKEN, ("VAULT_CLIENT_TIMEOUT", text)]).unwrap();
        assert_eq!(config.request_timeout, Duration::from_millis(millis), "{text}");
    }
}

#[test]
fn a_variable_set_to_nothing_is_not_set() {
    let config = load(&[ADDR, TOKEN, ("VAULT_NAMESPACE", ""), ("VAULT_CACHE_TTL_SECONDS", "")]).unwrap();
    assert_eq!((config.namespace, config.cache_ttl), (None, Duration::from_secs(300)));
}

/// Wrong settings, and what the error says of each. Values are canaries: none may show.
#[test]
fn every_wrong_setting_is_named_and_no_value_shown() {
    let long = "x".repeat(70_000);
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[TOKEN], "VAULT_ADDR is not set"),
        (&[("VAULT_ADDR", "canary"), TOKEN], "VAULT_ADDR is not a usable address"),
        (&[("VAULT_ADDR", "ftp://h"), TOKEN], "VAULT_ADDR is not a usable address"),
        (&[("VAULT_ADDR", "http://user:canary@h:1"), TOKEN], "VAULT_ADDR is not a usable address"),
        (&[("VAULT_ADDR", "http://h:99999"), TOKEN], "VAULT_ADDR is not a usable address"),
        (&[("VAULT_ADDR", ","), TOKEN], "VAULT_ADDR"),
        (&[("VAULT_ADDR", "   "), TOKEN], "VAULT_ADDR is blank"),
        (&[ADDR], "VAULT_TOKEN is not set"),
        (&[ADDR, ("VAULT_TOKEN", "  ")], "VAULT_TOKEN is blank"),
        (&[ADDR, ("VAULT_TOKEN", &long)], "VAULT_TOKEN is 70000 bytes long"),
        (&[ADDR, ("VAULT_TOKEN_FILE", "/no/such/file")], "VAULT_TOKEN_FILE names /no/such/file"),
        (&[ADDR, ("VAULT_TOKEN_FILE", "/")], "which is not a file"),
        (&[ADDR, TOKEN, ("VAULT_TOKEN_FILE", "/dev/null")], "are both set"),
        (&[ADDR, ("VAULT_AUTH_METHOD", "canary")], "VAULT_AUTH_METHOD must be"),
        (&[ADDR, ("VAULT_ROLE_ID", "canary")], "VAULT_SECRET_ID is not set"),
        (
            &[ADDR, ("VAULT_AUTH_METHOD", "approle"), ("VAULT_SECRET_ID", "canary")],
            "VAULT_ROLE_ID is not set",
        ),
        (
            &[
                ADDR,
                ("VAULT_ROLE_ID", "r"),
                ("VAULT_SECRET_ID", "canary"),
                ("VAULT_WRAPPED_SECRET_ID", "canary"),
            ],
            "VAULT_WRAPPED_SECRET_ID are both set",
        ),
        (&[ADDR, ("VAULT_AUTH_METHOD", "userpass")], "VAULT_USERNAME is not set"),
        (&[ADDR, ("VAULT_AUTH_METHOD", "userpass"), ("VAULT_USERNAME", "u")], "VAULT_PASSWORD is not set"),
        (&[ADDR, ("VAULT_AUTH_METHOD", "kubernetes")], "VAULT_AUTH_ROLE is not set"),
        (&[ADDR, ("VAULT_AUTH_METHOD", "jwt"), ("VAULT_AUTH_ROLE", "r")], "VAULT_JWT is not set"),
        (&[ADDR, TOKEN, ("VAULT_CACHE_TTL_SECONDS", "-1")], "VAULT_CACHE_TTL_SECONDS must be a whole number"),
        (&[ADDR, TOKEN, ("VAULT_CACHE_TTL_SECONDS", "5m")], "VAULT_CACHE_TTL_SECONDS must be a whole number"),
        (&[ADDR, TOKEN, ("VAULT_CACHE_TTL_SECONDS", "99999999999")], "VAULT_CACHE_TTL_SECONDS must be"),
        (
            &[ADDR, TOKEN, ("VAULT_CACHE_MAX_STALE_SECONDS", "canary")],
            "VAULT_CACHE_MAX_STALE_SECONDS must be",
        ),
        (&[ADDR, TOKEN, ("VAULT_CACHE_CAPACITY", "0")], "VAULT_CACHE_CAPACITY must be a whole number from 1"),
        (&[ADDR, TOKEN, ("VAULT_RETRY_MAX_ATTEMPTS", "0")], "VAULT_RETRY_MAX_ATTEMPTS must be"),
        (&[ADDR, TOKEN, ("VAULT_RETRY_MAX_ATTEMPTS", "1000")], "VAULT_RETRY_MAX_ATTEMPTS must be"),
        (&[ADDR, TOKEN, ("VAULT_CLIENT_TIMEOUT", "0")], "VAULT_CLIENT_TIMEOUT must be a time above zero"),
        (&[ADDR, TOKEN, ("VAULT_CLIENT_TIMEOUT", "canary")], "VAULT_CLIENT_TIMEOUT must be"),
        (&[ADDR, TOKEN, ("VAULT_CLIENT_TIMEOUT", "1e99s")], "VAULT_CLIENT_TIMEOUT must be"),
        (&[ADDR, TOKEN, ("VAULT_SKIP_VERIFY", "canary")], "VAULT_SKIP_VERIFY must be true or false"),
        (&[ADDR, TOKEN, ("VAULT_CACERT", "/no/such/ca")], "VAULT_CACERT names /no/such/ca"),
        (
            &[ADDR, TOKEN, ("VAULT_CAPATH", "/dev/null")],
            "VAULT_CAPATH names /dev/null, which is not a folder",
        ),
        (&[ADDR, TOKEN, ("VAULT_CLIENT_CERT", "/dev/null")], "VAULT_CLIENT_CERT needs VAULT_CLIENT_KEY"),
        (&[ADDR, TOKEN, ("VAULT_CLIENT_KEY", "/dev/null")], "VAULT_CLIENT_KEY needs VAULT_CLIENT_CERT"),
        (&[ADDR, TOKEN, ("VAULT_MOUNT_POINT", "a//b")], "VAULT_MOUNT_POINT is not a path"),
        (&[ADDR, TOKEN, ("VAULT_MOUNT_POINT", "canary\nx")], "VAULT_MOUNT_POINT is not a path"),
        (&[ADDR, TOKEN, ("VAULT_DATABASE_MOUNT", "../x")], "VAULT_DATABASE_MOUNT is not a path"),
        (
            &[ADDR, TOKEN, ("VAULT_CACHE_CAPACITY", "canary")],
            "VAULT_CACHE_CAPACITY must be a whole number from 1",
        ),
        (
            &[ADDR, TOKEN, ("VAULT_CACHE_TTL_SECONDS", "1.5")],
            "VAULT_CACHE_TTL_SECONDS must be a whole number",
        ),
        (&[ADDR, TOKEN, ("VAULT_RETRY_MAX_ATTEMPTS", "canary")], "VAULT_RETRY_MAX_ATTEMPTS must be"),
        (&[ADDR, TOKEN, ("VAULT_CLIENT_TIMEOUT", "-1s")], "VAULT_CLIENT_TIMEOUT must be"),
    ];
    assert!(cases.len() >= 40, "{}", cases.len());
    for (variables, expected) in cases {
        let error = load(variables).expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}\n  in: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn bad_service_settings_are_named_too() {
    for (name, value) in [
        ("SECRETS_DB_ROLE", "a/b"),
        ("SECRETS_DB_CONFIG_PATH", "/"),
        ("SECRETS_DB_CONFIG_PATH", "a/../b"),
        ("SECRETS_API_KEYS_PATH", "a\nb"),
    ] {
        let error = ServiceConfig::from_variables(variables(&[(name, value)])).expect_err(name);
        assert_eq!(error.problems()[0].variable, name);
    }
    assert_eq!(ServiceConfig::from_variables(|_| None).unwrap(), ServiceConfig::default());
}

#[test]
fn all_problems_are_told_at_once() {
    let error = load(&[
        ("VAULT_ADDR", "nonsense"),
        ("VAULT_ROLE_ID", "r"),
        ("VAULT_CACHE_TTL_SECONDS", "x"),
        ("VAULT_SKIP_VERIFY", "x"),
    ])
    .unwrap_err();
    let names: Vec<_> = error.problems().iter().map(|p| p.variable.as_str()).collect();
    assert_eq!(names, ["VAULT_ADDR", "VAULT_SECRET_ID", "VAULT_SKIP_VERIFY", "VAULT_CACHE_TTL_SECONDS"]);
    assert!(error.to_string().starts_with("configuration: 4 problems\n  VAULT_ADDR"));
}

#[test]
fn debug_of_a_configuration_shows_no_secret() {
    let config =
        load(&[ADDR, ("VAULT_ROLE_ID", "canary-role"), ("VAULT_SECRET_ID", "canary-secret")]).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
}
