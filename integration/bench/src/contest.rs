//! Several programs that do the same work, timed in turn.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How often each has its turn.
const ROUNDS: usize = 201;

/// How long a turn is, about: so short that on a busy machine most of them are not interrupted.
const TURN: Duration = Duration::from_micros(500);

/// Does the work as often as it is told and says how long that took.
type Work<'a> = Box<dyn FnMut(u32) -> Result<Duration> + 'a>;

/// One of those that are compared.
pub struct Contender<'a> {
    name: &'static str,
    work: Work<'a>,
}

impl<'a> Contender<'a> {
    /// One that is timed here.
    pub fn new<T>(name: &'static str, mut work: impl FnMut() -> T + 'a) -> Self {
        Self::timing_itself(name, move |times| {
            let start = Instant::now();
            for _ in 0..times {
                // What it made is given back within the time.
                black_box(work());
            }
            Ok(start.elapsed())
        })
    }

    /// One that does its work elsewhere.
    pub fn timing_itself(
        name: &'static str,
        work: impl FnMut(u32) -> Result<Duration> + 'a,
    ) -> Self {
        Self { name, work: Box::new(work) }
    }
}

/// The median of each contender, in ns for doing the work once.
///
/// # Errors
/// When a contender fails.
pub fn medians<'a>(contenders: Vec<Contender<'a>>) -> Result<Vec<(&'static str, f64)>> {
    let mut sides = Vec::new();
    for mut contender in contenders {
        let times = warm_up(&mut contender)?;
        sides.push((contender, times, Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (contender, times, figures) in &mut sides {
            let took = (contender.work)(*times)?;
            figures.push(took.as_secs_f64() * 1e9 / f64::from(*times));
        }
    }
    Ok(sides.into_iter().map(|(contender, _, figures)| (contender.name, median(figures))).collect())
}

/// How often the work is done in one turn.
fn warm_up(contender: &mut Contender<'_>) -> Result<u32> {
    let mut times = 1;
    loop {
        let took = (contender.work)(times)?;
        if took * 2 >= TURN {
            return Ok(times);
        }
        times *= 2;
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
