//! Processes that write their cache to disk are killed with SIGKILL at random moments. Whatever one of them said was
//! on disk for good is served by the next one, with Vault away; nothing that is served is wrong, nothing that was
//! purged is there again, and no name or value stands in any file.
//!
//! 20 kills; with `ENDURANCE=long` 200. Prints one line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test, though without the harness"
)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrets_service::gds_vault::{Credential, SecretString};
use secrets_service::{DiskSettings, ErrorKind, KeySource, OnClose, ReadOptions, VaultConfig};
use support::{FakeVault, Reply, answer, approle_config, client, errors, kv, value};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// Set for the processes that are killed: where Vault is, and the folder.
const VAULT: &str = "DISK_CRASH_VAULT";
const FOLDER: &str = "DISK_CRASH_FOLDER";

/// Few enough that each is written often.
const SECRETS: usize = 40;

/// Of every value.
const CANARY: &str = "canary-of-secret-";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match (std::env::var(VAULT), std::env::var(FOLDER)) {
        (Ok(vault), Ok(folder)) => runtime.block_on(write_until_killed(&vault, Path::new(&folder))),
        _ => runtime.block_on(kill_over_and_over()),
    }
}

fn config(vault: &str, folder: &Path) -> VaultConfig {
    let mut config = approle_config(vault, "role", Credential::Value(SecretString::new("secret-id")));
    config.disk = Some(DiskSettings::new(folder.join("cache"), KeySource::File(folder.join("key"))));
    config.retry_backoff =
        secrets_service::retry::Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
    config
}

fn path(n: usize) -> String {
    format!("secret/canary-name-{n}")
}

/// Reads secrets whose values change all the time, some of which are gone now and then, and says what is on disk.
async fn write_until_killed(vault: &str, folder: &Path) {
    let client = client(&config(vault, folder));
    assert!(client.disk_status().is_some(), "the file of the process before is free");
    let anew = ReadOptions { bypass_cache: true, ..ReadOptions::default() };
    let mut said = Vec::new();
    loop {
        for _ in 0..=fastrand::usize(..6) {
            let n = fastrand::usize(..SECRETS);
            match client.get_secret_with(&path(n), anew).await {
                Ok(read) => writeln!(said, "stored {n} {}", value(&read)).unwrap(),
                Err(error) if error.kind() == ErrorKind::NotFound => writeln!(said, "gone {n}").unwrap(),
                Err(error) => panic!("{error}"),
            }
        }
        client.flush_disk().await.unwrap();
        let mut out = std::io::stdout().lock();
        out.write_all(&said).unwrap();
        out.flush().unwrap();
        said.clear();
    }
}

/// What is known of one secret, by what the processes have said.
#[derive(Debug, Default, Clone)]
struct Known {
    /// The number of the newest value that was said to be on disk.
    newest: u64,
    /// It was said to be gone after that.
    gone: bool,
}

#[derive(Debug, Default)]
struct Tally {
    acknowledged: usize,
    served: usize,
    purged: usize,
    /// Gone from disk without there having been time to say so.
    purged_unsaid: usize,
}

async fn kill_over_and_over() {
    let long = std::env::var("ENDURANCE").is_ok_and(|scale| scale == "long");
    let kills = if long { 200 } else { 20 };
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, [9; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let vault = FakeVault::start().await;
    let mut known: HashMap<usize, Known> = HashMap::new();
    let mut tally = Tally::default();
    let counter = Arc::new(AtomicU64::new(0));
    let denials: Arc<Mutex<HashMap<usize, u64>>> = Arc::default();
    for _ in 0..kills {
        let (number, denied) = (Arc::clone(&counter), Arc::clone(&denials));
        vault.script(move |seen| {
            let Some(name) = seen.path.strip_prefix("secret/data/canary-name-") else {
                return answer(seen, &Reply::Hang);
            };
            let number = number.fetch_add(1, Ordering::Relaxed) + 1;
            if fastrand::u8(..) < 40 {
                denied.lock().unwrap().insert(name.parse().unwrap(), number);
                return errors(404, "gone for now");
            }
            kv(&format!("{CANARY}{name}-{number}"), number)
        });
        let lines = run_and_kill(&vault.address, folder.path()).await;
        for line in lines {
            learn(&mut known, &line);
        }
        vault.everything(Reply::Hang);
        let denials = denials.lock().unwrap().clone();
        check(&vault.address, folder.path(), &mut known, &denials, &mut tally).await;
    }
    assert_eq!(tally.acknowledged, tally.served + tally.purged_unsaid, "{tally:?}");
    assert!(tally.served > kills && tally.purged > 0, "{tally:?}");
    println!(
        "disk: {kills} processes killed while they wrote: {} of {} secrets that were said to be on disk served in the \
         outages that followed ({} had been purged meanwhile); {} purged ones stayed away; 0 wrong, 0 in plain",
        tally.served, tally.acknowledged, tally.purged_unsaid, tally.purged
    );
}

/// Returns what it has said.
async fn run_and_kill(vault: &str, folder: &Path) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(VAULT, vault)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = Vec::new();
    // Now and then it is killed before it has said anything, while it starts.
    if fastrand::u8(..) > 25 {
        let first = tokio::time::timeout(Duration::from_secs(60), said.next_line()).await;
        lines.extend(first.expect("it starts").unwrap());
    }
    let rest = tokio::spawn(async move {
        let mut lines = Vec::new();
        while let Ok(Some(line)) = said.next_line().await {
            lines.push(line);
        }
        lines
    });
    tokio::time::sleep(Duration::from_micros(fastrand::u64(..120_000))).await;
    child.kill().await.unwrap();
    lines.extend(rest.await.unwrap());
    lines
}

fn learn(known: &mut HashMap<usize, Known>, line: &str) {
    let mut words = line.split(' ');
    let (what, n) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
    let known = known.entry(n).or_default();
    match what {
        "stored" => *known = Known { newest: number_in(n, words.next().unwrap()), gone: false },
        "gone" => known.gone = true,
        other => panic!("{other}"),
    }
}

/// The number of a value, which must be one of this secret's.
fn number_in(n: usize, value: &str) -> u64 {
    let number = value.strip_prefix(CANARY).and_then(|rest| rest.strip_prefix(&format!("{n}-")));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{value} is not secret {n}'s"))
}

/// A process that starts after the kill, with Vault away. `denials`: what Vault last said of secrets that were gone.
async fn check(
    vault: &str,
    folder: &Path,
    known: &mut HashMap<usize, Known>,
    denials: &HashMap<usize, u64>,
    tally: &mut Tally,
) {
    let client = client(&config(vault, folder));
    let status = client.disk_status().expect("the file can be had");
    assert!(!aside(folder).exists(), "after a kill the file is in order: {status:?}");
    for n in 0..SECRETS {
        let found = client.cached(&path(n)).map(|read| number_in(n, &value(&read)));
        let known = known.entry(n).or_default();
        let Known { newest, gone } = *known;
        let said_to_be_there = newest > 0 && !gone;
        tally.acknowledged += usize::from(said_to_be_there);
        tally.purged += usize::from(gone && found.is_none());
        match found {
            // It may have been written without there having been time to say so.
            Some(found) => {
                assert!(found > newest || found == newest && !gone, "{n}: {found}, {newest}, gone: {gone}");
                tally.served += usize::from(said_to_be_there);
                *known = Known { newest: found, gone: false };
            }
            None if said_to_be_there => {
                // Purged, without there having been time to say so.
                let denied = denials.get(&n).is_some_and(|denied| *denied > newest);
                assert!(denied, "{n}: {newest} was said to be on disk, and is not there");
                tally.purged_unsaid += 1;
                known.gone = true;
            }
            None => {}
        }
    }
    client.close(OnClose::Keep).await.unwrap();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"canary-"), "in plain: {}", file.display());
    }
}

fn aside(folder: &Path) -> PathBuf {
    folder.join("cache.unusable")
}
