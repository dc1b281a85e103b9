//! Whose signals have to stay in order.

use etf::{Pid, Reference, Term};

use super::control::Control;

/// The signals of one sender, which stay in the order they were sent.
///
/// A process has one lane. The node itself, as which many tasks send at once, has one for each
/// receiver: a large message of one task must not hold up what another sends elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lane(u64);

/// Told apart from the processes of this node, whose numbers are below this.
const OF_NODE: u64 = 1 << 63;

impl Lane {
    /// What has no order: nothing waits for it, and it waits for nothing.
    pub(crate) const NONE: Self = Self(u64::MAX);

    /// That of the signal with this control tuple, `node` being the pid of the sending node itself.
    pub(crate) fn of(control: &Term, node: &Pid) -> Self {
        match Control::ends(control) {
            Some((Term::Pid(from), to)) if is(from, node) => {
                Self(OF_NODE | (receiver(to) & (u64::MAX >> 2)))
            }
            Some((Term::Pid(from), _)) => Self::of_process(from),
            _ => Self::NONE,
        }
    }

    /// That of a process of this node.
    pub(crate) fn of_process(pid: &Pid) -> Self {
        Self(u64::from(pid.serial) << 32 | u64::from(pid.id))
    }
}

fn is(pid: &Pid, other: &Pid) -> bool {
    (pid.id, pid.serial) == (other.id, other.serial)
}

/// A number that is the same for the same receiver. If two share one, they wait for each other.
fn receiver(to: &Term) -> u64 {
    match to {
        Term::Pid(pid) => u64::from(pid.serial) << 32 | u64::from(pid.id),
        Term::Atom(name) => name.spread().into(),
        Term::Reference(reference) => of_reference(reference),
        _ => 0,
    }
}

fn of_reference(reference: &Reference) -> u64 {
    reference.words().iter().fold(0, |all, word| all.rotate_left(32) ^ u64::from(*word))
}

#[cfg(test)]
mod tests {
    use etf::{Atom, term};

    use super::*;

    fn pid(id: u32) -> Pid {
        Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 7 }
    }

    fn lane(control: Term) -> Lane {
        Lane::of(&control, &pid(1))
    }

    #[test]
    fn a_process_has_one_lane_whatever_it_sends_to_whom() {
        let reference = Term::Reference(Reference::new(Atom::from_static("a@h"), 7, &[1]).unwrap());
        let (a, b, c) = (pid(2), pid(3), pid(4));
        let own = Lane::of_process(&a);
        for control in [
            term!({22, (&a), (&b)}),
            term!({6, (&a), (Term::atom("")), name}),
            term!({1, (&a), (&c)}),
            term!({19, (&a), name, (reference.clone())}),
            term!({28, (&a), (&b), (reference.clone())}),
            term!({24, (&a), (&b)}),
            term!({33, (&a), (reference.clone())}),
            term!({37, 4, (&a), (reference.clone())}),
            term!({29, (reference.clone()), (&a), (&b), {m, f, 0}, []}),
            term!({35, 7, (&a), (&b)}),
            term!({36, 7, (&a), (&b)}),
        ] {
            assert_eq!(lane(control.clone()), own, "{control}");
        }
        assert_ne!(lane(term!({22, (&b), (&a)})), own);
        // Without the sender in it, and without a process behind it.
        assert_eq!(lane(term!({2, (Term::atom("")), (&b)})), Lane::NONE);
        assert_eq!(lane(term!({28, name, (&b), (reference)})), Lane::NONE);
    }

    #[test]
    fn the_node_has_a_lane_for_each_receiver() {
        let node = pid(1);
        let to = |to: Pid| lane(term!({22, (&node), (to)}));
        assert_eq!(to(pid(2)), to(pid(2)));
        assert_ne!(to(pid(2)), to(pid(3)));
        assert_ne!(to(pid(2)), Lane::of_process(&pid(2)));
        let name = |name: &str| {
            lane(term!({6, (&node), (Term::atom("")), (Term::Atom(Atom::new(name).unwrap()))}))
        };
        assert_eq!(name("x"), name("x"));
        assert_ne!(name("x"), name("y"));
    }
}
