//! Scopes that talk to each other without a network, beside a model of OTP's scope that ends where that one would.

use std::collections::{BTreeMap, VecDeque};

use etf::{Atom, term};
use proptest::prelude::*;

use super::*;

fn pid(node: &'static str, id: u32) -> Pid {
    Pid { node: Atom::from_static(node), id, serial: 0, creation: 4 }
}

fn group(number: u32) -> Term {
    term!({group, (i64::from(number))})
}

/// What a scope of OTP 23 to 28 keeps of another one, and where it ends (`pg.erl`).
#[derive(Debug)]
struct Otp {
    groups: BTreeMap<String, Vec<Pid>>,
}

impl Otp {
    /// One that knows us: when a link comes up it is sent a `discover`, and whatever it hears of us from then on counts.
    fn asked() -> Self {
        Self { groups: BTreeMap::new() }
    }

    fn take(&mut self, message: &Term) {
        let (_, message) = Message::parse(message.clone()).expect("a message that OTP takes");
        match message {
            Message::Discover => {}
            Message::Sync(groups) => {
                let groups = groups.into_iter().map(|(group, pids)| (group.to_string(), pids));
                self.groups = groups.collect();
            }
            Message::Join((group, pids)) => {
                self.groups.entry(group.to_string()).or_default().extend(pids);
            }
            Message::Leave(pids, left) => {
                let groups = &mut self.groups;
                for group in left {
                    let members = groups.get_mut(&group.to_string()).expect("the scope ends here");
                    for pid in &pids {
                        let at = members.iter().position(|member| member == pid);
                        members.swap_remove(at.expect("a process that is no member"));
                    }
                    groups.retain(|_, pids| !pids.is_empty());
                }
            }
            Message::Update(_) => panic!("a form that OTP 28 does not know"),
        }
    }

    fn seen(&self) -> BTreeMap<String, Vec<Pid>> {
        let mut seen = self.groups.clone();
        seen.values_mut().for_each(|pids| pids.sort());
        seen
    }
}

fn local(membership: &Membership) -> BTreeMap<String, Vec<Pid>> {
    let groups = membership.local_groups().map(|group| {
        let mut pids = membership.local_members(group);
        pids.sort();
        (group.to_string(), pids)
    });
    groups.collect()
}

fn sent(actions: Vec<Action>) -> Vec<Term> {
    let messages = actions.into_iter().filter_map(|action| match action {
        Action::Send(_, message) => Some(message),
        _ => None,
    });
    messages.collect()
}

#[derive(Debug, Clone)]
enum Step {
    Join(u32, Vec<u32>),
    Leave(u32, Vec<u32>),
    End(u32),
    TellEnds,
    /// The other scope asks, or tells us its groups, or goes.
    Discover,
    Sync,
    Lost,
}

fn step() -> impl Strategy<Value = Step> {
    let pids = || prop::collection::vec(1_u32..5, 0..4);
    prop_oneof![
        4 => (0_u32..3, pids()).prop_map(|(group, pids)| Step::Join(group, pids)),
        3 => (0_u32..3, pids()).prop_map(|(group, pids)| Step::Leave(group, pids)),
        2 => (1_u32..5).prop_map(Step::End),
        1 => Just(Step::TellEnds),
        2 => Just(Step::Discover),
        1 => Just(Step::Sync),
        1 => Just(Step::Lost),
    ]
}

proptest! {
    /// Whatever happens in whatever order, a scope of OTP never hears what would end it, and in the
    /// end knows what we know.
    #[test]
    fn otp_is_told_the_truth_and_lives(steps in prop::collection::vec(step(), 0..60)) {
        let them = pid("otp@h", 1);
        let mut us = Membership::new(pid("rust@h", 1));
        let mut otp = Otp::asked();
        let own = |pids: Vec<u32>| pids.into_iter().map(|id| pid("rust@h", id + 1)).collect::<Vec<_>>();
        for step in steps {
            let actions = match step {
                Step::Join(number, pids) => us.join(&group(number), &own(pids)),
                Step::Leave(number, pids) => us.leave(&group(number), &own(pids)),
                Step::End(id) => us.ended(&pid("rust@h", id + 1)),
                Step::TellEnds => us.announce_ended(),
                Step::Discover => us.take(&them, Message::Discover),
                Step::Sync => us.take(&them, Message::Sync(Vec::new())),
                Step::Lost => {
                    otp = Otp::asked();
                    us.lost(&them)
                }
            };
            sent(actions).iter().for_each(|message| otp.take(message));
        }
        sent(us.announce_ended()).iter().for_each(|message| otp.take(message));
        if us.peers.get(&them).is_some_and(|peer| peer.announced) {
            prop_assert_eq!(otp.seen(), local(&us));
        }
        prop_assert!(!us.owes());
    }

    /// Two of ours, each with its own link's delay: at rest each sees what the other has.
    #[test]
    fn two_scopes_agree_at_rest(steps in prop::collection::vec((any::<bool>(), 0_usize..4, step()), 0..60)) {
        let pids = [pid("a@h", 1), pid("b@h", 1)];
        let mut scopes = [Membership::new(pids[0].clone()), Membership::new(pids[1].clone())];
        let mut wire = [VecDeque::new(), VecDeque::new()];
        // As a link's start: each asks the other.
        wire[1].push_back(wire::discover(&pids[0]));
        wire[0].push_back(wire::discover(&pids[1]));
        let deliver = |scopes: &mut [Membership; 2], wire: &mut [VecDeque<Term>; 2], to: usize| {
            let Some(message) = wire[to].pop_front() else { return false };
            let (from, message) = Message::parse(message).unwrap();
            let actions = scopes[to].take(&from, message);
            wire[1 - to].extend(sent(actions));
            true
        };
        for (first, deliveries, step) in steps {
            let at = usize::from(!first);
            let node = ["a@h", "b@h"][at];
            let own = |pids: Vec<u32>| pids.into_iter().map(|id| pid(node, id + 1)).collect::<Vec<_>>();
            let actions = match step {
                Step::Join(number, pids) => scopes[at].join(&group(number), &own(pids)),
                Step::Leave(number, pids) => scopes[at].leave(&group(number), &own(pids)),
                Step::End(id) => scopes[at].ended(&pid(node, id + 1)),
                _ => scopes[at].announce_ended(),
            };
            wire[1 - at].extend(sent(actions));
            for n in 0..deliveries {
                deliver(&mut scopes, &mut wire, (at + n) % 2);
            }
        }
        loop {
            for at in [0, 1] {
                let ends = scopes[at].announce_ended();
                wire[1 - at].extend(sent(ends));
            }
            if !deliver(&mut scopes, &mut wire, 0) && !deliver(&mut scopes, &mut wire, 1) {
                break;
            }
        }
        for at in [0, 1] {
            for number in 0..3 {
                let mut theirs = scopes[at].remote_members(&group(number));
                let mut own = scopes[1 - at].local_members(&group(number));
                theirs.sort();
                own.sort();
                prop_assert_eq!(theirs, own);
            }
        }
    }
}

#[test]
fn a_scope_that_asks_is_told_and_asked_and_one_that_asks_again_only_told() {
    let (me, them) = (pid("rust@h", 1), pid("otp@h", 1));
    let mut us = Membership::new(me.clone());
    us.join(&group(1), &[pid("rust@h", 2), pid("rust@h", 2)]);
    let sync =
        "{'$gen_cast',{sync,#Pid<rust@h.1.0>,[{{group,1},[#Pid<rust@h.2.0>,#Pid<rust@h.2.0>]}]}}";
    let actions = us.take(&them, Message::Discover);
    assert_eq!(actions[0], Action::Monitor(them.clone()));
    let said: Vec<String> = sent(actions).iter().map(Term::to_string).collect();
    assert_eq!(said, [sync, wire::discover(&me).to_string().as_str()]);
    let actions = us.take(&them, Message::Discover);
    assert_eq!(sent(actions).iter().map(Term::to_string).collect::<Vec<_>>(), [sync]);
}

#[test]
fn nobody_is_told_of_what_it_was_not_told_before() {
    let them = pid("otp@h", 1);
    let mut us = Membership::new(pid("rust@h", 1));
    us.join(&group(1), &[pid("rust@h", 2)]);
    // It told us who it is, but has not asked.
    us.take(&them, Message::Sync(Vec::new()));
    assert_eq!(sent(us.leave(&group(1), &[pid("rust@h", 2)])), []);
    us.join(&group(1), &[pid("rust@h", 2)]);
    us.ended(&pid("rust@h", 2));
    assert!(!us.owes());
}

#[test]
fn processes_that_ended_together_are_told_of_together() {
    let them = pid("otp@h", 1);
    let mut us = Membership::new(pid("rust@h", 1));
    us.take(&them, Message::Discover);
    let pids: Vec<Pid> = (2..1002).map(|id| pid("rust@h", id)).collect();
    us.join(&group(1), &pids);
    pids.iter().for_each(|pid| drop(us.ended(pid)));
    assert_eq!(us.local_members(&group(1)), []);
    assert_eq!(sent(us.announce_ended()).len(), 1);
    assert_eq!(us.announce_ended(), []);
}

#[test]
fn changes_of_other_nodes_are_told_exactly() {
    let them = pid("otp@h", 1);
    let (a, b, c) = (pid("otp@h", 2), pid("otp@h", 3), pid("otp@h", 4));
    let mut us = Membership::new(pid("rust@h", 1));
    let join = Message::Join((group(1), vec![a.clone()]));
    assert_eq!(us.take(&them, join), [], "from one that is not known");
    us.take(&them, Message::Sync(vec![(group(1), vec![a.clone(), a.clone(), b.clone()])]));
    let actions = us.take(&them, Message::Sync(vec![(group(1), vec![a.clone(), c.clone()])]));
    let [Action::Joined(_, joined), Action::Left(_, left)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(joined, std::slice::from_ref(&c));
    let mut left = left.clone();
    left.sort();
    assert_eq!(left, [a.clone(), b.clone()]);
    let leave = Message::Leave(vec![a.clone(), b, c.clone()], vec![group(2), group(1), group(1)]);
    let actions = us.take(&them, leave);
    assert_eq!(actions, [Action::Left(group(1), vec![a.clone(), c])]);
    assert!(us.groups().is_empty());
    us.take(&them, Message::Update(vec![(group(3), vec![a.clone()], vec![])]));
    assert_eq!(us.lost(&them), [Action::Left(group(3), vec![a])]);
    assert_eq!(us.peers().count(), 0);
}

#[test]
fn members_of_a_third_node_and_too_many_are_not_taken() {
    let them = pid("otp@h", 1);
    let mut us = Membership::new(pid("rust@h", 1));
    us.most = 3;
    let earlier = Pid { creation: 3, ..pid("otp@h", 2) };
    let strangers = vec![pid("third@h", 2), pid("rust@h", 2), earlier];
    us.take(&them, Message::Sync(vec![(group(1), strangers)]));
    assert_eq!((us.members(&group(1)), us.refused()), (vec![], 3));
    assert!(us.groups().is_empty());
    let many: Vec<Pid> = (2..7).map(|id| pid("otp@h", id)).collect();
    us.take(&them, Message::Join((group(1), many.clone())));
    assert_eq!((us.members(&group(1)).len(), us.refused()), (3, 5));
    let all = us.members(&group(1));
    us.take(&them, Message::Leave(all, vec![group(1)]));
    us.take(&them, Message::Sync(vec![(group(2), many)]));
    assert_eq!((us.members(&group(2)).len(), us.refused()), (3, 7));
}

#[test]
fn names_of_groups_and_scopes_of_one_node_are_bounded() {
    let them = pid("otp@h", 1);
    let mut us = Membership::new(pid("rust@h", 1));
    let name = |number: u8| Term::from([number; 100].as_slice());
    us.most_bytes = 2 * heap(&name(1));
    let member = |id: u32| vec![pid("otp@h", id)];
    us.take(&them, Message::Sync((1..5).map(|number| (name(number), member(9))).collect()));
    assert_eq!((us.groups().len(), us.refused()), (2, 2));
    // A group that is there takes more, and one that is gone leaves its room.
    us.take(&them, Message::Join((name(1), member(10))));
    assert_eq!((us.members(&name(1)).len(), us.refused()), (2, 2));
    us.take(&them, Message::Leave(member(9), vec![name(2), name(2)]));
    us.take(&them, Message::Join((name(3), member(9))));
    us.take(&them, Message::Join((name(4), member(9))));
    assert_eq!((us.groups().len(), us.refused()), (2, 3));
    for id in 2..20 {
        us.take(&pid("otp@h", id), Message::Discover);
    }
    assert_eq!(us.peers().count(), MOST_SCOPES);
    us.take(&pid("other@h", 1), Message::Discover);
    us.lost(&them);
    us.take(&pid("otp@h", 30), Message::Sync(Vec::new()));
    assert_eq!(us.peers().count(), MOST_SCOPES + 1);
}
