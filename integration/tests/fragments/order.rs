//! The order of signals around messages in fragments.
