//! The least that a Rust node and a BEAM node can do with each other, for tests of what is below it.

use anyhow::{Result, ensure};
use dist::etf::Term;
use dist::{Exports, Node, Raise};

use crate::{Beam, SOON, name_of};

/// What [`call_both_ways`] calls on the Rust node: `rust:double/1`.
pub fn doubles() -> Exports {
    let exports = Exports::new();
    exports.add("rust", "double", |[number]: [Term; 1]| async move {
        let number = number.as_u64().ok_or_else(Raise::badarg)?;
        Ok::<_, Raise>(i64::try_from(number * 2)?)
    });
    exports
}

/// Calls a function each way; the Rust node exports [`doubles`].
///
/// # Errors
/// When a call fails or has another result.
pub async fn call_both_ways(node: &Node, beam: &Beam) -> Result<()> {
    let peer = name_of(beam)?;
    let sum =
        node.rpc(&peer, "erlang", "+", vec![Term::from(1), Term::from(2)], Some(SOON)).await?;
    ensure!(sum == Term::from(3), "{sum}");
    let double = beam.eval(format!("rpc:call('{}', rust, double, [21])", node.name())).await?;
    ensure!(double == "42", "{double}");
    Ok(())
}

/// What `net_adm:ping/1` of a BEAM node says of a Rust node.
///
/// # Errors
/// When the BEAM node does not answer.
pub async fn ping(beam: &Beam, node: &Node) -> Result<String> {
    beam.eval(format!("net_adm:ping('{}')", node.name())).await
}
