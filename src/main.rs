//! Arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use vestibule::cli::Arguments;

fn main() -> ExitCode {
    Arguments::parse().carry_out()
}
