//! `secrets-service agent`

pub(crate) mod import;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nix::sys::signal::Signal;

use crate::agent::config::{Settings, Sources, reference};
use crate::agent::{Agent, systemd};
use crate::failure::{Exit, Failure};
use crate::notice;
use crate::output;
use crate::signals::Signals;

/// Run a Vault-compatible caching proxy on this machine, which keeps answering when Vault does not.
///
/// Any client of Vault uses it by VAULT_ADDR=http://127.0.0.1:8100, unchanged. Reads of secrets are cached, asked for
/// once for all who want them, and served past their time (labelled X-Cache: STALE) while Vault is unavailable. All
/// else passes through. Requests without a token are made with the agent's own login; those with one get a cache of
/// their own.
///
/// Needs no file: settings are environment variables too. SIGHUP reads the settings and certificates again, SIGTERM
/// ends it when the requests under way are done.
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service agent
  secrets-service agent --listen 127.0.0.1:8100 --listen unix:/run/secrets/agent.sock
  secrets-service agent --config /etc/secrets-service/agent.toml
  secrets-service agent --print-config >agent.toml
  secrets-service agent import vault-agent.hcl >agent.toml
  secrets-service check --config agent.toml")]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// The settings, a TOML file; or a configuration of Vault's agents that ends in .hcl, taken as `import` would.
    #[arg(long, value_name = "FILE", env = "SECRETS_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// Where to listen, instead of what the settings say: 127.0.0.1:8100, unix:/path, systemd. Can be repeated.
    #[arg(long, value_name = "WHERE")]
    listen: Vec<String>,
    /// Where probes and Prometheus find it, or none.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Print a configuration file with every option, its default and what it does, and end.
    #[arg(long)]
    print_config: bool,
}

/// What is done instead of running the agent.
#[derive(Subcommand)]
enum Instead {
    Import(import::ImportArgs),
}

impl AgentArgs {
    /// How many threads to run it on. What is wrong with the settings is told later.
    pub(crate) fn threads(&self) -> usize {
        Settings::threads(&self.sources())
    }

    fn sources(&self) -> Sources<'_> {
        Sources {
            file: self.config.as_deref(),
            variable: &|name| std::env::var_os(name),
            listen: &self.listen,
            admin: self.admin.as_deref(),
        }
    }

    fn load(&self) -> Result<Settings, Failure> {
        Settings::load(&self.sources()).map_err(|problems| {
            let lines: Vec<_> =
                problems.iter().map(|problem| format!("\n  {}: {}", problem.place, problem.what)).collect();
            Failure::usage(format!("configuration: {} problems{}", problems.len(), lines.concat()))
        })
    }
}

pub(crate) async fn run(args: &AgentArgs) -> Result<Exit, Failure> {
    if let Some(Instead::Import(args)) = &args.instead {
        return import::run(args);
    }
    if args.print_config {
        output::write(&reference())?;
        return Ok(Exit::Ok);
    }
    let settings = args.load()?;
    import::warn_agent(args.config.as_deref());
    let mut signals = Signals::ending()?;
    let mut agent = Agent::start(settings).await.map_err(Failure::other)?;
    for address in agent.addresses() {
        notice::say(format_args!("agent at {address}"));
    }
    if let Some(address) = agent.admin_address() {
        notice::say(format_args!("admin at {address}"));
    }
    systemd::notify(systemd::READY);
    loop {
        match signals.next().await {
            Signal::SIGHUP => {
                systemd::notify_reloading();
                reload(args, &mut agent);
                systemd::notify(systemd::READY);
            }
            signal => {
                notice::say(format_args!("{signal}: ending when the requests under way are done"));
                break;
            }
        }
    }
    systemd::notify("STOPPING=1");
    agent.stop().await;
    Ok(Exit::Ok)
}

fn reload(args: &AgentArgs, agent: &mut Agent) {
    match args.load() {
        Ok(settings) => {
            for complaint in agent.reload(&settings) {
                notice::say(format_args!("warning: {complaint}"));
            }
            notice::say("settings read again");
        }
        Err(failure) => {
            failure.report();
            notice::say("warning: the old settings stay in use");
        }
    }
}
