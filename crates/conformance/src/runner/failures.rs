//! A test fails by panicking: what it said is kept for the report, and the other tests go on.

use std::panic;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::timeout;

tokio::task_local! {
    /// What panics have said in the test that this task belongs to.
    static SAID: Arc<Mutex<Vec<String>>>;
}

/// From now on, what a test says as it panics is kept instead of printed.
pub(super) fn listen() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let keep = |said: &Arc<Mutex<Vec<String>>>| said.lock().unwrap().push(info.to_string());
        if SAID.try_with(keep).is_err() {
            usual(info);
        }
    }));
}

/// Runs a test. The error is what it said as it failed.
pub(super) async fn within(limit: Duration, test: BoxFuture<'static, ()>) -> Result<(), String> {
    let said = Arc::default();
    let running = tokio::spawn(timeout(limit, SAID.scope(Arc::clone(&said), test)));
    let why = match running.await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(_)) => format!("it was still running after {} s", limit.as_secs()),
        Err(_) => String::new(),
    };
    let said = said.lock().unwrap();
    Err(said.iter().cloned().chain([why]).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_test_passes_fails_or_hangs() {
        listen();
        assert_eq!(within(LIMIT, Box::pin(async {})).await, Ok(()));
        let failing = within(LIMIT, Box::pin(async { panic!("no such luck") })).await.unwrap_err();
        assert!(failing.contains("no such luck") && failing.contains("failures.rs"), "{failing}");
        let hanging = within(LIMIT, Box::pin(std::future::pending())).await;
        assert_eq!(hanging, Err("it was still running after 60 s".to_owned()));
    }
}
