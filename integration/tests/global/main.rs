//! `global`: OTP's own does the judging, in meshes of three BEAM nodes and a Rust node.

mod basics;
mod calls;
mod hostile;
mod mesh;
mod partitions;
mod trouble;
