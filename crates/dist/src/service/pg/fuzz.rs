//! Words of other nodes' scopes.

use std::collections::HashSet;

use etf::{Atom, Pid, Term};

use super::membership::{Action, Membership};
use super::wire::Message;
use crate::fuzz::{parts, term};

/// What two nodes say to a scope, one message after the other; an empty one is the loss of the node
/// that spoke last.
pub fn pg(data: &[u8]) {
    let me = Pid { node: Atom::from_static("us@h"), id: 1, serial: 0, creation: 4 };
    let mut membership = Membership::new(me.clone());
    let own = Pid { id: 2, ..me };
    membership.join(&Term::atom("g"), std::slice::from_ref(&own));
    let mut monitored = HashSet::new();
    let mut last = None;
    for message in parts(data) {
        if message.is_empty() {
            if let Some(peer) = last.take() {
                monitored.remove(&peer);
                check(&membership.lost(&peer));
            }
            continue;
        }
        let Some((scope, message)) = term(message).and_then(Message::parse) else { continue };
        if !["a@h", "b@h"].contains(&scope.node.as_str()) {
            continue;
        }
        let actions = membership.take(&scope, message);
        check(&actions);
        monitored.extend(actions.into_iter().filter_map(|action| match action {
            Action::Monitor(peer) => Some(peer),
            _ => None,
        }));
        last = Some(scope);
    }
    for peer in monitored {
        check(&membership.lost(&peer));
    }
    assert_eq!(membership.peers().count(), 0, "a scope that nobody monitors");
    assert_eq!(membership.groups(), HashSet::from([&Term::atom("g")]));
    assert_eq!(membership.members(&Term::atom("g")), [own]);
}

/// What is sent can be written.
fn check(actions: &[Action]) {
    for action in actions {
        if let Action::Send(_, message) = action {
            assert!(etf::encode(message).is_ok(), "{message} has no external form");
        }
    }
}
