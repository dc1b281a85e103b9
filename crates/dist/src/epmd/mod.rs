//! EPMD, the port mapper: it knows on which port the node of a given name listens.
//!
//! [`lookup`] and [`names`] ask the EPMD of any host; [`Registrar`] keeps our node registered with
//! the one on this host for as long as it lives, and serves EPMD itself when there is none;
//! [`Server`] is that server.
//!
//! Source: chapter "EPMD Protocol" of `erl_dist_protocol`, `erl_epmd.erl` and `epmd_srv.c`.

mod client;
mod config;
mod protocol;
mod registrar;
mod registry;
mod server;
#[cfg(test)]
mod tests;

pub use client::{LookupError, NodeInfo, lookup, names};
pub use config::{Config, ConfigError, DEFAULT_PORT};
pub use registrar::{Mode, RegisterError, Registrar, ServedBy, Status};
pub use server::{ServeError, Server};
