use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{HANG, Vault};
use crate::world::{Folder, Output};

/// What goes well and what goes wrong, as loud as can be: no value anywhere but where it was asked for.
#[tokio::test]
async fn values_are_in_the_files_and_the_environment_and_nowhere_else() {
    let vault = Vault::start().await;
    vault.store("myapp/secret", &json!({ "k": "canary-1", "n": 5 })).await;
    let folder = Folder::new();
    let good = folder.template("good.j2", "{{ secret('myapp/secret').k }}");
    let also = folder
        .template("good.ctmpl", "{{ with secret \"secret/data/myapp/secret\" }}{{ .Data.data.k }}{{ end }}");
    let script = "trap 'exit 0' TERM; echo \"$K\"; cat /proc/$PPID/cmdline /proc/$PPID/environ | tr '\\0' '\\n' | \
        grep -c 'can''ary'; while :; do sleep 0.05; done";
    let arguments = [
        "run",
        "-vv",
        "--log-format",
        "json",
        "-t",
        &good,
        "-t",
        &also,
        "-e",
        "K=myapp/secret#k",
        "--settle",
        "50ms",
        "--grace",
        "1s",
        "--",
        "sh",
        "-c",
        script,
    ];
    let mut running =
        vault.run(&arguments).env("RUST_LOG", "trace").env("VAULT_CACHE_TTL_SECONDS", "1").spawn();
    let mut output = Output::of(&mut running);
    output.is("canary-1").await;
    output.is("0").await;
    assert_eq!(folder.out("good.j2").as_deref(), Some("canary-1"));
    vault.store("myapp/secret", &json!({ "k": "canary-2" })).await;
    output.is("canary-2").await;
    output.is("0").await;
    // The file is left as it is when the field goes.
    vault.store("myapp/secret", &json!({ "other": "canary-3" })).await;
    let mut stderr = BufReader::new(running.child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    while !told.contains("has no field \\\"k\\\"") && !told.contains("has no field \"k\"") {
        let line = tokio::time::timeout(HANG, stderr.next_line()).await.expect(&told).unwrap();
        told.push_str(&line.expect("it ended"));
    }
    let others: Vec<_> =
        std::fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(others.len(), 4, "nothing beside templates and files: {others:?}");
    running.send(Signal::SIGTERM);
    while let Some(line) = tokio::time::timeout(HANG, stderr.next_line()).await.expect("it hangs").unwrap() {
        told.push_str(&line);
    }
    assert!(!told.contains("canary") && !told.contains(&vault.secret_id), "{told}");
}
