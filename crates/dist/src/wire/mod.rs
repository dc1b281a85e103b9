//! What stands on the wire once two nodes are connected. Pure: no I/O, no clock.

pub(crate) mod control;
pub(crate) mod fragment;
pub(crate) mod frame;
pub(crate) mod fuzz;
pub(crate) mod header;
pub(crate) mod incoming;
pub(crate) mod lane;
pub(crate) mod outgoing;
pub(crate) mod slots;
pub(crate) mod tick;
