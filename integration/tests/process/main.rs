//! What two BEAM processes can do with each other, a BEAM process and a Rust process can do too.
//!
//! A puppet is a process that does what it is told. The same Erlang code drives first one on
//! another BEAM node and then one in Rust, and both must give the same.

mod load;
mod puppet;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dist::etf::{Term, term};
use dist::{AliasMode, Exit, Node, Process};
use integration::{Beam, SOON, World, eventually, name_of};

/// How long a scene of many signals may take where many tests run at once.
const LONG: Duration = Duration::from_secs(120);

/// Two BEAM nodes and a Rust node.
struct Stage {
    driver: Beam,
    beam: Beam,
    node: Node,
    _world: World,
}

impl Stage {
    async fn new() -> Result<Self> {
        Self::with(&[]).await
    }

    /// As [`Stage::new`], with more arguments for the driver's `erl`.
    async fn with(args: &[&str]) -> Result<Self> {
        let world = World::new().await?;
        let driver = Beam::start(world.beam_options("driver").args(args.iter().copied()));
        let (driver, beam) = tokio::try_join!(driver, world.beam("beam"))?;
        let node = world.node("rust")?.start().await?;
        Ok(Self { driver, beam, node, _world: world })
    }

    /// Runs `scene` against a fresh puppet `P` on a node `N`, of either kind, with `Do` to tell it
    /// something and `Wait` to receive. Both must answer the same.
    async fn same(&self, scene: &str) -> Result<String> {
        let theirs = self.play(scene, self.beam.name()).await.context("between BEAM nodes")?;
        let ours = self.play(scene, self.node.name().as_str()).await.context("with Rust")?;
        ensure!(theirs == ours, "{scene}\nBEAM: {theirs}\nRust: {ours}");
        Ok(ours)
    }

    async fn play(&self, scene: &str, on: &str) -> Result<String> {
        let scene = format!("N = '{on}', {} {scene}", puppet::DRIVER);
        if on == self.beam.name() {
            self.beam.eval(puppet::IN_ERLANG).await?;
            let result = self.driver.eval_within(LONG, scene).await?;
            self.beam.eval("catch exit(whereis(puppet), kill)").await?;
            self.beam.eval_until(SOON, "whereis(puppet)", "undefined").await?;
            return Ok(result);
        }
        let pid = puppet::start(&self.node)?;
        eventually(SOON, "its name", async || self.node.whereis("puppet").is_some()).await?;
        let result = self.driver.eval_within(LONG, scene).await?;
        self.node.process()?.exit(&pid, Term::atom("kill")).await;
        eventually(SOON, "no puppet", async || self.node.counts().processes == 0).await?;
        Ok(result)
    }
}

#[tokio::test]
async fn links_are_as_between_beam_nodes() -> Result<()> {
    let stage = Stage::new().await?;
    for (scene, expected) in [
        // A linked process's end arrives as its reason, whatever term that is.
        (
            "link(P), Do({stop, {shutdown, [1, <<2>>, #{a => 1.5}]}}), Wait({'EXIT', P})",
            "{'EXIT',{shutdown,[1,<<2>>,#{a => 1.5}]}}",
        ),
        ("link(P), Do({stop, normal}), Wait({'EXIT', P})", "{'EXIT',normal}"),
        // The other way round: it ends with us, unless the reason is normal or it traps exits.
        (
            "M = monitor(process, P), S = spawn(fun() -> link(P), exit(boom) end), Wait({'DOWN', M})",
            "{'DOWN',boom}",
        ),
        ("spawn(fun() -> link(P), exit(normal) end), Do(alive)", "true"),
        (
            "Do({trap, true}), S = spawn(fun() -> link(P), exit(boom) end), Do({await, {'EXIT', S}})",
            "{'EXIT',boom}",
        ),
        (
            "Do({trap, true}), S = spawn(fun() -> link(P), exit(normal) end), Do({await, {'EXIT', S}})",
            "{'EXIT',normal}",
        ),
        // Links that it makes.
        (
            "Do({trap, true}), S = spawn(fun() -> receive go -> exit({bye, 1}) end end), Do({link, S}), S ! go, Do({await, {'EXIT', S}})",
            "{'EXIT',{bye,1}}",
        ),
        (
            "S = spawn(fun() -> receive go -> ok end end), M = monitor(process, S), Do({link, S}), Do({stop, together}), Wait({'DOWN', M})",
            "{'DOWN',together}",
        ),
        // With nobody.
        (
            "Do({trap, true}), S = spawn(fun() -> ok end), timer:sleep(50), Do({link, S}), Do({await, {'EXIT', S}})",
            "{'EXIT',noproc}",
        ),
        ("Do({stop, normal}), link(P), Wait({'EXIT', P})", "{'EXIT',noproc}"),
        // Unlinked, nothing is heard; linked anew, it is.
        ("link(P), unlink(P), Do({stop, boom}), Nothing()", "nothing"),
        ("link(P), unlink(P), link(P), Do({stop, boom}), Wait({'EXIT', P})", "{'EXIT',boom}"),
        ("Do({link, self()}), Do({unlink, self()}), Do({stop, boom}), Nothing()", "nothing"),
        (
            "Do({link, self()}), Do({unlink, self()}), Do({link, self()}), Do({stop, boom}), Wait({'EXIT', P})",
            "{'EXIT',boom}",
        ),
        (
            "link(P), Do({link, self()}), unlink(P), Do({unlink, self()}), Do({stop, boom}), Nothing()",
            "nothing",
        ),
        (
            "Do({link, self()}), unlink(P), Do({link, self()}), Do({stop, boom}), Wait({'EXIT', P})",
            "{'EXIT',boom}",
        ),
    ] {
        assert_eq!(stage.same(scene).await?, expected, "{scene}");
    }
    assert_eq!(stage.node.counts().relations, 0);
    Ok(())
}

#[tokio::test]
async fn exit_signals_are_as_between_beam_nodes() -> Result<()> {
    let stage = Stage::new().await?;
    for (scene, expected) in [
        ("M = monitor(process, P), exit(P, kill), Wait({'DOWN', M})", "{'DOWN',killed}"),
        (
            "Do({trap, true}), M = monitor(process, P), exit(P, kill), Wait({'DOWN', M})",
            "{'DOWN',killed}",
        ),
        ("M = monitor(process, P), exit(P, boom), Wait({'DOWN', M})", "{'DOWN',boom}"),
        ("exit(P, normal), Do(alive)", "true"),
        ("Do({trap, true}), exit(P, boom), Do({await, {'EXIT', self()}})", "{'EXIT',boom}"),
        ("Do({trap, true}), exit(P, normal), Do({await, {'EXIT', self()}})", "{'EXIT',normal}"),
        // A linked process that ends with `kill` is not trapped as exit(P, kill) is not.
        (
            "M = monitor(process, P), spawn(fun() -> link(P), exit(kill) end), Wait({'DOWN', M})",
            "{'DOWN',kill}",
        ),
        (
            "Do({trap, true}), S = spawn(fun() -> link(P), exit(kill) end), Do({await, {'EXIT', S}})",
            "{'EXIT',kill}",
        ),
        // What it sends.
        (
            "S = spawn(fun() -> receive x -> ok end end), M = monitor(process, S), Do({exit, S, boom}), Wait({'DOWN', M})",
            "{'DOWN',boom}",
        ),
        (
            "S = spawn(fun() -> receive x -> ok end end), M = monitor(process, S), Do({exit, S, kill}), Wait({'DOWN', M})",
            "{'DOWN',killed}",
        ),
        ("Do({exit, self(), hello}), Wait({'EXIT', P})", "{'EXIT',hello}"),
        ("S = spawn(fun() -> ok end), Do({exit, S, boom}), Do(alive)", "true"),
        // Linked with somebody linked with somebody.
        (
            "S = spawn(fun() -> receive x -> ok end end), M = monitor(process, S), Do({link, S}), exit(P, chain), Wait({'DOWN', M})",
            "{'DOWN',chain}",
        ),
    ] {
        assert_eq!(stage.same(scene).await?, expected, "{scene}");
    }
    assert_eq!(stage.node.counts().relations, 0);
    Ok(())
}

#[tokio::test]
async fn monitors_are_as_between_beam_nodes() -> Result<()> {
    let stage = Stage::new().await?;
    for (scene, expected) in [
        ("M = monitor(process, P), Do({stop, {a, b}}), Wait({'DOWN', M})", "{'DOWN',{a,b}}"),
        (
            "M = monitor(process, {puppet, N}), Do({stop, x}), receive {'DOWN', M, process, {puppet, N}, R} -> R end",
            "x",
        ),
        (
            "M = monitor(process, {nobody, N}), receive {'DOWN', M, process, {nobody, N}, R} -> R end",
            "noproc",
        ),
        ("Do({stop, normal}), M = monitor(process, P), Wait({'DOWN', M})", "{'DOWN',noproc}"),
        (
            "M = monitor(process, P), M2 = monitor(process, P), demonitor(M), Do({stop, x}), {Wait({'DOWN', M2}), Nothing()}",
            "{{'DOWN',x},nothing}",
        ),
        // What it monitors: by pid, by name, what is not, and what it no longer wants.
        (
            "S = spawn(fun() -> receive go -> exit({bye, 1}) end end), Do({monitor, S}), S ! go, Do({await, 'DOWN'})",
            "{'DOWN',{bye,1}}",
        ),
        (
            "S = spawn(fun() -> register(watched, self()), receive go -> exit(bye) end end), timer:sleep(50), Do({monitor, {watched, node()}}), S ! go, Do({await, 'DOWN'})",
            "{'DOWN',bye}",
        ),
        ("Do({monitor, {nobody, node()}}), Do({await, 'DOWN'})", "{'DOWN',noproc}"),
        (
            "Do({monitor, {nobody, 'not_there@127.0.0.1'}}), Do({await, 'DOWN'})",
            "{'DOWN',noconnection}",
        ),
        (
            "S = spawn(fun() -> receive go -> ok end end), Do({monitor, S}), Do(demonitor), S ! go, Do({idle, 100}), Do(mailbox)",
            "[]",
        ),
        (
            "S = spawn(fun() -> ok end), timer:sleep(50), Do({monitor, S}), Do({idle, 100}), Do(demonitor), Do(mailbox)",
            "[]",
        ),
        // Aliases of its.
        (
            "A = Do({alias, explicit_unalias}), A ! one, A ! two, Do({idle, 50}), Do({unalias, A}), A ! three, Do({idle, 50}), Do(mailbox)",
            "[one,two]",
        ),
        (
            "S = spawn(fun() -> receive go -> exit(bye) end end), A = Do({monitor_alias, S, reply_demonitor}), A ! one, A ! two, S ! go, Do({idle, 100}), Do(mailbox)",
            "[one]",
        ),
        (
            "S = spawn(fun() -> receive go -> exit(bye) end end), A = Do({monitor_alias, S, demonitor}), A ! one, A ! two, S ! go, Do({await, 'DOWN'}), A ! three, Do({idle, 50}), Do(mailbox)",
            "[one,two]",
        ),
        (
            "S = spawn(fun() -> receive go -> exit(bye) end end), A = Do({monitor_alias, S, explicit_unalias}), S ! go, Do({await, 'DOWN'}), A ! one, Do({idle, 50}), Do(mailbox)",
            "[one]",
        ),
    ] {
        assert_eq!(stage.same(scene).await?, expected, "{scene}");
    }
    let counts = stage.node.counts();
    assert_eq!((counts.relations, counts.aliases), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_lost_connection_is_as_between_beam_nodes() -> Result<()> {
    let stage = Stage::new().await?;
    for (scene, expected) in [
        // Everything across it fires once, on both sides, and the puppet lives on if it traps.
        (
            "Do({trap, true}), S = spawn(fun() -> receive go -> ok end end), \
             Do({monitor, S}), Do({link, S}), link(P), M = monitor(process, P), M2 = monitor(process, {puppet, N}), \
             erlang:disconnect_node(N), \
             R = {Wait({'EXIT', P}), Wait({'DOWN', M}), receive {'DOWN', M2, _, _, X} -> X end, Nothing()}, \
             Do({idle, 50}), {R, lists:sort([element(1, X2) || X2 <- Do(mailbox)])}",
            "{{{'EXIT',noconnection},{'DOWN',noconnection},noconnection,nothing},['DOWN','EXIT','EXIT']}",
        ),
        (
            "link(P), M = monitor(process, {puppet, N}), erlang:disconnect_node(N), Wait({'EXIT', P}), \
             pong = net_adm:ping(N), Ask(alive, 300)",
            "dead",
        ),
    ] {
        assert_eq!(stage.same(scene).await?, expected, "{scene}");
    }
    Ok(())
}

#[tokio::test]
async fn signals_keep_their_order_under_load() -> Result<()> {
    let stage = Stage::new().await?;
    // Messages, a link, more messages, and an exit: nothing overtakes.
    let scene = "Do({trap, true}), \
        S = spawn(fun() -> [P ! {n, I} || I <- lists:seq(1, 3000)], link(P), [P ! {n, I} || I <- lists:seq(3001, 6000)], exit(done) end), \
        {'EXIT', done} = Do({await, {'EXIT', S}}), \
        Ns = [I || {n, I} <- Do(mailbox)], Ns =:= lists:seq(1, 6000)";
    assert_eq!(stage.same(scene).await?, "true");
    Ok(())
}

#[tokio::test]
async fn a_thousand_links_are_cut_by_the_death_of_the_beam_node() -> Result<()> {
    let world = World::new().await?;
    let mut beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let (told, mut telling) = tokio::sync::mpsc::unbounded_channel();
    let spawner = "register(spawner, spawn(fun Loop() -> receive {From, go} -> \
                   From ! {child, spawn(fun() -> receive stop -> ok end end)}, Loop() end end)), ok";
    beam.eval(spawner).await?;
    let name = name_of(&beam)?;
    for _ in 0..1000 {
        let (name, told) = (name.clone(), told.clone());
        node.spawn(move |mut process: Process| async move {
            process.trap_exit(true);
            let me = process.pid().clone();
            process.send(("spawner", &name), term!({(me), go})).await?;
            let child = process
                .recv()
                .await
                .and_then(|message| Some(message.term.as_tuple()?.get(1)?.as_pid()?.clone()));
            if let Some(child) = child {
                process.link(&child).await;
                process.monitor(&child).await;
                let _ = told.send("linked".to_owned());
            }
            while let Some(message) = process.recv().await {
                let _ = told.send(message.term.to_string());
            }
            Ok::<(), dist::SendError>(())
        });
    }
    for _ in 0..1000 {
        assert_eq!(telling.recv().await.as_deref(), Some("linked"));
    }
    eventually(SOON, "2000 relations", async || node.counts().relations == 2000).await?;
    beam.kill9().await?;
    let (mut exits, mut downs) = (0, 0);
    for _ in 0..2000 {
        let said = telling.recv().await.context("ended")?;
        ensure!(said.ends_with("noconnection}"), "{said}");
        if said.starts_with("{'EXIT'") { exits += 1 } else { downs += 1 }
    }
    assert_eq!((exits, downs), (1000, 1000));
    assert_eq!((node.counts().relations, node.counts().held), (0, 0));
    assert_eq!(node.counts().processes, 1000);
    node.shutdown(Duration::from_secs(5)).await;
    assert_eq!(node.counts().processes, 0);
    Ok(())
}

#[tokio::test]
async fn a_task_that_panics_or_fails_ends_with_a_reason_that_can_be_read() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    for (command, reason) in [
        ("panic", "{rust_panic,<<\"it had to be\">>}"),
        ("fail", "{error,<<\"invalid digit found in string\">>}"),
        ("exit", "{shutdown,done}"),
        ("end", "normal"),
    ] {
        let pid = node
            .spawn(|mut process: Process| async move {
                process.register("fragile").map_err(Exit::from)?;
                let message = process.recv().await;
                match message.and_then(|message| message.term.as_atom().cloned()) {
                    Some(command) if command == "panic" => panic!("it had to be"),
                    Some(command) if command == "fail" => {
                        "x".parse::<u8>()?;
                        Ok(())
                    }
                    Some(command) if command == "exit" => Err(Exit(term!({shutdown, done}))),
                    _ => Ok(()),
                }
            })
            .context("not spawned")?;
        eventually(SOON, "the name", async || node.whereis("fragile").is_some()).await?;
        let call = format!(
            "M = monitor(process, {{fragile, '{0}'}}), {{fragile, '{0}'}} ! '{command}', receive {{'DOWN', M, _, _, R}} -> R end",
            node.name()
        );
        assert_eq!(beam.eval(call).await?, reason);
        assert!(!node.is_alive(&pid));
        assert!(node.whereis("fragile").is_none());
    }
    Ok(())
}

#[tokio::test]
async fn kill_wakes_a_process_that_waits_for_room() -> Result<()> {
    let world = World::new().await?;
    let (frozen, killer) = tokio::try_join!(world.beam("frozen"), world.beam("killer"))?;
    let node = world.node("rust")?.start().await?;
    let name = name_of(&frozen)?;
    node.connect(&name).await?;
    frozen.freeze().await?;
    let (blocked, mut filled) = tokio::sync::watch::channel(0_usize);
    node.spawn({
        let name = name.clone();
        move |process: Process| async move {
            process.register("stuck").map_err(Exit::from)?;
            loop {
                process.send(("nobody", &name), Term::Binary(vec![1; 100_000].into())).await?;
                blocked.send_modify(|count| *count += 1);
            }
            #[expect(unreachable_code, reason = "names the error's type")]
            Ok::<(), Exit>(())
        }
    });
    // It sends until the queue to the frozen node is full.
    loop {
        let quiet = tokio::time::timeout(Duration::from_millis(300), filled.changed()).await;
        if quiet.is_err() && *filled.borrow() > 5 {
            break;
        }
    }
    let pid = node.whereis("stuck").context("no process")?;
    let session = killer.session();
    session.eval("register(killer, self())").await?;
    node.send(("killer", &name_of(&killer)?), Term::Pid(pid)).await?;
    let killed = "P = receive X -> X end, M = monitor(process, P), exit(P, kill), receive {'DOWN', M, _, _, R} -> R end";
    assert_eq!(session.eval(killed).await?, "killed");
    eventually(SOON, "no process", async || node.counts().processes == 0).await?;
    frozen.thaw()
}

#[tokio::test]
async fn rust_processes_among_themselves() -> Result<()> {
    let world = World::without_epmd()?;
    let node = world.node("rust")?.start().await?;
    let mut watcher = node.process()?;
    // A chain of ten thousand links ends as a whole, without ending the stack.
    let mut pids = Vec::new();
    for _ in 0..10_000 {
        let before = pids.last().cloned();
        let (ready, linked) = tokio::sync::oneshot::channel();
        let pid = node.spawn(move |mut process: Process| async move {
            if let Some(before) = before {
                process.link(&before).await;
            }
            let _ = ready.send(());
            while process.recv().await.is_some() {}
        });
        linked.await?;
        pids.push(pid.context("not spawned")?);
    }
    let last = pids.last().context("none")?.clone();
    let monitor = watcher.monitor(&last).await;
    let first = pids.first().context("none")?;
    watcher.exit(first, Term::atom("boom")).await;
    let down = watcher.recv().await.context("ended")?;
    assert_eq!(
        down.term,
        term!({DOWN, (Term::Reference(monitor)), process, (Term::Pid(last)), boom})
    );
    eventually(SOON, "only the watcher", async || node.counts().processes == 1).await?;
    // Selective receive keeps the order of the rest.
    let me = watcher.pid().clone();
    for n in 1..=5 {
        watcher.send(&me, Term::Int(n)).await?;
    }
    let third = watcher
        .receive(
            |message| if message.term == Term::Int(3) { Ok(message.term) } else { Err(message) },
        )
        .await;
    assert_eq!(third, Some(Term::Int(3)));
    let none = watcher
        .receive_within(Duration::from_millis(10), |message| {
            if message.term.is_atom("x") { Ok(()) } else { Err(message) }
        })
        .await;
    assert_eq!(none, None);
    for n in [1, 2, 4, 5] {
        assert_eq!(watcher.recv().await.context("ended")?.term, Term::Int(n));
    }
    // An alias of a process here, and a message to it from here.
    let alias = watcher.alias(AliasMode::ReplyDemonitor);
    node.send(alias.clone(), term!(first)).await?;
    node.send(alias, term!(second)).await?;
    node.send(&me, term!(third)).await?;
    assert_eq!(watcher.recv().await.context("ended")?.term, term!(first));
    assert_eq!(watcher.recv().await.context("ended")?.term, term!(third));
    assert_eq!(node.counts().aliases, 0);
    Ok(())
}

#[tokio::test]
async fn a_selective_receive_passes_over_any_number_of_messages() -> Result<()> {
    let world = World::without_epmd()?;
    let node = world.node("rust")?.start().await?;
    let mut process = node.process()?;
    // Enough that a step for each pair of them would not end.
    for n in 0..200_000 {
        node.send(process.pid(), Term::Int(n)).await?;
    }
    for wanted in [199_999, 100_000, 199_998, 0] {
        let got = process
            .receive(|message| match message.term {
                Term::Int(n) if n == wanted => Ok(n),
                _ => Err(message),
            })
            .await;
        assert_eq!(got, Some(wanted));
    }
    for next in [1, 2, 3] {
        assert_eq!(process.recv().await.context("a message")?.term, Term::Int(next));
    }
    Ok(())
}
