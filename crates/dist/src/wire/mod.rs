//! What stands on the wire once two nodes are connected. Pure: no I/O, no clock.

pub(crate) mod control;
pub(crate) mod frame;
pub(crate) mod tick;
