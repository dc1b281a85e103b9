//! Rust watches a BEAM process, and BEAM processes watch Rust: the example, and its sudden death.

use anyhow::{Result, ensure};
use dist::etf::Term;
use dist::{Cookie, DownReason, NodeEvent, NodeName};
use integration::example::Example;
use integration::{SOON, World, eventually, name_of, unique};

#[tokio::test]
async fn the_example_watches_and_is_watched() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("beam").await?;
    let session = beam.session();
    session.eval("T = spawn(fun() -> receive R -> exit(R) end end), register(shell, T)").await?;
    let name = format!("{}@127.0.0.1", unique("rust"));
    let mut example = Example::start("monitors", &["--name", &name, "shell", beam.name()], &world)?;
    example.line("ready").await?;
    session.eval(format!("M = monitor(process, {{watched, '{name}'}})")).await?;
    session.eval(format!("{{watched, '{name}'}} ! stop")).await?;
    let reason = "receive {'DOWN', M, process, {watched, _}, R} -> R after 10000 -> none end";
    assert_eq!(session.eval(reason).await?, "{shutdown,asked}");

    let mut example = Example::start("monitors", &["--name", &name, "shell", beam.name()], &world)?;
    example.line("ready").await?;
    // The monitor is on its way then.
    eventually(SOON, "the monitor", async || {
        let watchers = session.eval("element(2, process_info(T, monitored_by))").await?;
        ensure!(watchers != "[]");
        Ok(())
    })
    .await?;
    session.eval("T ! {bye, 1}").await?;
    let down = format!(":process, {{:shell, :\"{}\"}}, {{:bye, 1}}}}", beam.name());
    example.line_ending(&down).await
}

#[tokio::test]
async fn a_thousand_links_are_cut_by_the_death_of_the_rust_process() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("beam").await?;
    let name = format!("{}@127.0.0.1", unique("rust"));
    let mut example =
        Example::start("monitors", &["--name", &name, "nobody", beam.name()], &world)?;
    example.line("ready").await?;
    let session = beam.session();
    session
        .eval(format!(
            "Self = self(), Pid = begin {{watched, '{name}'}} ! hello, \
             {{ok, P}} = {{ok, rpc:call('{name}', erlang, whereis, [watched])}}, P end, \
             [spawn(fun() -> process_flag(trap_exit, true), link(Pid), M = monitor(process, Pid), Self ! linked, \
              receive {{'EXIT', Pid, A}} -> receive {{'DOWN', M, _, _, B}} -> Self ! {{A, B}} end end end) || _ <- lists:seq(1, 1000)], \
             [receive linked -> ok end || _ <- lists:seq(1, 1000)], pong = net_adm:ping('{name}')"
        ))
        .await?;
    example.kill9().await?;
    let told = "lists:usort([receive {A, B} -> {A, B} end || _ <- lists:seq(1, 1000)])";
    assert_eq!(session.eval(told).await?, "[{noconnection,noconnection}]");
    Ok(())
}

#[tokio::test]
async fn a_node_is_watched_through_its_comings_and_goings() -> Result<()> {
    let world = World::new().await?;
    let mut beam = world.beam("beam").await?;
    let node = world.node("rust")?.start().await?;
    let name = name_of(&beam)?;
    let mut monitor = node.monitor_node(&name).await;
    assert!(matches!(monitor.next().await, Some(NodeEvent::Up(peer)) if peer.name == name));
    beam.kill9().await?;
    let down = tokio::time::timeout(SOON, monitor.next()).await?;
    assert!(matches!(&down, Some(NodeEvent::Down { node, .. }) if *node == name), "{down:?}");
    // Watching one that is not there says so at once, and goes on.
    let mut absent = node.monitor_node(&name).await;
    let down = absent.next().await;
    assert!(
        matches!(&down, Some(NodeEvent::Down { reason: DownReason::Unreachable(_), .. })),
        "{down:?}"
    );
    beam.restart().await?;
    node.connect(&name).await?;
    for monitor in [&mut monitor, &mut absent] {
        assert!(matches!(monitor.next().await, Some(NodeEvent::Up(peer)) if peer.name == name));
    }
    Ok(())
}

#[tokio::test]
async fn a_pid_of_an_earlier_incarnation_is_dead() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("beam").await?;
    let name: NodeName = format!("{}@127.0.0.1", unique("rust")).parse()?;
    let start = || world.node_named(name.clone(), Cookie::new(&world.cookie).unwrap()).start();
    let session = beam.session();
    session.eval("process_flag(trap_exit, true)").await?;
    let whereis = format!("rpc:call('{name}', erlang, whereis, [board])");

    let first = start().await?;
    let _board = first.register("board")?;
    session.eval(format!("Old = {whereis}")).await?;
    first.shutdown(SOON).await;
    beam.sees(name.as_str(), false, SOON).await?;

    let second = start().await?;
    let mut board = second.register("board")?;
    session.eval(format!("New = {whereis}")).await?;
    // The same number, and not the same process.
    let same = "[Number(Old) =:= Number(New), Old =:= New]";
    let number = "Number = fun(P) -> tl(string:split(pid_to_list(P), \".\")) end";
    assert_eq!(session.eval(format!("{number}, {same}")).await?, "[true,false]");
    let signals = "Old ! lost, exit(Old, kill), link(Old), M = monitor(process, Old), \
                   A = receive {'EXIT', Old, X} -> X end, B = receive {'DOWN', M, _, Old, Y} -> Y end, \
                   C = (catch gen_server:call(Old, lost)), New ! here, {A, B, element(1, element(2, C))}";
    assert_eq!(session.eval(signals).await?, "{noproc,noproc,noproc}");
    assert_eq!(board.recv().await.map(|message| message.term), Some(Term::atom("here")));
    let alive = format!("[rpc:call('{name}', erlang, is_process_alive, [P]) || P <- [Old, New]]");
    assert_eq!(session.eval(alive).await?, "[false,true]");
    assert_eq!(second.counts().held, 0);
    Ok(())
}
