use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::json;

use crate::support::Vault;
use crate::world::{Folder, ended, eventually};
use nix::sys::signal::Signal;

const HOST: &str = "{{ secret('myapp/config').db_host }}\n";

#[tokio::test]
async fn row24_a_missing_key_keeps_the_old_file_while_it_runs() {
    let vault = Vault::start().await;
    let folder = Folder::new();
    let template = folder.template("a.j2", HOST);
    let running = vault
        .run(&["render", "-t", &template, "--settle", "100ms"])
        .env("VAULT_CACHE_TTL_SECONDS", "1")
        .spawn();
    folder.becomes("a.j2", "localhost\n").await;
    vault.store("myapp/config", &json!({ "db_name": "canary" })).await;
    let asked = vault.server.count("GET", "secret/data/myapp/config");
    eventually("asked again", || vault.server.count("GET", "secret/data/myapp/config") > asked + 2).await;
    assert_eq!(folder.out("a.j2").as_deref(), Some("localhost\n"));
    vault.store("myapp/config", &json!({ "db_host": "db2" })).await;
    folder.becomes("a.j2", "db2\n").await;
    running.send(Signal::SIGTERM);
    let ended = ended(running).await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert_eq!(ended.stderr.matches("has no field \"db_host\"").count(), 1, "{ended:?}");
    assert!(ended.stderr.contains("a.j2:1: myapp/config") && !ended.stderr.contains("canary"), "{ended:?}");
}

#[tokio::test]
async fn row26_one_bad_template_leaves_the_others_alone() {
    let vault = Vault::start().await;
    let folder = Folder::new();
    let good = folder.template("good.j2", HOST);
    let bad = folder.template("bad.j2", "{{ secret('myapp/config').nope }}");
    let gone = folder.template("gone.ctmpl", "{{ with secret \"secret/data/myapp/gone\" }}x{{ end }}");
    let arguments = ["-t", &good, "-t", &bad, "-t", &gone, "--settle", "50ms"];
    let once = vault.run(&[&["render", "--once"][..], &arguments].concat()).run().await;
    let complaint = once.failed(4);
    assert!(complaint.contains("bad.j2:1") && complaint.contains("gone.ctmpl:1"), "{complaint}");
    assert_eq!((folder.out("good.j2").as_deref(), folder.out("bad.j2")), (Some("localhost\n"), None));

    let running =
        vault.run(&[&["render"][..], &arguments].concat()).env("VAULT_CACHE_TTL_SECONDS", "1").spawn();
    let memory = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", running.child.id().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let mut before = 0;
    for n in 0..5 {
        vault.store("myapp/config", &json!({ "db_host": format!("db{n}") })).await;
        folder.becomes("good.j2", &format!("db{n}\n")).await;
        assert_eq!(folder.out("bad.j2"), None);
        if n == 1 {
            before = memory();
        }
    }
    let after = memory();
    assert!(after < before + 8 * 1_024, "{before} KiB, then {after} KiB");
    vault.store("myapp/gone", &json!({ "x": "y" })).await;
    folder.becomes("gone.ctmpl", "x").await;
    vault.store("myapp/config", &json!({ "db_host": "db", "nope": "now" })).await;
    folder.becomes("bad.j2", "now").await;
    running.send(Signal::SIGTERM);
    assert_eq!(ended(running).await.code(), 0);
}

#[tokio::test]
async fn row25_mode_and_owner_are_as_asked() {
    let vault = Vault::start().await;
    let folder = Folder::new();
    folder.put("a.j2", HOST);
    let config = format!(
        "[[template]]\nsource = {:?}\ndestination = {:?}\nmode = \"0440\"\nowner = \"nobody\"\ngroup = \"65534\"\n",
        folder.name("a.j2"),
        folder.name("a.out"),
    );
    folder.put("run.toml", &config);
    let ended = vault.run(&["render", "--once", "--config", &folder.name("run.toml")]).run().await;
    let metadata = std::fs::metadata(folder.path("a.out"));
    if nix::unistd::geteuid().is_root() {
        ended.succeeded();
        let metadata = metadata.unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o440);
        assert_eq!((metadata.uid(), metadata.gid()), (65_534, 65_534));
    } else {
        // Nobody else may give files away.
        assert!(ended.failed(1).contains("a.out") && metadata.is_err(), "{ended:?}");
    }
    let template = format!("{}:{}:0640", folder.name("a.j2"), folder.name("b.out"));
    vault.run(&["render", "--once", "-t", &template]).run().await.succeeded();
    let mode = |name: &str| std::fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("b.out"), 0o640);
    let template = folder.template("c.j2", HOST);
    vault.run(&["render", "--once", "-t", &template]).run().await.succeeded();
    assert_eq!(mode("c.j2.out"), 0o600);
}

#[tokio::test]
async fn what_is_wrong_on_the_command_line_is_found_before_anything_is_asked() {
    let vault = Vault::start().await;
    let folder = Folder::new();
    let good = folder.template("a.j2", HOST);
    let cases = [
        (vec!["-t", "a"], "SRC:DEST"),
        (vec!["-t", "/nonexistent.j2:/tmp/x"], "/nonexistent.j2"),
        (vec!["-t", &good, "-t", &good], "two templates"),
        (vec!["--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (vec![], "which template"),
    ];
    for (arguments, told) in cases {
        let ended = vault.run(&[&["render", "--once"][..], &arguments].concat()).run().await;
        assert!(ended.failed(2).contains(told), "{ended:?}");
    }
    let nowhere = format!("{}:/nonexistent/x", folder.name("a.j2"));
    let ended = vault.run(&["render", "--once", "-t", &nowhere]).run().await;
    assert!(ended.failed(2).contains("/nonexistent"), "{ended:?}");
    assert_eq!(vault.server.count("*", ""), 0);
}

#[tokio::test]
async fn a_rendered_file_that_is_right_already_is_left_alone() {
    let vault = Vault::start().await;
    let folder = Folder::new();
    let template = folder.template("a.j2", HOST);
    vault.run(&["render", "--once", "-t", &template]).run().await.succeeded();
    let inode = || std::fs::metadata(folder.path("a.j2.out")).unwrap().ino();
    let first = inode();
    vault.run(&["render", "--once", "-t", &template]).run().await.succeeded();
    assert_eq!(inode(), first);
}
