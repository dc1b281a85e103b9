//! The vectors that OTP wrote; see `integration/erl/vectors.escript`, which made them.

use std::path::Path;

use bytes::Bytes;

/// One line of a file of vectors.
pub(crate) struct Vector {
    pub(crate) name: String,
    /// What OTP reads.
    pub(crate) bytes: Bytes,
    /// What is to be written for the same term.
    pub(crate) canonical: Bytes,
    /// What `~0tp` prints, where that is defined.
    pub(crate) printed: Option<String>,
}

/// Those of every file in tests/vectors.
pub(crate) fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut all = Vec::new();
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "txt")) {
        let text = std::fs::read_to_string(path).unwrap();
        all.extend(text.lines().filter(|line| !line.starts_with('#')).map(parse));
    }
    assert!(all.len() > 400, "only {} vectors", all.len());
    all
}

fn parse(line: &str) -> Vector {
    let [name, bytes, canonical, printed] =
        line.split('\t').collect::<Vec<_>>().try_into().unwrap();
    let bytes = from_hex(bytes);
    Vector {
        name: name.to_owned(),
        canonical: if canonical == "=" { bytes.clone() } else { from_hex(canonical) },
        bytes,
        printed: (printed != "-").then(|| printed.to_owned()),
    }
}

fn from_hex(hex: &str) -> Bytes {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}
