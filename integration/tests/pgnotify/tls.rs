//! TLS in every `sslmode`.
