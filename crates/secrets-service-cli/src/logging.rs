//! Log lines on stderr.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::args::{LogArgs, LogFormat};
use crate::notice;

/// Starts logging: `-v` decides, else `RUST_LOG`, else warnings only.
pub(crate) fn start(args: &LogArgs) {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(args.verbose)).with_writer(io::stderr);
    match args.log_format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => builder.json().init(),
    }
}

fn filter(verbose: u8) -> EnvFilter {
    let asked = std::env::var("RUST_LOG").ok().filter(|text| verbose == 0 && !text.is_empty());
    let Some(asked) = asked else {
        return EnvFilter::new(match verbose {
            0 => "warn",
            1 => "info",
            _ => "debug",
        });
    };
    EnvFilter::try_new(asked).unwrap_or_else(|error| {
        notice::say(format_args!("warning: RUST_LOG is not a log filter, logging warnings only: {error}"));
        EnvFilter::new("warn")
    })
}
