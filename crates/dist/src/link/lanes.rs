//! Messages too long for one frame, and what must not overtake them.
//!
//! ```text
//!  Outbox   messages ──────────────────────────────►┐
//!           lane of process A:  [ 100 MB ][ small ] ─┤ one fragment of each ─► writer ─► socket
//!           lane of process B:  [ 1 MB ]            ─┘
//! ```
//!
//! A long message goes, whole, into the lane of its sender. With everything that is queued besides,
//! the writer takes one fragment from each lane in turn, so whatever another process sends waits for
//! no more than a fragment of each long message. What the same sender sends later waits in its lane.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use etf::Rope;

use super::outbox::{Cost, Frame};
use crate::wire::header::Part;
use crate::wire::lane::Lane;
use crate::wire::outgoing::{FRAGMENT, Message, Place};

/// The lanes of one link.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    of: HashMap<Lane, Waiting>,
    /// The lanes in the order of their turns.
    turns: VecDeque<Lane>,
    /// The last sequence that was begun: each has its own number, and none is 0.
    sequence: u64,
}

/// What waits in one lane.
#[derive(Debug, Default)]
struct Waiting {
    begun: Option<Begun>,
    frames: VecDeque<Frame>,
}

/// The message of which fragments were taken.
#[derive(Debug)]
struct Begun {
    rest: VecDeque<Bytes>,
    /// The fragment that was taken last.
    part: Part,
    cost: Cost,
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Whether a message of this sender has to wait in its lane.
    pub(super) fn holds(&self, lane: Lane) -> bool {
        lane != Lane::NONE && self.of.contains_key(&lane)
    }

    /// Adds a message behind those of its sender.
    pub(super) fn push(&mut self, frame: Frame) {
        let lane = frame.message.lane;
        let waiting = self.of.entry(lane).or_insert_with(|| {
            self.turns.push_back(lane);
            Waiting::default()
        });
        waiting.frames.push_back(frame);
    }

    /// Gives at most `most` lanes a turn: each a fragment, or as many whole messages as are no longer
    /// than one.
    pub(super) fn take(&mut self, most: usize, frames: &mut Vec<Frame>) {
        for _ in 0..self.turns.len().min(most) {
            let Some(lane) = self.turns.pop_front() else { return };
            let Some(waiting) = self.of.get_mut(&lane) else { continue };
            if waiting.take(&mut self.sequence, frames) {
                self.turns.push_back(lane);
            } else {
                self.of.remove(&lane);
            }
        }
        if self.of.is_empty() {
            self.of = HashMap::new();
        }
    }
}

impl Waiting {
    /// Takes what it has a turn for; true when there is more.
    fn take(&mut self, sequence: &mut u64, frames: &mut Vec<Frame>) -> bool {
        if let Some(begun) = self.begun.take() {
            self.begun = begun.next(frames);
            return self.begun.is_some() || !self.frames.is_empty();
        }
        let mut taken = 0;
        while let Some(frame) = self.frames.pop_front() {
            if frame.message.is_long() && taken > 0 {
                self.frames.push_front(frame);
                return true;
            }
            if frame.message.is_long() {
                *sequence += 1;
                self.begun = Some(Begun::first(frame, *sequence, frames));
                return true;
            }
            taken += frame.message.len();
            frames.push(frame);
            if taken >= FRAGMENT {
                break;
            }
        }
        !self.frames.is_empty()
    }
}

impl Begun {
    fn first(frame: Frame, sequence: u64, frames: &mut Vec<Frame>) -> Self {
        let Frame { message, cost, .. } = frame;
        let length = message.first_length();
        let later = (message.len() - length).div_ceil(FRAGMENT);
        let fragment = 1 + u64::try_from(later).unwrap_or(u64::MAX);
        let part = Part { sequence, fragment };
        let mut rest: VecDeque<Bytes> = message.body.into_iter().collect();
        let body = cut(&mut rest, length);
        frames.push(Frame {
            place: Place::First(part),
            message: Message::part(body, message.atoms),
            cost: Cost::Nothing,
        });
        Self { rest, part, cost }
    }

    /// Takes the next fragment; nothing stays after the last, whose writing gives back what the
    /// whole message cost.
    fn next(mut self, frames: &mut Vec<Frame>) -> Option<Self> {
        self.part.fragment -= 1;
        let body = cut(&mut self.rest, FRAGMENT);
        let last = self.rest.is_empty();
        let cost =
            if last { std::mem::replace(&mut self.cost, Cost::Nothing) } else { Cost::Nothing };
        frames.push(Frame {
            place: Place::Next(self.part),
            message: Message::part(body, Vec::new()),
            cost,
        });
        (!last).then_some(self)
    }
}

/// Takes bytes off the front, sharing them.
fn cut(rest: &mut VecDeque<Bytes>, mut count: usize) -> Rope {
    let mut taken = Rope::default();
    while let Some(part) = rest.front_mut() {
        if part.len() > count {
            taken.push(part.split_to(count));
            break;
        }
        count -= part.len();
        taken.extend(rest.pop_front());
    }
    taken
}

#[cfg(test)]
mod tests {
    use etf::{Atom, Pid};

    use super::*;

    fn lane(id: u32) -> Lane {
        Lane::of_process(&Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 7 })
    }

    fn message(of: u32, parts: &[usize]) -> Frame {
        let mut body = Rope::default();
        body.extend(parts.iter().map(|length| Bytes::from(vec![7; *length])));
        Frame {
            place: Place::Whole,
            message: Message::of_body(body, lane(of)),
            cost: Cost::Room(1),
        }
    }

    /// What one turn of all lanes takes: sequence, number and length of fragments, or a length.
    fn turn(lanes: &mut Lanes, most: usize) -> Vec<(u64, u64, usize)> {
        let mut frames = Vec::new();
        lanes.take(most, &mut frames);
        let place = |frame: &Frame| match frame.place {
            Place::Whole => (0, 0),
            Place::First(part) | Place::Next(part) => (part.sequence, part.fragment),
        };
        frames.iter().map(|frame| (place(frame).0, place(frame).1, frame.message.len())).collect()
    }

    #[test]
    fn a_long_message_goes_in_fragments_and_the_sender_s_next_waits_for_them() {
        let mut lanes = Lanes::default();
        lanes.push(message(1, &[10, 2 * FRAGMENT]));
        assert!(lanes.holds(lane(1)) && !lanes.holds(lane(2)));
        lanes.push(message(1, &[5]));
        lanes.push(message(1, &[6]));
        assert_eq!(turn(&mut lanes, 9), [(1, 3, FRAGMENT)]);
        assert_eq!(turn(&mut lanes, 9), [(1, 2, FRAGMENT)]);
        assert_eq!(turn(&mut lanes, 9), [(1, 1, 10)]);
        assert_eq!(turn(&mut lanes, 9), [(0, 0, 5), (0, 0, 6)]);
        assert!(lanes.is_empty() && !lanes.holds(lane(1)));
        assert_eq!(turn(&mut lanes, 9), []);
    }

    #[test]
    fn each_lane_has_its_turn_and_no_more_than_so_many_at_once() {
        let mut lanes = Lanes::default();
        for sender in 1..=3 {
            lanes.push(message(sender, &[3 * FRAGMENT]));
        }
        let mut got = Vec::new();
        while !lanes.is_empty() {
            got.extend(
                turn(&mut lanes, 2).iter().map(|(sequence, number, _)| (*sequence, *number)),
            );
        }
        let want = [3, 2, 1].map(|number| [(1, number), (2, number), (3, number)]).concat();
        assert_eq!(got, want);
    }

    #[test]
    fn a_control_tuple_is_never_cut() {
        let mut lanes = Lanes::default();
        let mut frame = message(1, &[3 * FRAGMENT]);
        frame.message.control = 2 * FRAGMENT + 5;
        lanes.push(frame);
        assert_eq!(turn(&mut lanes, 1), [(1, 2, 2 * FRAGMENT + 5)]);
        assert_eq!(turn(&mut lanes, 1), [(1, 1, FRAGMENT - 5)]);
        let mut frame = message(1, &[3 * FRAGMENT]);
        frame.message.control = 3 * FRAGMENT;
        lanes.push(frame);
        assert_eq!(turn(&mut lanes, 1), [(0, 0, 3 * FRAGMENT)]);
    }

    #[test]
    fn the_cost_comes_with_the_last_fragment() {
        let mut lanes = Lanes::default();
        lanes.push(message(1, &[FRAGMENT, 1]));
        let mut frames = Vec::new();
        lanes.take(1, &mut frames);
        assert!(matches!(frames[0].cost, Cost::Nothing));
        lanes.take(1, &mut frames);
        assert!(matches!(frames[1].cost, Cost::Room(1)));
    }
}
