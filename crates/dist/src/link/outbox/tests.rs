use std::sync::Arc;

use bytes::Bytes;
use etf::Rope;
use futures::FutureExt;

use super::*;
use crate::wire::header::{AtomCache, Header};
use crate::wire::lane::Lane;
use crate::wire::outgoing::FRAGMENT;

fn queue_of(bound: u32, reserve: usize) -> Outbox {
    outbox_of(bound, reserve, Share::new(1 << 20))
}

fn outbox_of(bound: u32, reserve: usize, node: Share) -> Outbox {
    Outbox::new(Framing { atoms: false, fragments: true }, bound, reserve, 1 << 20, node)
}

fn sized(size: usize) -> Message {
    sent_by(Lane::NONE, size)
}

fn sent_by(lane: Lane, size: usize) -> Message {
    Message::of_body(Rope::from(Bytes::from(vec![0; size])), lane)
}

fn lane(id: u32) -> Lane {
    let node = etf::Atom::from_static("a@h");
    Lane::of_process(&etf::Pid { node, id, serial: 0, creation: 7 })
}

/// The lengths of the bodies in a batch.
fn lengths(batch: &mut Batch) -> Vec<usize> {
    let mut lengths = Vec::new();
    while batch.segments.has_remaining() {
        let length = batch.segments.get_u32();
        let frame = batch.segments.copy_to_bytes(usize::try_from(length).unwrap());
        let (header, body) = AtomCache::new().read(&frame).unwrap();
        assert!(!matches!(header, Header::Normal { atoms } if !atoms.is_empty()));
        lengths.push(body.len());
    }
    assert_eq!(u64::try_from(lengths.len()).unwrap(), batch.tally.frames);
    lengths
}

/// What the writer takes next.
async fn next(outbox: &Outbox) -> (Vec<usize>, Batch) {
    let mut batch = outbox.next().await.unwrap();
    (lengths(&mut batch), batch)
}

/// The lengths of what the writer takes until there is nothing more.
async fn drain(outbox: &Outbox) -> Vec<usize> {
    let mut all = Vec::new();
    while let Some((lengths, batch)) = next(outbox).now_or_never() {
        all.extend(lengths);
        outbox.written(batch);
    }
    all
}

#[tokio::test]
async fn messages_come_out_in_the_order_they_went_in() {
    let outbox = queue_of(100, 100);
    outbox.send(sized(1)).await.unwrap();
    outbox.answer(sized(2)).unwrap();
    outbox.try_send(sized(3)).unwrap();
    assert_eq!(next(&outbox).await.0, [1, 2, 3]);
}

#[tokio::test]
async fn a_sender_waits_until_its_predecessors_are_written() {
    let outbox = Arc::new(queue_of(10, 10));
    outbox.send(sized(8)).await.unwrap();
    assert_eq!(outbox.try_send(sized(8)), Err(Refused::Busy));
    let waiting = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.send(sized(8)).await }
    });
    let (lengths, batch) = next(&outbox).await;
    assert_eq!(lengths.len(), 1);
    outbox.written(batch);
    waiting.await.unwrap().unwrap();
    assert_eq!(next(&outbox).await.0.len(), 1);
}

#[tokio::test]
async fn what_waits_is_told_in_bytes() {
    let outbox = queue_of(100, 50);
    outbox.send(sized(30)).await.unwrap();
    outbox.answer(sized(3)).unwrap();
    outbox.send(sent_by(lane(1), 2 * FRAGMENT)).await.unwrap();
    assert_eq!(outbox.queued_bytes(), 33 + 2 * FRAGMENT);
    assert_eq!(outbox.waited(), (0, Duration::ZERO));
    let mut waiting = Box::pin(outbox.send(sized(100)));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(outbox.waited().0, 1);
    drain(&outbox).await;
    waiting.await.unwrap();
    let (still, waited) = outbox.waited();
    assert!(still == 0 && waited > Duration::ZERO, "{waited:?}");
    drain(&outbox).await;
    assert_eq!(outbox.queued_bytes(), 0);
}

#[tokio::test]
async fn a_message_larger_than_the_room_passes() {
    let outbox = queue_of(10, 10);
    outbox.send(sized(1000)).await.unwrap();
    let batch = outbox.next().await.unwrap();
    outbox.written(batch);
    assert_eq!(outbox.try_send(sized(10)), Ok(()));
}

#[tokio::test]
async fn a_cancelled_wait_takes_no_room() {
    let outbox = queue_of(10, 10);
    outbox.send(sized(10)).await.unwrap();
    assert!(outbox.send(sized(10)).now_or_never().is_none());
    let (lengths, batch) = next(&outbox).await;
    assert_eq!(lengths.len(), 1);
    outbox.written(batch);
    assert_eq!(outbox.try_send(sized(10)), Ok(()));
}

#[tokio::test]
async fn answers_do_not_wait_for_messages_but_have_a_bound_of_their_own() {
    let outbox = queue_of(10, 160);
    outbox.send(sized(10)).await.unwrap();
    for _ in 0..20 {
        outbox.answer(sized(8)).unwrap();
    }
    assert_eq!(outbox.answer(sized(8)), Err(Refused::Busy));
    let batch = outbox.next().await.unwrap();
    outbox.written(batch);
    assert_eq!(outbox.answer(sized(8)), Ok(()));
}

#[tokio::test]
async fn messages_of_long_atoms_take_the_room_of_their_headers() {
    let framing = Framing { atoms: true, fragments: true };
    let outbox = Outbox::new(framing, 10_000, 100, 1 << 20, Share::new(1 << 20));
    let atom = |number: u32| etf::Atom::new(format!("{number:0250}")).unwrap();
    let mut taken = 0;
    for number in (0..1000).step_by(2) {
        let mut message = sized(8);
        message.atoms = vec![atom(number)];
        let atom = atom(number + 1);
        let mut short = ShortEncoder::new();
        short.atom(&atom).unwrap();
        if outbox.try_send(message).is_err() || !outbox.try_send_short(&short).unwrap() {
            break;
        }
        taken += 2;
    }
    // 250 of the atom and 8 or 2 of the body.
    assert_eq!(taken, 38);
    // All of it is given back.
    outbox.written(outbox.next().await.unwrap());
    assert_eq!(outbox.queued_bytes(), 0);
}

#[tokio::test]
async fn a_header_of_long_atoms_counts_as_much_as_it_takes() {
    let framing = Framing { atoms: true, fragments: true };
    let outbox = Outbox::new(framing, 100, 16 * 1024, 1 << 20, Share::new(1 << 20));
    let answer = |number: u32| {
        let mut answer = sized(8);
        answer.atoms = vec![etf::Atom::new(format!("{number:0250}")).unwrap()];
        outbox.answer(answer)
    };
    let taken = (0..1000).take_while(|&number| answer(number).is_ok()).count();
    // 8 of the body and 250 of the atom, of which 64 are not counted, and a few for the header.
    assert!((75..85).contains(&taken), "{taken}");
    // The peer knows them now.
    outbox.written(outbox.next().await.unwrap());
    let taken = (0..1000).take_while(|_| answer(0).is_ok()).count();
    assert_eq!(taken, 1000);
}

#[tokio::test]
async fn an_answer_longer_than_the_bound_passes_but_not_any_number_of_them() {
    let outbox = queue_of(10, 160);
    for _ in 0..SHARES {
        outbox.answer(sized(1000)).unwrap();
    }
    assert_eq!(outbox.answer(sized(1000)), Err(Refused::Busy));
    let batch = outbox.next().await.unwrap();
    outbox.written(batch);
    assert_eq!(outbox.answer(sized(1000)), Ok(()));
}

#[tokio::test]
async fn short_messages_take_their_room_together_and_give_all_of_it_back() {
    let short = |size| {
        let mut encoder = ShortEncoder::new();
        (0..size).try_for_each(|_| encoder.bytes([0])).unwrap();
        encoder
    };
    // Where room for several is taken at once, and where it is not.
    for bound in [AT_ONCE * 1000, AT_ONCE * 100, 1000] {
        let outbox = queue_of(bound, 10);
        let whole = usize::try_from(bound).unwrap();
        for _ in 0..2 {
            let sent = (0..).take_while(|_| outbox.try_send_short(&short(100)) == Ok(true)).count();
            assert_eq!((sent, outbox.queued_bytes()), (whole / 100, sent * 100));
            assert_eq!(drain(&outbox).await.len(), sent);
            assert_eq!((outbox.queued_bytes(), outbox.room.available_permits()), (0, whole));
        }
        assert_eq!(outbox.try_send_short(&short(50)), Ok(true));
        assert_eq!(outbox.queued_bytes(), 50);
        let batch = next(&outbox).await.1;
        assert_eq!((outbox.queued_bytes(), outbox.room.available_permits()), (50, whole - 50));
        outbox.written(batch);
        assert_eq!(outbox.room.available_permits(), whole);
        outbox.close();
        assert_eq!(outbox.try_send_short(&short(1)), Err(Refused::Closed));
    }
}

#[tokio::test]
async fn no_short_message_overtakes_what_is_in_a_lane() {
    let outbox = queue_of(1000, 10);
    let mut short = ShortEncoder::new();
    short.bytes([0]).unwrap();
    outbox.send(sent_by(lane(1), 2 * FRAGMENT)).await.unwrap();
    assert_eq!(outbox.try_send_short(&short), Ok(false));
    assert_eq!(drain(&outbox).await.iter().sum::<usize>(), 2 * FRAGMENT);
    assert_eq!(outbox.try_send_short(&short), Ok(true));
}

#[tokio::test]
async fn finishing_writes_what_is_queued_and_closing_forgets_it() {
    let outbox = queue_of(10, 10);
    outbox.send(sized(1)).await.unwrap();
    outbox.finish();
    assert_eq!(outbox.send(sized(1)).await, Err(Refused::Closed));
    assert_eq!(outbox.answer(sized(1)), Err(Refused::Closed));
    assert_eq!(next(&outbox).await.0.len(), 1);
    assert!(outbox.next().await.is_none());

    let outbox = queue_of(10, 10);
    outbox.send(sized(1)).await.unwrap();
    outbox.close();
    assert!(outbox.next().await.is_none());
}

#[tokio::test]
async fn closing_wakes_those_who_wait_for_room() {
    let outbox = Arc::new(queue_of(10, 10));
    outbox.send(sized(10)).await.unwrap();
    let waiting = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.send(sized(10)).await }
    });
    outbox.close();
    assert_eq!(waiting.await.unwrap(), Err(Refused::Closed));
}

#[tokio::test]
async fn ticks_do_not_pile_up_and_yield_to_frames() {
    let outbox = queue_of(10, 10);
    outbox.tick();
    outbox.tick();
    let (lengths, batch) = next(&outbox).await;
    assert!(batch.tick && lengths.is_empty());
    assert!(outbox.next().now_or_never().is_none());
    outbox.tick();
    outbox.send(sized(1)).await.unwrap();
    let (lengths, batch) = next(&outbox).await;
    assert!(!batch.tick && lengths.len() == 1);
}

#[tokio::test]
async fn a_long_message_lets_others_pass_but_not_those_of_its_sender() {
    let outbox = queue_of(1 << 20, 1 << 20);
    outbox.send(sent_by(lane(1), 1)).await.unwrap();
    outbox.send(sent_by(lane(1), 2 * FRAGMENT)).await.unwrap();
    outbox.send(sent_by(lane(1), 2)).await.unwrap();
    outbox.answer(sent_by(lane(1), 3)).unwrap();
    outbox.send(sent_by(lane(2), 4)).await.unwrap();
    assert_eq!(next(&outbox).await.0, [1, 4, FRAGMENT]);
    outbox.send(sent_by(lane(2), 5)).await.unwrap();
    outbox.answer(sent_by(Lane::NONE, 6)).unwrap();
    assert_eq!(drain(&outbox).await, [5, 6, FRAGMENT, 2, 3]);
}

#[tokio::test]
async fn long_messages_take_their_budgets_and_not_the_room() {
    let outbox = Arc::new(queue_of(10, 10));
    outbox.send(sent_by(lane(1), 1 << 20)).await.unwrap();
    assert_eq!(outbox.try_send(sent_by(lane(2), 1 << 17)), Err(Refused::Busy));
    assert_eq!(outbox.try_send(sent_by(lane(2), 10)), Ok(()));
    let waiting = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.send(sent_by(lane(3), 1 << 17)).await }
    });
    assert_eq!(drain(&outbox).await.iter().sum::<usize>(), 10 + (1 << 20));
    waiting.await.unwrap().unwrap();
    assert_eq!(drain(&outbox).await.iter().sum::<usize>(), 1 << 17);
}

#[tokio::test]
async fn what_waits_for_a_long_message_of_its_sender_takes_no_room_of_others() {
    let outbox = queue_of(10, 10);
    outbox.send(sent_by(lane(1), (1 << 20) - 8)).await.unwrap();
    outbox.send(sent_by(lane(1), 8)).await.unwrap();
    assert_eq!(outbox.try_send(sent_by(lane(1), 8)), Err(Refused::Busy));
    assert!(outbox.send(sent_by(lane(1), 8)).now_or_never().is_none());
    assert_eq!(outbox.try_send(sent_by(lane(2), 10)), Ok(()));
    let lengths = drain(&outbox).await;
    assert_eq!((lengths[0], lengths.last()), (10, Some(&8)));
    assert_eq!(outbox.try_send(sent_by(lane(1), 8)), Ok(()));
}

#[tokio::test]
async fn a_full_node_lets_each_link_send_one_long_message() {
    let node = Share::new(1 << 17);
    let link = || outbox_of(10, 10, node.clone());
    let (a, b) = (link(), Arc::new(link()));
    a.send(sent_by(lane(1), 1 << 17)).await.unwrap();
    a.send(sent_by(lane(1), 1 << 17)).await.unwrap();
    assert_eq!(a.try_send(sent_by(lane(1), 1 << 17)), Err(Refused::Busy));
    b.send(sent_by(lane(1), 1 << 17)).await.unwrap();
    assert_eq!(b.try_send(sent_by(lane(1), 1 << 17)), Err(Refused::Busy));
    // Who waits for the node is woken by the end of the link.
    let waiting = tokio::spawn({
        let b = b.clone();
        async move { b.send(sent_by(lane(2), 1 << 17)).await }
    });
    tokio::task::yield_now().await;
    b.close();
    assert_eq!(waiting.await.unwrap(), Err(Refused::Closed));
    // And by the end of its own link's long messages, though the node is as full as before.
    let c = Arc::new(link());
    c.send(sent_by(lane(1), 1 << 17)).await.unwrap();
    let waiting = tokio::spawn({
        let c = c.clone();
        async move { c.send(sent_by(lane(2), 1 << 17)).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(drain(&c).await.iter().sum::<usize>(), 1 << 17);
    waiting.await.unwrap().unwrap();
    a.close();
    assert_eq!(node.bytes.available_permits(), 1 << 17);
}
