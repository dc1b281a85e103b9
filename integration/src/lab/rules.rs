//! What a container's network lets in, as rules for `nft`. Only what comes in is filtered: a packet that is not let out is an error
//! for who sends it, which no cable reports.

use std::fmt::Write;
use std::net::Ipv4Addr;

const TABLE: &str = "inet lab";

/// What happens to what comes from one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Where it comes from.
    pub from: Ipv4Addr,
    /// What happens to it.
    pub verdict: Verdict,
}

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is lost, as with a cable that was cut.
    Drop,
    /// It is answered with a reset of its connection.
    Reset,
    /// So many of a hundred are lost.
    Loss(u8),
}

/// The whole table, instead of an earlier one.
pub(super) fn table(rules: &[Rule]) -> String {
    // It may not be there, and must be to be deleted.
    let mut table = format!("add table {TABLE}\ndelete table {TABLE}\n");
    if rules.is_empty() {
        return table;
    }
    write!(table, "table {TABLE} {{\n chain in {{\n  type filter hook input priority 0;\n").ok();
    for rule in rules {
        let from = rule.from;
        match rule.verdict {
            Verdict::Drop => writeln!(table, "  ip saddr {from} drop"),
            Verdict::Reset => {
                writeln!(table, "  ip saddr {from} meta l4proto tcp reject with tcp reset")
            }
            Verdict::Loss(percent) => {
                writeln!(table, "  ip saddr {from} numgen random mod 100 < {percent} drop")
            }
        }
        .ok();
    }
    table.push_str(" }\n}\n");
    table
}
