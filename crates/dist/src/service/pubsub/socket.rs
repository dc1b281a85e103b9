//! Events of Phoenix channels.

use etf::{Atom, Map, Term};

/// The module of the struct.
const MODULE: &str = "Elixir.Phoenix.Socket.Broadcast";

/// `%Phoenix.Socket.Broadcast{}`: what `MyAppWeb.Endpoint.broadcast/3` sends, and what the channels of
/// a topic push to their clients.
///
/// ```
/// use dist::SocketBroadcast;
/// use dist::etf::{Term, term};
///
/// let event = SocketBroadcast::new("room:1", "new_msg", term!(#{"body" => "hello"}));
/// let term = Term::from(event.clone());
/// assert_eq!(SocketBroadcast::parse(&term), Some(event));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketBroadcast {
    /// The topic, as the channel joined it.
    pub topic: String,
    /// The name of the event.
    pub event: String,
    /// What goes with it: a map, for channels.
    pub payload: Term,
}

impl SocketBroadcast {
    /// An event with its payload, which channels want to be a map.
    #[must_use]
    pub fn new(topic: impl Into<String>, event: impl Into<String>, payload: Term) -> Self {
        Self { topic: topic.into(), event: event.into(), payload }
    }

    /// Reads a term; `None` when it is no such struct.
    #[must_use]
    pub fn parse(term: &Term) -> Option<Self> {
        let map = term.as_map()?;
        if !map.get_atom("__struct__")?.is_atom(MODULE) {
            return None;
        }
        Some(Self {
            topic: map.get_atom("topic")?.as_str()?.to_owned(),
            event: map.get_atom("event")?.as_str()?.to_owned(),
            payload: map.get_atom("payload")?.clone(),
        })
    }
}

impl From<SocketBroadcast> for Term {
    fn from(broadcast: SocketBroadcast) -> Self {
        let fields = [
            ("__struct__", Self::Atom(Atom::from_static(MODULE))),
            ("event", Self::from(broadcast.event)),
            ("payload", broadcast.payload),
            ("topic", Self::from(broadcast.topic)),
        ];
        let fields = fields.into_iter().map(|(key, value)| (Self::atom(key), value));
        Self::Map(fields.collect::<Map>())
    }
}
