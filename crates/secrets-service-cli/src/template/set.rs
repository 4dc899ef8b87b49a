//! All templates of one command: each is rendered, written and retried by itself, whatever becomes of the others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::reading::{Readings, Source};
use super::sources::Sources;
use super::spec::{OnChange, TemplateSpec, given_twice};
use super::write::{Written, write};
use super::{Outside, Rendering, Template, Trouble};
use crate::failure::{Exit, Failure};
use crate::notice;

/// More templates than this are a mistake.
const MOST_TEMPLATES: usize = 1_000;

/// A template that fails is tried again after this, then after twice as long, …
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// … up to this. Each attempt is at most one request per secret that cannot be read.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

pub(crate) struct TemplateSet {
    outside: Outside,
    templates: Vec<State>,
}

struct State {
    template: Arc<Template>,
    /// What it was made from, or would have been.
    used: BTreeSet<Source>,
    trouble: Option<Trouble>,
    /// Whether people have been told of the trouble.
    told: bool,
    failures: u32,
    retry_at: Option<Instant>,
}

/// A file that is not what it was.
pub(crate) struct ChangedFile {
    pub(crate) on_change: Option<OnChange>,
}

impl TemplateSet {
    /// Reads and parses all of them; the failure tells everything that is wrong.
    pub(crate) fn load(specs: Vec<TemplateSpec>, outside: Outside) -> Result<Self, Failure> {
        if specs.len() > MOST_TEMPLATES {
            return Err(Failure::usage(format!("there are more than {MOST_TEMPLATES} templates")));
        }
        let mut failures = None;
        if let Some(destination) = given_twice(&specs) {
            let what = format!("{}: two templates cannot be one file", destination.display());
            Failure::join(&mut failures, Failure::usage(what));
        }
        let mut templates = Vec::with_capacity(specs.len());
        for spec in specs {
            if let Err(what) = spec.check_destination() {
                Failure::join(&mut failures, Failure::usage(what));
            }
            let name = spec.name();
            match Template::load(spec) {
                Ok(template) => templates.push(State {
                    template: Arc::new(template),
                    used: BTreeSet::new(),
                    trouble: None,
                    told: false,
                    failures: 0,
                    retry_at: None,
                }),
                Err(trouble) => {
                    Failure::join(&mut failures, Failure::summary(trouble.exit, trouble.told(&name)));
                }
            }
        }
        failures.map_or(Ok(Self { outside, templates }), Err)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    pub(crate) fn used(&self) -> BTreeSet<Source> {
        self.templates.iter().flat_map(|state| &state.used).cloned().collect()
    }

    /// When the next of those that failed is due.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        self.templates.iter().filter_map(|state| state.retry_at).min()
    }

    /// Why those that cannot be rendered cannot, as far as nobody has been told.
    pub(crate) fn news_of_failures(&mut self) -> Option<Failure> {
        let mut failures = None;
        for state in self.templates.iter_mut().filter(|state| !state.told) {
            if let Some(trouble) = &state.trouble {
                state.told = true;
                Failure::join(&mut failures, Failure::from((&*state.template, trouble.clone())));
            }
        }
        failures
    }

    /// Renders all of them.
    pub(crate) async fn render_all(&mut self, sources: &Arc<Sources>) -> Vec<ChangedFile> {
        self.render(sources, |_| true).await
    }

    /// Renders those that are made from something that has changed, and those that are due after a failure.
    pub(crate) async fn render_affected(
        &mut self,
        sources: &Arc<Sources>,
        changed: &BTreeSet<Source>,
    ) -> Vec<ChangedFile> {
        let now = Instant::now();
        self.render(sources, |state| {
            state.retry_at.is_some_and(|due| due <= now) || !state.used.is_disjoint(changed)
        })
        .await
    }

    async fn render(&mut self, sources: &Arc<Sources>, wanted: impl Fn(&State) -> bool) -> Vec<ChangedFile> {
        let mut under_way = JoinSet::new();
        for (n, state) in self.templates.iter().enumerate().filter(|(_, state)| wanted(state)) {
            let attempt = attempt(
                Arc::clone(&state.template),
                Arc::clone(sources),
                self.outside.clone(),
                state.used.clone(),
            );
            under_way.spawn(async move { (n, attempt.await) });
        }
        let mut changed = Vec::new();
        while let Some(done) = under_way.join_next().await {
            let Ok((n, (used, result))) = done else { continue };
            let Some(state) = self.templates.get_mut(n) else { continue };
            state.used = used;
            if state.note(result) {
                changed.push(ChangedFile { on_change: state.template.spec.on_change });
            }
        }
        changed
    }
}

impl State {
    /// Whether the file was changed.
    fn note(&mut self, result: Result<Written, Trouble>) -> bool {
        match result {
            Ok(written) => {
                if self.failures > 0 {
                    notice::say(format_args!("{}: could be rendered again", self.template.name()));
                }
                (self.trouble, self.told, self.failures, self.retry_at) = (None, false, 0, None);
                written == Written::Changed
            }
            Err(trouble) => {
                let pause = FIRST_RETRY.saturating_mul(1 << self.failures.min(10)).min(LONGEST_RETRY);
                self.retry_at = Some(Instant::now() + pause.mul_f64(0.75 + 0.5 * fastrand::f64()));
                self.failures = self.failures.saturating_add(1);
                // The same again, though it may have taken another time, is no news.
                let same = |old: &Trouble| (old.exit, old.line) == (trouble.exit, trouble.line);
                self.told = self.told && self.trouble.as_ref().is_some_and(same);
                self.trouble = Some(trouble);
                false
            }
        }
    }
}

/// Renders as far as is known, reads what is missing, renders again. Everything is read once, so that user and password
/// are of the same credentials, whatever happens meanwhile. Returns what it was made from in any case.
async fn attempt(
    template: Arc<Template>,
    sources: Arc<Sources>,
    outside: Outside,
    expected: BTreeSet<Source>,
) -> (BTreeSet<Source>, Result<Written, Trouble>) {
    let mut readings = Readings::new();
    for source in expected {
        let reading = sources.get(&source).await;
        readings.insert(source, reading);
    }
    loop {
        let (rendering, outside, known) = (Arc::clone(&template), outside.clone(), readings.clone());
        let rendered = spawn_blocking(move || rendering.render(known, &outside)).await;
        let result = match rendered {
            Ok(Rendering::Needs(source)) => {
                let reading = sources.get(&source).await;
                readings.insert(source, reading);
                continue;
            }
            Ok(Rendering::Done { content, used }) => {
                let spec = template.spec.clone();
                let written = spawn_blocking(move || write(&spec, &content)).await;
                let written = written.unwrap_or_else(|_| Err("the file was not written".to_owned()));
                let result = written.map_err(|what| Trouble::new(Exit::Other, what));
                return (used.into_iter().collect(), result);
            }
            Ok(Rendering::Failed(trouble)) => Err(trouble),
            Err(_) => Err(Trouble::new(Exit::Other, "working on it came to a sudden end")),
        };
        return (readings.into_keys().collect(), result);
    }
}
