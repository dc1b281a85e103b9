//! What an acceptor answers, from what it knows about the peer's name.

use crate::NodeName;

/// What we have under a peer's name when it dials us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Nothing.
    None,
    /// An attempt of our own to dial it, not finished.
    PendingOut,
    /// An earlier connection from it whose handshake is not finished.
    PendingIn,
    /// A connection that is up.
    Up,
    /// A connection that is up, and a newer one that is in the middle of `alive`.
    UpPending,
}

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// [`Status::Ok`](super::Status::Ok).
    Ok,
    /// [`Status::OkSimultaneous`](super::Status::OkSimultaneous); drop the older attempt first.
    OkSimultaneous,
    /// [`Refusal::Nok`](super::Refusal::Nok), and close; the older attempt goes on.
    Nok,
    /// [`NamedPeer::alive`](super::NamedPeer::alive).
    Alive,
    /// Close without a status.
    Close,
    /// [`Refusal::NotAllowed`](super::Refusal::NotAllowed), and close: it has our own name.
    NotAllowed,
}

/// What an acceptor called `own` answers to `peer`, as `accept_pending` in `net_kernel.erl` does.
///
/// Of two nodes that dial each other at once, the connection begun by the one with the greater name
/// stays. OTP does not tell its own unfinished attempt from an earlier one of the peer's, so a peer
/// that tries again beside its own half-open handshake may be told `nok`; and so do we, or two
/// connections could stay.
#[must_use]
pub fn decide(own: &NodeName, peer: &NodeName, slot: Slot) -> Decision {
    if own == peer {
        return Decision::NotAllowed;
    }
    match slot {
        Slot::None => Decision::Ok,
        Slot::PendingOut | Slot::PendingIn if own > peer => Decision::Nok,
        Slot::PendingOut | Slot::PendingIn => Decision::OkSimultaneous,
        Slot::Up => Decision::Alive,
        Slot::UpPending => Decision::Close,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_otp_decides() {
        let (a, b) = (NodeName::new("a@h").unwrap(), NodeName::new("b@h").unwrap());
        for (slot, greater, smaller) in [
            (Slot::None, Decision::Ok, Decision::Ok),
            (Slot::PendingOut, Decision::Nok, Decision::OkSimultaneous),
            (Slot::PendingIn, Decision::Nok, Decision::OkSimultaneous),
            (Slot::Up, Decision::Alive, Decision::Alive),
            (Slot::UpPending, Decision::Close, Decision::Close),
        ] {
            assert_eq!(decide(&b, &a, slot), greater, "b accepts from a, {slot:?}");
            assert_eq!(decide(&a, &b, slot), smaller, "a accepts from b, {slot:?}");
            assert_eq!(decide(&a, &a, slot), Decision::NotAllowed);
        }
    }
}
