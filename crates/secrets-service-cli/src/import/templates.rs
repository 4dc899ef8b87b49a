//! `template { … }`, `exec { … }` and `env_template { … }`: what `run` and `render` do here.

use serde_json::Value;

use super::draft::{Draft, Sort, TemplateTable};
use super::section::Section;
use super::table::Block;
use crate::template::spec::parse_mode;
use crate::template::{Syntax, check_text};

/// What marks actions in a template, unless it says otherwise.
const DELIMITERS: (&str, &str) = ("{{", "}}");

/// Seconds that a program has to end before it is killed there (Vault documentation, "Process Supervisor Mode").
const THEIR_GRACE: u64 = 30;

/// A file's mode there, unless it is said (Vault documentation, "Vault Agent Template").
const THEIR_MODE: &str = "0644";

pub(super) fn templates(draft: &mut Draft, blocks: Vec<Block>) {
    for block in blocks {
        template(draft, block);
    }
}

fn template(draft: &mut Draft, block: Block) {
    let mut template = Section::new(draft, "template", block.line, block.table);
    let mut settings = Vec::new();
    let mut as_comment = false;
    let source = template.text("source");
    let contents = template.text("contents");
    match (source, contents) {
        (Some((source, line)), contents) => {
            if contents.is_some() {
                template.note(Sort::ToDo, line, "contents", "stands beside source, which was taken");
            }
            template.note(Sort::Mapped, line, "source", "template.source");
            settings.push(("source", Value::from(source)));
        }
        (None, Some((contents, line))) => {
            template.note(Sort::Mapped, line, "contents", "template.contents");
            if let Err(trouble) = check_text(&contents, Syntax::Consul) {
                as_comment = true;
                let place = trouble.line.map(|line| format!(" in its line {line}")).unwrap_or_default();
                let what = format!("cannot be used{place}, and stands as a comment: {}", trouble.what);
                template.note(Sort::ToDo, line, "contents", what);
            }
            settings.push(("contents", Value::from(contents)));
        }
        (None, None) => {
            template.note_all(Sort::ToDo, "has neither source nor contents, and was left out");
            return template.finish();
        }
    }
    if let Some((destination, line)) = template.text("destination") {
        template.note(Sort::Mapped, line, "destination", "template.destination");
        settings.push(("destination", Value::from(destination)));
    } else {
        as_comment = true;
        template.note_all(Sort::ToDo, "has no destination, and stands as a comment");
    }
    mode(&mut template, &mut settings);
    for (names, ours) in [(["user", "uid"], "owner"), (["group", "gid"], "group")] {
        for name in names {
            if let Some((value, line)) = template.text(name) {
                if value.starts_with('-') || settings.iter().any(|(there, _)| *there == ours) {
                    template.note(Sort::NotNeeded, line, name, "says nothing that is not said");
                } else {
                    template.note(Sort::Mapped, line, name, format!("template.{ours}"));
                    settings.push((ours, Value::from(value)));
                }
            }
        }
    }
    settings.push(("syntax", Value::from("consul")));
    as_comment |= other_delimiters(&mut template);
    commands(&mut template);
    manners(&mut template);
    template.finish();
    draft.template(TemplateTable { settings, as_comment });
}

fn mode(template: &mut Section<'_>, settings: &mut Vec<(&'static str, Value)>) {
    let perms = template.text("perms");
    let Some((perms, line)) = perms else {
        let line = template.line;
        let what = format!("is not said: {THEIR_MODE} there, 0600 here; if others read the file, set mode");
        return template.note(Sort::Differs, line, "perms", what);
    };
    // Four digits are usual, but `644` is taken there as well.
    let mode = format!("{:0>4}", perms.trim());
    match parse_mode(&mode) {
        Ok(_) => {
            template.note(Sort::Mapped, line, "perms", "template.mode");
            settings.push(("mode", Value::from(mode)));
        }
        Err(why) => template.note(Sort::ToDo, line, "perms", format!("is 0600 instead: {why}")),
    }
}

/// Whether the template is unreadable here for them.
fn other_delimiters(template: &mut Section<'_>) -> bool {
    let mut others = false;
    for (name, usual) in [("left_delimiter", DELIMITERS.0), ("right_delimiter", DELIMITERS.1)] {
        if let Some((mark, line)) = template.text(name) {
            if mark == usual {
                template.note(Sort::NotNeeded, line, name, "is the usual one");
            } else {
                others = true;
                let what = "there are no other marks than {{ and }} here: write the template with these; until then \
                            it stands as a comment";
                template.note(Sort::ToDo, line, name, what);
            }
        }
    }
    others
}

fn commands(template: &mut Section<'_>) {
    let what = "no command is run after a change; let `secrets-service run` start the program, with on_change = \
                \"restart\" or \"signal:SIGHUP\", or let a systemd.path unit watch the file";
    template.missing(&["command"], what);
    template.not_needed(&["command_timeout"], "there is no command");
    for block in template.table.take_blocks("exec") {
        template.draft.note(Sort::ToDo, block.line, "template.exec", what);
    }
}

fn manners(template: &mut Section<'_>) {
    template.differs(&["create_dest_dirs"], "the folder must be there: make it before");
    match template.switch("error_on_missing_key") {
        Some((true, line)) => template.note(Sort::Mapped, line, "error_on_missing_key", "is always so"),
        Some((false, line)) => {
            let what = "what is missing is an error here, and not `<no value>`; ask with {{ if index … }}";
            template.note(Sort::Differs, line, "error_on_missing_key", what);
        }
        None => {}
    }
    template.if_on("backup", Sort::Differs, "no copy of the file before is kept");
    template
        .differs(&["error_fatal"], "what goes wrong later leaves the old file in place, and is tried again");
    template.not_needed(&["sandbox_path"], "no template can read a file");
    template.differs(
        &["function_denylist", "function_blacklist"],
        "docs/run.md lists the functions that there are",
    );
    let wait = template.table.take_blocks("wait");
    for block in wait {
        let what = "how long changes settle is said once for all, in run.settle_seconds";
        template.draft.note(Sort::Differs, block.line, "template.wait", what);
    }
}

/// `template_config`
pub(super) fn template_config(draft: &mut Draft, blocks: Vec<Block>) {
    for block in blocks {
        let mut config = Section::new(draft, "template_config", block.line, block.table);
        config.seconds_to(
            "static_secret_render_interval",
            ("vault", "cache_ttl_seconds"),
            1..=10 * 365 * 86_400,
        );
        config.if_on(
            "exit_on_retry_failure",
            Sort::Differs,
            "what goes wrong later leaves the old files in place, and is tried again until it works",
        );
        config
            .not_needed(&["max_connections_per_host"], "there are as many connections as requests under way");
        config.not_needed(&["lease_renewal_threshold"], "leases are renewed at two thirds of their time");
        config.finish();
    }
}

/// `exec`: the program that has the variables of `env_template`.
pub(super) fn exec(draft: &mut Draft, blocks: Vec<Block>) {
    for block in blocks {
        let mut exec = Section::new(draft, "exec", block.line, block.table);
        if let Some(item) = exec.table.take("command") {
            match item.texts().filter(|words| words.iter().any(|word| !word.is_empty())) {
                Some(words) if item.is_text() => {
                    // Written as for a shell.
                    let words = [vec!["/bin/sh".to_owned(), "-c".to_owned()], words].concat();
                    exec.draft.set(("run", "command"), words, item.line, "exec.command");
                }
                Some(words) => exec.draft.set(("run", "command"), words, item.line, "exec.command"),
                None => {
                    exec.note(Sort::ToDo, item.line, "command", "is not a list of texts, and was left out");
                }
            }
        }
        if let Some((when, line)) = exec.text("restart_on_secret_changes") {
            let ours = if when == "never" { "none" } else { "restart" };
            exec.draft.set(("run", "on_change"), ours, line, "exec.restart_on_secret_changes");
        }
        if let Some((signal, line)) = exec.text("restart_stop_signal") {
            let usual = matches!(signal.as_str(), "SIGTERM" | "TERM");
            let (sort, what) =
                if usual { (Sort::Mapped, "is always so") } else { (Sort::ToDo, "a restart sends SIGTERM") };
            exec.note(sort, line, "restart_stop_signal", what);
        }
        let line = exec.line;
        exec.finish();
        draft.set(("run", "grace_seconds"), THEIR_GRACE, line, "exec (from the signal to the kill)");
    }
}

pub(super) fn env_templates(draft: &mut Draft, blocks: Vec<Block>) {
    for block in blocks {
        let name = block.label.unwrap_or_default();
        let mut template = Section::new(draft, format!("env_template \"{name}\""), block.line, block.table);
        let (contents, line) = template.text("contents").unwrap_or((String::new(), template.line));
        match one_field(&contents) {
            Some(field) if is_variable(&name) => {
                if template.draft.variable(&name, field) {
                    template.note(Sort::Mapped, line, "contents", "run.env");
                } else {
                    template.note(
                        Sort::ToDo,
                        line,
                        "contents",
                        "the variable is there twice; the first is taken",
                    );
                }
            }
            _ => {
                let what = "a variable is one field of one secret here (run.env: NAME = \"PATH#FIELD\"); let a \
                            [[template]] write a file for all else";
                template.note(Sort::ToDo, line, "contents", what);
            }
        }
        other_delimiters(&mut template);
        template.missing(&["source"], "a variable is made from one field, not from a file");
        manners(&mut template);
        template.finish();
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !name.chars().any(char::is_control)
}

/// `PATH#FIELD` of `{{ with secret "PATH" }}{{ .Data.data.FIELD }}{{ end }}`, if it is that and nothing else.
fn one_field(contents: &str) -> Option<String> {
    let mut actions = Vec::new();
    let mut rest = contents.trim();
    while !rest.is_empty() {
        let (action, after) = rest.strip_prefix("{{")?.split_once("}}")?;
        actions.push(action.trim_start_matches('-').trim_end_matches('-').trim());
        rest = after.trim_start();
    }
    let [with, print, "end"] = actions[..] else { return None };
    let path = with.strip_prefix("with")?.trim_start().strip_prefix("secret")?.trim();
    let path = path.strip_prefix('"')?.strip_suffix('"')?;
    let field = print.strip_prefix(".Data.data.").or_else(|| print.strip_prefix(".Data."))?;
    let plain = |text: &str| !text.is_empty() && !text.contains(['"', '\\', '#', '?', ' ', '.']);
    (plain(&path.replace('.', "")) && plain(field)).then(|| format!("{path}#{field}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_one_field() {
        let with = "{{ with secret \"secret/data/app\" }}{{ .Data.data.password }}{{ end }}";
        assert_eq!(one_field(with).as_deref(), Some("secret/data/app#password"));
        let trimmed = "{{- with secret \"database/creds/app\" -}}\n{{- .Data.username -}}\n{{- end -}}\n";
        assert_eq!(one_field(trimmed).as_deref(), Some("database/creds/app#username"));
        for other in [
            "",
            "x",
            "{{ with secret \"a\" }}x{{ .Data.b }}{{ end }}",
            "{{ with secret \"a\" }}{{ .Data.b.c }}{{ end }}",
            "{{ with secret \"a\" \"b=c\" }}{{ .Data.b }}{{ end }}",
            "{{ with secret \"a\" }}{{ .Data.b | toJSON }}{{ end }}",
            "{{ with secret \"a\" }}{{ .Data.b }}{{ end",
            "{{ env \"A\" }}",
        ] {
            assert_eq!(one_field(other), None, "{other}");
        }
    }
}
