//! Prints the rows of the codec as JSON, for `cargo xtask bench`.

use anyhow::Result;
use bench::beam::Beam;
use bench::contest::medians;
use bench::{codec, payload, serde};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let beam = Beam::start()?;
    let payloads = payload::payloads();
    let mut rows = Vec::new();

    let (mut ratios, mut against_beam) = (Vec::new(), Vec::new());
    for payload in &payloads {
        let mut contenders = codec::decoders(payload);
        contenders.push(beam.decoder(payload)?);
        let figures = medians(contenders)?;
        let [(_, ours), peers @ .., (beam, beams)] = figures.as_slice() else { continue };
        let (peer, theirs) = fastest(peers);
        ratios.push(ours / theirs);
        rows.push(row(format!("decode {}, µs", payload.name), *ours, peer, theirs, 1.5));
        against_beam.push(row(format!("decode {}, µs", payload.name), *ours, beam, *beams, 1.2));
    }
    // The binary is another matter: we do not copy it.
    rows.push(mean("decode, geometric mean of the first four", &ratios[..4], 2.0));
    rows.extend(against_beam);

    let mut others = Vec::new();
    for payload in &payloads {
        let figures = medians(codec::walkers(payload))?;
        let [(_, ours), (peer, theirs), bounds @ ..] = figures.as_slice() else { continue };
        let name = format!("walk through a view of {}", payload.name);
        rows.push(row(format!("{name}, µs"), *ours, peer, *theirs, 5.0));
        for (how, figure) in bounds {
            others.push(without_goal(format!("{name}: {how}, µs"), *figure, peer, *theirs));
        }
    }
    rows.extend(others);

    for (what, contenders) in serde::contests() {
        let figures = medians(contenders)?;
        let [(_, ours), (peer, theirs)] = figures[..] else { continue };
        rows.push(row(format!("{what}, µs"), ours, peer, theirs, 3.0));
    }

    let mut ratios = Vec::new();
    for payload in &payloads {
        let figures = medians(codec::encoders(payload))?;
        let [(_, ours), peers @ ..] = figures.as_slice() else { continue };
        let (peer, theirs) = fastest(peers);
        ratios.push(ours / theirs);
        rows.push(row(format!("encode {}, µs", payload.name), *ours, peer, theirs, 1.15));
    }
    rows.push(mean("encode, geometric mean", &ratios, 1.3));
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}

/// Who took the least time of these, and how much, in ns.
fn fastest<'a>(peers: &[(&'a str, f64)]) -> (&'a str, f64) {
    let fastest = peers.iter().min_by(|(_, a), (_, b)| a.total_cmp(b));
    fastest.copied().unwrap_or(("nobody", f64::NAN))
}

/// A row of two figures that are in ns.
fn row(name: String, ours: f64, peer: &str, theirs: f64, times_as_fast: f64) -> Value {
    line(name, ours / 1e3, peer, theirs / 1e3, goal(times_as_fast))
}

/// The same of what is there to be compared with.
fn without_goal(name: String, ours: f64, peer: &str, theirs: f64) -> Value {
    line(name, ours / 1e3, peer, theirs / 1e3, json!("none"))
}

fn goal(times_as_fast: f64) -> Value {
    json!({ "times_as_fast": times_as_fast })
}

/// Of several ratios, as one row.
fn mean(name: &str, ratios: &[f64], times_as_fast: f64) -> Value {
    let logarithms: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    let mean = (logarithms / ratios.len() as f64).exp();
    line(format!("{name}, ours / theirs"), mean, "the faster", 1.0, goal(times_as_fast))
}

/// As `cargo xtask bench` keeps it.
fn line(name: String, ours: f64, peer: &str, theirs: f64, goal: Value) -> Value {
    json!({
        "name": name, "ours": ours, "theirs": [peer, theirs], "ratio": ours / theirs, "goal": goal,
    })
}
