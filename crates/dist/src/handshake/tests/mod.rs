//! Both roles against each other and against bytes that OTP sent, one byte at a time.

mod hostile;
mod transcript;

use super::*;
use crate::NodeNameError;

const CHALLENGES: (u32, u32) = (0x0102_0304, 0xf0e0_d0c0);

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn cookie() -> Cookie {
    Cookie::new("secret").unwrap()
}

/// A node for tests: everything that a [`Local`] borrows.
struct Node {
    name: NodeName,
    flags: Flags,
    creation: u32,
    cookie: Cookie,
}

impl Node {
    fn new(base: &str) -> Self {
        let flags = Flags::OFFERED.with(Flags::PUBLISHED);
        Self { name: name(base), flags, creation: 77, cookie: cookie() }
    }

    fn local(&self) -> Local<'_> {
        Local { name: &self.name, flags: self.flags, creation: self.creation, cookie: &self.cookie }
    }
}

/// Sends a message through a stream of single bytes.
fn carry(prefix: Prefix, message: &[u8]) -> Vec<u8> {
    let mut packets = Packets::new(prefix);
    let stream = packets.frame(message);
    let (last, most) = stream.split_last().unwrap();
    for byte in most {
        packets.feed(&[*byte]);
        assert_eq!(packets.next_packet(), Ok(None));
    }
    packets.feed(&[*last]);
    let message = packets.next_packet().unwrap().unwrap();
    assert!(packets.into_rest().is_empty());
    message
}

/// How the acceptor lets the initiator in.
#[derive(Debug, Clone, Copy)]
enum How {
    Ok,
    Simultaneous,
    Alive,
    Anonymous,
}

/// A whole handshake of our two machines; each is given what the other established.
fn shake(
    initiator: &Node,
    acceptor: &Node,
    how: How,
    prefix: Prefix,
) -> Result<(Established, Established), HandshakeError> {
    let carry = |message: &[u8]| carry(prefix, message);
    let (dialling, first) = match how {
        How::Anonymous => {
            let host = initiator.name.host();
            Initiator::start_dynamic(host, initiator.flags, &initiator.cookie, &acceptor.name)
                .unwrap()
        }
        _ => Initiator::start(initiator.local(), &acceptor.name),
    };

    let received = Acceptor::new(acceptor.local()).on_name(&carry(&first))?;
    let (awaiting, challenge, next) = match (received, how) {
        (NameReceived::Named(peer), How::Ok | How::Simultaneous) => {
            assert_eq!(peer.name(), &initiator.name);
            assert_eq!(peer.creation(), Some(initiator.creation));
            let simultaneous = matches!(how, How::Simultaneous);
            let status = if simultaneous { Status::OkSimultaneous } else { Status::Ok };
            let (awaiting, [status, challenge]) = peer.accept(status, CHALLENGES.1);
            let StatusOutcome::Continue(next) = dialling.on_status(&carry(&status))? else {
                panic!("not let in");
            };
            (awaiting, challenge, next)
        }
        (NameReceived::Named(peer), How::Alive) => {
            let (awaiting, status) = peer.alive();
            let StatusOutcome::Alive(question) = dialling.on_status(&carry(&status))? else {
                panic!("not asked");
            };
            let (next, answer) = question.answer(true);
            let AliveAnswer::Accepted(accepted) = awaiting.on_answer(&carry(&answer))? else {
                panic!("given up");
            };
            assert_eq!(accepted.name(), &initiator.name);
            let (awaiting, challenge) = accepted.challenge(CHALLENGES.1);
            (awaiting, challenge, next.unwrap())
        }
        (NameReceived::Anonymous(peer), How::Anonymous) => {
            let given = peer.candidate(12_345);
            assert_eq!(given.host(), initiator.name.host());
            let (awaiting, [status, challenge]) = peer.accept(given.clone(), 9, CHALLENGES.1);
            let StatusOutcome::Named { name, creation, next } =
                dialling.on_status(&carry(&status))?
            else {
                panic!("not named");
            };
            assert_eq!((name, creation), (given, 9));
            (awaiting, challenge, next)
        }
        (received, how) => panic!("{how:?}: {received:?}"),
    };
    assert_eq!(awaiting.step(), Step::Reply);

    let (last, reply) = next.on_challenge(&carry(&challenge), CHALLENGES.0)?;
    let Next::Done { ack, established } = awaiting.on_message(&carry(&reply))? else {
        panic!("more to come");
    };
    Ok((last.on_ack(&carry(&ack))?, established))
}

#[test]
fn both_establish_the_same() {
    let hidden = Flags::OFFERED;
    let visible = hidden.with(Flags::PUBLISHED);
    for how in [How::Ok, How::Simultaneous, How::Alive, How::Anonymous] {
        for prefix in [Prefix::Two, Prefix::Four] {
            for (mine, theirs) in
                [(visible, visible), (visible, hidden), (hidden, visible), (hidden, hidden)]
            {
                let initiator = Node { flags: mine, ..Node::new("a@127.0.0.1") };
                let acceptor = Node { flags: theirs, creation: 88, ..Node::new("b@127.0.0.1") };
                let (ours, seen) = shake(&initiator, &acceptor, how, prefix).unwrap();

                assert_eq!((&ours.local, ours.local_creation), (&seen.peer, seen.creation));
                assert_eq!((&seen.local, seen.local_creation), (&ours.peer, ours.creation));
                assert_eq!((&ours.peer, ours.creation), (&acceptor.name, 88));
                assert_eq!(ours.flags, seen.flags);
                let anonymous = matches!(how, How::Anonymous);
                assert_eq!(
                    ours.peer_flags.without(Flags::NAME_ME),
                    if anonymous { hidden } else { theirs }
                );
                assert_eq!(ours.flags.contains(Flags::NAME_ME), anonymous);
                assert_eq!(ours.local != initiator.name, anonymous);
                let both = mine == visible && theirs == visible && !anonymous;
                assert_eq!((ours.visible, seen.visible), (both, both), "{how:?}");
            }
        }
    }
}

#[test]
fn other_cookies_are_refused_by_the_acceptor_first() {
    let other = Node { cookie: Cookie::new("other").unwrap(), ..Node::new("b@h") };
    for how in [How::Ok, How::Alive, How::Anonymous] {
        let error = shake(&Node::new("a@h"), &other, how, Prefix::Two).unwrap_err();
        assert!(matches!(error, HandshakeError::CookieRefused), "{error:?}");
    }
    // The peer just closes then, and that is what the initiator makes of it.
    assert!(matches!(AwaitAck::STEP.closed(), HandshakeError::CookieRefused));
    let reset = AwaitAck::STEP.io(std::io::ErrorKind::ConnectionReset.into());
    assert!(matches!(reset, HandshakeError::CookieRefused));
    assert!(matches!(Step::Status.closed(), HandshakeError::Closed { step: Step::Status }));
}

#[test]
fn the_initiator_refuses_an_acknowledgement_that_is_wrong() {
    let (a, b) = (Node::new("a@h"), Node::new("b@h"));
    let challenge = message::challenge(b.flags, 5, 6, "b@h");
    let (last, _) = await_challenge(&a, &b.name).on_challenge(&challenge, 1).unwrap();
    // The digest of another challenge: somebody without the cookie plays back what he heard.
    let error = last.on_ack(&message::ack(&digest::Digest::new(&b.cookie, 2))).unwrap_err();
    assert!(matches!(error, HandshakeError::CookieRefused));
}

#[test]
fn a_status_that_turns_away() {
    let (a, b) = (Node::new("a@h"), Node::new("b@h"));
    let start = || Initiator::start(a.local(), &b.name).0;
    assert!(matches!(start().on_status(&Refusal::Nok.message()), Ok(StatusOutcome::Nok)));
    let error = start().on_status(&Refusal::NotAllowed.message()).unwrap_err();
    assert!(matches!(error, HandshakeError::NotAllowed));

    let Ok(StatusOutcome::Alive(question)) = start().on_status(b"salive") else { panic!() };
    let (next, answer) = question.answer(false);
    assert!(next.is_none());
    let (_, first) = Initiator::start(a.local(), &b.name);
    let Ok(NameReceived::Named(peer)) = Acceptor::new(b.local()).on_name(&first) else { panic!() };
    assert!(matches!(peer.alive().0.on_answer(&answer), Ok(AliveAnswer::GiveUp)));
}

#[test]
fn a_status_that_does_not_fit() {
    let (a, b) = (Node::new("a@h"), Node::new("b@h"));
    let named = message::named("x@h", 5);
    for status in [&b"s"[..], b"sOK", b"sok ", b"struest", b"xok", b"", &named] {
        let error = Initiator::start(a.local(), &b.name).0.on_status(status).unwrap_err();
        assert!(
            matches!(error, HandshakeError::Malformed { step: Step::Status, .. }),
            "{status:?}"
        );
    }
    for status in [&b"sok"[..], b"salive", b"snok", b"snamed:", &message::named("x@other", 5)] {
        let start = Initiator::start_dynamic("h", a.flags, &a.cookie, &b.name).unwrap().0;
        let error = start.on_status(status).unwrap_err();
        assert!(
            matches!(error, HandshakeError::Malformed { step: Step::Status, .. }),
            "{status:?}"
        );
    }
    let start = Initiator::start_dynamic("h", a.flags, &a.cookie, &b.name).unwrap().0;
    assert!(matches!(start.on_status(b"snot_allowed"), Err(HandshakeError::NotAllowed)));
    let error = Initiator::start_dynamic("a@h", a.flags, &a.cookie, &b.name).unwrap_err();
    assert_eq!(error, NodeNameError::TwoAts);
}

#[test]
fn each_missing_flag_is_named() {
    let (a, b) = (Node::new("a@h"), Node::new("b@h"));
    for flag in Flags::MANDATORY.names() {
        let weak = b.flags.without(Flags::MANDATORY_25_DIGEST).without(flag.flag());
        let from_acceptor =
            await_challenge(&a, &b.name).on_challenge(&message::challenge(weak, 5, 6, "b@h"), 1);
        let from_initiator = Acceptor::new(b.local()).on_name(&message::name(weak, 6, "a@h"));
        for error in [from_acceptor.unwrap_err(), from_initiator.unwrap_err()] {
            let HandshakeError::MissingFlags(missing) = &error else { panic!("{error:?}") };
            assert_eq!(*missing, [flag]);
            assert_eq!(error.to_string(), format!("the peer lacks {flag}"));
        }
    }
    let digest = Flags::MANDATORY_25_DIGEST;
    assert!(Acceptor::new(b.local()).on_name(&message::name(digest, 6, "a@h")).is_ok());
}

#[test]
fn another_node_answers() {
    let (a, b) = (Node::new("a@h"), Node::new("b@h"));
    for found in ["c@h", "b@h2", "b", "", "B@h"] {
        let challenge = message::challenge(b.flags, 5, 6, found);
        let error = await_challenge(&a, &b.name).on_challenge(&challenge, 1).unwrap_err();
        let HandshakeError::NameMismatch { expected, found: said } = error else { panic!() };
        assert_eq!((expected, said.as_str()), (name("b@h"), found));
    }
}

#[test]
fn names_that_are_none() {
    let b = Node::new("b@h");
    let long = format!("a@{}", "h".repeat(254));
    for (bad, source) in [
        ("a", NodeNameError::NoAt),
        ("@h", NodeNameError::EmptyBase),
        ("a@", NodeNameError::EmptyHost),
        ("a@h@h", NodeNameError::TwoAts),
        ("\u{fffd}a@h", NodeNameError::BadByte { byte: 0xc3 }),
        (&long, NodeNameError::TooLong { len: 256 }),
    ] {
        let error = Acceptor::new(b.local()).on_name(&message::name(b.flags, 6, bad)).unwrap_err();
        let HandshakeError::BadName { name, source: found } = error else { panic!("{error:?}") };
        assert_eq!(found, source);
        assert!(name.len() <= 2 * NodeName::MAX_LEN);
    }
    for (host, source) in [
        ("", NodeNameError::Empty),
        ("a@h", NodeNameError::TwoAts),
        (&long[2..], NodeNameError::TooLong { len: 268 }),
    ] {
        let first = message::name(b.flags.with(Flags::NAME_ME), 0, host);
        let error = Acceptor::new(b.local()).on_name(&first).unwrap_err();
        let HandshakeError::BadName { source: found, .. } = error else { panic!("{error:?}") };
        assert_eq!(found, source);
    }
}

#[test]
fn the_old_form_of_otp_23() {
    let (b, flags) = (Node::new("b@h"), Flags::from_bits(0x1_01df_7fbd));
    let [old, complement] = message::old_name(flags, 1234, "a@h");
    assert_eq!(old, b"n\x00\x05\x01\xdf\x7f\xbda@h");
    assert_eq!(complement, b"c\x00\x00\x00\x01\x00\x00\x04\xd2");

    let Ok(NameReceived::Named(peer)) = Acceptor::new(b.local()).on_name(&old) else { panic!() };
    assert_eq!((peer.name().as_str(), peer.creation()), ("a@h", None));
    let (awaiting, [_, challenge]) = peer.accept(Status::Ok, CHALLENGES.1);
    assert_eq!(challenge[0], b'N');
    assert_eq!(awaiting.step(), Step::Complement);
    let Ok(Next::More(awaiting)) = awaiting.on_message(&complement) else { panic!() };
    assert_eq!(awaiting.step(), Step::Reply);
    let reply = message::reply(CHALLENGES.0, &digest::Digest::new(&cookie(), CHALLENGES.1));
    let Ok(Next::Done { established, .. }) = awaiting.on_message(&reply) else { panic!() };
    assert_eq!((established.peer_flags, established.creation), (flags, 1234));
    assert!(established.flags.contains(Flags::SPAWN), "a flag that came in the complement");

    // A reply where the complement belongs.
    let Ok(NameReceived::Named(peer)) = Acceptor::new(b.local()).on_name(&old) else { panic!() };
    let error = peer.accept(Status::Ok, CHALLENGES.1).0.on_message(&reply).unwrap_err();
    assert!(matches!(error, HandshakeError::Malformed { step: Step::Complement, .. }));
}

#[test]
fn an_old_challenge_lacks_nothing_but_a_creation() {
    let (a, b) = (Node::new("a@h"), Node::new("b@h"));
    let old = b"n\x00\x05\x01\xdf\x7f\xbd\x00\x00\x00\x07b@h";
    let (last, reply) = await_challenge(&a, &b.name).on_challenge(old, 1).unwrap();
    let digest = digest::Digest::new(&cookie(), 7);
    assert_eq!(reply, message::reply(1, &digest));
    let established = last.on_ack(&message::ack(&digest::Digest::new(&cookie(), 1))).unwrap();
    assert_eq!(established.creation, 0);
    assert!(!established.flags.contains(Flags::SPAWN));
}

fn await_challenge(local: &Node, peer: &NodeName) -> AwaitChallenge {
    match Initiator::start(local.local(), peer).0.on_status(b"sok") {
        Ok(StatusOutcome::Continue(next)) => next,
        other => panic!("{other:?}"),
    }
}

fn await_reply(local: &Node, first: &[u8]) -> AwaitReply {
    match Acceptor::new(local.local()).on_name(first) {
        Ok(NameReceived::Named(peer)) => peer.accept(Status::Ok, CHALLENGES.1).0,
        other => panic!("{other:?}"),
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}
