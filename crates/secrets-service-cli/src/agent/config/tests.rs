use std::collections::BTreeMap;
use std::io::Write;

use super::*;

fn load(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let on_disk = file.map(|text| {
        let mut on_disk = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        on_disk.write_all(text.as_bytes()).unwrap();
        on_disk
    });
    let sources = Sources {
        file: on_disk.as_ref().map(tempfile::NamedTempFile::path),
        variable: &|name| variables.get(name).map(OsString::from),
        listen: &[],
        admin: None,
    };
    Settings::load(&sources).map_err(|problems| {
        let told = problems.into_iter().map(|problem| {
            let name = problem.place.rsplit('/').next().unwrap_or_default();
            let place = name.rsplit_once(".toml:").map_or(name, |(_, line)| line);
            format!("{place}: {}", problem.what)
        });
        told.collect()
    })
}

const WAY: [(&str, &str); 2] = [("VAULT_ADDR", "http://127.0.0.1:8200"), ("VAULT_TOKEN", "t")];

#[test]
fn without_a_file_the_environment_is_enough() {
    let settings = load(None, &WAY).unwrap();
    assert_eq!(settings.agent.listen, [ListenOn::parse("127.0.0.1:8100").unwrap()]);
    assert_eq!(settings.agent.admin, Some("127.0.0.1:8101".parse().unwrap()));
    assert_eq!(settings.agent.connections, 20_000);
    assert_eq!(settings.vault.mount_point, None, "paths are not completed");
}

#[test]
fn the_reference_is_a_file_that_says_the_defaults() {
    let text = reference();
    let from_reference = load(Some(&text), &WAY).unwrap();
    let from_nothing = load(None, &WAY).unwrap();
    assert_eq!(format!("{:?}", from_reference.agent), format!("{:?}", from_nothing.agent));
    for option in options::ALL {
        let variable = option.variable();
        assert_eq!(text.matches(&variable).count(), 1, "{variable}");
    }
}

#[test]
fn the_environment_comes_before_the_file() {
    let file = "listen = \"unix:/run/a.sock\"\n[limits]\nconnections = 5\n[own]\nallow = [\"secret/*\"]";
    let settings = load(Some(file), &[WAY[0], WAY[1], ("SECRETS_AGENT_CONNECTIONS", "7")]).unwrap();
    assert_eq!(settings.agent.connections, 7);
    assert_eq!(settings.agent.own_paths, ["secret/*"]);
    assert!(matches!(&settings.agent.listen[..], [ListenOn::Unix(_)]));
}

#[test]
fn every_problem_is_told_with_its_line() {
    let file = "\
listen = [\"0.0.0.0:8100\"]
admin = 8101
treads = 4

[limits]
connections = 0
idle_second = 5

[vault]
addr = \"htp://vault\"
token = \"canary\"
cache_ttl_secondz = 5
";
    let told = load(Some(file), &[]).unwrap_err();
    let expected = [
        "1: 0.0.0.0:8100: the agent listens on loopback",
        "2: admin must be a text",
        "3: there is no option treads; is threads meant?",
        "6: limits.connections must be a whole number from 1 to",
        "7: there is no option limits.idle_second; is limits.idle_seconds meant?",
        "10: is not a usable address",
        "11: a secret does not belong in this file; name a file with it: vault.token_file",
        "12: there is no option vault.cache_ttl_secondz; is vault.cache_ttl_seconds meant?",
        "VAULT_TOKEN: is not set",
    ];
    for part in expected {
        assert_eq!(told.iter().filter(|line| line.starts_with(part)).count(), 1, "{part}: {told:#?}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    assert!(!told.concat().contains("canary"));
}

#[test]
fn what_is_no_toml_is_told_with_its_line_and_without_its_content() {
    let told = load(Some("threads = 2\nlisten = canary\n"), &WAY).unwrap_err();
    assert!(told[0].starts_with("2: ") && !told.concat().contains("canary"), "{told:?}");
}

#[test]
fn a_stall_must_leave_time_for_an_answer() {
    let told = load(Some("[limits]\nanswer_seconds = 100\n"), &WAY).unwrap_err();
    assert!(told[0].starts_with("2: limits.stall_seconds must be more"), "{told:?}");
    assert!(load(Some("[limits]\nanswer_seconds = 100\nstall_seconds = 101\n"), &WAY).is_ok());
}

#[test]
fn the_guide_names_every_option_and_endpoint() {
    let guide = include_str!("../../../../../docs/agent.md");
    for option in options::ALL {
        assert!(guide.contains(&format!("`{}`", option.key)), "{}", option.key);
    }
    for (method, endpoint, _) in crate::agent::admin::ENDPOINTS {
        assert!(guide.contains(&format!("`{method} {endpoint}`")), "{endpoint}");
    }
}

#[test]
fn an_agent_that_lends_nothing_needs_no_login() {
    let file = "[own]\nlend = false";
    assert!(load(Some(file), &WAY[..1]).is_ok());
    assert!(load(None, &WAY[..1]).is_err());
}

#[test]
fn places_to_listen_at() {
    let socket = ListenOn::parse("unix:/run/a.sock?mode=0660&owner=app&allow_uid=1&allow_uid=2").unwrap();
    let ListenOn::Unix(socket) = socket else { panic!("{socket:?}") };
    assert_eq!(
        (socket.mode, socket.owner.as_deref(), &socket.allow_uids[..]),
        (0o660, Some("app"), &[1, 2][..])
    );
    assert_eq!(ListenOn::parse("systemd"), Ok(ListenOn::Systemd));
    assert!(matches!(ListenOn::parse("[::1]:1?cert=/a&key=/b"), Ok(ListenOn::Tcp { tls: Some(_), .. })));
    for wrong in [
        "",
        "8100",
        "localhost:8100",
        "0.0.0.0:1",
        "10.0.0.1:1",
        "unix:relative",
        "unix:/a?mode=999",
        "unix:/a?mode=0066",
        "unix:/a?colour=red",
        "127.0.0.1:1?cert=/a",
        "127.0.0.1:1?mode=0600",
        "unix:/a?allow_uid=me",
        "unix:/a?x",
    ] {
        assert!(ListenOn::parse(wrong).is_err(), "{wrong}");
    }
}
