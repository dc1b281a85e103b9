//! The reading task of a link: cuts frames, hands each to the node, and knows when the peer is
//! dead. It never waits for anybody but the socket.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::task::yield_now;
use tokio::time::sleep_until;

use super::Link;
use super::counters::Tally;
use super::socket::ReadHalf;
use crate::error::DownReason;
use crate::node::{Shared, dispatch};
use crate::wire::control::ControlError;
use crate::wire::frame::{Frame, FrameBuffer};
use crate::wire::incoming::{FrameError, Incoming, Message};
use crate::wire::tick::{Due, Ticker};

/// How long a reader that just had a message looks for the next one before it sleeps, where something
/// was written not long ago, so that the two may be talking: since the last read but one, as an
/// answer may come in two pieces. A BEAM's schedulers do the same (`+sbwt`): being woken by the kernel
/// takes longer than answering a call, and who calls again and again has its next call under way by
/// then. To do without for a while after having looked in vain gains nothing: two that sleep are slow
/// for each other, and stay so. What only comes in comes anyway, and the longer it is left alone the
/// more of it is read at once.
const LINGER: Duration = Duration::from_micros(50);

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
    let (mut lively, mut last_but_one) = (false, Duration::ZERO);
    loop {
        tokio::select! {
            // In this order: a suspended process that wakes up finds its alarm and the peer's
            // bytes at once, and must read before it judges.
            biased;
            () = link.closing.cancelled() => return Ok(()),
            read = socket.read(&mut buffer, lively) => {
                let count = read.map_err(|error| DownReason::Io(Arc::new(error)))?;
                if count == 0 {
                    return Ok(());
                }
                let written = link.last_write();
                let talking = written > last_but_one;
                last_but_one = link.last_read();
                if ticker.on_read(link.on_read(count), written) {
                    link.outbox.tick();
                }
                let had_message = take_frames(link, &mut buffer, &mut incoming, shared).await?;
                lively = had_message && talking;
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

/// Takes the frames that are whole; true when there was more than ticks.
async fn take_frames(
    link: &Arc<Link>,
    buffer: &mut FrameBuffer,
    incoming: &mut Incoming,
    shared: &Arc<Shared>,
) -> Result<bool, DownReason> {
    let (mut tally, before) = (Tally::default(), incoming.fragments());
    let taken = take_each(link, buffer, incoming, shared, &mut tally).await;
    tally.fragments = incoming.fragments() - before;
    link.counters.read(tally);
    taken.map(|()| tally.frames > 0)
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
    /// Reads once. While nothing is owed no buffer is held: room is made when there is something.
    async fn read(&mut self, buffer: &mut FrameBuffer, lively: bool) -> io::Result<usize> {
        if !buffer.is_empty() {
            return self.read_into(buffer.room()).await;
        }
        if lively && let Some(read) = self.linger(buffer).await {
            return read;
        }
        loop {
            self.readable().await?;
            if let Some(read) = self.read_into(buffer.room()).now_or_never() {
                return read;
            }
            // What the runtime was told of was found by looking already.
            buffer.release();
        }
    }

    /// Looks for more for a moment, letting every other task run in between.
    async fn linger(&mut self, buffer: &mut FrameBuffer) -> Option<io::Result<usize>> {
        let start = Instant::now();
        loop {
            yield_now().await;
            let waited = start.elapsed();
            if let Some(read) = self.look(buffer) {
                return Some(read);
            }
            if waited >= LINGER {
                return None;
            }
        }
    }
}
