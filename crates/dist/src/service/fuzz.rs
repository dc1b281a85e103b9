//! Words of the services of other nodes.

pub use super::global::fuzz::global;
#[cfg(feature = "pubsub")]
pub use super::pubsub::fuzz::pubsub;
