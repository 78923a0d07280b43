//! The one binary: parse the command line, run the command, turn its end into an exit code.

use std::process::ExitCode;

use calendar_integration::cli::{self, Cli};
use calendar_integration::config::Invalid;
use calendar_integration::failpoint;
use clap::Parser;

/// For wrong settings, as for wrong flags; every other failure is 1.
const WRONG_SETTINGS: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let _failpoints = failpoint::from_environment();
    match cli::run(Cli::parse().into_command()).await {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a failed command")]
fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    if error.chain().any(<dyn std::error::Error>::is::<Invalid>) {
        ExitCode::from(WRONG_SETTINGS)
    } else {
        ExitCode::FAILURE
    }
}
