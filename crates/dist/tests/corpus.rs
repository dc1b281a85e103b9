//! What fuzzers have found or been given, once more.

use std::collections::BTreeSet;
use std::io::Result;
use std::path::Path;

use dist::{etf, fuzz};

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 13] = [
    ("dist_control", fuzz::control),
    ("dist_fragment", fuzz::fragment),
    ("dist_frame", fuzz::frame),
    ("dist_header", fuzz::header),
    ("epmd_answer", fuzz::epmd_answer),
    ("epmd_request", fuzz::epmd_request),
    ("etf_decode", etf::fuzz::decode),
    ("etf_view", etf::fuzz::view),
    ("global", fuzz::global),
    ("handshake_acceptor", fuzz::acceptor),
    ("handshake_initiator", fuzz::initiator),
    ("pg", fuzz::pg),
    ("pubsub", fuzz::pubsub),
];

#[test]
fn every_entry_of_every_target() -> Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut without = BTreeSet::new();
    for target in std::fs::read_dir(&corpus)? {
        without.insert(target?.file_name());
    }
    for (target, take) in TARGETS {
        let mut replayed = 0;
        for entry in std::fs::read_dir(corpus.join(target))? {
            let entry = entry?.path();
            // Shown where one fails.
            println!("{}", entry.display());
            take(&std::fs::read(entry)?);
            replayed += 1;
        }
        assert!(replayed > 0, "nothing of {target}");
        without.remove(target.as_ref() as &std::ffi::OsStr);
    }
    assert!(without.is_empty(), "{without:?} are of no target");
    Ok(())
}
