//! The writing task of a link: one write for all that is queued.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Link;
use super::counters::Tally;
use super::outbox::{Batch, Frame};
use crate::error::DownReason;
use crate::wire::outgoing::Outgoing;

/// Segments shorter than this are copied together; longer ones are handed to the kernel where
/// they are.
const COPY_BELOW: usize = 4 * 1024;

/// How much memory the scratch buffer keeps between batches.
const KEEP: usize = 64 * 1024;

/// Writes until the link's queue is finished, the link is closed, or the socket fails.
pub(super) async fn run(link: Arc<Link>, mut socket: impl AsyncWrite + Unpin) {
    let mut outgoing = Outgoing::new(link.framing);
    let mut scratch = BytesMut::new();
    while let Some(batch) = link.outbox.next().await {
        let written = tokio::select! {
            biased;
            // A peer that reads nothing holds a write up for ever, and with it the socket.
            () = link.closing.cancelled() => break,
            written = write(&link, &mut socket, &batch, &mut outgoing, &mut scratch) => written,
        };
        if let Err(error) = written {
            link.close(DownReason::Io(Arc::new(error)));
            return;
        }
        link.outbox.written(&batch.frames);
        if scratch.capacity() > KEEP {
            scratch = BytesMut::new();
        }
    }
    tokio::select! {
        biased;
        // Nobody waits for the result: the reader sees the end of the stream. Over TLS there is a last
        // word to write, which a peer that reads nothing does not take.
        _ = socket.shutdown() => {}
        () = link.closing.cancelled() => {}
    }
}

async fn write(
    link: &Link,
    socket: &mut (impl AsyncWrite + Unpin),
    batch: &Batch,
    outgoing: &mut Outgoing,
    scratch: &mut BytesMut,
) -> io::Result<()> {
    if batch.tick {
        socket.write_all(&[0; 4]).await?;
        socket.flush().await?;
        link.on_write(4);
        return Ok(());
    }
    let mut segments = Segments::gather(&batch.frames, outgoing, scratch)?;
    let bytes = segments.remaining();
    while segments.has_remaining() {
        let written = socket.write_buf(&mut segments).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        // Said at each step: a large batch over a slow line is life enough to spare the ticks.
        link.on_write(written);
    }
    socket.flush().await?;
    link.counters.written(Tally::of(&batch.frames));
    tracing::trace!(frames = batch.frames.len(), bytes, "written");
    Ok(())
}

/// The bytes of a batch: small frames copied together, large binaries shared.
#[derive(Debug, Default)]
struct Segments {
    parts: VecDeque<Bytes>,
    remaining: usize,
}

impl Segments {
    fn gather(
        frames: &[Frame],
        outgoing: &mut Outgoing,
        scratch: &mut BytesMut,
    ) -> io::Result<Self> {
        let mut segments = Self::default();
        let mut header = Vec::new();
        for Frame { place, message, .. } in frames {
            header.clear();
            outgoing.head(*place, &message.atoms, &mut header);
            let length = u32::try_from(header.len() + message.len()).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidInput, "a frame of more than 4 GiB")
            })?;
            scratch.put_u32(length);
            scratch.extend_from_slice(&header);
            for part in message.body.iter() {
                if part.len() < COPY_BELOW {
                    scratch.extend_from_slice(part);
                } else {
                    segments.push(scratch.split().freeze());
                    segments.push(part.clone());
                }
            }
        }
        segments.push(scratch.split().freeze());
        Ok(segments)
    }

    fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.remaining += part.len();
            self.parts.push_back(part);
        }
    }
}

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        debug_assert!(count <= self.remaining, "advanced past the end");
        self.remaining -= count;
        while let Some(part) = self.parts.front_mut() {
            if count < part.len() {
                part.advance(count);
                return;
            }
            count -= part.len();
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_give_the_same_bytes_at_any_step() {
        for step in [1, 3, 1000, 5000, 100_000] {
            let mut segments = Segments::default();
            segments.push(Bytes::from(vec![1; 10]));
            segments.push(Bytes::new());
            segments.push(Bytes::from(vec![2; 5000]));
            segments.push(Bytes::from(vec![3; 20]));
            assert_eq!(segments.remaining(), 5030);
            let mut got = Vec::new();
            while segments.has_remaining() {
                let now = segments.chunk().len().min(step);
                got.extend_from_slice(&segments.chunk()[..now]);
                segments.advance(now);
            }
            let mut want = vec![1; 10];
            want.extend(vec![2; 5000]);
            want.extend(vec![3; 20]);
            assert_eq!(got, want);
        }
    }
}
