//! The runner: which tests, how many at once, how long at most, and what is told of them.

mod arguments;
mod failures;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use self::arguments::Arguments;
use crate::cases::{Case, Needs};
use crate::corner::Corner;
use crate::held_up::unless_held_up;
use crate::postgres::Postgres;
use crate::server::{NoVault, Server, Target, real_vault};
use crate::{cases, command};

/// Tests under way at once. Most of their time they wait for something to expire, so more than there are processors.
const AT_ONCE: usize = 16;

/// A test that takes longer than this hangs. The slowest takes a fifth of it.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Runs the suite, or what the command line selects of it, on a server, and tells how it went.
pub fn run(target: Target) -> ExitCode {
    let arguments = Arguments::parse(std::env::args().skip(1));
    let all = cases::all();
    let total = all.len();
    let selected: Vec<_> = all.into_iter().filter(|case| arguments.selects(&case.name())).collect();
    if arguments.list {
        for case in selected {
            println!("{}: test", case.name());
        }
        return ExitCode::SUCCESS;
    }
    if target == Target::RealVault
        && let Some(code) = reason_not_to_run()
    {
        return code;
    }
    failures::listen();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let filtered_out = total - selected.len();
    let suite = Arc::new(Suite::new(target));
    let interrupted = runtime.block_on(async {
        tokio::select! {
            report = Arc::clone(&suite).run(selected) => Ok(report),
            _ = tokio::signal::ctrl_c() => Err(()),
        }
    });
    // With everything that was started gone: a runtime that ends aborts its tasks, and the last suite its servers.
    drop(runtime);
    drop(suite);
    match interrupted {
        Ok(report) => report.tell(target, filtered_out),
        Err(()) => ExitCode::from(130),
    }
}

/// Without a real Vault there is nothing to run: tells that, and how the process ends.
fn reason_not_to_run() -> Option<ExitCode> {
    let NoVault { reason, is_failure } = real_vault().err()?;
    println!("conformance: real Vault: {reason}");
    Some(if is_failure { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the tests share.
struct Suite {
    target: Target,
    server: OnceCell<Result<Arc<Server>, String>>,
    postgres: Arc<Postgres>,
}

/// How it went.
struct Report {
    version: Option<String>,
    passed: usize,
    failed: Vec<(String, String)>,
    took: Duration,
}

impl Suite {
    fn new(target: Target) -> Self {
        Self { target, server: OnceCell::new(), postgres: Arc::default() }
    }

    async fn run(self: Arc<Self>, selected: Vec<&'static Case>) -> Report {
        println!("\nrunning {} tests", selected.len());
        if selected.iter().any(|case| case.needs == Needs::Binary) {
            // Now, for a build has no place within a test's time. A test that needs it will tell the error.
            let _ = tokio::task::spawn_blocking(command::binary).await;
        }
        let started = Instant::now();
        let outcomes = stream::iter(selected.into_iter().enumerate())
            .map(|(number, case)| {
                let suite = Arc::clone(&self);
                async move {
                    let name = case.name();
                    let outcome = suite.run_one(case, number).await;
                    println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
                    (name, outcome)
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let took = started.elapsed();
        let all = outcomes.len();
        let mut failed: Vec<_> =
            outcomes.into_iter().filter_map(|(name, outcome)| Some((name, outcome.err()?))).collect();
        failed.sort();
        let version = if all == 0 { None } else { self.version().await };
        Report { version, passed: all - failed.len(), failed, took }
    }

    async fn run_one(&self, case: &Case, number: usize) -> Result<(), String> {
        unless_held_up(&case.name(), |attempt| async move {
            let server = self.server_for(case.needs).await?;
            let corner = Corner::new(server, Arc::clone(&self.postgres), &format!("c{number}-{attempt}"));
            failures::within(TIME_LIMIT, (case.body)(corner)).await
        })
        .await
    }

    async fn server_for(&self, needs: Needs) -> Result<Arc<Server>, String> {
        match needs {
            Needs::Nothing => {
                let start = || async { Server::start(self.target).await.map(Arc::new) };
                self.server.get_or_init(start).await.clone()
            }
            Needs::OwnServer | Needs::Binary => Server::start(self.target).await.map(Arc::new),
            Needs::LastingServer => Server::start_lasting(self.target).await.map(Arc::new),
        }
    }

    /// The version of the server, as it tells it.
    async fn version(&self) -> Option<String> {
        let server = self.server_for(Needs::Nothing).await.ok()?;
        server.client(None).sys().health().await.ok().map(|health| health.version)
    }
}

impl Report {
    fn tell(&self, target: Target, filtered_out: usize) -> ExitCode {
        let Self { version, passed, failed, took } = self;
        if !failed.is_empty() {
            println!("\nfailures:");
            for (name, why) in failed {
                println!("\n---- {name} ----\n{why}");
            }
            println!("\nfailures:");
            for (name, _) in failed {
                println!("    {name}");
            }
        }
        let failed = failed.len();
        let word = if failed == 0 { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered_out} filtered out; finished in {:.2}s\n",
            took.as_secs_f64()
        );
        let server = match (target, version) {
            (Target::VaultDev, _) => "vault-dev".to_owned(),
            (Target::RealVault, Some(version)) => format!("real Vault ({version})"),
            (Target::RealVault, None) => "real Vault".to_owned(),
        };
        println!("conformance: {server}: {passed} passed, {failed} failed");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
