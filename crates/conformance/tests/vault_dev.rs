//! The suite on the embedded development server.

use std::process::ExitCode;

fn main() -> ExitCode {
    conformance::run(conformance::Target::VaultDev)
}
