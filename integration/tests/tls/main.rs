//! Distribution over TLS, with real BEAM nodes (`-proto_dist inet_tls`) at the other end.

mod commands;
mod hostile;
mod mixing;
mod refused;
mod reload;
mod roles;
mod support;
