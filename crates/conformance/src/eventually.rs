//! Waiting for what takes its time, without asserting how long that is.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// A guard against hanging, far beyond what anything here takes: the slowest is a static role's rotation, which a
/// real Vault looks at every five seconds.
const AT_MOST: Duration = Duration::from_secs(40);

/// Asks until there is an answer, and returns it. Panics after 40 s.
pub async fn eventually<T, F>(what: &str, ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    eventually_within(AT_MOST, what, ask).await
}

/// [`eventually`], with another guard against hanging.
pub async fn eventually_within<T, F>(at_most: Duration, what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let until = Instant::now() + at_most;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < until, "not within {at_most:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
