//! Waits for changes, until they have settled, and renders what they concern.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::reading::Source;
use super::set::{ChangedFile, TemplateSet};
use super::sources::Sources;

/// When changes have settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settling {
    /// Nothing has changed for so long,
    pub(crate) quiet: Duration,
    /// or so long has passed since the first change.
    pub(crate) at_most: Duration,
}

pub(crate) struct Following {
    pub(crate) sources: Arc<Sources>,
    pub(crate) templates: TemplateSet,
    pub(crate) settling: Settling,
    /// Used, but not by a template.
    pub(crate) also_used: BTreeSet<Source>,
}

impl Following {
    /// The files that changed when changes had settled. There may be none: what changed may be of no consequence for
    /// any file, or none may be made from it.
    pub(crate) async fn next(&mut self) -> Vec<ChangedFile> {
        let retry = self.templates.next_retry();
        tokio::select! {
            () = self.sources.changed() => self.settle().await,
            () = due(retry) => {}
        }
        let changed = self.sources.take_changed();
        let files = self.templates.render_affected(&self.sources, &changed).await;
        if let Some(failure) = self.templates.news_of_failures() {
            failure.report();
        }
        let mut used = self.templates.used();
        used.extend(self.also_used.iter().cloned());
        self.sources.keep_only(&used);
        files
    }

    async fn settle(&self) {
        let latest = Instant::now() + self.settling.at_most;
        self.sources.look_again();
        loop {
            let quiet_until = (Instant::now() + self.settling.quiet).min(latest);
            tokio::select! {
                biased;
                () = sleep_until(quiet_until) => return,
                () = self.sources.changed() => {}
            }
        }
    }
}

async fn due(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
