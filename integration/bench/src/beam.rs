//! The BEAM as a contender.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::{NamedTempFile, TempDir};

use crate::contest::Contender;
use crate::payload::Payload;

/// A BEAM that measures itself; see `erl/codec.erl` for what is said to it.
pub struct Beam {
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
    child: Child,
    _compiled: TempDir,
}

impl Beam {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no `erl`.
    pub fn start() -> Result<Self> {
        let compiled = TempDir::new()?;
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/erl/codec.erl");
        let output = Command::new("erlc").arg("-o").arg(compiled.path()).arg(source).output();
        let output = output.context("failed to run erlc")?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let mut child = Command::new("erl")
            .args(["-noshell", "-s", "codec", "-pa"])
            .arg(compiled.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to run erl")?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let pipes = (stdin.context("no stdin")?, BufReader::new(stdout.context("no stdout")?));
        Ok(Self { pipes: RefCell::new(pipes), child, _compiled: compiled })
    }

    /// `binary_to_term/1` of the payload.
    ///
    /// # Errors
    /// When the payload cannot be handed over.
    pub fn decoder(&self, payload: &Payload) -> Result<Contender<'_>> {
        let mut file = NamedTempFile::new()?;
        file.write_all(&payload.bytes)?;
        Ok(Contender::timing_itself("BEAM", move |times| {
            let (stdin, stdout) = &mut *self.pipes.borrow_mut();
            writeln!(stdin, "{times} {}", file.path().display())?;
            let mut line = String::new();
            stdout.read_line(&mut line)?;
            Ok(Duration::from_nanos(line.trim().parse().context("not a figure")?))
        }))
    }
}

impl Drop for Beam {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
