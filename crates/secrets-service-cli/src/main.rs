//! The `secrets-service` command. All of it is in `lib.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    secrets_service_cli::main()
}
