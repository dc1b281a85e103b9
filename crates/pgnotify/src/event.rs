//! What a [`Listener`](crate::Listener) tells its owner.

use std::net::IpAddr;
use std::time::Duration;

use crate::{Channel, Error};

/// One thing that happened, in order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Every wanted channel is listened to, and the server has been heard through this connection.
    #[non_exhaustive]
    Connected {
        /// 1 for the first connection, then one more for each.
        generation: u64,
        /// There was a connection before this one, so notifications may have been missed between
        /// the two: Postgres keeps none for a listener that is away.
        may_have_missed: bool,
        /// The server, as `host:port` or the path of its socket.
        server: String,
        /// The process id of our backend, which is the `pid` of our own notifications. Behind a
        /// session pooler it is the backend that the pooler lends us.
        backend_pid: i32,
        /// Our own address on the way to the server; `None` on a Unix socket.
        local_ip: Option<IpAddr>,
        /// Whether it is certain that `LISTEN` works here. It is not behind a pooler that had no
        /// second connection for us to try it with.
        proved: bool,
    },
    /// Somebody, perhaps we ourselves, notified a wanted channel.
    #[non_exhaustive]
    Notification {
        /// Where it was sent.
        channel: Channel,
        /// What was sent. Bytes that are not UTF-8 (an `SQL_ASCII` database passes them on) are
        /// replaced by U+FFFD.
        payload: String,
        /// The backend that sent it. Compare with `backend_pid` to know one's own.
        pid: i32,
    },
    /// The connection is gone, or an attempt to connect failed. Another attempt follows by itself.
    #[non_exhaustive]
    Lost {
        /// What happened, in words fit for a log. Never contains a password.
        reason: Error,
        /// When the next attempt starts.
        retry_in: Duration,
        /// How many times this was told since the last `Connected`: 1 when a connection was lost,
        /// or at the first failure of all. A log may want to be brief about the others.
        failures: u32,
        /// How many attempts to connect have failed since the start.
        failed_attempts: u64,
    },
    /// The consumer was slow: this many of the oldest events were dropped in this place.
    Lagged(u64),
    /// There is no point in trying again: the configuration is wrong, or the server refused the
    /// very first connection for a reason that does not pass. The last event; the driver has ended.
    #[non_exhaustive]
    Failed {
        /// What is wrong.
        error: Error,
    },
}
