//! `cargo xtask vectors`: has OTP write the test vectors of crates/etf.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Writes `crates/etf/tests/vectors/otp<release>.txt` with the OTP that is installed.
pub fn run() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("integration/ has no parent folder")?;
    let release = otp_release()?;
    let target = root.join("crates/etf/tests/vectors").join(format!("otp{release}.txt"));
    // Whole or not at all: a failed run must not leave half a file behind.
    let unfinished = target.with_extension("tmp");
    let status = Command::new("escript")
        .arg(root.join("integration/erl/vectors.escript"))
        .arg(&unfinished)
        .stdin(Stdio::null())
        .status()
        .context("failed to start escript: is Erlang installed?")?;
    if !status.success() {
        let _ = std::fs::remove_file(&unfinished);
        anyhow::bail!("vectors.escript ended with {status}");
    }
    std::fs::rename(&unfinished, &target).with_context(|| {
        format!("failed to rename {} to {}", unfinished.display(), target.display())
    })?;
    println!("wrote {} vectors to {}", count(&target)?, relative(&target, root).display());
    Ok(())
}

fn otp_release() -> anyhow::Result<String> {
    let output = Command::new("erl")
        .args(["-noshell", "-eval", "io:put_chars(erlang:system_info(otp_release)), halt()."])
        .stdin(Stdio::null())
        .output()
        .context("failed to start erl: is Erlang installed?")?;
    let release = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        output.status.success()
            && !release.is_empty()
            && release.chars().all(|c| c.is_ascii_digit()),
        "erl did not say its release: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(release)
}

fn count(file: &Path) -> anyhow::Result<usize> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("failed to read {}", file.display()))?;
    Ok(text.lines().filter(|line| !line.starts_with('#')).count())
}

fn relative(path: &Path, root: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}
