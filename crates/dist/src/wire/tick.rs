//! When to write a tick, and when a silent peer is dead.
//!
//! Ticks go one way: a peer with `net_ticktime` *T* closes after *T* ± *T*/4 without a byte from
//! us, and its *T* is not told (kernel `net_kernel`, `dist_util:con_loop`). So whenever something
//! was read and nothing was written for a second, a tick is due, which serves any *T*; and one is
//! due at least every quarter of our own tick time. Two nodes that both do this cannot start a
//! storm: the answer to a tick is itself something written.

use std::time::{Duration, Instant};

/// After this long without a write, reading anything makes a tick due.
const ANSWER_AFTER: Duration = Duration::from_secs(1);

/// The ticks of one link: fed with the times of reads and writes, asked what is due.
#[derive(Debug)]
pub(crate) struct Ticker {
    tick_time: Duration,
    last_read: Instant,
    /// When the peer was asked for a sign of life, if it was since it was last heard.
    asked: Option<Instant>,
}

/// What is due.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Due {
    /// Nothing before the given time.
    Nothing(Instant),
    /// Write a tick.
    Tick,
    /// A whole tick time passed in silence: ask for something whose answer is certain.
    Ask,
    /// The peer did not answer that within a further quarter of the tick time.
    Dead,
}

impl Ticker {
    /// A ticker for a link that came up at `now`.
    pub(crate) fn new(tick_time: Duration, now: Instant) -> Self {
        Self { tick_time, last_read: now, asked: None }
    }

    /// Something was read at `now`, `last_write` being when we last wrote: is a tick due at once?
    pub(crate) fn on_read(&mut self, now: Instant, last_write: Instant) -> bool {
        self.last_read = now;
        self.asked = None;
        now.saturating_duration_since(last_write) >= ANSWER_AFTER
    }

    /// What is due at `now`. An `Ask` is given out once for each silence.
    pub(crate) fn poll(&mut self, now: Instant, last_write: Instant) -> Due {
        let quarter = self.tick_time / 4;
        if let Some(asked) = self.asked {
            if now >= asked + quarter {
                return Due::Dead;
            }
        } else if now >= self.last_read + self.tick_time {
            self.asked = Some(now);
            return Due::Ask;
        }
        if now >= last_write + quarter {
            return Due::Tick;
        }
        let silence_ends = match self.asked {
            Some(asked) => asked + quarter,
            None => self.last_read + self.tick_time,
        };
        Due::Nothing(silence_ends.min(last_write + quarter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(60);
    const QUARTER: Duration = Duration::from_secs(15);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn ticks_every_quarter_of_silence_of_ours() {
        let start = Instant::now();
        let mut ticker = Ticker::new(T, start);
        assert_eq!(ticker.poll(start, start), Due::Nothing(start + QUARTER));
        assert_eq!(ticker.poll(start + QUARTER, start), Due::Tick);
        let written = start + QUARTER;
        assert_eq!(ticker.poll(written, written), Due::Nothing(written + QUARTER));
    }

    #[test]
    fn reading_makes_a_tick_due_only_when_we_were_silent_for_a_second() {
        let start = Instant::now();
        let mut ticker = Ticker::new(T, start);
        assert!(!ticker.on_read(start + Duration::from_millis(999), start));
        assert!(ticker.on_read(start + seconds(1), start));
    }

    #[test]
    fn two_idle_nodes_do_not_storm() {
        // Two tickers joined by a wire without latency, stepped for ten minutes: however they
        // start, the ticks stay within two for each quarter of the tick time.
        let start = Instant::now();
        let mut nodes = [(Ticker::new(T, start), start), (Ticker::new(T, start), start)];
        let mut ticks = 0;
        for step in 0..6000_u32 {
            let now = start + Duration::from_millis(100) * step;
            let mut in_flight = None;
            for (index, (ticker, last_write)) in nodes.iter_mut().enumerate() {
                if ticker.poll(now, *last_write) == Due::Tick {
                    *last_write = now;
                    ticks += 1;
                    in_flight = Some(1 - index);
                }
            }
            while let Some(receiver) = in_flight.take() {
                let (ticker, last_write) = &mut nodes[receiver];
                if ticker.on_read(now, *last_write) {
                    *last_write = now;
                    ticks += 1;
                    in_flight = Some(1 - receiver);
                }
            }
        }
        assert!((40..=82).contains(&ticks), "{ticks} ticks in ten minutes");
    }

    #[test]
    fn a_silent_peer_is_asked_once_and_then_dead() {
        let start = Instant::now();
        let mut ticker = Ticker::new(T, start);
        let wrote = start + seconds(59);
        assert_eq!(ticker.poll(start + T, wrote), Due::Ask);
        assert_eq!(ticker.poll(start + T, wrote), Due::Nothing(wrote + QUARTER));
        let wrote = start + T;
        assert_eq!(ticker.poll(start + T + QUARTER, wrote), Due::Dead);
    }

    #[test]
    fn an_answer_ends_the_silence() {
        let start = Instant::now();
        let mut ticker = Ticker::new(T, start);
        let wrote = start + T;
        assert_eq!(ticker.poll(start + T, wrote), Due::Ask);
        ticker.on_read(start + seconds(61), wrote);
        assert_eq!(ticker.poll(start + seconds(62), wrote), Due::Nothing(wrote + QUARTER));
    }
}
