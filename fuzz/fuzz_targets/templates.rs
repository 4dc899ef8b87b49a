//! Templates of `run` and `render`, in both syntaxes: whatever a template says, rendering it comes to an end, stays
//! within its bounds, and tells no value in a message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use secrets_service_cli::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::template(input));
