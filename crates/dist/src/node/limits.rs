//! What a node keeps within.

use crate::wire::fragment::FragmentLimits;

/// Bounds on what peers can make a node hold. Every one of them can be set.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// The longest frame taken from a peer, in bytes (512 MiB). A longer one closes the link.
    pub frame_bytes: usize,
    /// How many fragmented messages of one peer may be in progress (64). Another one closes the link.
    pub fragment_sequences: usize,
    /// How many bytes of them may have arrived (512 MiB). Over it the link is closed.
    pub fragment_bytes: usize,
    /// How many bytes of them may have arrived from all peers together (1 GiB). The link over which
    /// one more comes is closed.
    pub fragment_bytes_of_node: usize,
    /// What may wait to be written to one peer before senders wait, in bytes (1 MiB, as the BEAM's
    /// `+zdbbl`). A longer message counts as this much.
    pub queue_bytes: u32,
    /// How many bytes of messages that go in fragments (those over 64 KiB), and of what their senders
    /// send behind them, may wait to be written to one peer before senders wait (64 MiB). A longer
    /// message counts as this much.
    pub long_bytes: u32,
    /// The same for all peers together (256 MiB). The first such message to a peer does not count
    /// here, so peers that do not read keep nobody else from being sent something.
    pub long_bytes_of_node: u32,
    /// What may wait of the node's own answers to one peer, in bytes (8 MiB). Over it the link is
    /// closed. One that is longer than a sixteenth, as the reason of an exit may be, counts as that.
    pub reserve_bytes: usize,
    /// How many messages a mailbox holds (1,000,000). Over it its process is ended.
    pub mailbox_messages: usize,
    /// How many bytes of messages a mailbox holds (256 MiB). Over it its process is ended.
    pub mailbox_bytes: usize,
    /// How many inbound connections may be in the handshake at once (64); with one more the oldest of
    /// the address that has the most is dropped.
    pub unauthenticated: usize,
    /// What a term may take: nesting (512) and decoded memory (1 GiB).
    pub terms: etf::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 512 << 20,
            fragment_sequences: 64,
            fragment_bytes: 512 << 20,
            fragment_bytes_of_node: 1 << 30,
            queue_bytes: 1 << 20,
            long_bytes: 64 << 20,
            long_bytes_of_node: 256 << 20,
            reserve_bytes: 8 << 20,
            mailbox_messages: 1_000_000,
            mailbox_bytes: 256 << 20,
            unauthenticated: 64,
            terms: etf::Limits::default(),
        }
    }
}

impl Limits {
    /// Those of one link's fragments.
    pub(crate) fn fragments(&self) -> FragmentLimits {
        FragmentLimits { sequences: self.fragment_sequences, bytes: self.fragment_bytes }
    }
}
