//! What fuzzers have found or been given, once more.

use std::io::Result;
use std::path::Path;

fn replay(target: &str, take: fn(&[u8])) -> Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus)? {
        take(&std::fs::read(entry?.path())?);
        replayed += 1;
    }
    assert!(replayed > 0, "nothing in {}", corpus.display());
    Ok(())
}

#[test]
fn frames() -> Result<()> {
    replay("dist_frame", dist::fuzz::frame)
}

#[test]
fn headers() -> Result<()> {
    replay("dist_header", dist::fuzz::header)
}

#[test]
fn fragments() -> Result<()> {
    replay("dist_fragment", dist::fuzz::fragment)
}

#[test]
fn control_tuples() -> Result<()> {
    replay("dist_control", dist::fuzz::control)
}
