//! Leaving the socket of a busy link alone for a moment, so that more is read at once.
//!
//! A BEAM writes each message by itself, and with each write the kernel wakes whoever waits for it:
//! both pay, and where many processes call at once it is most of what a call costs. Interrupts of network
//! cards have the same trouble and the same cure, which is to look at intervals while much is coming.

use std::time::Duration;

#[cfg(target_os = "linux")]
pub(super) use linux::Pace;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Pace;

/// How many frames a read may bring before the link counts as busy: a single caller sends two or three
/// for each call (`monitor`, the message, and `demonitor` of the call before).
const FEW: u64 = 3;

/// How long the socket is left alone for each frame more, and at most: where what comes is answered, and where the
/// peer only talks, so that nobody is known to wait.
const EACH: Duration = Duration::from_micros(10);
const LONGEST: Duration = Duration::from_micros(50);
const LONGEST_UNANSWERED: Duration = Duration::from_micros(200);

/// How long to leave a socket alone from which one read brought so many frames.
pub(super) fn pause(frames: u64, is_answered: bool) -> Duration {
    if cfg!(not(target_os = "linux")) {
        return Duration::ZERO;
    }
    let more = u32::try_from(frames.saturating_sub(FEW)).unwrap_or(u32::MAX);
    let longest = if is_answered { LONGEST } else { LONGEST_UNANSWERED };
    EACH.saturating_mul(more).min(longest)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::time::Duration;

    use nix::libc;
    use nix::sys::socket::setsockopt;
    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    use tokio::net::TcpStream;

    /// Up to so many bytes the kernel wakes nobody while the socket is left alone (`SO_RCVLOWAT`).
    const UNHEARD: usize = 32 * 1024;

    sockopt_impl!(ReceiveLowWater, Both, libc::SOL_SOCKET, libc::SO_RCVLOWAT, usize);

    /// What a busy link has: a timer, a descriptor of its own, for those of the runtime count milliseconds.
    #[derive(Debug, Default)]
    pub(in super::super) struct Pace {
        timer: Option<AsyncFd<Timer>>,
        /// It cannot be done here, and is not tried again.
        given_up: bool,
    }

    #[derive(Debug)]
    struct Timer(TimerFd);

    impl AsRawFd for Timer {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    impl Pace {
        /// Waits for `time`, in which the kernel wakes nobody for what arrives. False where that cannot be
        /// done; then nothing was waited for.
        pub(in super::super) async fn pause(&mut self, socket: &TcpStream, time: Duration) -> bool {
            if self.given_up {
                return false;
            }
            let paused = self.try_pause(socket, time).await;
            if let Err(error) = &paused {
                tracing::debug!(%error, "the socket of a busy link cannot be left alone");
                self.given_up = true;
            }
            paused.is_ok()
        }

        async fn try_pause(&mut self, socket: &TcpStream, time: Duration) -> io::Result<()> {
            let timer = match &mut self.timer {
                Some(timer) => timer,
                none => {
                    let timer = Timer::new()?;
                    setsockopt(socket, ReceiveLowWater, &UNHEARD)?;
                    none.insert(timer)
                }
            };
            let end = Expiration::OneShot(TimeSpec::from_duration(time));
            timer.get_ref().0.set(end, TimerSetTimeFlags::empty())?;
            timer.readable().await?.clear_ready();
            Ok(())
        }

        /// Lets the kernel wake whoever waits. True if it did not so far: kernels before 4.18 do not for what has
        /// arrived meanwhile.
        ///
        /// # Errors
        /// When the socket cannot be set.
        pub(in super::super) fn end(&mut self, socket: &TcpStream) -> io::Result<bool> {
            let paused = self.timer.take().is_some();
            if paused {
                setsockopt(socket, ReceiveLowWater, &1)?;
            }
            Ok(paused)
        }
    }

    impl Timer {
        #[expect(
            deprecated,
            reason = "the safe way; the descriptor is the timer's until it is dropped"
        )]
        fn new() -> io::Result<AsyncFd<Self>> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
            AsyncFd::with_interest(Self(timer), Interest::READABLE)
        }
    }
}

/// Elsewhere no link counts as busy.
#[cfg(not(target_os = "linux"))]
mod other {
    use std::io;
    use std::time::Duration;

    use tokio::net::TcpStream;

    #[derive(Debug, Default)]
    pub(in super::super) struct Pace;

    impl Pace {
        #[expect(clippy::unused_async, clippy::unused_self, reason = "as on Linux")]
        pub(in super::super) async fn pause(&mut self, _: &TcpStream, _: Duration) -> bool {
            false
        }

        #[expect(clippy::unused_self, reason = "as on Linux")]
        pub(in super::super) fn end(&mut self, _: &TcpStream) -> io::Result<bool> {
            Ok(false)
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::Write;
    use std::time::Instant;

    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(30);

    /// A socket, and the other end of it.
    fn pair() -> (TcpStream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        (TcpStream::from_std(ours).unwrap(), listener.accept().unwrap().0)
    }

    #[test]
    fn what_a_single_caller_sends_makes_no_pause_and_none_is_long() {
        let micros = |is_answered| {
            [0, 1, 3, 4, 8, 9, 23, u64::MAX].map(|frames| pause(frames, is_answered).as_micros())
        };
        assert_eq!(micros(true), [0, 0, 0, 10, 50, 50, 50, 50]);
        assert_eq!(micros(false), [0, 0, 0, 10, 50, 60, 200, 200]);
    }

    #[tokio::test]
    async fn a_pause_takes_its_time_and_nobody_is_woken_before_it_is_ended() {
        let (socket, mut peer) = pair();
        let mut pace = Pace::default();
        assert!(!pace.end(&socket).unwrap());
        for _ in 0..3 {
            let start = Instant::now();
            assert!(pace.pause(&socket, MOMENT).await);
            assert!(start.elapsed() >= MOMENT);
        }
        peer.write_all(&[1; 100]).unwrap();
        timeout(MOMENT, socket.readable()).await.unwrap_err();
        assert!(pace.end(&socket).unwrap());
        timeout(LONG, socket.readable()).await.unwrap().unwrap();
        assert!(!pace.end(&socket).unwrap());
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_told_during_pauses_too() {
        let (socket, peer) = pair();
        assert!(Pace::default().pause(&socket, MOMENT).await);
        drop(peer);
        timeout(LONG, socket.readable()).await.unwrap().unwrap();
    }
}
