//! `secrets-service render`: files made from templates, without a program.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use secrets_service::{OnClose, ServiceConfig};

use super::templates::TemplateArgs;
use crate::failure::{Exit, Failure};
use crate::notice;
use crate::service::{Done, close, waiting_for};
use crate::signals::Signals;
use crate::template::follow::Following;
use crate::template::sources::Sources;

/// Make files from templates with secrets in them, and keep them current.
///
/// With --once it ends when all files are written: for an init container, or before a start. Otherwise files are
/// written again whenever a secret changes, until SIGTERM; a template that fails is tried again, and keeps no other
/// from being written.
#[derive(Args)]
#[command(after_help = "\
Examples:
  secrets-service render --once -t app.conf.j2:/run/app/app.conf
  secrets-service render --config run.toml

What was made for the files (a database user, say) is revoked when this command ends; not with --once, as the files \
are used afterwards.

If a template fails, the old file is kept. With --once the exit code is that of the failure to mend first.")]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    templates: TemplateArgs,
    /// End when all files are written.
    #[arg(long)]
    once: bool,
}

pub(crate) async fn run(args: &RenderArgs) -> Result<Exit, Failure> {
    let mut sections = args.templates.sections()?;
    // What was typed comes before the settings; what is wrong with those is told by the service.
    let config = ServiceConfig::from_environment().unwrap_or_default();
    let templates = args.templates.load(&mut sections, &config)?;
    if templates.is_empty() {
        return Err(Failure::usage("which template? Give one with --template, or a file with --config"));
    }
    let service = args.templates.service()?;
    let mut signals = Signals::ending()?;
    let sources = Arc::new(Sources::new(&service, !args.once));
    let mut following = Following {
        sources: Arc::clone(&sources),
        templates,
        settling: args.templates.settling(&sections),
        also_used: BTreeSet::new(),
    };
    let result = rendered(&mut following, args.once, &waiting_for(&service), &mut signals).await;
    let result = result.map(|exit| {
        let keep = args.once && sources.any_leased();
        Done { value: exit, on_close: if keep { OnClose::Keep } else { OnClose::Revoke } }
    });
    // Nothing is looked at any more when what it was made with is revoked.
    drop((sources, following));
    close(&service, result).await
}

async fn rendered(
    following: &mut Following,
    once: bool,
    waiting_for: &str,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let first = async {
        let sources = Arc::clone(&following.sources);
        following.templates.render_all(&sources).await;
        following.templates.news_of_failures().map_or(Ok(()), Err)
    };
    let first = signals.unless(notice::with_progress(waiting_for, first)).await;
    if once {
        return first.map(|()| Exit::Ok);
    }
    if let Err(failure) = first {
        if failure.is_interruption() {
            return Err(failure);
        }
        failure.report();
    }
    loop {
        tokio::select! {
            signal = signals.next() => {
                tracing::info!(%signal, "ending");
                return Ok(Exit::Ok);
            }
            _ = following.next() => {}
        }
    }
}
