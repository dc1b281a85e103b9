//! Processes that a Rust process starts on a BEAM node. What it receives is compared with what a
//! BEAM process receives that does the same.

use anyhow::{Context, Result, ensure};
use dist::etf::{Reference, Term, term};
use dist::{ErpcError, Exports, Mfa, Process, Raise, RpcError, SpawnError, SpawnOptions};
use integration::{SOON, World, eventually, name_of};

/// The next message, with what differs from run to run replaced by its kind.
async fn received(process: &mut Process, reference: &Reference) -> Result<String> {
    let message = process.receive_within(SOON, Ok).await.context("a message")?;
    let fields = message.term.into_tuple().map_err(|term| anyhow::anyhow!("{term}"))?;
    let fields = fields.into_iter().map(|field| match field {
        Term::Pid(_) => term!(pid),
        Term::Reference(of) if of == *reference => term!(reference),
        field => field,
    });
    Ok(Term::Tuple(fields.collect()).to_string())
}

#[tokio::test]
async fn a_request_and_its_messages_are_those_of_a_beam_process() -> Result<()> {
    let world = World::new().await?;
    let (asker, server) = (world.beam("asker").await?, world.beam("server").await?);
    let node = world.node("rust")?.start().await?;
    let target = name_of(&server)?;
    let plain = SpawnOptions::new;
    for (options, erlang, function, args, messages) in [
        (plain(), "[]", "date", vec![], 1),
        (plain().monitor(), "[monitor]", "date", vec![], 2),
        (plain().monitor(), "[monitor]", "exit", vec![term!({gone, 1})], 2),
        (plain().monitor(), "[monitor]", "exit", vec![term!(kill)], 2),
        (plain().link(), "[link]", "exit", vec![term!(gone)], 2),
        (plain().link(), "[link]", "date", vec![], 2),
        (plain().link().monitor(), "[link, monitor]", "exit", vec![term!(gone)], 3),
    ] {
        let mut process = node.process()?;
        let mfa = Mfa::new("erlang", function, args.clone())?;
        let reference = process.spawn_request(&target, mfa, &options).await;
        let mut ours = Vec::new();
        for _ in 0..messages {
            ours.push(received(&mut process, &reference).await?);
        }
        // The link's and the monitor's signal may come in either order.
        ours[1..].sort();
        let args = Term::List(args);
        let code = format!(
            "process_flag(trap_exit, true),
             R = spawn_request('{target}', erlang, {function}, {args}, {erlang}),
             Kind = fun(P) when is_pid(P) -> pid; (X) when X =:= R -> reference; (X) -> X end,
             [First | Rest] = [receive M -> list_to_tuple([Kind(X) || X <- tuple_to_list(M)]) end
                               || _ <- lists:seq(1, {messages})],
             [First | lists:keysort(1, Rest)]"
        );
        let theirs = asker.session().eval(code).await?;
        assert_eq!(format!("[{}]", ours.join(",")), theirs, "{function} {erlang}");
    }
    eventually(SOON, "no relation", async || {
        let counts = node.counts();
        ensure!(counts.calls == 0 && counts.relations == 0 && counts.processes == 0, "{counts:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn links_and_monitors_hold_from_the_start() -> Result<()> {
    let world = World::new().await?;
    let mut server = world.beam("server").await?;
    let node = world.node("rust")?.start().await?;
    let target = name_of(&server)?;
    let sleep = || Mfa::new("timer", "sleep", vec![term!(infinity)]);
    let alive = |pid: dist::etf::Pid| {
        let (node, target) = (node.clone(), target.clone());
        async move {
            let args = vec![Term::Pid(pid)];
            node.rpc(&target, "erlang", "is_process_alive", args, SOON).await
        }
    };

    let mut process = node.process()?;
    let pid = process.spawn_on(&target, sleep()?).await?;
    let linked = process.spawn_link(&target, sleep()?).await?;
    let (watched, reference) = process.spawn_monitor(&target, sleep()?).await?;
    for pid in [&pid, &linked, &watched] {
        assert_eq!(alive(pid.clone()).await?, term!(true));
    }
    process.exit(&watched, term!(enough)).await;
    assert_eq!(
        process.recv().await.context("a message")?.term,
        term!({(Term::atom("DOWN")), (&reference), process, (&watched), enough})
    );
    // The process ends, and with it what it is linked to, and nothing else.
    process.stop(&dist::Exit::shutdown());
    eventually(SOON, "the linked one to end", async || {
        ensure!(alive(linked.clone()).await? == term!(false));
        anyhow::Ok(())
    })
    .await?;
    assert_eq!(alive(pid).await?, term!(true));

    // The future is dropped before, while or after the answer comes.
    let process = node.process()?;
    for n in 0..200 {
        let options = SpawnOptions::new().monitor();
        let wait = std::time::Duration::from_micros(n * 10);
        let _ = tokio::time::timeout(wait, process.spawn_with(&target, sleep()?, &options)).await;
    }
    drop(process);
    eventually(SOON, "nothing of it left", async || {
        let counts = node.counts();
        ensure!(counts.calls == 0 && counts.relations == 0, "{counts:?}");
        Ok(())
    })
    .await?;

    // A node that dies before it answers, and one that is not there.
    let mut process = node.process()?;
    server.freeze().await?;
    let reference = process.spawn_request(&target, sleep()?, &SpawnOptions::new()).await;
    let waiting = node.process()?;
    let (waited, killed) = tokio::join!(waiting.spawn_on(&target, sleep()?), async {
        eventually(SOON, "both requests", async || node.counts().calls == 2).await?;
        server.kill9().await
    });
    killed?;
    ensure!(matches!(waited, Err(SpawnError::NoConnection)), "{waited:?}");
    let lost = "{spawn_reply,reference,error,noconnection}";
    assert_eq!(received(&mut process, &reference).await?, lost);
    let reference = process.spawn_request(&target, sleep()?, &SpawnOptions::new()).await;
    assert_eq!(received(&mut process, &reference).await?, lost);
    let none = process.spawn_on(&target, sleep()?).await;
    ensure!(matches!(none, Err(SpawnError::Send(_))), "{none:?}");
    assert_eq!(node.counts().calls, 0);
    Ok(())
}

#[tokio::test]
async fn the_node_itself_runs_what_it_exports() -> Result<()> {
    let world = World::new().await?;
    let exports = Exports::new();
    exports.add("scorer", "toss", |[value]: [Term; 1]| async move {
        Err::<Term, _>(Raise::Throw(value))
    });
    let node = world.node("rust")?.exports(exports).start().await?;
    let own = node.name().clone();
    assert_eq!(node.rpc(&own, "erlang", "is_alive", vec![], SOON).await?, term!(true));
    let tossed = node.rpc(&own, "scorer", "toss", vec![term!(ball)], SOON).await;
    ensure!(matches!(tossed, Err(RpcError::Throw(ball)) if ball.is_atom("ball")));
    let none = node.rpc(&own, "scorer", "none", vec![], SOON).await;
    ensure!(matches!(none, Err(RpcError::Error { reason, .. }) if reason.is_atom("undef")));
    let nobody = node.rpc(&"nobody@127.0.0.1".parse()?, "a", "b", vec![], SOON).await;
    ensure!(matches!(nobody, Err(RpcError::Erpc(ErpcError::NoConnection { cause: Some(_) }))));

    let mut process = node.process()?;
    let options = SpawnOptions::new().link().monitor();
    let mfa = Mfa::new("scorer", "none", vec![])?;
    let reference = process.spawn_request(&own, mfa, &options).await;
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(received(&mut process, &reference).await?);
    }
    messages[1..].sort();
    assert_eq!(
        messages,
        [
            "{spawn_reply,reference,ok,pid}",
            "{'DOWN',reference,process,pid,{undef,[{scorer,none,[],[]}]}}",
            "{'EXIT',pid,{undef,[{scorer,none,[],[]}]}}",
        ]
    );
    drop(process);
    eventually(SOON, "no process", async || node.counts().processes == 0).await
}
