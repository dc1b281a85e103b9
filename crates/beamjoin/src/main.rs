//! `beamjoin`: a Rust node in an Elixir cluster, from the command line.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::run()
}
