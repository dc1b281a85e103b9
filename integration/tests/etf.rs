//! What etf writes, as OTP and Elixir read it. The reverse direction is checked with vectors, in crates/etf.

#[path = "../../crates/etf/tests/suite/support/terms.rs"]
mod terms;

use std::cmp::Ordering;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use etf::{
    Atom, BigInt, BitBinary, Limits, Map, Pid, Port, Reference, Term, decode, decode_compressed,
    encode, term,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// How many arbitrary terms are sent.
const ARBITRARY: usize = 1000;

#[test]
fn otp_reads_prints_orders_and_writes_our_terms_as_we_do() -> Result<()> {
    let terms = all_terms()?;
    let lines = ask(Command::new("escript").arg(script("terms.escript")), &terms)?;
    let mut compared = 0;
    let mut printed_alike = 0;
    for (at, (term, line)) in terms.iter().zip(&lines).enumerate() {
        let [written, printed, order] =
            line.split('\t').collect::<Vec<_>>().try_into().ok().context("three fields")?;
        let written = from_hex(written)?;
        let theirs = decode(&written, &Limits::default())?;
        if &theirs != term && anywhere(term, &|part| matches!(part, Term::Fun(_))) {
            // OTP 27 and later do not write all that they read of a fun whose module is not loaded.
            assert_eq!(theirs.to_string(), term.to_string(), "number {at}");
            continue;
        }
        assert_eq!(&theirs, term, "number {at}");
        if !anywhere(term, &|part| {
            matches!(part, Term::Map(map) if map.len() > 1) || matches!(part, Term::Port(_))
        }) {
            // OTP writes maps in an order of its own, and ports in the shorter of two ways or always in the longer.
            assert_eq!(written, encode(term)?.into_bytes(), "number {at}: {term}");
        }
        if !anywhere(term, &|part| {
            is_identifier(part)
                || matches!(part, Term::Map(map) if map.len() > 32)
                || matches!(part, Term::Export(_))
        }) {
            // How it prints identifiers depends on the node; larger maps are not printed in the order of the wire; the names of
            // funs are quoted in another way than atoms (the vectors have some that are not).
            assert_alike(at, &theirs.to_string(), printed);
            printed_alike += 1;
        }
        if let Some(before) = at.checked_sub(1).and_then(|before| terms.get(before)) {
            // Funs have no order that means anything; -0.0 is 0.0 up to OTP 26.
            let is_odd = |part: &Term| match part {
                Term::Fun(_) | Term::Export(_) => true,
                Term::Float(value) => *value == 0.0 && value.is_sign_negative(),
                _ => false,
            };
            if !anywhere(before, &is_odd) && !anywhere(term, &is_odd) {
                check_order(before, term, order);
                compared += 1;
            }
        }
    }
    assert!(
        printed_alike > lines.len() / 4,
        "only {printed_alike} of {} could be compared",
        lines.len()
    );
    assert!(compared > lines.len() / 4, "only {compared} of {} could be compared", lines.len());
    Ok(())
}

#[test]
fn elixir_prints_our_terms_as_we_do() -> Result<()> {
    let mut terms = all_terms()?;
    // What differs from 1.15 on (charlists), what is never printed alike (identifiers), what the peer orders in its own way, and
    // what depends on the code that is loaded.
    terms.retain(|term| {
        let text = term.elixir().to_string();
        !text.contains("~c\"")
            && !text.contains(is_unseen)
            && !anywhere(term, &|part| {
                is_identifier(part)
                    || matches!(part, Term::Map(map) if map.len() > 1)
                    || matches!(part, Term::Fun(_))
                    || matches!(part, Term::Atom(atom) if !is_latin1(atom.as_str()))
                    || matches!(part, Term::Export(export) if !is_latin1(&export.to_string()))
            })
    });
    assert!(terms.len() > 500, "only {} terms", terms.len());
    let lines = ask(Command::new("elixir").arg(script("inspect.exs")), &terms)?;
    for (at, (term, line)) in terms.iter().zip(&lines).enumerate() {
        assert_alike(at, &term.elixir().to_string(), line);
    }
    Ok(())
}

#[test]
fn elixir_prints_its_own_structs_as_we_do() -> Result<()> {
    let printed = [
        "1..3",
        "3..1//-1",
        "1..-3//2",
        "-9..9",
        "[~D[2024-02-29], ~D[-0044-03-15]]",
        "{~T[23:59:59], ~T[01:02:03.0400]}",
        "~N[2024-02-29 01:02:03.5]",
        "[a: ~U[2024-02-29 01:02:03Z], b: ~U[2024-02-29 01:02:03.000001Z]]",
    ];
    let terms: Result<Vec<Term>, _> =
        printed.iter().map(|text| etf::literal::elixir(text)).collect();
    let terms = terms?;
    let lines = ask(Command::new("elixir").arg(script("inspect.exs")), &terms)?;
    for ((at, text), (term, line)) in printed.iter().enumerate().zip(terms.iter().zip(&lines)) {
        assert_eq!(term.elixir().to_string(), *text);
        assert_alike(at, text, line);
    }
    Ok(())
}

/// What shows nothing, or changes the direction of writing: some versions of Elixir print it, others escape it.
fn is_unseen(c: char) -> bool {
    let format = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}');
    format || (c > '~' && c.is_whitespace())
}

fn is_latin1(text: &str) -> bool {
    text.chars().all(|c| c <= 'ÿ')
}

/// Sends the terms in one file and has the program write a line for each into another.
fn ask(program: &mut Command, terms: &[Term]) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let (input, output) = (folder.path().join("terms"), folder.path().join("lines"));
    let mut bytes = Vec::new();
    for term in terms {
        let encoded = encode(term)?.into_bytes();
        bytes.extend(u32::try_from(encoded.len())?.to_be_bytes());
        bytes.extend(encoded);
    }
    std::fs::write(&input, bytes)?;
    let status = program.arg(&input).arg(&output).stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("failed to start {program:?}"))?;
    ensure!(status.success(), "{program:?} ended with {status}");
    let lines: Vec<_> = std::fs::read_to_string(&output)?.lines().map(str::to_owned).collect();
    ensure!(lines.len() == terms.len(), "{} lines for {} terms", lines.len(), terms.len());
    Ok(lines)
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("erl").join(name)
}

/// Terms at the edges of the format, what OTP wrote itself, and arbitrary ones.
fn all_terms() -> Result<Vec<Term>> {
    let mut terms = edges();
    let vectors = include_str!("../../crates/etf/tests/vectors/otp25.txt");
    // Funs keep the bytes they came in; OTP writes the atoms of this one in another form.
    let lines =
        vectors.lines().filter(|line| !line.starts_with('#') && !line.starts_with("fun_latin1"));
    for line in lines {
        let bytes = from_hex(line.split('\t').nth(1).context("a vector has bytes")?)?;
        terms.push(decode_compressed(&bytes, &Limits::default(), 1 << 20)?);
    }
    let mut runner = TestRunner::deterministic();
    let strategy = terms::any_term();
    for _ in 0..ARBITRARY {
        terms.push(
            strategy.new_tree(&mut runner).map_err(|reason| anyhow::anyhow!("{reason}"))?.current(),
        );
    }
    // The same again in an order in which neighbours are alike, so that their order says something.
    let mut sorted = terms.clone();
    sorted.sort();
    terms.extend(sorted);
    Ok(terms)
}

fn edges() -> Vec<Term> {
    let mut terms = vec![
        term!({}),
        term!([]),
        term!(#{}),
        term!(""),
        Term::from(vec![7_u8; 1 << 20].as_slice()),
    ];
    for length in [255, 256, 65_535, 65_536] {
        terms.push(Term::List(vec![term!(255); length]));
        terms.push(Term::List(vec![term!(256); length]));
    }
    for length in [255_u32, 256, 3000] {
        terms.push(Term::Tuple(vec![term!(x); length as usize]));
        terms.push((0..length).map(|key| (Term::from(key), term!(v))).collect());
    }
    for bits in [31_u32, 32, 59, 60, 63, 64, 65, 2039, 2040, 2041, 100_000] {
        for off in [-1_i32, 0, 1] {
            let power = (BigInt::from(1) << bits) + off;
            terms.extend([Term::from(power.clone()), Term::from(-power)]);
        }
    }
    for exponent in (-1100..1100).step_by(5) {
        for mantissa in [1.0, 1.5, 1.1, 9.99, 1.234_567_890_123_456_7] {
            let value = mantissa * 2_f64.powi(exponent);
            if value.is_finite() {
                terms.extend([Term::from(value), Term::from(-value)]);
            }
        }
    }
    for exponent in -30..30 {
        terms.extend(
            [1.0, 1.2, 1.23, 12345.678].map(|value| Term::from(value * 10_f64.powi(exponent))),
        );
    }
    for (a, b) in [(1, 2), (2, 1)] {
        for (node, creation) in [("a@h", 1), ("a@h", 2), ("b@h", 1), ("long-name@h", 1)] {
            let node = Atom::from_static(node);
            terms.push(Pid { node: node.clone(), id: a, serial: b, creation }.into());
            terms.push(Pid { node: node.clone(), id: b, serial: b, creation }.into());
            terms.push(Port::new(node.clone(), a.into(), creation).into());
            terms.push(Port::new(node.clone(), u64::MAX - u64::from(a), creation).into());
            for words in [&[a, b][..], &[b, a], &[a, b, 3], &[a, b, 3, 4, 5], &[a]] {
                if let Ok(reference) = Reference::new(node.clone(), creation, words) {
                    terms.push(reference.into());
                }
            }
        }
    }
    for data in [&[0x55][..], &[0x55, 0xff], &[0xff; 40]] {
        terms.extend((1..=7).filter_map(|bits| BitBinary::new(data, bits).ok()).map(Term::from));
        terms.push(Term::from(data));
    }
    terms.extend([
        term!(#{1 => a, 1.0 => b}),
        term!(#{1 => a}),
        term!(#{1.0 => a}),
        term!(#{2 => a}),
        term!([1 | 2]),
        term!([1, 2 | 3]),
        term!([1]),
        term!([1 | a]),
        term!([1 | "b"]),
        term!([1.0, 2]),
        term!([1, 1]),
    ]);
    terms
}

/// Whether any part of the term, however deep, is such.
fn anywhere(term: &Term, is: &dyn Fn(&Term) -> bool) -> bool {
    is(term)
        || match term {
            Term::List(items) | Term::Tuple(items) => items.iter().any(|item| anywhere(item, is)),
            Term::ImproperList(list) => {
                list.items().iter().any(|item| anywhere(item, is)) || anywhere(list.tail(), is)
            }
            Term::Map(map) => {
                Map::iter(map).any(|(key, value)| anywhere(key, is) || anywhere(value, is))
            }
            _ => false,
        }
}

fn is_identifier(term: &Term) -> bool {
    matches!(term, Term::Pid(_) | Term::Port(_) | Term::Reference(_))
}

/// The texts may be long: shows only where they differ.
fn assert_alike(at: usize, ours: &str, theirs: &str) {
    let differ = ours.chars().zip(theirs.chars()).position(|(a, b)| a != b);
    let from = differ
        .unwrap_or_else(|| ours.chars().count().min(theirs.chars().count()))
        .saturating_sub(30);
    let part = |text: &str| text.chars().skip(from).take(60).collect::<String>();
    assert!(
        ours == theirs,
        "number {at}, character {from}: {:?} and not {:?}",
        part(ours),
        part(theirs)
    );
}

fn check_order(a: &Term, b: &Term, theirs: &str) {
    let ours = a.cmp(b);
    match theirs {
        "<" => assert_eq!(ours, Ordering::Less, "{a} is less than {b}"),
        ">" => assert_eq!(ours, Ordering::Greater, "{a} is greater than {b}"),
        "=:=" => assert_eq!(ours, Ordering::Equal, "{a} is {b}"),
        // Equal by value: we tell them apart.
        "==" => assert_ne!(ours, Ordering::Equal, "{a} is not quite {b}"),
        other => panic!("unexpected answer {other:?}"),
    }
}

fn from_hex(hex: &str) -> Result<Bytes> {
    let digits: Option<Vec<u32>> = hex.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.context("not hexadecimal")?;
    digits
        .chunks(2)
        .map(|pair| Ok(u8::try_from(pair.iter().fold(0, |byte, digit| byte << 4 | digit))?))
        .collect()
}
