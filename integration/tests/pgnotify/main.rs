//! pgnotify against real Postgres servers, a real PgBouncer, and a network that misbehaves.

mod basics;
mod helpers;
mod hosts;
mod losses;
mod network;
mod poolers;
mod refusals;
mod tls;
