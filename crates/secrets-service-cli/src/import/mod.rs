//! Configurations of Vault Agent and Vault Proxy, turned into ours.
//!
//! `hcl.rs` reads the file, `table.rs` and `section.rs` take settings out of it, one file per part of it says what
//! becomes of them, `draft.rs` writes the result. Everything that the file says ends as a setting or as a note that says
//! what to do instead; what is not known is told as well.

mod draft;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hcl;
mod listeners;
mod section;
mod table;
mod templates;
mod vault;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use self::draft::Draft;
pub(crate) use self::draft::{Note, Sort};
use self::section::Section;
use self::table::Table;

/// Larger files are a mistake.
const LARGEST: u64 = 1 << 20;

/// What became of a file.
pub(crate) struct Import {
    /// Our file, with what is to be said as comments in its head.
    pub(crate) toml: String,
    /// In the order of the lines, those first that somebody must see to.
    pub(crate) notes: Vec<Note>,
}

/// Reads the file. The error names it, and the line.
pub(crate) fn read(path: &Path) -> Result<Import, String> {
    let name = path.display().to_string();
    let mut text = String::new();
    let size = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    match size {
        Ok(size) if size as u64 > LARGEST => Err(format!("{name}: is larger than 1 MiB")),
        Ok(_) => import(&name, &text),
        Err(error) => Err(format!("{name}: cannot be read: {error}")),
    }
}

/// The text of a configuration: ours as it is, one of Vault's as what it is imported to.
pub(crate) fn text_of(path: &Path) -> std::io::Result<String> {
    if !is_of_vault(path) {
        return std::fs::read_to_string(path);
    }
    read(path).map(|import| import.toml).map_err(std::io::Error::other)
}

/// What a configuration is called in messages about its lines.
pub(crate) fn name_of(path: &Path) -> String {
    if is_of_vault(path) { format!("{} (imported)", path.display()) } else { path.display().to_string() }
}

/// What somebody must see to before a configuration of Vault's does here what it did there: place and words.
pub(crate) fn left_to_do(path: &Path) -> Vec<(String, String)> {
    let notes = if is_of_vault(path) { read(path).map(|import| import.notes) } else { Ok(Vec::new()) };
    let to_do = notes.unwrap_or_default().into_iter().filter(|note| note.sort == Sort::ToDo);
    to_do
        .map(|note| (format!("{}:{}", path.display(), note.line), format!("{}: {}", note.subject, note.what)))
        .collect()
}

/// By its ending.
pub(crate) fn is_of_vault(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "hcl")
}

/// `name` is what the text is called in messages.
pub(crate) fn import(name: &str, text: &str) -> Result<Import, String> {
    let entries = hcl::parse(text).map_err(|flaw| format!("{name}:{}: {}", flaw.line, flaw.what))?;
    let mut draft = Draft::default();
    let mut root = Section::new(&mut draft, "", 1, Table::new(entries));
    let blocks = Blocks::of(&mut root.table);
    of_the_process(&mut root);
    root.finish();
    vault::vault(&mut draft, blocks.vault);
    let has_login = vault::auto_auth(&mut draft, blocks.auto_auth);
    listeners::listeners(&mut draft, blocks.listeners);
    listeners::proxy(&mut draft, blocks.api_proxy, blocks.cache);
    let serves = draft.get("", "listen").is_some();
    templates::template_config(&mut draft, blocks.template_config);
    templates::templates(&mut draft, blocks.templates);
    templates::exec(&mut draft, blocks.exec);
    templates::env_templates(&mut draft, blocks.env_templates);
    if !has_login && !serves {
        draft.set(("own", "lend"), false, 1, "auto_auth (not said: there is no login)");
    } else if !has_login && draft.get("own", "lend") == Some(&true.into()) {
        draft.note(Sort::ToDo, 1, "auto_auth", "there is no login to lend: say how to log in, in [vault]");
    }
    draft.notes.sort_by_key(|note| (note.sort, note.line));
    let head = head(name, &draft, serves);
    Ok(Import { toml: draft.toml(&head), notes: draft.notes })
}

struct Blocks {
    vault: Vec<table::Block>,
    auto_auth: Vec<table::Block>,
    listeners: Vec<table::Block>,
    api_proxy: Vec<table::Block>,
    cache: Vec<table::Block>,
    template_config: Vec<table::Block>,
    templates: Vec<table::Block>,
    exec: Vec<table::Block>,
    env_templates: Vec<table::Block>,
}

impl Blocks {
    fn of(root: &mut Table) -> Self {
        root.unwrap_blocks("listeners");
        root.unwrap_blocks("templates");
        Self {
            vault: root.take_blocks("vault"),
            auto_auth: root.take_blocks("auto_auth"),
            listeners: root.take_labelled("listener"),
            api_proxy: root.take_blocks("api_proxy"),
            cache: root.take_blocks("cache"),
            template_config: root.take_blocks("template_config"),
            templates: root.take_blocks("template"),
            exec: root.take_blocks("exec"),
            env_templates: root.take_labelled("env_template"),
        }
    }
}

/// What the file says outside of blocks, and of the process as a whole.
fn of_the_process(root: &mut Section<'_>) {
    root.differs(
        &["pid_file"],
        "no file with the process's number is written; systemd and containers know it",
    );
    root.if_on(
        "exit_after_auth",
        Sort::ToDo,
        "the agent goes on; `secrets-service render --once` writes the files and ends",
    );
    root.differs(&["log_level"], "is said on the command line: -v, -vv, or the variable RUST_LOG");
    root.differs(&["log_format"], "is said on the command line: --log-format json");
    root.missing(
        &["log_file", "log_rotate_duration", "log_rotate_bytes", "log_rotate_max_files"],
        "the log goes to stderr; systemd or the container's runtime keeps it",
    );
    root.not_needed(
        &["disable_idle_connections", "disable_keep_alives"],
        "idle connections to Vault are few, and closed after a while",
    );
    for block in root.table.take_blocks("telemetry") {
        let mut telemetry = Section::new(root.draft, "telemetry", block.line, block.table);
        telemetry.not_needed(
            &["prometheus_retention_time", "disable_hostname", "enable_hostname_label", "usage_gauge_period"],
            "metrics for Prometheus are at the admin listener, 127.0.0.1:8101/metrics",
        );
        let elsewhere = telemetry.table.clone().left();
        for (name, line) in elsewhere {
            let what =
                "metrics are given to Prometheus only (127.0.0.1:8101/metrics), under names of their own";
            telemetry.note(Sort::ToDo, line, &name, what);
        }
    }
}

/// The comments that the file begins with.
fn head(name: &str, draft: &Draft, serves: bool) -> Vec<String> {
    let mut head = vec![
        format!("Made from {} by `secrets-service agent import`.", crate::output::shown(name)),
        "`secrets-service check --config FILE` finds what is wrong with it, without a request.".to_owned(),
        String::new(),
        "To run it:".to_owned(),
    ];
    let runs = draft.get("run", "command").is_some();
    if serves || !(runs || draft.has_templates()) {
        head.push("  secrets-service agent --config FILE     (the listeners)".to_owned());
    }
    if runs {
        head.push(
            "  secrets-service run --config FILE       (the program, its variables and its files)".to_owned(),
        );
    } else if draft.has_templates() {
        head.push(
            "  secrets-service render --config FILE    (the files; with --once as an init container)"
                .to_owned(),
        );
    }
    for sort in Sort::ALL {
        let mut notes = draft.notes.iter().filter(|note| note.sort == sort).peekable();
        if notes.peek().is_some() {
            head.extend([String::new(), format!("{}:", sort.heading())]);
            head.extend(notes.map(|note| format!("  line {}, {}: {}", note.line, note.subject, note.what)));
        }
    }
    head
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
