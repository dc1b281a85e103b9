use std::collections::{HashMap, HashSet, VecDeque};

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);
/// The longest wait of every draw.
const LONG: u64 = u64::MAX;

fn name(text: &str) -> NodeName {
    NodeName::try_from(text).unwrap()
}

fn machine() -> Membership {
    Membership::new(name("rust@127.0.0.1"), Limits::default())
}

fn dials(machine: &mut Membership, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| machine.next_dial(now)).map(|name| name.to_string()).collect()
}

#[test]
fn an_announced_node_is_dialled_once() {
    let (mut machine, now) = (machine(), Instant::now());
    assert_eq!(machine.heard(b"a@h", now), Heard::New(name("a@h")));
    assert_eq!(machine.heard(b"a@h", now), Heard::Again(name("a@h")));
    assert_eq!(dials(&mut machine, now), ["a@h"]);
    machine.heard(b"a@h", now + SEC);
    assert_eq!(dials(&mut machine, now + 100 * SEC), [""; 0], "the first dial has not returned");
    machine.up(&name("a@h"), now + SEC);
    machine.dialled(&name("a@h"), true, now + SEC, 0);
    assert_eq!(
        dials(&mut machine, now + 1000 * SEC),
        [""; 0],
        "silence is no sign that a node is gone"
    );
}

#[test]
fn we_are_not_dialled() {
    let (mut machine, now) = (machine(), Instant::now());
    assert_eq!(machine.heard(b"rust@127.0.0.1", now), Heard::Own);
    let other_case = Heard::Ignored { why: Ignored::OwnNameInOtherCase, count: 1 };
    assert_eq!(machine.heard(b"RUST@127.0.0.1", now), other_case);
    assert!(machine.is_empty());
}

#[test]
fn what_is_ignored_is_counted_by_kind() {
    let (mut machine, now) = (machine(), Instant::now());
    for count in 1..=3 {
        assert_eq!(machine.heard(b"", now), Heard::Ignored { why: Ignored::Empty, count });
    }
    assert_eq!(machine.heard(b"nohost", now), Heard::Ignored { why: Ignored::NotAName, count: 1 });
    assert_eq!((machine.ignored(Ignored::Empty), machine.ignored(Ignored::NotUtf8)), (3, 0));
    assert_eq!(machine.wake_at(), None);
}

fn due(machine: &Membership, of: &str) -> Instant {
    machine.table[&name(of)].due().unwrap()
}

/// Hears `of` every five seconds until `until`, expecting no dial.
fn announce_until(machine: &mut Membership, of: &str, mut now: Instant, until: Instant) {
    while now < until {
        machine.heard(of.as_bytes(), now);
        assert_eq!(dials(machine, now), [""; 0]);
        now += 5 * SEC;
    }
}

#[test]
fn a_name_that_fails_is_dialled_with_growing_waits() {
    let (mut machine, mut now) = (machine(), Instant::now());
    machine.heard(b"a@h", now);
    let mut waits = Vec::new();
    for _ in 0..8 {
        assert_eq!(dials(&mut machine, now), ["a@h"]);
        machine.dialled(&name("a@h"), false, now, LONG);
        let next = due(&machine, "a@h");
        waits.push((next - now + MS).as_millis());
        announce_until(&mut machine, "a@h", now, next);
        now = next;
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
}

#[test]
fn a_name_that_comes_back_after_a_silence_is_dialled_at_once() {
    let (mut machine, now) = (machine(), Instant::now());
    machine.heard(b"a@h", now);
    for _ in 0..8 {
        dials(&mut machine, now);
        machine.dialled(&name("a@h"), false, now, LONG);
    }
    machine.heard(b"a@h", now + 14 * SEC);
    let later = now + 29 * SEC;
    machine.heard(b"a@h", later);
    assert_eq!(dials(&mut machine, later), ["a@h"]);
}

#[test]
fn a_lost_link_is_dialled_again_though_nothing_is_heard() {
    let (mut machine, now) = (machine(), Instant::now());
    machine.heard(b"a@h", now);
    machine.up(&name("a@h"), now);
    let lost = now + 3600 * SEC;
    machine.down(&name("a@h"), lost, LONG);
    let mut tried = 0;
    while let Some(at) = machine.wake_at() {
        for _ in dials(&mut machine, at) {
            machine.dialled(&name("a@h"), false, at, LONG);
            tried += 1;
        }
        assert!(at <= lost + 3610 * SEC, "it is forgotten in the end");
    }
    assert!((100..200).contains(&tried), "{tried} dials in an hour");
    assert!(machine.is_empty());
}

#[test]
fn a_link_that_drops_at_once_again_and_again_is_a_failure() {
    let (mut machine, mut now) = (machine(), Instant::now());
    machine.heard(b"a@h", now);
    for _ in 0..8 {
        machine.up(&name("a@h"), now);
        machine.down(&name("a@h"), now + SEC, LONG);
        now = due(&machine, "a@h");
    }
    assert!(machine.table[&name("a@h")].failures == 8);
    machine.up(&name("a@h"), now);
    machine.down(&name("a@h"), now + 10 * SEC, LONG);
    assert!(due(&machine, "a@h") <= now + 11 * SEC);
}

#[test]
fn a_node_that_only_ever_dialled_us_is_not_dialled() {
    let (mut machine, now) = (machine(), Instant::now());
    machine.up(&name("shell@h"), now);
    assert_eq!(machine.len(), 1);
    machine.down(&name("shell@h"), now, 0);
    assert_eq!((machine.len(), dials(&mut machine, now + SEC).len()), (0, 0));
}

#[test]
fn up_and_down_while_our_own_dial_is_on_its_way() {
    let (mut machine, now) = (machine(), Instant::now());
    machine.heard(b"a@h", now);
    dials(&mut machine, now);
    machine.up(&name("a@h"), now);
    machine.down(&name("a@h"), now, 0);
    assert_eq!(dials(&mut machine, now + SEC), [""; 0]);
    machine.dialled(&name("a@h"), true, now + SEC, 0);
    assert_eq!(dials(&mut machine, now + 2 * SEC), ["a@h"], "that link is gone");
}

#[test]
fn missed_events_are_made_up_for() {
    let (mut machine, now) = (machine(), Instant::now());
    for node in ["a@h", "b@h"] {
        machine.heard(node.as_bytes(), now);
    }
    machine.up(&name("a@h"), now);
    machine.resync(&[name("b@h"), name("c@h")], now, || 0);
    let up = |node: &str| machine.table[&name(node)].is_up();
    assert_eq!((up("a@h"), up("b@h"), up("c@h")), (false, true, true));
}

#[test]
fn a_full_table_puts_out_the_oldest_that_was_never_reached() {
    let now = Instant::now();
    let limits = Limits { names: 3, ..Limits::default() };
    let mut machine = Membership::new(name("rust@127.0.0.1"), limits);
    machine.heard(b"lost@h", now);
    machine.up(&name("lost@h"), now);
    machine.down(&name("lost@h"), now, LONG);
    machine.heard(b"old@h", now + SEC);
    machine.heard(b"new@h", now + 2 * SEC);
    machine.heard(b"old@h", now + 3 * SEC);
    machine.heard(b"third@h", now + 4 * SEC);
    let mut known: Vec<&str> = machine.table.keys().map(NodeName::as_str).collect();
    known.sort_unstable();
    assert_eq!(known, ["lost@h", "old@h", "third@h"]);
    for node in ["lost@h", "old@h", "third@h"] {
        machine.up(&name(node), now + 4 * SEC);
    }
    let full = Heard::Ignored { why: Ignored::TableFull, count: 1 };
    assert_eq!(machine.heard(b"more@h", now + 5 * SEC), full);
}

#[test]
fn a_name_heard_once_puts_out_none_that_announces_itself_nor_one_that_was_connected() {
    let now = Instant::now();
    let limits = Limits { names: 2, ..Limits::default() };
    let mut machine = Membership::new(name("rust@127.0.0.1"), limits);
    machine.heard(b"lost@h", now);
    machine.up(&name("lost@h"), now);
    machine.down(&name("lost@h"), now, LONG);
    let later = now + 60 * SEC;
    machine.heard(b"steady@h", later);
    machine.heard(b"steady@h", later + 5 * SEC);
    let full = Heard::Ignored { why: Ignored::TableFull, count: 1 };
    assert_eq!(machine.heard(b"new@h", later + 6 * SEC), full);
    // Until it falls silent.
    assert_eq!(machine.heard(b"new@h", later + 20 * SEC), Heard::New(name("new@h")));
    assert!(machine.table.contains_key(&name("lost@h")));
}

#[test]
fn only_allowed_names_are_dialled() {
    let now = Instant::now();
    let patterns = vec!["app*@h".parse().unwrap(), "x@*".parse().unwrap()];
    let mut machine = machine().allow(NamePattern::any_of(patterns));
    for heard in ["app1@h", "other@h", "x@anywhere"] {
        machine.heard(heard.as_bytes(), now);
    }
    assert_eq!(dials(&mut machine, now), ["app1@h", "x@anywhere"]);
    assert_eq!(machine.ignored(Ignored::NotAllowed), 1);
}

#[test]
fn a_flood_of_new_names_is_bounded_and_the_real_one_gets_through() {
    let (mut machine, start) = (machine(), Instant::now());
    let (mut dialled, mut reached) = (0, None);
    // Half a minute of a thousand new names a second, none of which answers; each dial takes 7 s to fail.
    let mut returning = VecDeque::new();
    for ms in 0..30_000_u32 {
        let now = start + ms * MS;
        let mut news = false;
        if ms % 5000 == 2500 + ms / 5000 {
            news |= matches!(machine.heard(b"real@10.0.0.2", now), Heard::New(_));
        }
        news |= matches!(machine.heard(format!("n{ms}@10.0.0.1").as_bytes(), now), Heard::New(_));
        while returning.front().is_some_and(|(at, _)| *at <= now) {
            let (_, node) = returning.pop_front().unwrap();
            machine.dialled(&node, false, now, u64::from(ms) << 40);
            news = true;
        }
        while news && let Some(node) = machine.next_dial(now) {
            if node.as_str() == "real@10.0.0.2" {
                reached.get_or_insert(ms);
            }
            dialled += 1;
            returning.push_back((now + 7 * SEC, node));
        }
        assert!(machine.len() <= 4096 && returning.len() <= 64);
    }
    assert!(machine.ignored(Ignored::TooManyNew) > 15_000);
    assert!(dialled < 500, "{dialled} dials");
    assert!(reached.is_some(), "what announces itself again and again is dialled in the end");
}

/// Dials everything that may be dialled during a millisecond, all in vain but `up`; how many that were.
fn fail_all(machine: &mut Membership, now: Instant, up: impl Fn(&str) -> bool) -> Vec<String> {
    let dialled = dials(machine, now);
    for node in &dialled {
        let connected = up(node);
        if connected {
            machine.up(&name(node), now);
        }
        machine.dialled(&name(node), connected, now, LONG / 2);
    }
    dialled
}

#[test]
fn names_that_fail_at_once_are_not_dialled_faster_than_the_rate() {
    let limits = Limits::default().dial_rate(20);
    let mut machine = Membership::new(name("rust@127.0.0.1"), limits);
    let start = Instant::now();
    let mut dialled = 0;
    for ms in 0..10_000_u32 {
        let now = start + ms * MS;
        machine.heard(format!("n{ms}@10.0.0.1").as_bytes(), now);
        dialled += fail_all(&mut machine, now, |_| false).len();
    }
    // What may begin at once but for a quarter, and then twenty a second.
    assert!((225..=231).contains(&dialled), "{dialled}");
}

/// Somebody fills the table with names of which none can be reached, and announces each of them again and again.
#[test]
fn a_flood_of_names_that_are_repeated_keeps_no_real_node_away() {
    // A tenth of the defaults.
    let limits = Limits { names: 400, ..Limits::default().dial_rate(5) };
    let mut machine = Membership::new(name("rust@127.0.0.1"), limits);
    let start = Instant::now();
    let real = ["known@h", "late@h"];
    for node in real {
        machine.heard(node.as_bytes(), start);
    }
    machine.up(&name("known@h"), start);
    fail_all(&mut machine, start, |_| false);
    let mut reached = HashMap::new();
    for tick in 0..24_000_u32 {
        let (now, seconds) = (start + tick * 10 * MS, tick / 100);
        machine.heard(format!("n{}@10.0.0.1", tick % 500).as_bytes(), now);
        machine.heard(format!("once{tick}@10.0.0.1").as_bytes(), now);
        if tick % 500 == 0 {
            for node in real {
                machine.heard(node.as_bytes(), now);
            }
        }
        if tick == 10_000 {
            machine.down(&name("known@h"), now, 0);
        }
        // One of them can be reached only from the second minute on.
        let up = |node: &str| node == "known@h" || node == "late@h" && seconds >= 60;
        for node in fail_all(&mut machine, now, up) {
            if up(&node) {
                reached.entry(node).or_insert(seconds);
            }
        }
        assert!(machine.len() <= 400);
    }
    assert_eq!(reached.get("known@h"), Some(&100), "what was connected goes first: {reached:?}");
    assert!(reached.contains_key("late@h"), "what has failed before is dialled in the end");
}

#[derive(Debug, Clone)]
enum Op {
    Hear(u8),
    Up(u8),
    Down(u8),
    Return { connected: bool },
    Resync(Vec<u8>),
    Wait(u16),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let node = 0..12_u8;
    prop::collection::vec(
        prop_oneof![
            4 => node.clone().prop_map(Op::Hear),
            2 => node.clone().prop_map(Op::Up),
            2 => node.clone().prop_map(Op::Down),
            3 => any::<bool>().prop_map(|connected| Op::Return { connected }),
            1 => prop::collection::vec(node, 0..4).prop_map(Op::Resync),
            3 => (0..40_000_u16).prop_map(Op::Wait),
        ],
        0..200,
    )
}

proptest! {
    #[test]
    fn whatever_happens(ops in ops(), random: u64) {
        let limits = Limits { names: 6, parallel_dials: 4, ..Limits::default() };
        let own = name("n0@h");
        let node = |i: u8| name(&format!("n{i}@h"));
        let mut machine = Membership::new(own.clone(), limits);
        let mut now = Instant::now();
        let (mut up, mut under_way) = (HashSet::new(), Vec::<NodeName>::new());
        for op in ops {
            match op {
                Op::Hear(i) => { machine.heard(node(i).as_str().as_bytes(), now); }
                Op::Up(i) => { machine.up(&node(i), now); up.insert(node(i)); }
                Op::Down(i) => { machine.down(&node(i), now, random); up.remove(&node(i)); }
                Op::Return { connected } => if !under_way.is_empty() {
                    machine.dialled(&under_way.remove(0), connected, now, random);
                }
                Op::Resync(nodes) => {
                    let nodes: Vec<_> = nodes.into_iter().map(node).collect();
                    machine.resync(&nodes, now, || random);
                    up = nodes.into_iter().collect();
                }
                Op::Wait(ms) => now += Duration::from_millis(ms.into()),
            }
            while let Some(next) = machine.next_dial(now) {
                prop_assert!(!under_way.contains(&next), "a second dial to {next}");
                prop_assert!(!up.contains(&next), "{next} is up");
                prop_assert!(next != own);
                under_way.push(next);
            }
            prop_assert!(under_way.len() <= 4);
            prop_assert!(machine.len() <= 6.max(up.len() + under_way.len()));
            if let Some(at) = machine.wake_at() {
                prop_assert!(at > now, "a driver would spin");
            }
        }
    }

    #[test]
    fn any_payload_is_a_name_or_ignored(payload: Vec<u8>) {
        let mut machine = machine();
        match machine.heard(&payload, Instant::now()) {
            Heard::New(name) => prop_assert_eq!(name.as_str().as_bytes(), &payload[..]),
            Heard::Ignored { count, .. } => prop_assert_eq!(count, 1),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
