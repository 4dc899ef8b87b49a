//! Tells what happens, how it went and how long it took.

#![allow(clippy::print_stdout, reason = "telling is what it is for")]

use std::error::Error;
use std::fmt::Display;

use tokio::time::Instant;

/// The outcome of a step; the error tells which expectation did not hold.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// An expectation.
pub(crate) fn ensure(holds: bool, expected: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(format!("expected, but not so: {expected}").into()) }
}

/// Counts the steps.
#[derive(Debug)]
pub(crate) struct Narrator {
    steps: u32,
    started: Instant,
}

impl Default for Narrator {
    fn default() -> Self {
        Self { steps: 0, started: Instant::now() }
    }
}

impl Narrator {
    pub(crate) fn chapter(&mut self, title: &str) {
        if self.steps == 0 {
            // What came before was preparation.
            self.started = Instant::now();
        } else {
            println!();
        }
        println!("{title}");
    }

    /// One step: its result, and what is to be told of it.
    pub(crate) async fn step<T>(
        &mut self,
        title: &str,
        work: impl Future<Output = Result<(T, String)>>,
    ) -> Result<T> {
        self.steps += 1;
        let started = Instant::now();
        let outcome = work.await;
        let took = started.elapsed().as_millis();
        println!("{:3}. {title:<52} {took:>6} ms", self.steps);
        let (result, told) = outcome?;
        println!("     {told}");
        Ok(result)
    }

    pub(crate) fn done(&self) {
        println!(
            "\nAll {} steps went as expected, in {:.1} s.",
            self.steps,
            self.started.elapsed().as_secs_f64()
        );
    }

    pub(crate) fn failed(&self, error: &(impl Display + ?Sized)) {
        println!("     FAILED: {error}\n\nThe demo failed at step {}.", self.steps);
    }
}
