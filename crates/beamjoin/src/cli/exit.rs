//! Errors that carry an exit code.

use std::{fmt, process::ExitCode};

pub(crate) use beamjoin::exit_code::{
    CONFIG, COOKIE, DATA, HANDSHAKE, REMOTE, TIMED_OUT, UNAVAILABLE, USAGE,
};

/// The table for `--help`; a test compares it with the constants.
pub(crate) const HELP: &str = "\
Exit codes:
   0  all went well, or a signal ended it in order
   1  the remote side raised an error
  64  usage: the command line is wrong
  65  bad data
  69  unavailable: no such node, nobody answers, port in use, name taken
  75  timed out
  76  the handshake was refused, or a node lacks capabilities
  77  the cookies differ
  78  configuration: file, environment, cookie, Postgres' password or database";

/// Why the command ends, and with which code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    pub(crate) fn config(message: impl fmt::Display) -> Self {
        Self::new(CONFIG, message)
    }

    /// Says it on stderr as clap says its own errors.
    pub(crate) fn report(&self) -> ExitCode {
        use std::io::Write;
        // Nobody is left to be told if stderr is closed; the code says it still.
        let _ = writeln!(std::io::stderr(), "error: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use beamjoin::exit_code::OK;

    use super::*;

    #[test]
    fn help_lists_every_code() {
        let codes = [OK, REMOTE, USAGE, DATA, UNAVAILABLE, TIMED_OUT, HANDSHAKE, COOKIE, CONFIG];
        let listed: Vec<u8> = HELP
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(listed, codes);
    }
}
