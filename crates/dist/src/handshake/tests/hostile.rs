//! Messages that are cut, changed, or belong to another step.

use proptest::prelude::*;

use super::*;

/// A valid message, and the step that takes it: whether it was taken.
type StepOf = (Vec<u8>, fn(&[u8]) -> bool);

/// Every message of both roles.
fn steps() -> [StepOf; 8] {
    fn a() -> Node {
        Node::new("a@h")
    }
    fn b() -> Node {
        Node::new("b@h")
    }
    let reply = message::reply(1, &digest::Digest::new(&cookie(), CHALLENGES.1));
    [
        (b"sok".to_vec(), |m| Initiator::start(a().local(), &b().name).0.on_status(m).is_ok()),
        (message::named("x@h", 9), |m| {
            let start = Initiator::start_dynamic("h", a().flags, &cookie(), &b().name).unwrap().0;
            start.on_status(m).is_ok()
        }),
        (message::challenge(b().flags, 5, 6, "b@h"), |m| {
            await_challenge(&a(), &b().name).on_challenge(m, 1).is_ok()
        }),
        (message::ack(&digest::Digest::new(&cookie(), 1)), |m| {
            let challenge = message::challenge(b().flags, 5, 6, "b@h");
            let last = await_challenge(&a(), &b().name).on_challenge(&challenge, 1).unwrap().0;
            last.on_ack(m).is_ok()
        }),
        (message::name(a().flags, 6, "a@h"), |m| Acceptor::new(b().local()).on_name(m).is_ok()),
        (message::status("true"), |m| {
            let first = message::name(a().flags, 6, "a@h");
            let Ok(NameReceived::Named(peer)) = Acceptor::new(b().local()).on_name(&first) else {
                panic!();
            };
            peer.alive().0.on_answer(m).is_ok()
        }),
        (message::old_name(a().flags, 6, "a@h")[1].clone(), |m| {
            let [first, _] = message::old_name(a().flags, 6, "a@h");
            await_reply(&b(), &first).on_message(m).is_ok()
        }),
        (reply, |m| {
            let first = message::name(a().flags, 6, "a@h");
            await_reply(&b(), &first).on_message(m).is_ok()
        }),
    ]
}

#[test]
fn a_message_that_is_cut_is_never_taken() {
    for (message, take) in steps() {
        assert!(take(&message), "{message:?}");
        for len in 0..message.len() {
            assert!(!take(&message[..len]), "{:?} of {message:?}", &message[..len]);
        }
    }
}

#[test]
fn no_step_takes_the_message_of_another() {
    for (i, (message, _)) in steps().iter().enumerate() {
        for (j, (_, take)) in steps().iter().enumerate() {
            assert_eq!(take(message), i == j, "message {i} in step {j}");
        }
    }
}

#[test]
fn every_bit_of_a_digest_matters() {
    for (message, take) in steps().iter().filter(|(m, _)| matches!(m[0], b'a' | b'r')) {
        for bit in 0..128 {
            let mut message = message.clone();
            let at = message.len() - 16 + bit / 8;
            message[at] ^= 1 << (bit % 8);
            assert!(!take(&message));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_step_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for (_, take) in steps() {
            let _either_way = take(&bytes);
        }
    }

    #[test]
    fn mutated_messages_are_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        more in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        for (mut message, take) in steps() {
            for (at, byte) in &changes {
                let at = at.index(message.len());
                message[at] = *byte;
            }
            message.extend(&more);
            let _either_way = take(&message);
        }
    }
}
