//! Counters, and their text for Prometheus. Names and numbers only: no path of a request, no value, no token. (Paths
//! of leases are there, as they are what the numbers are about.)

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Response;
use secrets_service::DiskStatus;
use secrets_service::breaker::BreakerState;

use super::answer::{AnswerBody, Cached};
use super::guard::REASONS;
use super::identity::Identities;

/// Upper ends of the latency buckets, in milliseconds: from a Vault next door to the limit of a read.
const BUCKETS_MS: [u64; 10] = [1, 2, 5, 10, 25, 100, 500, 2_000, 10_000, 60_000];

/// More leases than this are not listed one by one.
const MOST_LEASES: usize = 1_000;

#[derive(Default)]
pub(crate) struct Metrics {
    answers: [AtomicU64; Cached::ALL.len()],
    /// By hundreds of the status: 2xx to 5xx.
    classes: [AtomicU64; 4],
    refused: [AtomicU64; REASONS.len()],
    busy: AtomicU64,
    asked: [AtomicU64; BUCKETS_MS.len() + 1],
    asked_micros: AtomicU64,
}

impl Metrics {
    pub(crate) fn answered(&self, answer: &Response<AnswerBody>) {
        self.answers[answer.body().cached() as usize].fetch_add(1, Ordering::Relaxed);
        let class = usize::from(answer.status().as_u16() / 100).clamp(2, 5) - 2;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answers_that_were(&self, cached: Cached) -> u64 {
        self.answers[cached as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self, reason: &str) {
        if let Some(place) = REASONS.iter().position(|known| *known == reason) {
            self.refused[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn busy(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// How long it took until Vault had answered (or not).
    pub(crate) fn asked(&self, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MS.iter().position(|end| ms < *end).unwrap_or(BUCKETS_MS.len());
        self.asked[bucket].fetch_add(1, Ordering::Relaxed);
        self.asked_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The text that Prometheus reads (exposition format 0.0.4).
    pub(crate) fn text(&self, identities: &Identities, connections: usize) -> String {
        let mut page = Page::default();
        self.requests(&mut page);
        let own = &identities.own().client;
        let status = own.status();
        let counted = status.stats;
        page.counter(
            "vault_requests_total",
            "Requests for reads and writes sent to Vault, retries included.",
            counted.requests,
        );
        page.counter("vault_retries_total", "How many of those were retries.", counted.retries);
        page.counter(
            "logins_total",
            "Logins that succeeded, of the agent and of clients' tokens.",
            counted.logins,
        );
        page.counter("login_failures_total", "Logins that failed.", counted.login_failures);
        page.gauge("logged_in", "Whether the agent has a login of its own.", u8::from(status.logged_in));
        page.gauge("connections", "Connections of clients.", connections);
        page.gauge("identities", "Tokens of clients that secrets are cached for.", identities.len());
        let cached: usize = identities.all().map(|identity| identity.client.entries().len()).sum();
        page.gauge("cached_secrets", "Secrets in the cache, of all identities.", cached);
        page.family("breaker_open", "gauge", "Mounts that Vault does not answer for: 1 open, 0.5 trying.");
        for (mount, state, _) in &status.troubled_mounts {
            let value = match state {
                BreakerState::Open => "1",
                BreakerState::HalfOpen => "0.5",
                BreakerState::Closed => "0",
            };
            page.line("breaker_open", &[("mount", mount)], value);
        }
        if let Some(disk) = own.disk_status() {
            on_disk(&mut page, &disk);
        }
        leases(&mut page, identities);
        page.text
    }

    fn requests(&self, page: &mut Page) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        page.family("requests_total", "counter", "Requests answered, by where the answer came from.");
        for (cached, counter) in Cached::ALL.iter().zip(&self.answers) {
            page.line("requests_total", &[("cache", &cached.as_str().to_ascii_lowercase())], read(counter));
        }
        page.family("responses_total", "counter", "Answers by class of status.");
        for (class, counter) in ["2xx", "3xx", "4xx", "5xx"].iter().zip(&self.classes) {
            page.line("responses_total", &[("status", class)], read(counter));
        }
        page.family("refused_total", "counter", "Requests refused before they were looked at, by reason.");
        for (reason, counter) in REASONS.iter().zip(&self.refused) {
            page.line("refused_total", &[("reason", reason)], read(counter));
        }
        page.counter(
            "busy_total",
            "Requests not passed on because too many were under way.",
            read(&self.busy),
        );
        page.family(
            "upstream_seconds",
            "histogram",
            "How long reads that were not cached, and requests passed on, took.",
        );
        let mut sum = 0;
        for (end, counter) in BUCKETS_MS.iter().zip(&self.asked) {
            sum += read(counter);
            let end = format!("{}.{:03}", end / 1_000, end % 1_000);
            page.line("upstream_seconds_bucket", &[("le", &end)], sum);
        }
        sum += self.asked.last().map_or(0, read);
        page.line("upstream_seconds_bucket", &[("le", "+Inf")], sum);
        let seconds = Duration::from_micros(read(&self.asked_micros)).as_secs_f64();
        page.line("upstream_seconds_sum", &[], seconds);
        page.line("upstream_seconds_count", &[], sum);
    }
}

fn on_disk(page: &mut Page, disk: &DiskStatus) {
    page.gauge("disk_secrets", "Secrets in the cache on disk.", disk.secrets);
    page.gauge("disk_restored", "Secrets taken over from disk at the start.", disk.restored);
    page.gauge("disk_pending", "Changes that are not on disk yet.", disk.pending);
    page.gauge("disk_bytes", "Size of the file.", disk.bytes);
    page.counter("disk_writes_total", "Batches written to disk.", disk.writes);
    page.gauge(
        "disk_ok",
        "Whether the file is being written: 0 if the disk is full, say.",
        u8::from(disk.problem.is_none()),
    );
}

fn leases(page: &mut Page, identities: &Identities) {
    page.family("lease_seconds_to_expiry", "gauge", "How long the credential of a lease can still be used.");
    let own = identities.own().client.entries();
    let leased = own.iter().filter(|entry| entry.lease.is_some());
    for entry in leased.take(MOST_LEASES) {
        page.line("lease_seconds_to_expiry", &[("path", &entry.path)], entry.usable_for.as_secs());
    }
}

/// The text as it grows.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, sort: &str, help: &str) {
        let _ = write!(self.text, "# HELP secrets_agent_{name} {help}\n# TYPE secrets_agent_{name} {sort}\n");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.line(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, "gauge", help);
        self.line(name, &[], value);
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.text, "secrets_agent_{name}");
        for (n, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{text}\"", if n == 0 { "{" } else { "," });
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}
