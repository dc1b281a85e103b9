//! The reading task of a link: cuts frames, hands each to the node, and knows when the peer is
//! dead. It never waits for anybody but the socket.

use std::io;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::time::sleep_until;

use super::counters::Tally;
use super::socket::ReadHalf;
use super::{Link, pace};
use crate::error::DownReason;
use crate::node::{Shared, dispatch};
use crate::wire::control::ControlError;
use crate::wire::frame::{Frame, FrameBuffer, READ_CHUNK};
use crate::wire::incoming::{FrameError, Incoming, Message};
use crate::wire::tick::{Due, Ticker};

/// Reads until the link is closed from either side, then tells everybody.
pub(super) async fn run(link: Arc<Link>, read: ReadHalf, rest: Vec<u8>, shared: Arc<Shared>) {
    let reason = match read_all(&link, read, &rest, &shared).await {
        Ok(()) => DownReason::Closed,
        Err(reason) => reason,
    };
    link.close(reason);
    shared.link_down(&link);
}

async fn read_all(
    link: &Arc<Link>,
    mut socket: ReadHalf,
    rest: &[u8],
    shared: &Arc<Shared>,
) -> Result<(), DownReason> {
    let mut buffer = FrameBuffer::new(shared.limits.frame_bytes);
    let mut incoming = Incoming::new(
        link.framing,
        shared.limits.fragments(),
        shared.fragments.clone(),
        shared.limits.terms.clone(),
    );
    let mut ticker = Ticker::new(shared.tick_time);
    let mut alarm = pin!(sleep_until(Instant::now().into()));
    if !rest.is_empty() {
        buffer.extend(rest);
        take_frames(link, &mut buffer, &mut incoming, shared).await?;
    }
    let mut pause = Duration::ZERO;
    // When something had last been written, as of the read before.
    let mut written = Duration::ZERO;
    loop {
        tokio::select! {
            // In this order: a suspended process that wakes up finds its alarm and the peer's
            // bytes at once, and must read before it judges.
            biased;
            () = link.closing.cancelled() => return Ok(()),
            read = socket.read(&mut buffer, pause) => {
                let count = read.map_err(|error| DownReason::Io(Arc::new(error)))?;
                if count == 0 {
                    return Ok(());
                }
                if ticker.on_read(link.on_read(count), link.last_write()) {
                    link.outbox.tick();
                }
                let frames = take_frames(link, &mut buffer, &mut incoming, shared).await?;
                let before = std::mem::replace(&mut written, link.last_write());
                // Where there was more than one read takes, more is there.
                pause = if count < READ_CHUNK {
                    pace::pause(frames, written != before)
                } else {
                    Duration::ZERO
                };
            }
            () = &mut alarm => {
                let next = on_alarm(link, &mut ticker, shared)?;
                alarm.as_mut().reset(next.into());
            }
        }
    }
}

fn on_alarm(
    link: &Arc<Link>,
    ticker: &mut Ticker,
    shared: &Arc<Shared>,
) -> Result<Instant, DownReason> {
    let now = link.age();
    // A tick that was just queued counts as written: how the socket takes it is not our time.
    let mut written = link.last_write();
    loop {
        match ticker.poll(now, written) {
            Due::Nothing(until) => return Ok(link.started + until),
            Due::Tick => {
                link.outbox.tick();
                written = now;
            }
            Due::Ask => {
                tracing::debug!("the peer is silent: asking for a sign of life");
                dispatch::ask_for_life(link, shared);
                written = now;
            }
            Due::Dead => return Err(DownReason::TickTimeout),
        }
    }
}

/// Takes the frames that are whole, and says how many there were besides ticks.
async fn take_frames(
    link: &Arc<Link>,
    buffer: &mut FrameBuffer,
    incoming: &mut Incoming,
    shared: &Arc<Shared>,
) -> Result<u64, DownReason> {
    let (mut tally, before) = (Tally::default(), incoming.fragments());
    let taken = take_each(link, buffer, incoming, shared, &mut tally).await;
    tally.fragments = incoming.fragments() - before;
    link.counters.read(tally);
    taken.map(|()| tally.frames)
}

async fn take_each(
    link: &Arc<Link>,
    buffer: &mut FrameBuffer,
    incoming: &mut Incoming,
    shared: &Arc<Shared>,
    tally: &mut Tally,
) -> Result<(), DownReason> {
    while let Some(frame) = buffer.next().map_err(|error| DownReason::malformed(&error))? {
        if let Frame::Data(bytes) = frame {
            tally.frames += 1;
            if let Some((plain, payload)) = incoming.plain(&bytes) {
                tally.messages += 1;
                tracing::trace!(?plain, "read");
                match dispatch::plain(link, plain, payload, (&bytes, buffer), shared) {
                    ControlFlow::Break(more) => {
                        tally.frames += more;
                        tally.messages += more;
                    }
                    ControlFlow::Continue((plain, payload)) => {
                        dispatch::control(link, plain.into(), Some(payload), shared).await?;
                    }
                }
                continue;
            }
            let taken = incoming.take(&bytes).map_err(|error| refused(link, &error))?;
            if let Some(message) = taken {
                tally.messages += 1;
                take_message(link, message, shared).await?;
            }
        }
    }
    Ok(())
}

fn refused(link: &Link, error: &FrameError) -> DownReason {
    if let FrameError::Control(error) = error {
        link.refused_payload(error);
    }
    DownReason::malformed(error)
}

async fn take_message(
    link: &Arc<Link>,
    Message { control, payload }: Message,
    shared: &Arc<Shared>,
) -> Result<(), DownReason> {
    match control {
        Ok(mut control) => {
            tracing::trace!(?control, "read");
            let payload = dispatch::decode_reason(link, &mut control, payload, shared).await?;
            dispatch::control(link, control, payload, shared).await
        }
        Err(ControlError::Unknown(op)) => {
            link.counters.skip();
            tracing::debug!(op, "an unknown control operation was skipped");
            Ok(())
        }
        Err(error @ ControlError::Malformed(_)) => Err(DownReason::malformed(&error)),
    }
}

impl ReadHalf {
    /// Reads once, after a pause if the link is busy. While nothing is owed no buffer is held: room is
    /// made when there is something.
    async fn read(&mut self, buffer: &mut FrameBuffer, pause: Duration) -> io::Result<usize> {
        if !pause.is_zero()
            && let Some(read) = self.after(pause, buffer).await
        {
            return read;
        }
        if let Some(read) = self.listen(buffer) {
            return read;
        }
        if !buffer.is_empty() {
            return self.read_into(buffer.room()).await;
        }
        loop {
            self.readable().await?;
            if let Some(read) = self.read_into(buffer.room()).now_or_never() {
                return read;
            }
            // What the runtime was told of has been taken already.
            buffer.release();
        }
    }
}
