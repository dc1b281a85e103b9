//! `beamjoin join --admin`: what it answers over HTTP, beside real BEAM nodes and Postgres, and how its page looks in a real
//! browser.

mod browser;
mod hardening;
mod http;
mod members;
mod metrics;
mod page;
mod place;
mod prometheus;
mod ready;
mod systemd;
