//! EPMD, the port mapper: it knows on which port the node of a given name listens.
//!
//! [`lookup`] and [`names`] ask the EPMD of any host; [`Registrar`] keeps our node registered with
//! the one on this host for as long as it lives, and serves EPMD itself when there is none;
//! [`Server`] is that server.
//!
//! ```
//! use dist::epmd::{self, Config, Mode, Registrar};
//!
//! # fn free_port() -> u16 {
//! #     std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let port = free_port();
//! // Nobody serves EPMD on this port, so we do.
//! let registrar = Registrar::start("rust", 9100, Mode::Auto, Config::with_port(port)).await?;
//! let node = epmd::lookup("127.0.0.1", port, "rust").await?;
//! assert_eq!((node.port, node.highest), (9100, 6));
//! assert_eq!(epmd::names("127.0.0.1", port).await?, [("rust".to_owned(), 9100)]);
//! registrar.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Source: chapter "EPMD Protocol" of `erl_dist_protocol`, `erl_epmd.erl` and `epmd_srv.c`.

mod client;
mod config;
pub(crate) mod fuzz;
mod protocol;
mod registrar;
mod registry;
mod server;
#[cfg(test)]
mod tests;

pub use client::{LookupError, NodeInfo, lookup, lookup_allowed, names};
pub(crate) use client::{allowed_only, lookup_at};
pub use config::{Config, ConfigError, DEFAULT_PORT};
pub use registrar::{Mode, RegisterError, Registrar, ServedBy, Status};
pub use server::{ServeError, Server};
