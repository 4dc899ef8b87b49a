use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{HANG, Invocation, Running, secrets_service};

/// A running `dev`, the settings that it printed, and the folder where it may keep its files.
struct Dev {
    running: Running,
    settings: HashMap<String, String>,
    folder: TempDir,
}

impl Dev {
    async fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // As /tmp: PostgreSQL runs as somebody else if we are root.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        let invocation = secrets_service(&[&["dev", "--listen", "127.0.0.1:0"], options].concat());
        let mut running = invocation.env("TMPDIR", folder.path()).spawn();
        let mut output = BufReader::new(running.child.stdout.take().unwrap()).lines();
        let mut settings = HashMap::new();
        while settings.len() < 4 {
            let line =
                tokio::time::timeout(HANG, output.next_line()).await.expect("it does not start").unwrap();
            let line = line.expect("it ended");
            let (name, value) =
                line.strip_prefix("export ").and_then(|line| line.split_once('=')).expect(&line);
            settings.insert(name.to_owned(), value.trim_matches('\'').to_owned());
        }
        Self { running, settings, folder }
    }

    fn run(&self, arguments: &[&str]) -> Invocation {
        let settings = self.settings.iter();
        settings.fold(secrets_service(arguments), |invocation, (name, value)| invocation.env(name, value))
    }
}

async fn nothing_is_left(folder: &Path) {
    let gone = async {
        while std::fs::read_dir(folder).unwrap().next().is_some() || mentioned_by_a_process(folder) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(HANG, gone).await.expect("a file or a process is left");
}

fn mentioned_by_a_process(folder: &Path) -> bool {
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).contains(folder))
}

#[tokio::test]
async fn with_its_settings_everything_works_and_nothing_is_left_at_the_end() {
    let dev = Dev::start(&[]).await;
    dev.run(&["check", "--credentials"]).run().await.succeeded();
    dev.run(&["api-key", "stripe"]).run().await.succeeded();
    let url = dev.run(&["db-url"]).run().await;
    let connect = async || tokio_postgres::connect(url.succeeded().trim_end(), tokio_postgres::NoTls).await;
    drop(connect().await.unwrap());
    assert!(mentioned_by_a_process(dev.folder.path()), "PostgreSQL runs there");
    dev.running.send(Signal::SIGTERM);
    assert_eq!(dev.running.wait().await.code(), Some(0));
    nothing_is_left(dev.folder.path()).await;
    assert!(connect().await.is_err());
}

#[tokio::test]
async fn nothing_is_left_when_it_is_killed_either() {
    let dev = Dev::start(&[]).await;
    dev.running.send(Signal::SIGKILL);
    dev.running.wait().await;
    nothing_is_left(dev.folder.path()).await;
}

#[tokio::test]
async fn without_postgres() {
    let dev = Dev::start(&["--no-postgres"]).await;
    dev.run(&["get", "secret/myapp/config"]).run().await.succeeded();
    let token = secrets_service(&["list", "secret/myapp"]).env("VAULT_TOKEN", &dev.settings["VAULT_TOKEN"]);
    token.env("VAULT_ADDR", &dev.settings["VAULT_ADDR"]).run().await.succeeded();
    dev.running.send(Signal::SIGINT);
    assert_eq!(dev.running.wait().await.code(), Some(0));
    nothing_is_left(dev.folder.path()).await;
}

#[tokio::test]
async fn addresses_that_cannot_be() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = secrets_service(&["dev", "--no-postgres", "--listen", &address]).run().await;
    assert!(ended.failed(1).contains(&address), "{ended:?}");
    for address in ["0.0.0.0:0", "nonsense"] {
        secrets_service(&["dev", "--no-postgres", "--listen", address]).run().await.failed(2);
    }
}
