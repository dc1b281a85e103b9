//! The exit codes of the `beamjoin` command, in the manner of `sysexits.h`.

/// All went well, or a signal ended the command in order.
pub const OK: u8 = 0;
/// The remote side raised an error.
pub const REMOTE: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 64;
/// The input data is wrong.
pub const DATA: u8 = 65;
/// Something that is needed is not there: no such node, nobody answers, port in use, name taken.
pub const UNAVAILABLE: u8 = 69;
/// An answer did not come in time.
pub const TIMED_OUT: u8 = 75;
/// The other node refused the handshake, or lacks capabilities.
pub const HANDSHAKE: u8 = 76;
/// The cookies differ.
pub const COOKIE: u8 = 77;
/// The configuration is wrong: file, environment, cookie, Postgres' password or database.
pub const CONFIG: u8 = 78;
