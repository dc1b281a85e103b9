//! The releases of Debian that the matrix is made of, and what their servers say of themselves.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::host;

/// One release: its code name and the OTP in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) suite: &'static str,
    pub(super) otp: u32,
}

/// Every other OTP from 23 on, as Debian has them; with them come Postgres 13, 15, 17 and 18.
pub(super) const RELEASES: [Release; 4] = [
    Release { suite: "bullseye", otp: 23 },
    Release { suite: "bookworm", otp: 25 },
    Release { suite: "trixie", otp: 27 },
    Release { suite: "forky", otp: 29 },
];

/// The versions of the servers in an image, as they say themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Versions {
    pub(super) debian: String,
    pub(super) otp: String,
    pub(super) elixir: String,
    pub(super) postgres: String,
    pub(super) pgbouncer: String,
}

/// A line each, in the order of [`Versions`].
const ASK: &str = r#"
cat /etc/debian_version
erl -noshell -eval '{ok, V} = file:read_file(filename:join([code:root_dir(), "releases", erlang:system_info(otp_release), "OTP_VERSION"])), io:put_chars(V), halt().'
elixir -e 'IO.puts(System.version())'
/usr/lib/postgresql/*/bin/postgres --version | sed 's/[^0-9]*\([0-9.]*\).*/\1/'
/usr/sbin/pgbouncer --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p'
"#;

impl Release {
    /// Asks the servers in a running container of this release.
    pub(super) fn versions(self, container: &str) -> Result<Versions> {
        let asked = ["exec", container, "sh", "-euc", ASK];
        let answer = host::read(Command::new("docker").args(asked))?;
        let mut lines = answer.lines().map(str::trim);
        let mut next = |what: &str| {
            let line = lines.next().filter(|line| !line.is_empty());
            line.map(ToOwned::to_owned).with_context(|| format!("no version of {what}: {answer}"))
        };
        let versions = Versions {
            debian: next("Debian")?,
            otp: next("OTP")?,
            elixir: next("Elixir")?,
            postgres: next("Postgres")?,
            pgbouncer: next("PgBouncer")?,
        };
        let major = versions.otp.split('.').next().unwrap_or_default();
        ensure!(major == self.otp.to_string(), "{} has OTP {major}, not {}", self.suite, self.otp);
        Ok(versions)
    }
}
