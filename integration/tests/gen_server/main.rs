//! Generic servers: each capability is tried between two BEAM nodes first and then against the
//! Rust node, with the same code, and must show the same.

mod client;
mod elixir;
mod examples;
mod load;
mod pair;
mod refused;
mod scorer;
mod served;
mod supervisor;
