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
fn terms_decoded() -> Result<()> {
    replay("etf_decode", etf::fuzz::decode)
}

#[test]
fn terms_viewed() -> Result<()> {
    replay("etf_view", etf::fuzz::view)
}
