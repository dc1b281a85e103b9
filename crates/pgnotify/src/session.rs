//! From a list of servers to a connection that listens.

use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rand::seq::SliceRandom;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Connection, Notification, SimpleQueryMessage};

use crate::config::Target;
use crate::dial::{Address, Attempt, Login};
use crate::stream::Stream;
use crate::{Channel, Config, Error, TargetSessionAttrs};

/// The private channel on which we hear ourselves, and what marks this connection's probes.
#[derive(Debug, Clone)]
pub(crate) struct ProbeChannel {
    pub(crate) channel: Channel,
    /// Different for each attempt, so that a late probe of an earlier one is not believed.
    pub(crate) attempt: u64,
}

/// A connection on which `LISTEN` has been confirmed.
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    pub(crate) connection: Connection<Stream, NoTlsStream>,
    pub(crate) route: Route,
    pub(crate) local_ip: Option<IpAddr>,
    /// The channels that are listened to.
    pub(crate) listened: BTreeSet<Channel>,
    /// Notifications that came while the connection was set up.
    pub(crate) early: Early,
    /// The backend that our statements run on.
    pub(crate) backend_pid: Option<i32>,
    /// That is the backend which greeted us, so there is no pooler between.
    pub(crate) direct: bool,
}

/// How this connection was made, to make another one to the same place.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) server: String,
    target: Target,
    address: Address,
}

/// Notifications before the `Connected` event: as many as the queue of events holds.
#[derive(Debug, Default)]
pub(crate) struct Early {
    pub(crate) notifications: VecDeque<Notification>,
    pub(crate) dropped: u64,
    capacity: usize,
}

impl ProbeChannel {
    /// A name that nobody else uses.
    pub(crate) fn random() -> Channel {
        let name = format!("pgnotify_probe_{:016x}", rand::random::<u64>());
        #[expect(clippy::expect_used, reason = "31 letters and digits are a channel name")]
        Channel::new(name).expect("a valid channel name")
    }

    pub(crate) fn payload(&self, serial: u64) -> String {
        format!("{}.{serial}", self.attempt)
    }

    /// The serial number in a payload of this connection.
    pub(crate) fn serial(&self, payload: &str) -> Option<u64> {
        let (attempt, serial) = payload.split_once('.')?;
        if attempt.parse() == Ok(self.attempt) { serial.parse().ok() } else { None }
    }
}

/// Tries every server and every address once.
pub(crate) async fn connect(
    config: &Config,
    channels: &BTreeSet<Channel>,
    probe: &ProbeChannel,
) -> Result<Session, Error> {
    let mut targets = config.targets()?;
    if config.get_load_balance() {
        targets.shuffle(&mut rand::rng());
    }
    let mut errors = Vec::new();
    for target in &targets {
        match connect_target(config, target, channels, probe).await {
            Ok(session) => return Ok(session),
            Err(error) => {
                tracing::debug!(%error, "cannot use this server");
                errors.push(error);
            }
        }
    }
    match errors.pop() {
        Some(only) if errors.is_empty() => Err(only),
        Some(last) => {
            errors.push(last);
            Err(Error::Hosts(errors))
        }
        // There is always a target.
        None => Err(Error::Hosts(errors)),
    }
}

/// Tries the addresses of one server. A server's own refusal says more than that another of its
/// addresses is dead, whichever came last.
async fn connect_target(
    config: &Config,
    target: &Target,
    channels: &BTreeSet<Channel>,
    probe: &ProbeChannel,
) -> Result<Session, Error> {
    let mut worst: Option<Error> = None;
    for address in Attempt::new(config, target).addresses().await? {
        let attempt = Attempt::new(config, target);
        match connect_address(&attempt, &address, channels, probe).await {
            Ok(session) => return Ok(session),
            // Another address of the same server would say the same.
            Err(error) if error.is_permanent() => return Err(error),
            Err(error) => {
                let keep = worst.as_ref().is_some_and(|worst| worst.sqlstate().is_some());
                if !keep || error.sqlstate().is_some() {
                    worst = Some(error);
                }
            }
        }
    }
    Err(worst.unwrap_or_else(|| Error::Closed { server: target.label() }))
}

async fn connect_address(
    attempt: &Attempt<'_>,
    address: &Address,
    channels: &BTreeSet<Channel>,
    probe: &ProbeChannel,
) -> Result<Session, Error> {
    let Login { client, mut connection, local_ip, claimed_pid } = attempt.login(address).await?;
    let mut early = Early { capacity: attempt.config.get_queue_capacity(), ..Early::default() };
    let server = &attempt.server;

    let wanted = attempt.config.get_target_session_attrs();
    if let Some(query) = session_query(wanted) {
        let asked = drive(server, &mut connection, &mut early, client.simple_query(query));
        let answer = attempt.step("asking whether it is read-only", asked).await?;
        if !session_fits(wanted, &answer) {
            return Err(Error::WrongSession { server: server.clone(), wanted });
        }
    }

    // One round trip, one transaction: Postgres starts to listen before it queues the transaction's
    // own notifications, so the probe is heard in the same answer.
    let mut batch = String::new();
    if connection.parameter("server_encoding") == Some("SQL_ASCII") {
        // Such a server knows no encodings, so anybody can notify bytes that are not UTF-8. Asked
        // to deliver UTF-8 it fails at them; asked for nothing it passes them on, and the filter
        // copes.
        batch.push_str("SET client_encoding TO SQL_ASCII;");
    }
    for channel in channels.iter().chain([&probe.channel]) {
        batch.push_str(&format!("LISTEN {};", channel.quoted()));
    }
    batch.push_str(&format!("NOTIFY {}, '{}'", probe.channel.quoted(), probe.payload(0)));
    let listening = drive(server, &mut connection, &mut early, client.batch_execute(&batch));
    attempt.step("listening", listening).await?;

    let backend_pid = early.take_probe(probe);
    Ok(Session {
        client: Arc::new(client),
        connection,
        route: Route {
            server: server.clone(),
            target: attempt.target.clone(),
            address: address.clone(),
        },
        local_ip,
        listened: channels.clone(),
        early,
        backend_pid,
        direct: backend_pid.is_some() && backend_pid == claimed_pid,
    })
}

/// Sends one notification through a new connection to the same place.
pub(crate) async fn notify_from_elsewhere(
    config: &Config,
    route: &Route,
    channel: &Channel,
    payload: &str,
) -> Result<(), Error> {
    let attempt = Attempt::new(config, &route.target);
    let Login { client, mut connection, .. } = attempt.login(&route.address).await?;
    let mut early = Early::default();
    let sent = drive(&route.server, &mut connection, &mut early, notify(&client, channel, payload));
    attempt.step("notifying", sent).await?;
    drop(client);
    // Says goodbye; whether it arrives does not matter.
    let goodbye = async {
        let _ = connection.await;
        Ok(())
    };
    attempt.step("closing", goodbye).await
}

/// The one way in which notifications are sent: channel and payload are parameters, in a single
/// round trip that poolers keep together.
pub(crate) async fn notify(
    client: &Client,
    channel: &Channel,
    payload: &str,
) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT pg_catalog.pg_notify($1, $2)";
    let channel = channel.as_str();
    client.execute_typed(sql, &[(&channel, Type::TEXT), (&payload, Type::TEXT)]).await.map(drop)
}

fn session_query(wanted: TargetSessionAttrs) -> Option<&'static str> {
    match wanted {
        TargetSessionAttrs::Any => None,
        TargetSessionAttrs::ReadWrite | TargetSessionAttrs::ReadOnly => {
            Some("SHOW transaction_read_only")
        }
        TargetSessionAttrs::Primary => {
            Some("SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'on' ELSE 'off' END")
        }
    }
}

fn session_fits(wanted: TargetSessionAttrs, answer: &[SimpleQueryMessage]) -> bool {
    let value = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
        _ => None,
    });
    match wanted {
        TargetSessionAttrs::Any => true,
        TargetSessionAttrs::ReadWrite | TargetSessionAttrs::Primary => value == Some("off"),
        TargetSessionAttrs::ReadOnly => value == Some("on"),
    }
}

/// Runs a query and, meanwhile, the connection that carries it.
async fn drive<T>(
    server: &str,
    connection: &mut Connection<Stream, NoTlsStream>,
    early: &mut Early,
    query: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    let mut query = pin!(query);
    let result = poll_fn(|cx| {
        loop {
            match connection.poll_message(cx) {
                Poll::Ready(Some(Ok(AsyncMessage::Notification(it)))) => early.push(it),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Pending => return query.as_mut().poll(cx).map(Ok),
                Poll::Ready(ended) => {
                    // The server's last words, if any, went to the query.
                    return match query.as_mut().poll(cx) {
                        Poll::Ready(result) => Poll::Ready(Ok(result)),
                        Poll::Pending => Poll::Ready(Err(ended.and_then(Result::err))),
                    };
                }
            }
        }
    });
    match result.await {
        Ok(result) => result.map_err(|error| Error::from_postgres(server, error)),
        Err(Some(error)) => Err(Error::from_postgres(server, error)),
        Err(None) => Err(Error::Closed { server: server.to_owned() }),
    }
}

impl Early {
    pub(crate) fn push(&mut self, notification: Notification) {
        if self.notifications.len() >= self.capacity.max(1) {
            self.notifications.pop_front();
            self.dropped += 1;
        }
        self.notifications.push_back(notification);
    }

    /// Takes our first probe out, and says which backend sent it.
    fn take_probe(&mut self, probe: &ProbeChannel) -> Option<i32> {
        let position = self.notifications.iter().position(|notification| {
            probe.channel == *notification.channel()
                && probe.serial(notification.payload()) == Some(0)
        })?;
        self.notifications.remove(position).map(|notification| notification.process_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_known_by_its_attempt() {
        let channel = ProbeChannel::random();
        let probe = ProbeChannel { channel: channel.clone(), attempt: 7 };
        assert_eq!(probe.serial(&probe.payload(3)), Some(3));
        let later = ProbeChannel { channel, attempt: 8 };
        assert_eq!(later.serial(&probe.payload(3)), None);
        for other in ["", "7", "7.", "7.x", ".3", "7.3.1", "a@b"] {
            assert_eq!(probe.serial(other), None, "{other}");
        }
    }

    #[test]
    fn probe_channels_differ_and_need_no_quotes() {
        let (one, two) = (ProbeChannel::random(), ProbeChannel::random());
        assert_ne!(one, two);
        assert!(
            one.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        );
    }
}
