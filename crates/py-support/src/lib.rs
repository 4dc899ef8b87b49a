//! What the Python bindings share, so that each of them is only a list of names and conversions.
//!
//! | | |
//! |---|---|
//! | [`init`] | called once by each module: follows forks, ends cleanly with the interpreter |
//! | [`runtime`], [`PerProcess`] | one Tokio runtime per process, and values that must not cross a fork |
//! | [`Inside`] | held by a call that may release the GIL: it is safe at the end of the interpreter |
//! | [`wait_for`] | a future waited for with the GIL released, and given up on Ctrl-C |
//! | [`awaitable`] | a future as an `asyncio` future |
//! | [`Call`] | one operation, for Python to wait for or to await |
//! | [`to_python`], [`exception`] | errors as the exceptions of `gds_vault.exceptions` |
//! | [`json`] | JSON from and to Python, without a value in any error |
//!
//! # Forks
//!
//! A forked child has the memory of its parent but none of its threads: its copy of the runtime can neither be used
//! nor dropped. Everything here is therefore tied to a [`generation`], which changes with a fork, and what belongs to
//! an older one is forgotten without being dropped. Locks are taken only with the GIL held, and are released before
//! it is: so no other thread can hold one at the moment of an `os.fork()`.

mod call;
mod errors;
mod exit;
mod future;
pub mod json;
mod process;
mod wait;

pub use call::Call;
pub use errors::{Facts, configuration, exception, to_python};
pub use exit::{Inside, is_exiting};
pub use future::awaitable;
pub use process::{PerProcess, generation, init, runtime};
pub use wait::wait_for;
