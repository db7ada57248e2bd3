//! Arguments in, exit code out.

use std::process::ExitCode;

use vestibule::cli::Arguments;

fn main() -> ExitCode {
    Arguments::read_and_carry_out()
}
