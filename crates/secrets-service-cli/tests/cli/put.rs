use serde_json::json;

use crate::support::Vault;

const PATH: &str = "secret/myapp/own";

#[tokio::test]
async fn other_fields_survive() {
    let vault = Vault::start().await;
    vault.store("myapp/own", &json!({ "kept": { "deep": [1.5] }, "changed": "old" })).await;
    let ended = vault.run(&["put", PATH, "changed=new=er", "added=1", "empty="]).run().await;
    assert_eq!(ended.succeeded(), "", "data only on stdout, and there is none");
    assert!(
        ended.stderr.contains("version 2") && ended.stderr.contains("added, changed, empty"),
        "{ended:?}"
    );
    let expected = json!({ "kept": { "deep": [1.5] }, "changed": "new=er", "added": "1", "empty": "" });
    assert_eq!(vault.stored("myapp/own").await, expected);
}

#[tokio::test]
async fn creates_what_is_not_there() {
    let vault = Vault::start().await;
    vault.run(&["put", PATH, "a=b"]).run().await.succeeded();
    assert_eq!(vault.stored("myapp/own").await, json!({ "a": "b" }));
    vault.run(&["put", "kv1/new", "a=b"]).run().await.succeeded();
    let secret = vault.root.kv1("kv1").read("new").await.unwrap();
    assert_eq!(secret.field("a").unwrap().text().expose(), "b");
}

#[tokio::test]
async fn concurrent_writers_do_not_lose_each_others_fields() {
    let vault = Vault::start().await;
    let writers = (0..4).map(|n| tokio::spawn(vault.run(&["put", PATH, &format!("k{n}=v")]).run()));
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().succeeded();
    }
    assert_eq!(vault.stored("myapp/own").await, json!({ "k0": "v", "k1": "v", "k2": "v", "k3": "v" }));
}

#[tokio::test]
async fn values_from_stdin_and_files_lose_one_newline() {
    let vault = Vault::start().await;
    let cases = [("plain", "plain"), ("line\n", "line"), ("two\n\n", "two\n"), ("win\r\n", "win"), ("", "")];
    for (given, kept) in cases {
        vault.run(&["put", PATH, "k=-"]).stdin(given).run().await.succeeded();
        assert_eq!(vault.stored("myapp/own").await, json!({ "k": kept }), "stdin {given:?}");
        let invocation = vault.run(&["put", PATH]);
        let file = invocation.file("value", given);
        invocation.arg(format!("k=@{}", file.display())).run().await.succeeded();
        assert_eq!(vault.stored("myapp/own").await, json!({ "k": kept }), "file {given:?}");
    }
    vault.run(&["put", PATH, "k=\\@x", "l=\\-"]).run().await.succeeded();
    assert_eq!(vault.stored("myapp/own").await, json!({ "k": "@x", "l": "-" }));
}

#[tokio::test]
async fn what_get_prints_put_reads_back() {
    let vault = Vault::start().await;
    for value in ["a", "a\n", "a\r\n", "\n", "", "ü€"] {
        vault.store("myapp/x", &json!({ "k": value })).await;
        let got = vault.run(&["get", "secret/myapp/x", "--field", "k"]).run().await;
        vault.run(&["put", PATH, "k=-"]).stdin(got.succeeded()).run().await.succeeded();
        assert_eq!(vault.stored("myapp/own").await, json!({ "k": value }), "{value:?}");
    }
}

#[tokio::test]
async fn wrong_fields_are_refused_before_anything_is_sent_and_not_repeated() {
    let vault = Vault::start().await;
    let too_large = "canary".repeat(200_000);
    let cases: [(&[&str], &[u8]); 8] = [
        (&["canary"], b""),
        (&["=canary"], b""),
        (&["a=canary", "a=canary"], b""),
        (&["a=-", "b=-"], b"canary"),
        (&["a=@"], b""),
        (&["a=@/nonexistent/file"], b""),
        (&["a=-"], b"canary\xff"),
        (&["a=-"], too_large.as_bytes()),
    ];
    for (fields, stdin) in cases {
        let arguments = [&["put", PATH], fields].concat();
        let ended = vault.run(&arguments).stdin(stdin).run().await;
        assert!(!ended.failed(2).contains("canary"), "{ended:?}");
    }
    assert_eq!(vault.server.count("*", ""), 0);
}
