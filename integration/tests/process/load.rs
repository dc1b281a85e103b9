//! Many signals at once, in both directions: their order holds, both sides agree on what is linked, and
//! nothing is left.

use anyhow::{Result, ensure};
use dist::etf::{Atom, Pid, Term, term};
use integration::{SOON, World, eventually};

use super::{LONG, Stage, puppet};

/// Numbers 1 to 6,000 to one process by its pid, its name and an alias, with an exit signal and a link
/// among them, and its end behind them.
const WANTED: &str = "Wanted = lists:seq(1, 3000) ++ [hello] ++ lists:seq(3001, 6000) ++ [done],
     Flat = fun(Ms) -> [case M of {n, I, _} -> I; {'EXIT', _, Why} -> Why end || M <- Ms] end";

/// Runs a scene against a puppet in Rust that lives on.
async fn with_living_puppet(stage: &Stage, scene: &str) -> Result<(String, Pid)> {
    let pid = puppet::start(&stage.node)?;
    eventually(SOON, "its name", async || stage.node.whereis("puppet").is_some()).await?;
    let scene = format!("N = '{}', {} {scene}", stage.node.name(), puppet::DRIVER);
    Ok((stage.driver.eval_within(LONG, scene).await?, pid))
}

async fn nothing_held(stage: &Stage) -> Result<()> {
    eventually(SOON, "no link and no monitor", async || {
        let counts = stage.node.counts();
        ensure!((counts.held, counts.relations) == (0, 0), "{counts:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn signals_keep_their_order_whatever_they_are_sent_to() -> Result<()> {
    let stage = Stage::new().await?;
    // To the puppet.
    let scene = format!(
        "{WANTED}, Do({{trap, true}}), A = Do({{alias, explicit_unalias}}), Ways = [P, {{puppet, N}}, A],
         Send = fun(I) -> lists:nth(1 + I rem 3, Ways) ! {{n, I, binary:copy(<<7>>, 200000 * (1 - min(1, I rem 500)))}} end,
         S = spawn(fun() -> [Send(I) || I <- lists:seq(1, 3000)], exit(P, hello), link(P),
                            [Send(I) || I <- lists:seq(3001, 6000)], exit(done) end),
         Gather = fun W(Got) -> case Got ++ Do(mailbox) of
             More when length(More) < 6002 -> W(More); All -> Flat(All) =:= Wanted end end,
         Gather([])"
    );
    assert_eq!(stage.same(&scene).await?, "true");
    // From it.
    let scene = format!(
        "{WANTED}, Me = self(), S = spawn(fun() -> process_flag(trap_exit, true), register(sink, self()),
             Me ! {{alias, alias()}},
             Me ! {{got, [receive M -> M end || _ <- lists:seq(1, 6002)]}} end),
         A = receive {{alias, X}} -> X end, Ways = [S, {{sink, node()}}, A],
         ok = Do({{stream, Ways, 1, 3000}}), Do({{exit, S, hello}}), Do({{link, S}}),
         ok = Do({{stream, Ways, 3001, 6000}}), Do({{stop, done}}),
         receive {{got, Got}} -> Flat(Got) =:= Wanted after 60000 -> process_info(S, messages) end"
    );
    assert_eq!(stage.same(&scene).await?, "true");
    Ok(())
}

#[tokio::test]
async fn both_sides_agree_on_a_link_after_any_number_of_links_and_unlinks() -> Result<()> {
    let stage = Stage::new().await?;
    // A process here and the puppet link and unlink at the same time. Then each has seen all that the
    // other did, and it hears of the end of the first exactly if that is linked to it.
    let scene = "Do({trap, true}), Me = self(),
        Round = fun() ->
            {S, Mon} = spawn_monitor(fun() ->
                receive go -> ok end,
                [case rand:uniform(2) of 1 -> link(P); 2 -> unlink(P) end || _ <- lists:seq(1, 300)],
                Me ! churned, receive settle -> ok end,
                Ref = make_ref(), {puppet, N} ! {self(), Ref, alive}, receive {Ref, true} -> ok end,
                {links, Links} = process_info(self(), links),
                Me ! {linked, lists:member(P, Links)}, receive go -> exit(boom) end end),
            Ref = make_ref(), {puppet, N} ! {self(), Ref, {churn, S, 300}}, S ! go,
            receive churned -> ok end, receive {Ref, ok} -> ok end,
            S ! settle, Linked = receive {linked, L} -> L end,
            S ! go, receive {'DOWN', Mon, _, _, boom} -> ok end,
            case Linked of
                true -> Do({await, {'EXIT', S}}) =:= {'EXIT', boom};
                false -> Do({idle, 20}), not lists:member({'EXIT', S, boom}, Do(mailbox)) end end,
        [Round() || _ <- lists:seq(1, 10)] -- [true || _ <- lists:seq(1, 10)]";
    assert_eq!(stage.same(scene).await?, "[]");
    // Nor does a puppet that lives on keep half a link to one of those that ended.
    let (result, _) = with_living_puppet(&stage, scene).await?;
    assert_eq!(result, "[]");
    nothing_held(&stage).await
}

#[tokio::test]
async fn ten_thousand_monitors_of_a_process_end_with_it() -> Result<()> {
    // OTP 23 drops what an ending process has to say once the link's queue is full (+zdbbl, 1 MiB), between BEAM nodes too:
    // of these monitors 4,274 were left there, and with this none.
    let stage = Stage::with(&["+zdbbl", "65536"]).await?;
    // Of the puppet, by a process that ends; half of them by name.
    let scene = "{S, M} = spawn_monitor(fun() -> [begin monitor(process, P), monitor(process, {puppet, N}) end
            || _ <- lists:seq(1, 5000)], Do(alive) end), receive {'DOWN', M, _, S, R} -> {R, Do(alive)} end";
    let (result, pid) = with_living_puppet(&stage, scene).await?;
    assert_eq!(result, "{normal,true}");
    nothing_held(&stage).await?;
    let rust = stage.node.name().to_string();
    // By the puppet, of a process that lives on: it sees them come and go.
    let session = stage.driver.session();
    session.eval("S = spawn(fun() -> receive stop -> ok end end)").await?;
    session.eval("Count = fun() -> length(element(2, process_info(S, monitored_by))) end").await?;
    let monitors = format!(
        "Ref = make_ref(), {{puppet, '{rust}'}} ! {{self(), Ref, {{monitors, S, 10000}}}}, receive {{Ref, ok}} -> ok end"
    );
    assert_eq!(session.eval(monitors).await?, "ok");
    eventually(SOON, "ten thousand", async || {
        session.eval("Count()").await.is_ok_and(|n| n == "10000")
    })
    .await?;
    assert_eq!(stage.node.counts().held, 10_000);
    stage.node.process()?.exit(&pid, Term::atom("kill")).await;
    eventually(SOON, "none", async || session.eval("Count()").await.is_ok_and(|n| n == "0"))
        .await?;
    nothing_held(&stage).await
}

#[tokio::test]
async fn a_monitor_by_a_name_ends_though_the_name_has_moved() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("n").await?;
    let node = world.node("rust")?.start().await?;
    let (watched, mut watcher) = (node.register("watched")?, node.process()?);
    let session = beam.session();
    let monitor = format!("M = monitor(process, {{watched, '{}'}}), ok", node.name());
    session.eval(monitor).await?;
    let here = watcher.monitor(Atom::from_static("watched")).await;
    eventually(SOON, "both monitors", async || node.counts().held == 3).await?;
    assert!(node.unregister("watched"));
    let _other = node.register("watched")?;
    session.eval("demonitor(M)").await?;
    watcher.demonitor_flush(&here);
    eventually(SOON, "no monitor", async || node.counts().held == 0).await?;
    assert_eq!(node.counts().relations, 0);
    // Its end is heard by nobody.
    drop(watched);
    watcher.send(watcher.pid(), term!(last)).await?;
    assert_eq!(watcher.recv().await.map(|message| message.term), Some(term!(last)));
    assert_eq!(session.eval("receive X -> X after 100 -> none end").await?, "none");
    Ok(())
}
