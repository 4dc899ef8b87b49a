//! `agent import`: whatever file it is given, what comes of it is TOML that the agent knows every setting of.

#![no_main]

use libfuzzer_sys::fuzz_target;
use secrets_service_cli::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::agent_import(input));
