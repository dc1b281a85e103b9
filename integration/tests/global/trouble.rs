//! Nodes that are killed, that join at a bad moment, and that want the same.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dist::etf::{Term, term};
use dist::{ConflictMethod, Node};
use integration::{Beam, SOON, eventually, name_of};

use super::mesh::{Mesh, REST};

const HOLD: &str = "P = spawn(fun() -> receive stop -> ok end end), yes = global:register_name(NAME, P, METHOD), P";

fn hold(name: &str, method: &str) -> String {
    HOLD.replace("NAME", name).replace("METHOD", &format!("fun global:{method}/3"))
}

async fn gone(rust: &Node, name: Term) -> Result<()> {
    let global = rust.global().context("no global")?;
    eventually(SOON, "the name to be gone", async || global.whereis_name(&name).is_none()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_locks_go_with_their_node_whichever_it_is() -> Result<()> {
    let mut mesh = Mesh::new().await?;
    let rust = mesh.join().await?;
    let global = rust.global().context("no global")?;
    mesh.c().eval(hold("of_c", "random_exit_name")).await?;
    mesh.c()
        .eval("spawn(fun() -> true = global:set_lock({res, c}), receive stop -> ok end end)")
        .await?;
    let own = rust.process()?;
    assert!(global.register_name(term!(of_rust), own.pid(), ConflictMethod::default()).await?);
    eventually(SOON, "the lock of c", async || {
        global.set_lock(term!(res), term!(me), Some(0)).await.is_none()
    })
    .await?;
    let mut c = mesh.beams.pop().context("no c")?;
    c.kill9().await?;
    gone(&rust, term!(of_c)).await?;
    let lock = global.set_lock(term!(res), term!(me), None).await.context("no lock")?;
    for beam in &mesh.beams {
        beam.eval_until(SOON, "global:whereis_name(of_c)", "undefined").await?;
        assert_eq!(
            beam.eval("global:set_lock({res, other}, [node() | nodes()], 0)").await?,
            "false"
        );
    }
    // The Rust node dies, and what it had with it.
    std::mem::forget(lock);
    drop((global, own));
    rust.shutdown(Duration::from_secs(5)).await;
    for beam in &mesh.beams {
        beam.eval_until(SOON, "global:whereis_name(of_rust)", "undefined").await?;
        beam.eval_until(SOON, "ets:tab2list(global_locks)", "[]").await?;
    }
    assert!(mesh.a().eval(hold("next", "random_exit_name")).await?.starts_with('<'));
    mesh.at_rest(&mesh.names()).await?;
    mesh.is_sound().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_dropped_or_released_is_free_everywhere() -> Result<()> {
    let mesh = Mesh::new().await?;
    let rust = mesh.join().await?;
    let global = rust.global().context("no global")?;
    let lock = global.set_lock(term!(res), term!(me), None).await.context("no lock")?;
    // Shared with whoever asks in the same name.
    let shared = global.set_lock(term!(res), term!(me), Some(0)).await.context("not shared")?;
    for beam in &mesh.beams {
        assert_eq!(
            beam.eval("global:set_lock({res, other}, [node() | nodes()], 0)").await?,
            "false"
        );
    }
    lock.release().await;
    assert_eq!(
        mesh.a().eval("global:set_lock({res, other}, [node() | nodes()], 0)").await?,
        "false"
    );
    drop(shared);
    let set = "R = global:set_lock({res, b}, [node() | nodes()], 0), global:del_lock({res, b}), R";
    mesh.b().eval_until(SOON, set, "true").await?;
    let result = global.trans(term!(res), term!(me), None, async || 42).await;
    assert_eq!(result, Some(42));
    assert_eq!(mesh.c().eval(set).await?, "true");
    // A lock of a BEAM process holds here as well, and is waited for.
    let session = mesh.b().session();
    session.eval("true = global:set_lock({res, b})").await?;
    assert!(global.set_lock(term!(res), term!(me), Some(0)).await.is_none());
    let waits = tokio::spawn({
        let global = global.clone();
        async move { global.trans(term!(res), term!(me), None, async || ()).await }
    });
    session.eval("global:del_lock({res, b})").await?;
    assert_eq!(tokio::time::timeout(REST, waits).await??, Some(()));
    eventually(SOON, "nothing to be left", async || {
        let counts = rust.counts();
        // global_name_server itself.
        ensure!((counts.processes, counts.calls) == (1, 0), "{counts:?}");
        Ok(())
    })
    .await?;
    mesh.at_rest(&[mesh.names(), vec![rust.name().to_string()]].concat()).await?;
    mesh.is_sound().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_joins_while_another_holds_a_lock() -> Result<()> {
    let mesh = Mesh::new().await?;
    // The lock of `global` itself, as a registrar with much to do holds it.
    let session = mesh.b().session();
    session.eval("true = global:set_lock({global, self()}, [node() | nodes()], 0)").await?;
    let rust = mesh.rust()?.start().await?;
    rust.connect(&name_of(mesh.a())?).await?;
    // Nobody is joined, and nobody's calls hang.
    assert_eq!(mesh.a().eval(format!("net_adm:ping('{}')", rust.name())).await?, "pong");
    assert_eq!(
        mesh.a().eval("global:trans({res, me}, fun() -> done end, [node() | nodes()], 3)").await?,
        "done"
    );
    session.eval("global:del_lock({global, self()})").await?;
    mesh.joined(&rust).await?;
    // And the other way round: a lock that a Rust program holds keeps no BEAM node from joining.
    let global = rust.global().context("no global")?;
    let lock = global.set_lock(term!(res), term!(me), None).await.context("no lock")?;
    let late = mesh.world.beam("late").await?;
    late.eval(format!("net_kernel:connect_node('{}')", rust.name())).await?;
    let names = [mesh.names(), vec![rust.name().to_string(), late.name().to_owned()]].concat();
    let known = "lists:sort([node() | gen_server:call(global_name_server, get_synced)]) =:= lists:sort([NAMES])"
        .replace("NAMES", &names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(","));
    late.eval_until(REST, &known, "true").await?;
    lock.release().await;
    mesh.at_rest(&names).await?;
    mesh.is_sound().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_register_one_name_at_once_one_gets_it() -> Result<()> {
    let mesh = Mesh::new().await?;
    let rust = mesh.join().await?;
    let global = rust.global().context("no global")?;
    for round in 0..8 {
        let name = format!("same_{round}");
        let register = format!(
            "P = spawn(fun() -> receive stop -> ok end end), global:register_name({name}, P)"
        );
        let process = rust.process()?;
        let term = Term::Atom(dist::etf::Atom::new(&name)?);
        let (a, b, here) = tokio::join!(
            mesh.a().eval_within(REST, &register),
            mesh.b().eval_within(REST, &register),
            global.register_name(term.clone(), process.pid(), ConflictMethod::default()),
        );
        let won = [a? == "yes", b? == "yes", here?];
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
        let winner = global.whereis_name(&term).context("nobody")?;
        let nodes = [mesh.a().name(), mesh.b().name(), rust.name().as_str()];
        let at = won.iter().position(|won| *won).context("nobody")?;
        assert_eq!(winner.node.as_str(), nodes[at]);
        for beam in &mesh.beams {
            let whereis = beam.eval(format!("node(global:whereis_name({name}))")).await?;
            assert_eq!(whereis, format!("'{}'", nodes[at]));
        }
    }
    mesh.is_sound().await
}

/// A BEAM node alone, with a name registered there.
async fn lonely(mesh: &Mesh, base: &str, method: &str) -> Result<Beam> {
    let beam = mesh.world.beam(base).await?;
    beam.eval(hold("same", method)).await?;
    Ok(beam)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_settled_whoever_settles_it() -> Result<()> {
    // Lesser and greater than the BEAM's name: it is the lesser node that settles.
    for (base, beam_base) in [("a", "z"), ("z", "a")] {
        for method in
            [ConflictMethod::RandomExit, ConflictMethod::RandomNotify, ConflictMethod::NotifyAll]
        {
            let world = integration::World::new().await?;
            let function = match method {
                ConflictMethod::RandomExit => "random_exit_name",
                ConflictMethod::RandomNotify => "random_notify_name",
                ConflictMethod::NotifyAll => "notify_all_name",
            };
            let beam = world.beam(beam_base).await?;
            let session = beam.session();
            session
                .eval(format!(
                    "Self = self(), P = spawn(fun() -> receive M -> Self ! {{got, M}} end end), \
                 yes = global:register_name(same, P, fun global:{function}/3)"
                ))
                .await?;
            let node = world.node(base)?.visibility(dist::Visibility::Visible).start().await?;
            let mut process = node.process()?;
            let global = node.global().context("no global")?;
            assert!(global.register_name(term!(same), process.pid(), method).await?);
            node.connect(&name_of(&beam)?).await?;
            beam.eval_until(REST, "global:sync()", "ok").await?;
            global.sync().await?;
            let here = global.whereis_name(&term!(same)).map(|pid| pid.node.as_str().to_owned());
            let there = beam
                .eval("case global:whereis_name(same) of undefined -> none; W -> node(W) end")
                .await?;
            // The process of the lesser node keeps the name.
            let rust_wins = base < beam_base;
            match method {
                ConflictMethod::NotifyAll => {
                    assert_eq!((here, there.as_str()), (None, "none"));
                    let told = process.recv().await.context("not told")?.term;
                    assert!(told.to_string().starts_with("{global_name_conflict,same,"), "{told}");
                    session.eval("receive {got, {global_name_conflict, same, P2}} when is_pid(P2) -> ok end").await?;
                }
                ConflictMethod::RandomNotify | ConflictMethod::RandomExit => {
                    let winner = if rust_wins { node.name().as_str() } else { beam.name() };
                    assert_eq!(here.as_deref(), Some(winner));
                    assert_eq!(there, format!("'{winner}'"));
                    let notified = method == ConflictMethod::RandomNotify;
                    match (rust_wins, notified) {
                        (true, true) => drop(
                            session
                                .eval("receive {got, {global_name_conflict, same}} -> ok end")
                                .await?,
                        ),
                        (true, false) => session_is_dead(&session).await?,
                        (false, true) => {
                            let told = process.recv().await.context("not told")?.term;
                            assert_eq!(told, term!({global_name_conflict, same}));
                        }
                        (false, false) => {
                            assert!(process.recv().await.is_none(), "it was not killed")
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

async fn session_is_dead(session: &integration::Session<'_>) -> Result<()> {
    eventually(SOON, "the process to be killed", async || {
        ensure!(session.eval("is_process_alive(P)").await? == "false");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_settled_on_the_node_that_has_the_process() -> Result<()> {
    let mesh = Mesh::new().await?;
    // Ours is in the partition of the resolver, on another node than it: a BEAM asks us.
    let rust = mesh.join().await?;
    let global = rust.global().context("no global")?;
    let process = rust.process()?;
    assert!(global.register_name(term!(same), process.pid(), ConflictMethod::RandomNotify).await?);
    let z = lonely(&mesh, "z", "random_notify_name").await?;
    z.eval(format!("net_kernel:connect_node('{}')", mesh.a().name())).await?;
    let names = [mesh.names(), vec![rust.name().to_string(), z.name().to_owned()]].concat();
    mesh.at_rest(&names).await?;
    let winner = global.whereis_name(&term!(same)).context("nobody")?;
    assert_eq!(winner, *process.pid());
    assert_eq!(z.eval("node(global:whereis_name(same))").await?, format!("'{}'", rust.name()));
    // And we ask a BEAM: its process is in our partition, and we are the lesser node.
    let world = integration::World::new().await?;
    let held = world.beam("m").await?;
    held.eval(hold("same", "random_notify_name")).await?;
    let first = world.node("a")?.visibility(dist::Visibility::Visible).start().await?;
    first.connect(&name_of(&held)?).await?;
    held.eval_until(REST, "global:sync()", "ok").await?;
    let global = first.global().context("no global")?;
    global.sync().await?;
    assert!(global.whereis_name(&term!(same)).is_some());
    let last = world.beam("y").await?;
    last.eval(hold("same", "random_notify_name")).await?;
    first.connect(&name_of(&last)?).await?;
    last.eval_until(
        REST,
        "length(lists:usort(gen_server:call(global_name_server, get_synced)))",
        "2",
    )
    .await?;
    for beam in [&held, &last] {
        beam.eval_until(REST, "node(global:whereis_name(same))", &format!("'{}'", held.name()))
            .await?;
    }
    assert_eq!(global.whereis_name(&term!(same)).context("nobody")?.node.as_str(), held.name());
    mesh.is_sound().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_only_a_beam_can_run_is_passed_on_as_it_came() -> Result<()> {
    let mesh = Mesh::new().await?;
    // A closure with something in it, registered before we come, so that it goes through us.
    let world = &mesh.world;
    let first = world.beam("first").await?;
    first
        .eval("X = 42, F = fun(_, _, _) -> X end, P = spawn(fun() -> receive stop -> ok end end), yes = global:register_name(odd, P, F)")
        .await?;
    let rust = mesh.rust()?.start().await?;
    rust.connect(&name_of(&first)?).await?;
    first.eval_until(REST, "global:sync()", "ok").await?;
    rust.global().context("no global")?.sync().await?;
    rust.connect(&name_of(mesh.a())?).await?;
    let names = [mesh.names(), vec![rust.name().to_string(), first.name().to_owned()]].concat();
    mesh.at_rest(&names).await?;
    // It is the closure, and can be called where it has come to.
    let method =
        "[{odd, _, M, _}] = ets:lookup(global_names, odd), {erlang:fun_info(M, arity), M(1, 2, 3)}";
    assert_eq!(mesh.c().eval(method).await?, "{{arity,3},42}");
    mesh.is_sound().await
}
