//! The command line of foveate.

use std::process::ExitCode;

fn main() -> ExitCode {
    foveate::cli::main()
}
