//! Whether this process got its share of the machine. Credentials of seconds need some of it in every second.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// The margin that there is for a lease of two seconds, the shortest here.
const TOLERATED: Duration = Duration::from_millis(200);

const LOOK: Duration = Duration::from_millis(20);

/// So often a test is carried out, at most.
const ATTEMPTS: usize = 3;

/// Carries out a test, which is told the number of the attempt. A failure proves nothing if the process was held up
/// meanwhile, longer than the credentials of the tests can stand: then there is another attempt, three at most. The
/// failure is told in any case.
pub async fn unless_held_up<F>(test: &str, mut attempt: impl FnMut(usize) -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>>,
{
    for number in 1.. {
        let watch = Watch::start();
        let Err(why) = attempt(number).await else { break };
        let longest = watch.longest();
        if longest <= TOLERATED || number == ATTEMPTS {
            return Err(why);
        }
        let held_up = longest.as_millis();
        // Where it is seen even if a test's output is kept back.
        let _ =
            writeln!(io::stderr(), "test {test}: failed while held up for {held_up} ms, once more: {why}");
    }
    Ok(())
}

/// Ends when dropped.
struct Watch {
    longest_millis: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Watch {
    fn start() -> Self {
        let longest_millis = Arc::new(AtomicU64::new(0));
        let longest = Arc::clone(&longest_millis);
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let due = Instant::now() + LOOK;
                sleep_until(due).await;
                let late = u64::try_from(due.elapsed().as_millis()).unwrap_or(u64::MAX);
                longest.fetch_max(late, Ordering::Relaxed);
            }
        });
        Self { longest_millis, _task: task }
    }

    /// The longest that this was late so far.
    fn longest(&self) -> Duration {
        Duration::from_millis(self.longest_millis.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a test was carried out that always fails, and takes the process to itself for so long.
    async fn attempts(held_up: Duration) -> usize {
        let mut attempts = 0;
        let outcome = unless_held_up("a test of this", |number| {
            attempts = number;
            async move {
                // The watch begins to wait, is kept from looking, and looks.
                tokio::time::sleep(LOOK / 2).await;
                tokio::time::advance(held_up).await;
                tokio::time::sleep(LOOK).await;
                Err("no such luck".to_owned())
            }
        });
        assert_eq!(outcome.await, Err("no such luck".to_owned()));
        attempts
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_test_that_was_held_up_is_carried_out_again() {
        assert_eq!(attempts(Duration::ZERO).await, 1);
        assert_eq!(attempts(TOLERATED).await, 1);
        assert_eq!(attempts(2 * TOLERATED).await, ATTEMPTS);
    }
}
