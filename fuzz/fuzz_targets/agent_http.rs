//! The agent's listeners: whatever bytes a client sends, they are answered in HTTP or not at all, nobody is let in who
//! must not be, and the agent's own token stays where it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use secrets_service_cli::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::http(input));
