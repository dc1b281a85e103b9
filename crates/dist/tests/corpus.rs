//! What fuzzers have found or been given, once more.

use std::path::Path;

fn replay(target: &str, take: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        take(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "nothing in {}", corpus.display());
}

#[test]
fn frames() {
    replay("dist_frame", dist::fuzz::frame);
}

#[test]
fn headers() {
    replay("dist_header", dist::fuzz::header);
}

#[test]
fn fragments() {
    replay("dist_fragment", dist::fuzz::fragment);
}

#[test]
fn control_tuples() {
    replay("dist_control", dist::fuzz::control);
}
