//! What several of the tests need.

pub(crate) mod changes;
pub(crate) mod terms;
pub(crate) mod vectors;
