//! Which file is made from which template.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::sys::signal::Signal;
use nix::unistd::{Gid, Group, Uid, User};

use super::Trouble;

/// The largest template, in bytes.
const LARGEST: u64 = 1 << 20;

/// Read and written by the owner, and nobody else.
pub(crate) const DEFAULT_MODE: u32 = 0o600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateSpec {
    pub(crate) text: TemplateText,
    pub(crate) destination: PathBuf,
    pub(crate) mode: u32,
    /// `None`: whoever this process runs as.
    pub(crate) owner: Option<Uid>,
    pub(crate) group: Option<Gid>,
    pub(crate) syntax: Syntax,
    /// `None`: as is said for the whole command.
    pub(crate) on_change: Option<OnChange>,
}

/// Where the text of a template is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TemplateText {
    File(PathBuf),
    /// In the configuration itself.
    Inline(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Jinja,
    Consul,
}

/// What is done to the program when something that it uses has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnChange {
    Restart,
    Signal(Signal),
    Nothing,
}

impl FromStr for OnChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "restart" => return Ok(Self::Restart),
            "none" => return Ok(Self::Nothing),
            _ => {}
        }
        let name = text.strip_prefix("signal:").ok_or_else(|| {
            format!("{text:?} is not restart, none, or signal: with a signal, such as signal:SIGHUP")
        })?;
        let full = if name.starts_with("SIG") { name.to_owned() } else { format!("SIG{name}") };
        let signal = Signal::from_str(&full).map_err(|_| format!("{name:?} is not a signal"))?;
        Ok(Self::Signal(signal))
    }
}

impl FromStr for Syntax {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "jinja" => Ok(Self::Jinja),
            "consul" => Ok(Self::Consul),
            _ => Err(format!("{text:?} is not a syntax: jinja or consul")),
        }
    }
}

impl Syntax {
    /// By the ending: `.ctmpl`, `.tmpl` and `.tpl` are what files for consul-template and Vault Agent are called.
    pub(crate) fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("ctmpl" | "tmpl" | "tpl") => Self::Consul,
            _ => Self::Jinja,
        }
    }
}

impl FromStr for TemplateSpec {
    type Err = String;

    /// `SRC:DEST` or `SRC:DEST:MODE`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let (source, destination, mode, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(source), Some(destination), None) = (source, destination, rest) else {
            return Err(format!("{text:?}: what is needed is SRC:DEST or SRC:DEST:MODE"));
        };
        let mut spec = Self::new(source, destination)?;
        if let Some(mode) = mode {
            spec.mode = parse_mode(mode)?;
        }
        Ok(spec)
    }
}

impl TemplateSpec {
    pub(crate) fn new(source: impl AsRef<Path>, destination: impl AsRef<Path>) -> Result<Self, String> {
        let source = source.as_ref();
        if source.as_os_str().is_empty() {
            return Err("the template's name is empty".to_owned());
        }
        Self::of(TemplateText::File(source.to_owned()), Syntax::of(source), destination.as_ref())
    }

    /// With the template's own text.
    pub(crate) fn inline(text: impl Into<String>, destination: impl AsRef<Path>) -> Result<Self, String> {
        Self::of(TemplateText::Inline(text.into()), Syntax::Jinja, destination.as_ref())
    }

    fn of(text: TemplateText, syntax: Syntax, destination: &Path) -> Result<Self, String> {
        let is_folder = destination.as_os_str().as_encoded_bytes().ends_with(b"/");
        if is_folder || destination.file_name().is_none() {
            return Err(format!("{:?} is not the name of a file", destination.display().to_string()));
        }
        Ok(Self {
            text,
            destination: destination.to_owned(),
            mode: DEFAULT_MODE,
            owner: None,
            group: None,
            syntax,
            on_change: None,
        })
    }

    /// What the template is called in messages.
    pub(crate) fn name(&self) -> String {
        match &self.text {
            TemplateText::File(source) => source.display().to_string(),
            TemplateText::Inline(_) => format!("the contents for {}", self.destination.display()),
        }
    }

    /// The template's text.
    pub(super) fn read(&self) -> Result<String, Trouble> {
        let unreadable = |error: std::io::Error| Trouble::wrong(None, format!("cannot be read: {error}"));
        let source = match &self.text {
            TemplateText::File(source) => source,
            TemplateText::Inline(text) => return Ok(text.clone()),
        };
        let file = File::open(source).map_err(unreadable)?;
        let mut text = String::new();
        let size = file.take(LARGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
        if size as u64 > LARGEST {
            return Err(Trouble::wrong(None, "is larger than 1 MiB"));
        }
        Ok(text)
    }

    /// The folder that the file is to be in.
    pub(crate) fn folder(&self) -> &Path {
        match self.destination.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// What can be seen to be wrong without writing anything.
    pub(crate) fn check_destination(&self) -> Result<(), String> {
        let shown = self.destination.display();
        if !self.folder().is_dir() {
            return Err(format!("{shown}: there is no folder {}", self.folder().display()));
        }
        if self.destination.is_dir() {
            return Err(format!("{shown} is a folder"));
        }
        Ok(())
    }
}

/// Octal, as `chmod` takes it. Nothing that all can write to, and no special bits.
pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
    let mode = mode.ok_or_else(|| format!("{text:?} is not a mode, such as 0640"))?;
    if mode & 0o002 != 0 {
        return Err(format!("the mode {text} lets everyone change the file"));
    }
    if mode & 0o400 == 0 {
        return Err(format!("the mode {text} does not let its owner read the file"));
    }
    Ok(mode)
}

/// A name or a number.
pub(crate) fn parse_owner(text: &str) -> Result<Uid, String> {
    if let Ok(number) = text.parse() {
        return Ok(Uid::from_raw(number));
    }
    let user = User::from_name(text).ok().flatten();
    user.map(|user| user.uid).ok_or_else(|| format!("there is no user {text:?}"))
}

/// A name or a number.
pub(crate) fn parse_group(text: &str) -> Result<Gid, String> {
    if let Ok(number) = text.parse() {
        return Ok(Gid::from_raw(number));
    }
    let group = Group::from_name(text).ok().flatten();
    group.map(|group| group.gid).ok_or_else(|| format!("there is no group {text:?}"))
}

/// Two templates for one file: the destination that is given twice.
pub(crate) fn given_twice(specs: &[TemplateSpec]) -> Option<&Path> {
    specs.iter().enumerate().find_map(|(n, spec)| {
        let again = specs.iter().take(n).any(|other| other.destination == spec.destination);
        again.then_some(spec.destination.as_path())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_on_the_command_line() {
        let spec: TemplateSpec = "app.j2:/run/app.conf:0640".parse().unwrap();
        assert_eq!((spec.mode, spec.syntax), (0o640, Syntax::Jinja));
        assert_eq!(spec.folder(), Path::new("/run"));
        let spec: TemplateSpec = "app.ctmpl:app.conf".parse().unwrap();
        assert_eq!((spec.mode, spec.syntax), (0o600, Syntax::Consul));
        assert_eq!(spec.folder(), Path::new("."));
        for wrong in [
            "",
            "a",
            ":",
            "a:",
            ":b",
            "a:b:",
            "a:b:9",
            "a:b:0666",
            "a:b:4755",
            "a:b:0200",
            "a:b:0600:c",
            "a:b/",
            "a:/",
            "a:..",
            "a:b:+600",
            "a:b:00600",
        ] {
            assert!(wrong.parse::<TemplateSpec>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_to_do_on_change() {
        for (text, meant) in [
            ("restart", OnChange::Restart),
            ("none", OnChange::Nothing),
            ("signal:SIGHUP", OnChange::Signal(Signal::SIGHUP)),
            ("signal:USR1", OnChange::Signal(Signal::SIGUSR1)),
        ] {
            assert_eq!(text.parse(), Ok(meant));
        }
        for wrong in ["", "Restart", "signal", "signal:", "signal:SIGNOPE", "SIGHUP"] {
            assert!(wrong.parse::<OnChange>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn owners_are_names_or_numbers() {
        assert_eq!(parse_owner("root"), Ok(Uid::from_raw(0)));
        assert_eq!(parse_owner("1234"), Ok(Uid::from_raw(1_234)));
        assert_eq!(parse_group("root"), Ok(Gid::from_raw(0)));
        assert!(parse_owner("no such user").is_err() && parse_group("-1").is_err());
    }
}
