//! Names and locks, from either side.

use anyhow::{Context, Result};
use dist::etf::{Term, term};
use dist::{ConflictMethod, GlobalError};
use integration::SOON;

use super::mesh::Mesh;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rust_node_joins_and_shares_names_both_ways() -> Result<()> {
    let mesh = Mesh::new().await?;
    let register = "P = spawn(fun() -> receive stop -> ok end end), global:register_name(early, P)";
    assert_eq!(mesh.b().eval(register).await?, "yes");
    let rust = mesh.join().await?;
    let global = rust.global().context("no global")?;
    // What was registered before.
    let early = global.whereis_name(&term!(early)).context("early is not known")?;
    assert_eq!(early.node.as_str(), mesh.b().name());
    // What the Rust node registers.
    let mut scorer = rust.process()?;
    assert!(global.register_name(term!(scorer), scorer.pid(), ConflictMethod::default()).await?);
    for beam in &mesh.beams {
        let whereis = beam.eval("node(global:whereis_name(scorer))").await?;
        assert_eq!(whereis, format!("'{}'", rust.name()));
        beam.eval("global:send(scorer, {hello, node()})").await?;
        let message = scorer.recv().await.context("no message")?;
        assert_eq!(message.term.to_string(), format!("{{hello,'{}'}}", beam.name()));
    }
    // A name that is taken, from either side.
    let other = rust.process()?;
    assert!(!global.register_name(term!(scorer), other.pid(), ConflictMethod::default()).await?);
    assert_eq!(mesh.c().eval("global:register_name(scorer, self())").await?, "no");
    // A name that no node could be told would keep all that connect later out.
    let nameless = Term::Float(f64::NAN);
    let refused = global.register_name(nameless.clone(), other.pid(), ConflictMethod::default());
    assert!(matches!(refused.await, Err(GlobalError::Name(_))));
    let refused = global.re_register_name(nameless.clone(), other.pid(), ConflictMethod::default());
    assert!(matches!(refused.await, Err(GlobalError::Name(_))));
    assert!(global.set_lock(nameless, term!(me), None).await.is_none());
    // A name goes with its process.
    drop(scorer);
    for beam in &mesh.beams {
        beam.eval_until(SOON, "global:whereis_name(scorer)", "undefined").await?;
    }
    assert_eq!(mesh.a().eval("global:whereis_name(early) ! stop").await?, "stop");
    integration::eventually(SOON, "early to be gone", async || {
        global.whereis_name(&term!(early)).is_none()
    })
    .await?;
    global.sync().await?;
    mesh.is_sound().await
}
