use secrets_service::config::VARIABLES;

use crate::support::secrets_service;

const COMMANDS: [&str; 10] =
    ["get", "put", "list", "api-key", "db-url", "run", "render", "check", "dev", "completions"];

#[tokio::test]
async fn wrong_usage_is_2_with_nothing_on_stdout() {
    let cases: [&[&str]; 21] = [
        &[],
        &["nonsense"],
        &["--nonsense"],
        &["get"],
        &["get", "a", "b"],
        &["get", "a", "--format", "yaml"],
        &["get", "a", "--version", "x"],
        &["put", "a"],
        &["list"],
        &["api-key"],
        &["api-key", "set"],
        &["api-key", "stripe", "get", "stripe"],
        &["db-url", "extra"],
        &["run"],
        &["run", "--"],
        &["run", "true"],
        &["run", "--role", "r", "--", "true"],
        &["check", "--offline", "--credentials"],
        &["completions"],
        &["completions", "nonsense"],
        &["get", "a", "--log-format", "xml"],
    ];
    for arguments in cases {
        let ended = secrets_service(arguments).run().await;
        assert!(ended.failed(2).contains("Usage") || ended.stderr.contains("--help"), "{ended:?}");
    }
}

#[tokio::test]
async fn wrong_arguments_of_run_are_all_named_and_nothing_is_started() {
    let arguments = [
        ["run", "--env", "A=canary"],
        ["--env", "B=p#f", "--env"],
        ["B=q#g", "--db-url", "C D"],
        ["--", "touch", "started"],
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut invocation = secrets_service(&arguments.concat());
    invocation.command().current_dir(folder.path());
    let ended = invocation.run().await;
    let complaint = ended.failed(2);
    for part in ["--env A:", "variable B is given twice", "\"C D\""] {
        assert!(complaint.contains(part), "{part}: {complaint}");
    }
    assert!(!complaint.contains("canary"), "{complaint}");
    assert!(!folder.path().join("started").exists());
}

#[tokio::test]
async fn help_tells_exit_codes_variables_and_examples() {
    let help = secrets_service(&["--help"]).run().await;
    let text = help.succeeded();
    for (variable, default) in VARIABLES {
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{variable} ")));
        let line = line.or_else(|| text.lines().find(|line| line.trim() == *variable));
        assert!(line.is_some_and(|line| line.contains(default)), "{variable}");
    }
    for code in ["0", "1", "2", "3", "4", "5", "6"] {
        assert!(text.contains(&format!("\n  {code}  ")), "{code}");
    }
    for command in COMMANDS {
        let help = secrets_service(&[command, "--help"]).run().await;
        assert!(help.succeeded().contains("Examples:"), "{command}");
    }
    assert!(secrets_service(&["-h"]).run().await.succeeded().contains("Examples:"));
    assert!(secrets_service(&["--version"]).run().await.succeeded().starts_with("secrets-service "));
}

#[tokio::test]
async fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = secrets_service(&["completions", shell]).run().await;
        for word in COMMANDS {
            assert!(ended.succeeded().contains(word), "{shell}: {word}");
        }
    }
    let script = secrets_service(&["completions", "bash"]).run().await;
    let mut check = tokio::process::Command::new("bash");
    let status = check.arg("-nc").arg(script.succeeded()).status().await.unwrap();
    assert!(status.success());
}
