//! When to write a tick, and when a silent peer is dead.
//!
//! Ticks go one way: a peer with `net_ticktime` *T* closes after *T* ± *T*/4 without a byte from
//! us, and its *T* is not told (kernel `net_kernel`, `dist_util:con_loop`). So whenever something
//! was read and nothing was written for a second, a tick is due, which serves any *T*; and one is
//! due at least every quarter of our own tick time. Two nodes that both do this cannot start a
//! storm: the answer to a tick is itself something written.

use std::time::Duration;

/// After this long without a write, reading anything makes a tick due.
const ANSWER_AFTER: Duration = Duration::from_secs(1);

/// The ticks of one link: fed with the times of reads and writes, asked what is due. All times count
/// from when the link came up.
#[derive(Debug)]
pub(crate) struct Ticker {
    tick_time: Duration,
    last_read: Duration,
    /// When the peer was asked for a sign of life, if it was since it was last heard.
    asked: Option<Duration>,
}

/// What is due.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Due {
    /// Nothing before the given time.
    Nothing(Duration),
    /// Write a tick.
    Tick,
    /// A whole tick time passed in silence: ask for something whose answer is certain.
    Ask,
    /// The peer did not answer that within a further quarter of the tick time.
    Dead,
}

impl Ticker {
    /// A ticker for a link that just came up.
    pub(crate) fn new(tick_time: Duration) -> Self {
        Self { tick_time, last_read: Duration::ZERO, asked: None }
    }

    /// Something was read at `now`, `last_write` being when we last wrote: is a tick due at once?
    pub(crate) fn on_read(&mut self, now: Duration, last_write: Duration) -> bool {
        self.last_read = now;
        self.asked = None;
        now.saturating_sub(last_write) >= ANSWER_AFTER
    }

    /// What is due at `now`. An `Ask` is given out once for each silence.
    pub(crate) fn poll(&mut self, now: Duration, last_write: Duration) -> Due {
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
        let mut ticker = Ticker::new(T);
        assert_eq!(ticker.poll(Duration::ZERO, Duration::ZERO), Due::Nothing(QUARTER));
        assert_eq!(ticker.poll(QUARTER, Duration::ZERO), Due::Tick);
        let written = QUARTER;
        assert_eq!(ticker.poll(written, written), Due::Nothing(written + QUARTER));
    }

    #[test]
    fn reading_makes_a_tick_due_only_when_we_were_silent_for_a_second() {
        let mut ticker = Ticker::new(T);
        assert!(!ticker.on_read(Duration::from_millis(999), Duration::ZERO));
        assert!(ticker.on_read(seconds(1), Duration::ZERO));
    }

    #[test]
    fn two_idle_nodes_do_not_storm() {
        // Two tickers joined by a wire without latency, stepped for ten minutes: however they
        // start, the ticks stay within two for each quarter of the tick time.
        let mut nodes = [(Ticker::new(T), Duration::ZERO), (Ticker::new(T), Duration::ZERO)];
        let mut ticks = 0;
        for step in 0..6000_u32 {
            let now = Duration::from_millis(100) * step;
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
        let mut ticker = Ticker::new(T);
        let wrote = seconds(59);
        assert_eq!(ticker.poll(T, wrote), Due::Ask);
        assert_eq!(ticker.poll(T, wrote), Due::Nothing(wrote + QUARTER));
        let wrote = T;
        assert_eq!(ticker.poll(T + QUARTER, wrote), Due::Dead);
    }

    #[test]
    fn an_answer_ends_the_silence() {
        let mut ticker = Ticker::new(T);
        let wrote = T;
        assert_eq!(ticker.poll(T, wrote), Due::Ask);
        ticker.on_read(seconds(61), wrote);
        assert_eq!(ticker.poll(seconds(62), wrote), Due::Nothing(wrote + QUARTER));
    }
}
