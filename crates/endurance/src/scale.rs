//! How long a test takes, whether it runs at all, and how it tells.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

/// How much of a test is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Less than a minute, with every `cargo test`.
    Short,
    /// As long as it takes to be sure: `ENDURANCE=long`.
    Long,
}

impl Scale {
    /// What `ENDURANCE` says: `long`, or `short`, which is the default.
    pub fn from_environment() -> Self {
        match std::env::var("ENDURANCE").as_deref() {
            Ok("long") => Self::Long,
            Ok("short" | "") | Err(_) => Self::Short,
            Ok(other) => panic!("ENDURANCE={other}: neither short nor long"),
        }
    }
}

/// Whether there is a real Vault. If not, says so, and fails if there must be one (`REQUIRE_REAL_VAULT=1`).
pub fn real_vault_or_skip(test: &str) -> bool {
    let Err(none) = conformance::real_vault() else { return true };
    tell(&format!("endurance: {test}: real Vault: {}", none.reason));
    assert!(!none.is_failure, "there must be a real Vault: {}", none.reason);
    false
}

/// Carries out a test of credentials that live for seconds; once more if it fails while this process does not get its
/// share of the machine, as [`conformance::unless_held_up`] has it.
pub async fn unless_held_up<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let attempt = |_| async {
        let outcome = AssertUnwindSafe(test()).catch_unwind().await;
        outcome.map_err(|panic| match panic.downcast::<String>() {
            Ok(said) => *said,
            Err(panic) => {
                panic.downcast::<&str>().map_or_else(|_| "it panicked".to_owned(), |said| (*said).to_owned())
            }
        })
    };
    if let Err(why) = conformance::unless_held_up(&name, attempt).await {
        panic!("{why}");
    }
}

/// Prints, also from a test that passes: the usual runner would keep it to itself.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
