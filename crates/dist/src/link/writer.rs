//! The writing task of a link: one write for all that is queued.

use std::io;
use std::sync::Arc;

use bytes::Buf;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Link;
use super::outbox::Batch;
use crate::error::DownReason;

/// Writes until the link's queue is finished, the link is closed, or the socket fails.
pub(super) async fn run(link: Arc<Link>, mut socket: impl AsyncWrite + Unpin) {
    while let Some(mut batch) = link.outbox.next().await {
        let written = tokio::select! {
            biased;
            // A peer that reads nothing holds a write up for ever, and with it the socket.
            () = link.closing.cancelled() => break,
            written = write(&link, &mut socket, &mut batch) => written,
        };
        if let Err(error) = written {
            link.close(DownReason::Io(Arc::new(error)));
            return;
        }
        link.outbox.written(batch);
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
    batch: &mut Batch,
) -> io::Result<()> {
    if batch.tick {
        socket.write_all(&[0; 4]).await?;
        socket.flush().await?;
        link.on_write(4);
        return Ok(());
    }
    let bytes = batch.segments.remaining();
    while batch.segments.has_remaining() {
        let written = socket.write_buf(&mut batch.segments).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        // Said at each step: a large batch over a slow line is life enough to spare the ticks.
        link.on_write(written);
    }
    socket.flush().await?;
    link.counters.written(batch.tally);
    tracing::trace!(frames = batch.tally.frames, bytes, "written");
    Ok(())
}
