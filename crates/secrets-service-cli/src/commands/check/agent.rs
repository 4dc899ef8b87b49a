//! The agent's configuration: file, environment and defaults together, as the agent would read them.

use std::path::Path;

use super::report::Report;
use crate::agent::config::{ListenOn, Settings, Sources};
use crate::failure::{Exit, Failure};

/// Tells every problem, with file and line where it comes from there. Makes no request and binds nothing.
pub(super) fn check(report: &mut Report, file: &Path) -> Result<(), Failure> {
    let variable = |name: &str| std::env::var_os(name);
    let sources = Sources { file: Some(file), variable: &variable, listen: &[], admin: None };
    let settings = match Settings::load(&sources) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in problems {
                report.problem(Exit::Usage, &problem.place, problem.what)?;
            }
            return Ok(());
        }
    };
    for place in &settings.agent.listen {
        let what = match place {
            ListenOn::Tcp { address, tls } => {
                format!("{address}{}", if tls.is_some() { " with TLS" } else { "" })
            }
            ListenOn::Unix(socket) => format!("unix:{} (mode {:04o})", socket.path.display(), socket.mode),
            ListenOn::Systemd => "whatever systemd hands over".to_owned(),
        };
        Report::ok("listen", what)?;
    }
    let addresses: Vec<_> = settings.vault.addresses.iter().map(ToString::to_string).collect();
    let login = if settings.agent.lend_own { settings.vault.auth.name() } else { "none of its own" };
    Report::ok("settings", format!("Vault at {}, login: {login}", addresses.join(", ")))
}
