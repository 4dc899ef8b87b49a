//! Arbitrary files of others.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "for fuzzers only: what fails is to be seen"
)]

use std::sync::OnceLock;

use tempfile::TempDir;

use super::import;
use crate::agent::config::{Settings, Sources};
use crate::template::config::RunSections;

/// Whatever is read, the result is TOML, and says nothing that there is no setting for.
pub fn agent_import(input: &[u8]) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(result) = import("agent.hcl", text) else { return };
    let table = result.toml.parse::<toml::Table>();
    assert!(table.is_ok(), "no TOML: {:?}\n{}", table.err(), result.toml);
    let file = FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path().join("result.toml");
    std::fs::write(&file, &result.toml).unwrap();
    let sources = Sources { file: Some(&file), variable: &|_| None, listen: &[], admin: None };
    let of_the_agent = Settings::load(&sources).err().unwrap_or_default();
    let of_run = RunSections::parse("result.toml", &result.toml).err().unwrap_or_default();
    for problem in of_the_agent.iter().chain(&of_run) {
        let ours = [
            "there is no option",
            "that no option takes",
            "is not known in",
            "is a table",
            "is a list",
            "is a text",
        ];
        assert!(!ours.iter().any(|part| problem.what.contains(part)), "{problem:?}\n{}", result.toml);
    }
    let lines = text.lines().count().max(1);
    assert!(result.notes.iter().all(|note| (1..=lines).contains(&note.line)), "a line that is not there");
}
