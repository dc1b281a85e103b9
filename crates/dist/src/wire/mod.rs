//! What stands on the wire once two nodes are connected. Pure: no I/O, no clock.

pub(crate) mod control;
pub(crate) mod frame;
#[cfg_attr(not(test), expect(dead_code, reason = "headers are not offered in the handshake yet"))]
pub(crate) mod header;
pub(crate) mod tick;
