//! Several machines in one thread, with a clock and a network of the test's own.

use std::collections::VecDeque;
use std::time::Duration;

use etf::{Atom, Term, term};

use super::ConflictMethod;
use super::locker::LockerMessage;
use super::machine::{Command, Effect, Event, MOST_NODES};
use super::message::{self, Message};
use super::peer::Ops;

mod net;

use self::net::{Net, pid};

const NAMES: [&str; 5] = ["d@h", "b@h", "e@i", "a@h", "c@i"];
const LONG: Duration = Duration::from_secs(600);

#[test]
fn nodes_that_connect_in_any_order_become_one_partition() {
    for seed in 0..60 {
        let mut net = Net::new(&NAMES, seed * 7919 + 1);
        for at in 0..NAMES.len() {
            let process = pid(&net.nodes[at], 9);
            net.register(at, 1, Term::from(u32::try_from(at).unwrap()), process);
        }
        let hasty = seed % 2 == 0;
        for _ in 0..30 {
            let (a, b) = (net.random(NAMES.len()), net.random(NAMES.len()));
            net.connect(a, b);
            for _ in 0..net.random(if hasty { 20 } else { 400 }) {
                net.step();
            }
        }
        net.run(LONG);
        net.assert_one(&[0, 1, 2, 3, 4]);
        assert_eq!(net.machines[0].registered().len(), NAMES.len(), "seed {seed}");
        assert!(net.answers.values().all(|answer| *answer));
    }
}

#[test]
fn of_all_who_register_a_name_at_once_one_gets_it() {
    for seed in 0..40 {
        let mut net = Net::new(&NAMES[..4], seed + 1);
        for at in 1..4 {
            net.connect(0, at);
        }
        net.run(LONG);
        net.assert_one(&[0, 1, 2, 3]);
        for at in 0..4 {
            let process = pid(&net.nodes[at], 9);
            net.register(at, 1, term!(same), process);
        }
        net.run(LONG);
        net.assert_one(&[0, 1, 2, 3]);
        let won: Vec<usize> = (0..4).filter(|at| net.answers[&(*at, 1)]).collect();
        assert_eq!(won.len(), 1, "seed {seed}");
        let winner = net.machines[0].whereis(&term!(same)).cloned();
        assert_eq!(winner, Some(pid(&net.nodes[won[0]], 9)));
    }
}

#[test]
fn a_conflict_is_settled_by_the_method_and_the_same_everywhere() {
    for seed in 0..20 {
        for method in ["exit", "notify", "all"] {
            let mut net = Net::new(&NAMES[..4], seed + 1);
            net.connect(0, 1);
            net.connect(2, 3);
            net.run(LONG);
            let chosen = match method {
                "exit" => ConflictMethod::RandomExit,
                "notify" => ConflictMethod::RandomNotify,
                _ => ConflictMethod::NotifyAll,
            };
            for at in [0, 2] {
                let process = pid(&net.nodes[at], 9);
                let (name, method) = (term!(same), chosen.to_term());
                net.command(at, 1, Command::Register { name, pid: process, method, again: false });
            }
            net.run(LONG);
            net.connect(1, 3);
            net.run(LONG);
            net.assert_one(&[0, 1, 2, 3]);
            let (less, greater) = (pid(&net.nodes[0], 9), pid(&net.nodes[2], 9));
            let winner = net.machines[1].whereis(&term!(same)).cloned();
            match chosen {
                ConflictMethod::RandomExit => {
                    assert_eq!(winner, Some(less));
                    assert!(net.killed.contains(&greater));
                }
                ConflictMethod::RandomNotify => {
                    assert_eq!(winner, Some(less));
                    assert_eq!(net.told, [(greater, term!({global_name_conflict, same}))]);
                }
                ConflictMethod::NotifyAll => {
                    assert_eq!(winner, None);
                    assert_eq!(net.told.len(), 2);
                }
            }
        }
    }
}

#[test]
fn a_lost_link_leaves_no_overlapping_partitions_and_heals() {
    for seed in 0..40 {
        let mut net = Net::new(&NAMES[..4], seed + 1);
        for at in 1..4 {
            net.connect(0, at);
        }
        net.run(LONG);
        for at in 0..4 {
            let process = pid(&net.nodes[at], 9);
            net.register(at, 1, Term::from(u32::try_from(at).unwrap()), process);
        }
        net.run(LONG);
        let (a, b) = (net.random(4), net.random(3));
        let b = (a + 1 + b) % 4;
        net.cut(a, b);
        net.run(LONG);
        for at in 0..4 {
            let of = |at: usize| -> Vec<usize> {
                let mut of: Vec<usize> =
                    net.machines[at].known().iter().map(|n| net.at(n)).collect();
                of.push(at);
                of.sort_unstable();
                of
            };
            assert!(!(of(at).contains(&a) && of(at).contains(&b)), "seed {seed}");
            for other in of(at) {
                assert_eq!(of(at), of(other), "seed {seed}");
            }
            net.assert_one(&of(at));
        }
        for at in 1..4 {
            net.connect(0, at);
        }
        net.run(LONG);
        net.assert_one(&[0, 1, 2, 3]);
    }
}

#[test]
fn a_link_that_its_ends_lose_one_after_the_other_costs_no_names() {
    for seed in 0..600 {
        let mut net = Net::new(&NAMES[..4], seed + 1);
        for at in 1..4 {
            net.connect(0, at);
        }
        for at in 0..4 {
            let process = pid(&net.nodes[at], 9);
            net.register(at, 1, Term::from(u32::try_from(at).unwrap()), process);
        }
        net.run(LONG);
        let a = net.random(4);
        let b = (a + 1 + net.random(3)) % 4;
        net.block(a, b);
        net.notice(b, a);
        // The others leave one end and take it back, before or after it has noticed.
        let mended_first = net.random(3) == 0;
        for phase in 0..3 {
            for _ in 0..net.random(200) {
                net.step();
                let (c, d) = (net.random(4), net.random(4));
                if !net.sees(c, d) && !net.sees(d, c) {
                    net.connect(c, d);
                }
            }
            match phase {
                0 if !mended_first => net.notice(a, b),
                0 => {}
                1 => net.mend(),
                _ => net.notice(a, b),
            }
        }
        // Somebody connects whoever is not connected, now and then.
        for _ in 0..8 {
            for other in 0..4 {
                for at in 0..other {
                    net.connect(at, other);
                }
            }
            net.run(Duration::from_secs(30));
        }
        net.run(LONG);
        net.assert_one(&[0, 1, 2, 3]);
        assert_eq!(net.machines[0].registered().len(), 4, "seed {seed}");
    }
}

#[test]
fn a_peer_that_freezes_at_any_moment_is_done_without_and_taken_back() {
    for steps in 0..120 {
        let mut net = Net::new(&NAMES[..4], steps + 1);
        net.connect(0, 1);
        net.connect(0, 2);
        net.run(LONG);
        net.assert_one(&[0, 1, 2]);
        // The newcomer stops in the middle.
        net.connect(1, 3);
        for _ in 0..steps {
            net.step();
        }
        net.deaf.insert(3);
        net.run(Duration::from_secs(1));
        for (id, at) in [(1, 0), (2, 1), (3, 2)] {
            let process = pid(&net.nodes[at], 9);
            net.register(at, id, Term::from(id), process);
        }
        // It may have the lock itself, and then it is a tick time until the others can go on.
        if steps % 2 == 0 {
            net.run(Duration::from_secs(75));
            for at in 0..3 {
                net.cut(3, at);
            }
            net.run(LONG);
            net.assert_one(&[0, 1, 2]);
        } else {
            net.run(Duration::from_secs(30));
            net.deaf.clear();
            net.run(LONG);
            // A connection may have been given up.
            for at in 1..4 {
                net.connect(0, at);
            }
            net.run(LONG);
            net.assert_one(&[0, 1, 2, 3]);
        }
        for (id, at) in [(1, 0), (2, 1), (3, 2)] {
            assert_eq!(net.answers.get(&(at, id)), Some(&true), "after {steps} steps");
        }
    }
}

#[test]
fn what_a_dead_process_held_is_gone() {
    let mut net = Net::new(&NAMES[..2], 1);
    net.connect(0, 1);
    net.run(LONG);
    let process = pid(&net.nodes[0], 9);
    net.register(0, 1, term!(name), process.clone());
    net.run(LONG);
    let set = term!({set_lock, {resource, me}});
    let message = crate::r#gen::message::call(process.clone(), Term::from(77), set);
    let peer = net.nodes[0].clone();
    net.handle(1, Event::Message { peer, message });
    assert_eq!(net.machines[1].locks.len(), 1);
    net.kill(&process);
    net.run(LONG);
    assert_eq!(net.machines[1].locks.len(), 0);
    net.assert_one(&[0, 1]);
    assert!(net.machines[0].registered().is_empty());
}

#[test]
fn calls_are_always_answered_and_nonsense_changes_nothing() {
    let mut net = Net::new(&NAMES[..2], 1);
    net.connect(0, 1);
    net.run(LONG);
    let peer = net.nodes[0].clone();
    let own = pid(&peer, 9);
    for (request, answer) in [
        (term!({set_lock, {r, me}}), term!(true)),
        (term!({set_lock, {r, other}}), term!(false)),
        (term!({set_lock, r}), term!({error, notsup})),
        (term!({del_lock, {r, other}}), term!(true)),
        (term!({del_lock, {r, me}}), term!(true)),
        (term!({unregister, nobody}), term!(ok)),
        (term!({register, name, 1, 2}), term!({error, notsup})),
        (term!(get_protocol_version), term!(8)),
        (term!(get_known), Term::List(vec![Term::Atom(peer.clone())])),
        (term!({registrar, work}), term!({error, notsup})),
        (term!(anything), term!({error, notsup})),
    ] {
        let message = crate::r#gen::message::call(own.clone(), term!(tag), request.clone());
        let effects =
            net.machines[1].handle(net.now, Event::Message { peer: peer.clone(), message });
        let replies: Vec<_> = effects
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Reply { reply, .. } => Some(reply),
                _ => None,
            })
            .collect();
        assert_eq!(replies, [answer], "{request}");
    }
    let node = || Term::Atom(peer.clone());
    for message in [
        term!(nothing),
        term!({init_connect, 8, (node()), {}}),
        message::cast(vec![]),
        message::cast(vec![term!(init_connect)]),
        message::cast(vec![term!(init_connect), term!({ 8 }), node(), term!({locker, x, [], y})]),
        message::cast(vec![term!(init_connect), term!({-8, 1}), node(), term!({locker, x, [], y})]),
        message::cast(vec![term!(exchange), node(), term!([a]), term!([]), term!(1)]),
        message::cast(vec![term!(exchange), node(), term!([]), term!([]), term!(1)]),
        message::cast(vec![
            term!(resolved),
            node(),
            term!([x]),
            term!([]),
            term!(u),
            term!([]),
            term!(1),
        ]),
        message::cast(vec![
            term!(resolved),
            node(),
            term!([]),
            term!([]),
            term!(u),
            term!([]),
            term!(1),
        ]),
        message::cast(vec![term!(new_nodes), node(), term!({}), term!([]), term!([]), term!([])]),
        message::cast(vec![term!(in_sync), term!(("nobody")), term!(true)]),
        message::cast(vec![term!(lock_set), term!(1), term!(true), term!([]), term!(1)]),
        term!({init_connect_ack, (node())}),
        term!({cancel_connect, (node()), 99}),
        term!({lost_connection, 1, 2, 3, 4}),
        term!({remove_connection, other}),
    ] {
        net.handle(1, Event::Message { peer: peer.clone(), message });
        net.run(LONG);
        net.assert_one(&[0, 1]);
    }
}

#[test]
fn a_peer_that_repeats_itself_fills_no_queue_and_keeps_nobody_elses_word_out() {
    let mut net = Net::new(&NAMES[..3], 1);
    let word = |at: usize| LockerMessage::LockSet { pid: pid(&net.nodes[at], 9), set: true };
    let others = word(1);
    let many: Vec<LockerMessage> = (0..3 * MOST_NODES).map(|_| word(0)).collect();
    let machine = &mut net.machines[2];
    for word in many {
        machine.tell_locker(word);
        machine.tell_locker(LockerMessage::AddKnown(Vec::new()));
    }
    machine.tell_locker(others);
    assert_eq!(machine.locker.queue.len(), 2);
    let from: Vec<&Atom> = machine
        .locker
        .queue
        .iter()
        .map(|message| match message {
            LockerMessage::LockSet { pid, .. } => &pid.node,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(from, [&net.nodes[0], &net.nodes[1]]);
}

#[test]
fn of_the_nodes_that_a_peer_names_only_so_many_are_dialled() {
    let mut net = Net::new(&NAMES[..2], 1);
    net.connect(0, 1);
    net.run(LONG);
    let peer = net.nodes[0].clone();
    let named = (0..2 * MOST_NODES).map(|at| Term::atom(&*format!("n{at}@h").leak())).collect();
    let fields =
        vec![term!(new_nodes), Term::Atom(peer.clone()), term!([]), term!([]), named, term!([])];
    let message = message::cast(fields);
    let effects = net.machines[1].handle(net.now, Event::Message { peer, message });
    let joins = effects.iter().filter(|effect| matches!(effect, Effect::Join { .. })).count();
    assert_eq!(joins, MOST_NODES - 1);
}

#[test]
fn of_the_nodes_that_the_other_side_knows_only_so_many_are_dialled() {
    let mut net = Net::new(&NAMES[..2], 1);
    net.connect(0, 1);
    let peer = net.nodes[0].clone();
    // What it resolved is on its way, and all that is missing.
    let mut message = loop {
        let session = net.machines[1].peers.get(&peer).and_then(|peer| peer.session.as_ref());
        let waits = session.is_some_and(|session| matches!(session.ops, Ops::Ours(_)));
        let next = net.flying.get(&(0, 1)).and_then(VecDeque::front);
        if let (true, Some(Event::Message { message, .. })) = (waits, next)
            && let Some(Message::Resolved { .. }) = Message::parse(message.clone())
        {
            break message.clone();
        }
        assert!(net.step(), "the machines are at rest");
    };
    if let Term::Tuple(cast) = &mut message
        && let [_, Term::Tuple(fields)] = cast.as_mut_slice()
    {
        let name = |at: usize| Term::atom(&*format!("n{at}@h").leak());
        // Behind the word, the node and what it resolved.
        fields[3] = (0..2 * MOST_NODES).map(name).collect();
    }
    let effects = net.machines[1].handle(net.now, Event::Message { peer, message });
    let joins = effects.iter().filter(|effect| matches!(effect, Effect::Join { .. })).count();
    assert_eq!(joins, MOST_NODES);
}

#[test]
fn a_node_that_connects_while_it_is_dialled_in_vain_stays_known() {
    let mut net = Net::new(&NAMES[..2], 1);
    net.connect(0, 1);
    net.run(LONG);
    let node = net.nodes[0].clone();
    net.handle(1, Event::Joined { node, connected: false });
    net.run(LONG);
    net.assert_one(&[0, 1]);
}
