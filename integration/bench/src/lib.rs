//! What is measured beside its peers in one process; `src/main.rs` prints it for `cargo xtask bench`, `benches` are for
//! those who work on the code.

pub mod beam;
pub mod codec;
pub mod contest;
pub mod payload;
pub mod serde;
