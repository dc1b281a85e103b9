//! Frames: a byte stream cut at 4-byte lengths, and how a frame without a distribution header is
//! put together (`erl_dist_protocol`, "Protocol between Connected Nodes").

use bytes::buf::Limit;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The first byte of a frame that has no distribution header.
pub(crate) const PASS_THROUGH: u8 = 112;

/// The bytes of one frame's length.
const LENGTH: usize = 4;

/// How much is asked of the socket at once.
pub(crate) const READ_CHUNK: usize = 64 * 1024;

/// A frame of more bytes than this leaves its room to nobody. A fragment has less.
const LONG: usize = 2 * READ_CHUNK;

/// What a link's byte stream consists of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A length of zero: a sign of life.
    Tick,
    /// The bytes behind the length, at least one.
    Data(Bytes),
}

/// A frame longer than the limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes is over the limit of {limit}")]
pub(crate) struct FrameTooLong {
    /// What its header announced, in bytes.
    pub(crate) length: usize,
    /// What a link takes, in bytes.
    pub(crate) limit: usize,
}

/// Cuts a byte stream into frames.
///
/// Room is made only as bytes arrive, so that a length alone reserves nothing, and none is held
/// while the link is idle.
#[derive(Debug)]
pub(crate) struct FrameBuffer {
    bytes: BytesMut,
    limit: usize,
}

impl FrameBuffer {
    /// An empty buffer that takes frames of up to `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: BytesMut::new(), limit }
    }

    /// True when the link owes no rest of a frame, so that the buffer holds no memory.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Room for the next read: at least 64 KiB, and for a long frame as much again as has arrived,
    /// but never more than 64 KiB beyond its end.
    pub(crate) fn room(&mut self) -> Limit<&mut BytesMut> {
        let arrived = self.bytes.len();
        let missing =
            self.announced().map_or(0, |length| (LENGTH + length).saturating_sub(arrived));
        let want = missing.min(arrived.max(READ_CHUNK)).max(READ_CHUNK);
        if self.bytes.capacity() - arrived < READ_CHUNK {
            self.bytes.reserve(want);
        }
        // There may be room for more: a vector grows by as much as it has.
        (&mut self.bytes).limit(missing.max(READ_CHUNK))
    }

    /// Takes bytes that have been read already.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    /// When the length is over the limit; the stream cannot be read any further then.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FrameTooLong> {
        let Some(length) = self.announced() else {
            return Ok(None);
        };
        if length == 0 {
            self.bytes.advance(LENGTH);
            self.release();
            return Ok(Some(Frame::Tick));
        }
        if length > self.limit {
            return Err(FrameTooLong { length, limit: self.limit });
        }
        if self.bytes.len() < LENGTH + length {
            return Ok(None);
        }
        self.bytes.advance(LENGTH);
        let frame = self.bytes.split_to(length).freeze();
        if length > LONG {
            // What follows is short, and may stay in a mailbox for long: it must not keep all the
            // room of a long frame alive.
            self.bytes = BytesMut::from(self.bytes.as_ref());
        }
        self.release();
        Ok(Some(Frame::Data(frame)))
    }

    /// What follows `start` in the next frame, if that is whole, starts so, and has from one to `most` bytes more.
    pub(crate) fn next_like(&self, start: &[u8], most: usize) -> Option<&[u8]> {
        let length = self.announced().filter(|length| *length <= self.limit)?;
        let more = length.saturating_sub(start.len());
        if !(1..=most).contains(&more) {
            return None;
        }
        self.bytes.get(LENGTH..LENGTH + length)?.strip_prefix(start)
    }

    /// Gives `take` what [`FrameBuffer::next_like`] finds. The frame is taken if `take` says so; then this is true.
    pub(crate) fn take_like(
        &mut self,
        start: &[u8],
        most: usize,
        take: impl FnOnce(&[u8]) -> bool,
    ) -> bool {
        let Some(rest) = self.next_like(start, most) else { return false };
        let length = LENGTH + start.len() + rest.len();
        let taken = take(rest);
        if taken {
            self.bytes.advance(length);
            self.release();
        }
        taken
    }

    fn announced(&self) -> Option<usize> {
        let header = self.bytes.first_chunk::<LENGTH>()?;
        usize::try_from(u32::from_be_bytes(*header)).ok()
    }

    /// Gives back room that nothing came for.
    pub(crate) fn release(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            bytes.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(frame);
        }
        bytes
    }

    fn drain(buffer: &mut FrameBuffer, into: &mut Vec<Vec<u8>>) {
        while let Some(frame) = buffer.next().unwrap() {
            into.push(match frame {
                Frame::Tick => Vec::new(),
                Frame::Data(bytes) => bytes.to_vec(),
            });
        }
    }

    proptest! {
        #[test]
        fn any_cutting_of_the_stream_gives_the_same_frames(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in prop::collection::vec(1_usize..400, 1..50),
        ) {
            let bytes = stream(&frames);
            let mut buffer = FrameBuffer::new(1024);
            let mut got = Vec::new();
            let mut rest = &bytes[..];
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                buffer.extend(now);
                drain(&mut buffer, &mut got);
                rest = later;
            }
            prop_assert_eq!(got, frames);
            prop_assert!(buffer.is_empty());
        }
    }

    proptest! {
        /// Frames that begin alike, of which any may be taken either way.
        #[test]
        fn frames_that_begin_alike_are_the_same_either_way(
            frames in prop::collection::vec((prop::collection::vec(0..2_u8, 0..6), any::<bool>()), 0..30),
            start in prop::collection::vec(0..2_u8, 0..3),
            cut in 0..200_usize,
        ) {
            let (expected, wanted): (Vec<_>, Vec<_>) = frames.into_iter().unzip();
            let (bytes, most) = (stream(&expected), 2);
            let (now, later) = bytes.split_at(cut.min(bytes.len()));
            let (mut buffer, mut got, mut wanted) = (FrameBuffer::new(5), vec![], wanted.iter());
            for part in [now, later] {
                buffer.extend(part);
                loop {
                    let mut seen = None;
                    let taken = buffer.take_like(&start, most, |rest| {
                        seen = Some(rest.to_vec());
                        wanted.next() == Some(&true)
                    });
                    prop_assert!(seen.as_ref().is_none_or(|rest| (1..=most).contains(&rest.len())));
                    got.push(match (taken, buffer.is_empty()) {
                        (true, _) => [start.clone(), seen.unwrap_or_default()].concat(),
                        (false, true) => break,
                        (false, false) => match buffer.next().unwrap() {
                            Some(Frame::Tick) => Vec::new(),
                            Some(Frame::Data(bytes)) => bytes.to_vec(),
                            None => break,
                        },
                    });
                }
            }
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn nothing_over_the_limit_is_taken_for_what_it_begins_like() {
        let mut buffer = FrameBuffer::new(2);
        buffer.extend(&stream(&[vec![1, 2], vec![1, 2, 3]]));
        assert!(buffer.take_like(&[1], 9, |rest| rest == [2]));
        assert!(!buffer.take_like(&[1], 9, |_| true));
        assert_eq!(buffer.next(), Err(FrameTooLong { length: 3, limit: 2 }));
    }

    #[test]
    fn a_length_over_the_limit_is_an_error_before_its_bytes_arrive() {
        let mut buffer = FrameBuffer::new(10);
        buffer.extend(&[0, 0, 0, 11]);
        assert_eq!(buffer.next(), Err(FrameTooLong { length: 11, limit: 10 }));
    }

    #[test]
    fn a_length_alone_reserves_nothing_in_proportion_to_it() {
        let mut buffer = FrameBuffer::new(usize::MAX);
        buffer.extend(&[0xff, 0xff, 0xff, 0xff]);
        assert_eq!(buffer.next(), Ok(None));
        assert!(buffer.room().get_ref().capacity() <= 3 * READ_CHUNK);
    }

    #[test]
    fn a_frame_does_not_keep_the_room_of_a_longer_one_before_it_alive() {
        let long = 9 << 20;
        let bytes = stream(&[vec![1; long], vec![2; READ_CHUNK + 1]]);
        let (mut rest, mut buffer, mut frames) = (&bytes[..], FrameBuffer::new(usize::MAX), vec![]);
        while !rest.is_empty() {
            // As a socket does that has all of it.
            let mut room = buffer.room();
            let count = room.remaining_mut().min(room.chunk_mut().len()).min(rest.len());
            room.put_slice(&rest[..count]);
            rest = &rest[count..];
            assert!(buffer.bytes.len() <= long + LENGTH + READ_CHUNK);
            while let Some(Frame::Data(frame)) = buffer.next().unwrap() {
                frames.push(frame);
            }
        }
        let [first, second] = <[Bytes; 2]>::try_from(frames).unwrap();
        assert_eq!((first.len(), second.len()), (long, READ_CHUNK + 1));
        drop(first);
        // With the other gone, it gives back the room that it has.
        assert!(second.try_into_mut().unwrap().capacity() <= 4 * READ_CHUNK);
    }

    #[test]
    fn an_idle_buffer_holds_no_memory() {
        let mut buffer = FrameBuffer::new(1024);
        buffer.extend(&stream(&[vec![1, 2, 3]]));
        assert_eq!(buffer.next(), Ok(Some(Frame::Data(Bytes::from_static(&[1, 2, 3])))));
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}
