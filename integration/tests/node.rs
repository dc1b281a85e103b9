//! A Rust node among BEAM nodes: connecting both ways, messages, what every node answers, and
//! what it looks like when the other side goes away.

use std::time::Duration;

use anyhow::{Result, ensure};
use dist::etf::{Term, term};
use dist::handshake::HandshakeError;
use dist::{
    ConnectError, Cookie, DownReason, Flags, Listen, NodeEvent, Probe, RegisterError, SendError,
    Visibility,
};
use integration::{SOON, World, event, eventually, name_of};

#[tokio::test]
async fn we_dial_a_beam_node_hidden() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let mut events = node.events();
    node.connect(&name_of(&beam)?).await?;
    beam.sees(node.name().as_str(), true, SOON).await?;
    assert_eq!(beam.eval("{nodes(), nodes(hidden)}").await?, format!("{{[],['{}']}}", node.name()));
    let peer = event(&mut events, "up", |event| match event {
        NodeEvent::Up(peer) => Some(peer),
        _ => None,
    })
    .await?;
    assert_eq!(peer.name, name_of(&beam)?);
    assert_eq!(peer.visibility, Visibility::Hidden);
    assert!(peer.flags.contains(Flags::PUBLISHED), "the BEAM node itself is visible");
    assert_eq!(node.nodes(), [peer]);
    // Connecting again finds the link.
    node.connect(&name_of(&beam)?).await?;
    assert_eq!(node.counts().links, 1);
    Ok(())
}

#[tokio::test]
async fn a_beam_node_dials_us_visible() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.visibility(Visibility::Visible).global(false).start().await?;
    assert_eq!(beam.eval(format!("net_kernel:connect_node('{}')", node.name())).await?, "true");
    assert_eq!(beam.eval("{nodes(), nodes(hidden)}").await?, format!("{{['{}'],[]}}", node.name()));
    eventually(SOON, "the link", async || node.is_connected(&name_of(&beam).ok()?).then_some(()))
        .await?;
    assert_eq!(node.nodes()[0].visibility, Visibility::Visible);
    // Silent towards global is tolerated: registering a name needs only the nodes that global knows.
    assert_eq!(beam.eval("global:register_name(some_name, self())").await?, "yes");
    Ok(())
}

#[tokio::test]
async fn a_hidden_beam_node_and_a_visible_rust_node_do_not_see_each_other() -> Result<()> {
    let world = World::new().await?;
    let beam = integration::Beam::start(world.beam_options("n").hidden()).await?;
    let node = world.node("rust")?.visibility(Visibility::Visible).start().await?;
    node.connect(&name_of(&beam)?).await?;
    beam.sees(node.name().as_str(), true, SOON).await?;
    assert_eq!(beam.eval("nodes()").await?, "[]");
    assert_eq!(node.nodes()[0].visibility, Visibility::Hidden);
    Ok(())
}

#[tokio::test]
async fn messages_go_both_ways() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let mut mailbox = node.register("scorer")?;
    let session = beam.session();
    session.eval("register(asker, self())").await?;
    let sent =
        format!("{{scorer, '{}'}} ! {{self(), <<\"hé\"/utf8>>, 1.5, [1,-2|x]}}", node.name());
    session.eval(sent).await?;
    let message = mailbox.recv().await.unwrap();
    let fields = message.term.as_tuple().unwrap();
    assert_eq!(fields[0].as_pid(), message.from.as_ref());
    assert_eq!(
        fields[1..].iter().map(Term::to_string).collect::<Vec<_>>().join(","),
        "<<\"hé\"/utf8>>,1.5,[1,-2|x]"
    );
    // To the pid, and to the name.
    node.send(fields[0].as_pid().unwrap(), term!({first, 1})).await?;
    node.send(("asker", &name_of(&beam)?), term!({second, 2})).await?;
    let received = "receive {first, A} -> receive {second, B} -> {A, B} end after 5000 -> none end";
    assert_eq!(session.eval(received).await?, "{1,2}");
    // And to our pid, which the BEAM node knows from the message's sender.
    node.send(("asker", &name_of(&beam)?), term!({pid, (mailbox.pid().clone())})).await?;
    session.eval("receive {pid, P} -> P ! to_pid end").await?;
    assert_eq!(mailbox.recv().await.unwrap().term, Term::atom("to_pid"));
    Ok(())
}

#[tokio::test]
async fn ten_thousand_messages_each_way_keep_their_order() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let mut mailbox = node.register("sink")?;
    beam.eval(format!(
        "R = {{sink, '{}'}}, lists:foreach(fun(N) -> R ! N end, lists:seq(1, 10000))",
        node.name()
    ))
    .await?;
    for n in 1..=10_000 {
        assert_eq!(mailbox.recv().await.unwrap().term, Term::Int(n));
    }
    let session = beam.session();
    session.eval("register(sink, self())").await?;
    for n in 1..=10_000 {
        node.send(("sink", &name_of(&beam)?), Term::Int(n)).await?;
    }
    let ordered = "lists:all(fun(N) -> receive M -> M =:= N after 5000 -> false end end, \
                   lists:seq(1, 10000))";
    assert_eq!(session.eval(ordered).await?, "true");
    Ok(())
}

#[tokio::test]
async fn large_terms_pass_both_ways() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let mut mailbox = node.register("sink")?;
    beam.eval(format!(
        "{{sink, '{}'}} ! {{self(), binary:copy(<<7>>, 20000000)}}, ok",
        node.name()
    ))
    .await?;
    let message = mailbox.recv().await.unwrap();
    let fields = message.term.as_tuple().unwrap();
    let binary = fields[1].as_binary().unwrap();
    ensure!(binary.len() == 20_000_000 && binary.iter().all(|byte| *byte == 7));
    let session = beam.session();
    session.eval("register(large, self())").await?;
    node.send(("large", &name_of(&beam)?), Term::Binary(binary.clone())).await?;
    let md5 = "receive B -> {byte_size(B), erlang:md5(B) =:= erlang:md5(binary:copy(<<7>>, 20000000))} end";
    assert_eq!(session.eval(md5).await?, "{20000000,true}");
    Ok(())
}

#[tokio::test]
async fn what_does_not_exist_is_answered_at_once() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let rust = node.name();
    for (call, answer) in [
        (format!("net_adm:ping('{rust}')"), "pong".to_owned()),
        (
            format!(
                "M = monitor(process, {{nobody, '{rust}'}}), receive {{'DOWN', M, _, _, R}} -> R end"
            ),
            "noproc".into(),
        ),
        (
            format!("{{'EXIT', {{R, _}}}} = (catch gen_server:call({{nobody, '{rust}'}}, x)), R"),
            "noproc".into(),
        ),
        // What the node serves has no mailbox, and is no server that `sys` knows.
        (
            format!(
                "[catch sys:get_status({{S, '{rust}'}}, infinity) || S <- [rex, net_kernel, logger_proxy]]"
            ),
            "[{error,notsup},{error,notsup},{error,notsup}]".into(),
        ),
        (
            format!(
                "[gen_server:call({{S, '{rust}'}}, odd, infinity) || S <- [rex, net_kernel, logger_proxy]]"
            ),
            "[{badrpc,notsup},{error,notsup},{error,notsup}]".into(),
        ),
        (format!("rpc:sbcast(['{rust}'], nobody, hello)"), format!("{{[],['{rust}']}}")),
        (
            format!("rpc:multicall([node(), '{rust}'], erlang, abs, [-1])"),
            "{[1,{badrpc,{'EXIT',{undef,[{erlang,abs,[-1],[]}]}}}],[]}".into(),
        ),
    ] {
        assert_eq!(beam.eval(&call).await?, answer, "{call}");
    }
    Ok(())
}

#[tokio::test]
async fn sbcast_reaches_a_registered_name() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let mut mailbox = node.register("board")?;
    let rust = node.name();
    let call = format!("rpc:sbcast(['{rust}'], board, {{note, 1}})");
    assert_eq!(beam.eval(call).await?, format!("{{['{rust}'],[]}}"));
    assert_eq!(mailbox.recv().await.unwrap().term, term!({note, 1}));
    Ok(())
}

#[tokio::test]
async fn monitors_and_links_of_a_mailbox_fire_once_and_leave_nothing() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let rust = node.name().clone();
    let mailbox = node.register("watched")?;
    let session = beam.session();
    session.eval("process_flag(trap_exit, true), register(watcher, self())").await?;
    node.send(("watcher", &name_of(&beam)?), Term::Pid(mailbox.pid().clone())).await?;
    session
        .eval(format!(
            "P = receive X -> X end, M1 = monitor(process, P), M2 = monitor(process, {{watched, '{rust}'}}), \
             M3 = monitor(process, P), demonitor(M3, [flush]), link(P), unlink(P), link(P), \
             pong = net_adm:ping('{rust}')"
        ))
        .await?;
    eventually(SOON, "two monitors and a link", async || {
        (node.counts().relations == 3).then_some(())
    })
    .await?;
    drop(mailbox);
    let heard = session
        .eval(format!(
            "receive {{'DOWN', M1, process, P, R1}} -> ok end, \
             receive {{'DOWN', M2, process, {{watched, '{rust}'}}, R2}} -> ok end, \
             receive {{'EXIT', P, R3}} -> ok end, \
             receive Y -> Y after 100 -> {{R1, R2, R3}} end"
        ))
        .await?;
    assert_eq!(heard, "{normal,normal,normal}");
    assert_eq!((node.counts().relations, node.counts().processes), (0, 0));
    // Dead now: a link and a monitor find nothing.
    let dead = session
        .eval("link(P), receive {'EXIT', P, A} -> A end, M4 = monitor(process, P), receive {'DOWN', M4, _, _, B} -> {A, B} end")
        .await?;
    assert_eq!(dead, "{noproc,noproc}");
    Ok(())
}

#[tokio::test]
async fn exit_signals_arrive_as_messages_and_kill_ends() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let mut mailbox = node.register("target")?;
    let session = beam.session();
    session.eval("register(killer, self())").await?;
    node.send(("killer", &name_of(&beam)?), Term::Pid(mailbox.pid().clone())).await?;
    session.eval("P = receive X -> X end, exit(P, {shutdown, [1]})").await?;
    let exit = mailbox.recv().await.unwrap().term;
    let fields = exit.as_tuple().unwrap();
    assert!(fields[0].is_atom("EXIT") && fields[1].as_pid().is_some());
    assert_eq!(fields[2], term!({shutdown, [1]}));
    let killed = "M = monitor(process, P), exit(P, kill), receive {'DOWN', M, _, _, R} -> R end";
    assert_eq!(session.eval(killed).await?, "killed");
    assert_eq!(mailbox.recv().await, None);
    assert!(node.register("target").is_ok(), "the name is free again");
    Ok(())
}

#[tokio::test]
async fn a_linked_process_that_ends_is_heard_of() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let mut mailbox = node.register("linked")?;
    let spawn = "spawn(fun() -> link(P), receive {stop, R} -> exit(R) end end)";
    let session = beam.session();
    session.eval("register(starter, self())").await?;
    node.send(("starter", &name_of(&beam)?), Term::Pid(mailbox.pid().clone())).await?;
    session.eval(format!("P = receive X -> X end, Child = {spawn}")).await?;
    eventually(SOON, "the link", async || (node.counts().relations == 1).then_some(())).await?;
    session.eval("Child ! {stop, {done, 1}}").await?;
    let exit = mailbox.recv().await.unwrap().term;
    assert_eq!(exit.as_tuple().unwrap()[2], term!({done, 1}));
    assert_eq!(node.counts().relations, 0);
    Ok(())
}

#[tokio::test]
async fn a_killed_node_takes_its_relations_along_and_comes_back() -> Result<()> {
    let world = World::new().await?;
    let mut beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let mut mailbox = node.register("linked")?;
    let mut events = node.events();
    node.connect(&name_of(&beam)?).await?;
    let session = beam.session();
    session.eval("register(peer, self())").await?;
    node.send(("peer", &name_of(&beam)?), Term::Pid(mailbox.pid().clone())).await?;
    session.eval("P = receive X -> X end, link(P), monitor(process, P)").await?;
    eventually(SOON, "two relations", async || (node.counts().relations == 2).then_some(()))
        .await?;
    beam.kill9().await?;
    let exit = mailbox.recv().await.unwrap().term;
    assert!(exit.as_tuple().unwrap()[2].is_atom("noconnection"), "{exit}");
    let reason = event(&mut events, "down", |event| match event {
        NodeEvent::Down { reason, .. } => Some(reason),
        _ => None,
    })
    .await?;
    assert!(matches!(reason, DownReason::Closed | DownReason::Io(_)), "{reason:?}");
    eventually(SOON, "an empty table", async || {
        let counts = node.counts();
        (counts.links == 0 && counts.slots == 0 && counts.held == 0).then_some(())
    })
    .await?;
    beam.restart().await?;
    node.connect(&name_of(&beam)?).await?;
    beam.sees(node.name().as_str(), true, SOON).await?;
    Ok(())
}

#[tokio::test]
async fn disconnecting_is_seen_by_both() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let name = name_of(&beam)?;
    let mut events = node.events();
    node.connect(&name).await?;
    let session = beam.session();
    session.eval(format!("monitor_node('{}', true)", node.name())).await?;
    assert!(node.disconnect(&name));
    assert_eq!(
        session.eval("receive X -> X after 5000 -> none end").await?,
        format!("{{nodedown,'{}'}}", node.name())
    );
    let word = event(&mut events, "down", |event| match event {
        NodeEvent::Down { reason, .. } => Some(reason.word()),
        _ => None,
    })
    .await?;
    assert_eq!(word, "disconnect");
    assert!(!node.disconnect(&name));
    // The other way round.
    node.connect(&name).await?;
    beam.eval(format!("erlang:disconnect_node('{}')", node.name())).await?;
    eventually(SOON, "down", async || (!node.is_connected(&name)).then_some(())).await?;
    Ok(())
}

#[tokio::test]
async fn a_wrong_cookie_is_called_that_in_both_directions() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let stranger = world.node_named("stranger@127.0.0.1".parse()?, Cookie::new("another")?);
    let node = stranger.start().await?;
    let error = node.connect(&name_of(&beam)?).await.unwrap_err();
    assert!(matches!(error, ConnectError::Handshake(HandshakeError::CookieRefused)), "{error:?}");
    assert_eq!(error.to_string(), "the cookies differ");
    assert_eq!(beam.eval("net_adm:ping('stranger@127.0.0.1')").await?, "pang");
    assert_eq!(node.counts().slots, 0);
    Ok(())
}

#[tokio::test]
async fn each_step_of_connecting_has_an_error_of_its_own() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.start().await?;
    let own = node.connect(node.name()).await.unwrap_err();
    assert!(matches!(own, ConnectError::OwnName(_)));
    let nobody = node.connect(&"nobody@127.0.0.1".parse()?).await.unwrap_err();
    assert!(
        matches!(nobody, ConnectError::Lookup(dist::epmd::LookupError::NotFound { .. })),
        "{nobody:?}"
    );
    let no_epmd = node.connect(&"nobody@127.0.0.2".parse()?).await.unwrap_err();
    // A real EPMD listens on all addresses, so this one knows no such node either.
    assert!(matches!(no_epmd, ConnectError::Lookup(_)), "{no_epmd:?}");
    let no_host = node.connect(&"nobody@host.invalid".parse()?).await.unwrap_err();
    assert!(
        matches!(no_host, ConnectError::Lookup(dist::epmd::LookupError::Resolve { .. })),
        "{no_host:?}"
    );
    // EPMD knows it, but nobody listens there.
    let gone = world.node("gone")?.advertise_port(integration::free_port()?).start().await?;
    let refused = node.connect(gone.name()).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Tcp { .. }), "{refused:?}");
    let send = node.send(("x", gone.name()), term!(1)).await.unwrap_err();
    assert!(matches!(send, SendError::Connect { .. }), "{send:?}");
    assert_eq!(node.counts().slots, 0);
    Ok(())
}

#[tokio::test]
async fn names_are_registered_once() -> Result<()> {
    let world = World::without_epmd()?;
    let node = world.node("rust")?.listen(Listen::Off).start().await?;
    let first = node.register("a")?;
    assert!(matches!(node.register("a"), Err(RegisterError::Taken(_))));
    assert!(matches!(node.register("net_kernel"), Err(RegisterError::Reserved(_))));
    assert!(matches!(node.register(&"x".repeat(256)), Err(RegisterError::Invalid(..))));
    drop(first);
    assert!(node.register("a").is_ok());
    // A node sends to itself without a link.
    let mut b = node.register("b")?;
    node.send(("b", node.name()), term!(here)).await?;
    assert_eq!(b.recv().await.unwrap().term, Term::atom("here"));
    Ok(())
}

#[tokio::test]
async fn shutting_down_tells_everybody() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let mailbox = node.register("worker")?;
    let session = beam.session();
    session
        .eval(format!(
            "monitor_node('{0}', true), M = monitor(process, {{worker, '{0}'}}), pong = net_adm:ping('{0}')",
            node.name()
        ))
        .await?;
    let mut events = node.events();
    node.shutdown(Duration::from_secs(5)).await;
    assert_eq!(
        session.eval("receive {'DOWN', M, _, _, R} -> receive {nodedown, _} -> R end end").await?,
        "shutdown"
    );
    assert_eq!(node.counts().tasks, 0);
    assert_eq!(node.counts().links, 0);
    assert!(matches!(node.register("x"), Err(RegisterError::ShuttingDown)));
    assert!(matches!(node.connect(&name_of(&beam)?).await, Err(ConnectError::ShuttingDown)));
    drop((mailbox, node));
    while events.next().await.is_some() {}
    let names = integration::epmd::epmd(world.port, &["-names"]).await?;
    ensure!(!names.contains("rust"), "still registered: {names}");
    Ok(())
}

#[tokio::test]
async fn a_probe_has_a_name_given_by_its_peer_and_leaves_nothing() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let probe = Probe::new(Cookie::new(&world.cookie)?, "127.0.0.1").epmd_port(world.port);
    let pong = probe.ping(&name_of(&beam)?).await?;
    assert_eq!(pong.peer.name, name_of(&beam)?);
    beam.eval_until(SOON, "nodes(connected)", "[]").await?;
    // A Rust node gives names too.
    let node = world.node("rust")?.start().await?;
    let pong = probe.ping(node.name()).await?;
    assert_eq!(pong.peer.name, *node.name());
    eventually(SOON, "no link", async || (node.counts().slots == 0).then_some(())).await?;
    let wrong = Probe::new(Cookie::new("wrong")?, "127.0.0.1").epmd_port(world.port);
    for target in [name_of(&beam)?, node.name().clone()] {
        let error = wrong.ping(&target).await.unwrap_err();
        assert!(
            matches!(error, ConnectError::Handshake(HandshakeError::CookieRefused)),
            "{target}: {error:?}"
        );
    }
    Ok(())
}
