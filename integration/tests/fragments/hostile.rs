//! Peers that send fragments and headers as no node sends them: see main.rs.
