//! What an OTP 25 node and these machines said to each other, cookie "handshake".

use super::*;

fn us(base: &str) -> Node {
    Node {
        name: name(base),
        flags: Flags::from_bits(0xd_075f_5fbc),
        creation: 4711,
        cookie: Cookie::new("handshake").unwrap(),
    }
}

#[test]
fn dialling_it() {
    let (us, peer) = (us("hidden@127.0.0.1"), name("dialled@127.0.0.1"));
    let (next, first) = Initiator::start(us.local(), &peer);
    let ours = "4e0000000d075f5fbc00001267001068696464656e403132372e302e302e31";
    assert_eq!(first, unhex(ours));
    let Ok(StatusOutcome::Continue(next)) = next.on_status(&unhex("736f6b")) else { panic!() };
    let challenge =
        unhex("4e0000000d07df7fbd1872b9e86b03b0a600116469616c6c6564403132372e302e302e31");
    let (next, reply) = next.on_challenge(&challenge, 0x0102_0304).unwrap();
    assert_eq!(reply, unhex("720102030466eb7323996404963260a5578b5cc939"));
    let established = next.on_ack(&unhex("61e903ca549aa38ddcb2572504f216f6d4")).unwrap();
    assert_eq!(established.peer_flags, Flags::from_bits(0xd_07df_7fbd));
    assert_eq!(established.creation, 0x6b03_b0a6);
}

#[test]
fn dialled_by_it_through_alive() {
    let mut us = us("ours@127.0.0.1");
    us.flags = us.flags | Flags::PUBLISHED;
    let first = unhex("4e0000000d07df7fbd6b03b0a600126469616c6c696e67403132372e302e302e31");
    let received = Acceptor::new(us.local()).on_name(&first).unwrap();
    let NameReceived::Named(peer) = received else { panic!("{received:?}") };
    let (next, status) = peer.alive();
    assert_eq!(status, unhex("73616c697665"));
    let answer = next.on_answer(&unhex("7374727565")).unwrap();
    let AliveAnswer::Accepted(accepted) = answer else { panic!("{answer:?}") };
    let (next, challenge) = accepted.challenge(0x63);
    let ours = "4e0000000d075f5fbd0000006300001267000e6f757273403132372e302e302e31";
    assert_eq!(challenge, unhex(ours));
    let reply = unhex("729de53d0e66c5c2237747f4cdaaf99fc3f8524af6");
    let Ok(Next::Done { ack, established }) = next.on_message(&reply) else { panic!() };
    assert_eq!(ack, unhex("61b18dd204c433af6aa59c7cbaefed7b79"));
    assert_eq!(established.peer, name("dialling@127.0.0.1"));
    assert!(established.visible);
}

#[test]
fn naming_it() {
    let us = us("godfather@127.0.0.1");
    let first = unhex("4e0000000f07df7fbc0000000000093132372e302e302e31");
    let received = Acceptor::new(us.local()).on_name(&first).unwrap();
    let NameReceived::Anonymous(peer) = received else { panic!("{received:?}") };
    let given = peer.candidate(0xdead_beef);
    let (next, [status, challenge]) = peer.accept(given, 12_345, 1);
    let named = "736e616d65643a001131505339575842403132372e302e302e3100003039";
    assert_eq!(status, unhex(named));
    let ours = "4e0000000f075f5fbc00000001000012670013676f64666174686572403132372e302e302e31";
    assert_eq!(challenge, unhex(ours));
    let reply = unhex("7247350dba7932e58f7b7ea113f6dd1bdf0b4f4f26");
    assert!(matches!(next.on_message(&reply), Ok(Next::Done { .. })));
}

#[test]
fn named_by_it() {
    let (us, peer) = (us("x@h"), name("static@127.0.0.1"));
    let (next, first) = Initiator::start_dynamic("anywhere", us.flags, &us.cookie, &peer).unwrap();
    assert_eq!(first, unhex("4e0000000f075f5fbc000000000008616e797768657265"));
    let status = unhex("736e616d65643a0016335135454741464650354c423740616e79776865726506621015");
    let Ok(StatusOutcome::Named { name, creation, next }) = next.on_status(&status) else {
        panic!();
    };
    assert_eq!((name.as_str(), creation), ("3Q5EGAFFP5LB7@anywhere", 0x0662_1015));
    let challenge = unhex("4e0000000f07df7fbc5d72aad86b03b0a70010737461746963403132372e302e302e31");
    let (next, reply) = next.on_challenge(&challenge, 0x0102_0304).unwrap();
    assert_eq!(reply, unhex("7201020304dc36a62fe4982033842dc4292bebfed3"));
    assert!(next.on_ack(&unhex("61e903ca549aa38ddcb2572504f216f6d4")).is_ok());
}

/// First messages of OTP 23, 25, 27 and 29 nodes, as captured.
#[test]
fn first_messages_of_otp() {
    let b = Node::new("b@h");
    for (hex, flags, creation, from) in [
        (
            "4e0000000101df7fbd6b02f19400116f323366756c6c403132372e302e302e31",
            0x1_01df_7fbd,
            0x6b02_f194,
            "o23full@127.0.0.1",
        ),
        (
            "4e0000000d07df7fbd6b02f1af00116f323566756c6c403132372e302e302e31",
            0xd_07df_7fbd,
            0x6b02_f1af,
            "o25full@127.0.0.1",
        ),
        (
            "4e0000000d07df7fbd6b02f1c600116f323766756c6c403132372e302e302e31",
            0xd_07df_7fbd,
            0x6b02_f1c6,
            "o27full@127.0.0.1",
        ),
        (
            "4e0000006d07df7fbd6b02f1dd00116f323966756c6c403132372e302e302e31",
            0x6d_07df_7fbd,
            0x6b02_f1dd,
            "o29full@127.0.0.1",
        ),
    ] {
        let message = unhex(hex);
        let received = Acceptor::new(b.local()).on_name(&message).unwrap();
        let NameReceived::Named(peer) = received else { panic!("{received:?}") };
        assert_eq!((peer.name().as_str(), peer.creation()), (from, Some(creation)));
        assert_eq!(peer.flags(), Flags::from_bits(flags));
        assert_eq!(message::name(peer.flags(), creation, from), message, "as we would send it");

        // Room for future fields: what follows the name does not matter.
        let longer = [message.as_slice(), b"more"].concat();
        let received = Acceptor::new(b.local()).on_name(&longer).unwrap();
        assert!(matches!(received, NameReceived::Named(peer) if *peer.name() == *from));
    }
}
