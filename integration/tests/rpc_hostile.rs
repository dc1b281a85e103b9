//! Requests to spawn that no BEAM node would send: each has an answer, or costs its sender the link,
//! and nothing is left of it.

use anyhow::{Context, Result, ensure};
use dist::etf::{Atom, Pid, Reference, Term, term};
use dist::{Flags, Node};
use integration::raw_peer::{self, PLAIN};
use integration::{RawPeer, SOON, World, eventually};

const ME: &str = "raw@127.0.0.1";

fn me() -> Pid {
    Pid { node: Atom::from_static(ME), id: 1, serial: 0, creation: 7 }
}

fn request() -> Term {
    Term::Reference(Reference::new(Atom::from_static(ME), 7, &[5]).unwrap())
}

fn frame(control: &Term, payload: &Term) -> Vec<u8> {
    raw_peer::frame(control, Some(payload))
}

fn read(frame: &[u8]) -> Vec<Term> {
    let (control, payload) = raw_peer::read(frame).unwrap();
    std::iter::once(control).chain(payload).collect()
}

async fn connect(world: &World, node: &Node) -> Result<RawPeer> {
    RawPeer::connect(node, ME, &world.cookie, PLAIN).await
}

fn spawn(mfa: Term, options: Term) -> Term {
    term!({29, (request()), (me()), (me()), (mfa), (options)})
}

#[tokio::test]
async fn odd_requests_are_answered() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let mut peer = connect(&world, &node).await?;
    let node_0 = || term!({erlang, node, 0});
    // What there is no such option for.
    for options in [
        term!([nonsense]),
        term!([{monitor, 1}]),
        term!([{priority, 1}]),
        term!([{priority, highest}]),
        term!([{message_queue_data, mixed}]),
        term!([{max_heap_size, #{}}]),
        term!([{max_heap_size, #{size => many}}]),
        term!([{max_heap_size, #{size => 0, kill => maybe}}]),
        term!([link | monitor]),
        term!(link),
        term!([{}]),
        term!([{reply, yes}]),
    ] {
        peer.send(&frame(&spawn(node_0(), options.clone()), &term!([]))).await?;
        let reply = read(&peer.receive().await?.context("an answer")?);
        assert_eq!(reply, [term!({31, (request()), (me()), 0, badopt})], "{options}");
    }
    // Arguments that are none.
    let erpc = || term!({erpc, execute_call, 4});
    for (mfa, args, reason) in [
        (node_0(), term!([1 | 2]), "{badarg,[{erlang,apply,[erlang,node,[1|2]],[]}]}"),
        (node_0(), term!(x), "{badarg,[{erlang,apply,[erlang,node,x],[]}]}"),
        (node_0(), term!([1]), "{undef,[{erlang,node,[1],[]}]}"),
        (erpc(), term!([]), "{undef,[{erpc,execute_call,[],[]}]}"),
        (
            erpc(),
            term!([tag, erlang, node, [1 | 2]]),
            "{tag,error,badarg,[{erlang,apply,[erlang,node,[1|2]],[]}]}",
        ),
        (erpc(), term!([tag, 1, 2, []]), "{tag,error,badarg,[{erlang,apply,[1,2,[]],[]}]}"),
        (erpc(), term!([tag, erlang, is_alive, []]), "{tag,return,true}"),
        (term!({erlang, node, 1_000_000}), term!([]), "normal"),
    ] {
        peer.send(&frame(&spawn(mfa, term!([monitor])), &args)).await?;
        let reply = read(&peer.receive().await?.context("an answer")?);
        let pid = reply[0].as_tuple().context("a tuple")?[4].clone();
        assert_eq!(reply, [term!({31, (request()), (me()), 2, (&pid)})]);
        let end = read(&peer.receive().await?.context("an end")?);
        assert_eq!(end[0], term!({28, (pid), (me()), (request())}));
        assert_eq!(end[1].to_string(), reason);
    }
    // A process of another node is not one that we would answer to.
    let stranger = Pid { node: Atom::from_static("other@h"), ..me() };
    let foreign = term!({29, (request()), (stranger), (me()), {erlang, node, 0}, [monitor]});
    peer.send(&frame(&foreign, &term!([]))).await?;
    // To rex, in no form that anybody sends, and then a call without a known word.
    let rex = term!({6, (me()), (Term::atom("")), rex});
    let cast = Term::atom("$gen_cast");
    for message in [
        term!({(&cast), {cast, 1, 2}}),
        term!({(&cast), 1}),
        term!({(me()), {call, 1, 2}}),
        term!({(me()), {sbcast, 1, 2}}),
        term!({system, me, get_state}),
    ] {
        peer.send(&frame(&rex, &message)).await?;
    }
    peer.send(&frame(&rex, &term!({system, {(me()), tag}, get_state}))).await?;
    let reply = read(&peer.receive().await?.context("an answer")?);
    assert_eq!(reply[1], term!({tag, {error, notsup}}));
    let call = term!({(Term::atom("$gen_call")), {(me()), tag}, {sing, 1}});
    peer.send(&frame(&rex, &call)).await?;
    let reply = read(&peer.receive().await?.context("an answer")?);
    assert_eq!(reply[1], term!({tag, {badrpc, notsup}}));
    // And to the node as a group leader.
    let own = Term::Pid(node.self_pid().clone());
    let print = term!({io_request, (me()), tag, {put_chars, unicode, 17}});
    peer.send(&frame(&term!({22, (me()), (own)}), &print)).await?;
    let reply = read(&peer.receive().await?.context("an answer")?);
    assert_eq!(reply[1], term!({io_reply, tag, {error, put_chars}}));
    eventually(SOON, "nothing left", async || {
        let counts = node.counts();
        ensure!(counts.processes == 0 && counts.relations == 0 && counts.calls == 0, "{counts:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn malformed_requests_cost_the_link_and_nothing_else() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    for control in [
        spawn(term!({erlang, node}), term!([])),
        spawn(term!({"erlang", node, 0}), term!([])),
        spawn(term!({erlang, node, (-1_i64)}), term!([])),
        term!({29, (request()), (me()), no_pid, {erlang, node, 0}, []}),
        term!({29, no_reference, (me()), (me()), {erlang, node, 0}, []}),
    ] {
        let mut peer = connect(&world, &node).await?;
        peer.send(&frame(&control, &term!([]))).await?;
        peer.closed().await.with_context(|| control.to_string())?;
        eventually(SOON, "no link", async || node.counts().slots == 0).await?;
    }
    // Arguments that cannot be decoded: the process is there already, and ends.
    let mut peer = connect(&world, &node).await?;
    let mut bytes = frame(&spawn(term!({erlang, node, 0}), term!([link, monitor])), &term!([]));
    bytes.pop();
    bytes.extend_from_slice(&[108, 0, 0, 0, 9, 99]);
    peer.send(&bytes).await?;
    peer.closed().await?;
    eventually(SOON, "nothing left", async || {
        let counts = node.counts();
        ensure!(counts.slots == 0 && counts.processes == 0, "{counts:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn ten_thousand_processes_of_a_peer_that_is_gone_are_gone() -> Result<()> {
    let world = World::new().await?;
    let exports = dist::Exports::new();
    exports.add("forever", "wait", |[]: [Term; 0]| std::future::pending::<Term>());
    let node = world.node("rust")?.exports(exports).start().await?;
    let mut peer = connect(&world, &node).await?;
    let spawn = frame(&spawn(term!({forever, wait, 0}), term!([link])), &term!([]));
    for _ in 0..10_000 {
        peer.send(&spawn).await?;
    }
    eventually(SOON, "all of them", async || node.counts().processes == 10_000).await?;
    drop(peer);
    eventually(SOON, "none of them", async || {
        let counts = node.counts();
        ensure!(counts.processes == 0 && counts.relations == 0, "{counts:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cast_to_a_peer_that_cannot_spawn_goes_to_rex() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let flags = PLAIN.without(Flags::SPAWN);
    let mut peer = RawPeer::connect(&node, "raw@127.0.0.1", &world.cookie, flags).await?;
    let mfa = dist::Mfa::new("lists", "sum", vec![term!([1, 2])])?;
    node.rpc_cast(&"raw@127.0.0.1".parse()?, mfa).await?;
    let terms = read(&peer.receive().await?.context("closed")?);
    let own = Term::Pid(node.self_pid().clone());
    let control = term!({6, (own.clone()), (Term::atom("")), rex});
    let cast = term!({cast, lists, sum, [[1, 2]], (own)});
    assert_eq!(terms, [control, term!({(Term::atom("$gen_cast")), (cast)})]);
    Ok(())
}
