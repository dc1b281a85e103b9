//! Who is where: joins and leaves on every side, and those who watch them.

use anyhow::{Context, Result, bail};
use dist::etf::{Pid, Term, term};
use dist::{PgError, PgEvent, PgMonitor, RegisterError, Visibility};
use integration::{SOON, World};
use tokio::time::timeout;

use crate::groups::{Mesh, at_rest, join, member, seen_by, start_scope};

#[tokio::test]
async fn members_are_the_same_everywhere_for_a_hidden_node() -> Result<()> {
    everywhere_the_same(Visibility::Hidden).await
}

#[tokio::test]
async fn members_are_the_same_everywhere_for_a_visible_node() -> Result<()> {
    everywhere_the_same(Visibility::Visible).await
}

async fn everywhere_the_same(visibility: Visibility) -> Result<()> {
    let mesh = Mesh::new(3, visibility).await?;
    let scope = &mesh.scope;
    mesh.at_rest(0).await?;
    let (workers, odd) = (term!(workers), term!({"odd", [1, 2.5], #{a => 1}}));
    // On each side, several times over, and in groups of any name.
    let ours = member(&mesh.node, scope, &[&workers, &workers, &odd]).await?;
    join(&mesh.beams[0], "p", &["workers", "other", "other"]).await?;
    join(&mesh.beams[1], "p", &["{<<\"odd\">>,[1,2.5],#{a=>1}}"]).await?;
    mesh.at_rest(7).await?;
    assert_eq!(scope.local_members(&workers), [ours.pid().clone(), ours.pid().clone()]);
    assert_eq!(scope.remote_members(&workers).len(), 1);
    assert_eq!(scope.members(&workers).len(), 3);
    assert_eq!(scope.members(&term!(nobody)), []);
    let mut groups: Vec<String> = scope.groups().iter().map(Term::to_string).collect();
    groups.sort();
    assert_eq!(groups, ["other", "workers", "{<<\"odd\">>,[1,2.5],#{a => 1}}"]);
    assert_eq!(scope.local_groups().len(), 2);
    assert_eq!(scope.nodes().len(), 3);

    assert!(scope.leave(&workers, ours.pid()).await?);
    mesh.at_rest(6).await?;
    assert!(scope.leave(&workers, ours.pid()).await?);
    assert!(!scope.leave(&workers, ours.pid()).await?, "it has left");
    mesh.at_rest(5).await?;
    mesh.beams[0].eval("ok = pg:leave(pg, other, whereis(p))").await?;
    mesh.beams[1].eval("p ! stop").await?;
    mesh.at_rest(3).await?;

    // Many at once.
    let processes: Vec<_> = (0..100).map(|_| mesh.node.process()).collect::<Result<_, _>>()?;
    let pids: Vec<Pid> = processes.iter().map(|process| process.pid().clone()).collect();
    scope.join_all(&workers, &pids).await?;
    mesh.beams[2]
        .eval("Ps = [spawn(fun() -> receive stop -> ok end end) || _ <- lists:seq(1, 50)], pg:join(pg, workers, Ps ++ Ps)")
        .await?;
    mesh.at_rest(203).await?;
    assert_eq!(scope.leave_all(&workers, &pids[..50]).await?, 50);
    assert_eq!(scope.leave_all(&workers, &pids).await?, 50);
    mesh.at_rest(103).await?;
    Ok(())
}

#[tokio::test]
async fn what_the_beam_sends_to_the_members_arrives() -> Result<()> {
    let mesh = Mesh::new(1, Visibility::Hidden).await?;
    let mut ours = member(&mesh.node, &mesh.scope, &[&term!(g)]).await?;
    mesh.at_rest(1).await?;
    mesh.beams[0].eval("[P ! {hello, N} || P <- pg:get_members(pg, g), N <- [1, 2]]").await?;
    assert_eq!(ours.recv().await.context("ended")?.term, term!({hello, 1}));
    assert_eq!(ours.recv().await.context("ended")?.term, term!({hello, 2}));
    Ok(())
}

#[tokio::test]
async fn scopes_start_at_any_time_on_either_side() -> Result<()> {
    let mesh = Mesh::new(2, Visibility::Hidden).await?;
    let beams = mesh.beams();
    // Ours first, then theirs; a visible BEAM node does not ask a hidden node by itself.
    let early = mesh.node.start_pg("early")?;
    let ours = member(&mesh.node, &early, &[&term!(g)]).await?;
    for beam in &beams {
        start_scope(beam, "early").await?;
    }
    // Theirs first. Either way theirs ask no hidden node: it is for us to ask.
    let late = "'Elixir.Late'";
    for beam in &beams {
        start_scope(beam, late).await?;
        beam.eval(format!("pg:join({late}, g, spawn(fun() -> timer:sleep(infinity) end))")).await?;
    }
    let scope = mesh.node.start_pg("Elixir.Late")?;
    at_rest(&scope, &beams, 2).await?;
    member_and_rest(&mesh, &scope, 3).await?;
    at_rest(&early, &beams, 1).await?;
    // The scopes have nothing to do with each other.
    assert_eq!(mesh.scope.groups(), []);
    assert_eq!(early.members(&term!(g)), [ours.pid().clone()]);
    // One that runs is found, and a name that is taken or no name is refused.
    assert_eq!(mesh.node.start_pg("early")?.members(&term!(g)), [ours.pid().clone()]);
    let taken = mesh.node.register("taken")?;
    assert!(matches!(mesh.node.start_pg("taken"), Err(RegisterError::Taken(_))));
    assert!(matches!(mesh.node.start_pg(&"x".repeat(256)), Err(RegisterError::Invalid(..))));
    assert!(mesh.node.pg("taken").is_none());
    drop(taken);
    assert!(mesh.node.start_pg("taken").is_ok());
    Ok(())
}

async fn member_and_rest(mesh: &Mesh, scope: &dist::PgScope, count: usize) -> Result<()> {
    let process = member(&mesh.node, scope, &[&term!(g)]).await?;
    at_rest(scope, &mesh.beams(), count).await?;
    process.stop(&dist::Exit::normal());
    at_rest(scope, &mesh.beams(), count - 1).await.map(drop)
}

#[tokio::test]
async fn only_living_processes_of_this_node_join() -> Result<()> {
    let mesh = Mesh::new(1, Visibility::Hidden).await?;
    let (living, dead) = (mesh.node.process()?, mesh.node.process()?);
    let gone = dead.pid().clone();
    drop(dead);
    let all = [living.pid().clone(), gone.clone()];
    assert_eq!(mesh.scope.join_all(&term!(g), &all).await, Err(PgError::NoProcess(gone)));
    let stranger =
        Pid { node: dist::etf::Atom::new(mesh.beams[0].name())?, ..living.pid().clone() };
    let refused = mesh.scope.join(&term!(g), &stranger).await;
    assert_eq!(refused, Err(PgError::NoProcess(stranger)));
    // All or none.
    mesh.at_rest(0).await?;
    mesh.scope.join_all(&term!(g), &[]).await?;
    // What no node could be told would keep all else from whoever connects later.
    let refused = mesh.scope.join(&Term::Float(f64::NAN), living.pid()).await;
    assert!(matches!(refused, Err(PgError::Group(_))), "{refused:?}");
    assert_eq!(mesh.scope.groups(), []);
    mesh.scope.join(&term!(g), living.pid()).await?;
    mesh.at_rest(1).await?;
    Ok(())
}

async fn next(monitor: &mut PgMonitor) -> Result<PgEvent> {
    match timeout(SOON, monitor.next()).await {
        Ok(Some(event)) => Ok(event),
        other => bail!("no event: {other:?}"),
    }
}

#[tokio::test]
async fn a_group_and_a_scope_are_watched() -> Result<()> {
    let mut mesh = Mesh::new(2, Visibility::Hidden).await?;
    let scope = mesh.scope.clone();
    let (g, h) = (term!(g), term!(h));
    let ours = member(&mesh.node, &scope, &[&g]).await?;
    let (members, mut group) = scope.monitor(&g)?;
    assert_eq!(members, [ours.pid().clone()]);
    let (all, mut whole) = scope.monitor_scope()?;
    assert_eq!(all.len(), 1);
    assert_eq!(scope.counts().monitors, 2);

    join(&mesh.beams[0], "p", &["h", "g"]).await?;
    let PgEvent::Join { group: joined, pids } = next(&mut whole).await? else { bail!("no join") };
    assert_eq!((joined, pids.len()), (h.clone(), 1));
    let join = PgEvent::Join { group: g.clone(), pids: pids.clone() };
    assert_eq!((next(&mut whole).await?, next(&mut group).await?), (join.clone(), join));
    // A process that ends leaves all of its groups.
    mesh.beams[0].eval("p ! stop").await?;
    let leave = |group: &Term| PgEvent::Leave { group: group.clone(), pids: pids.clone() };
    assert_eq!(next(&mut group).await?, leave(&g));
    let both = [next(&mut whole).await?, next(&mut whole).await?];
    assert!(both.contains(&leave(&g)) && both.contains(&leave(&h)), "{both:?}");
    // A node that dies takes its members with it.
    crate::groups::join(&mesh.beams[1], "p", &["g", "g"]).await?;
    for _ in 0..2 {
        assert!(matches!(next(&mut group).await?, PgEvent::Join { .. }));
    }
    mesh.beams[1].kill9().await?;
    let PgEvent::Leave { pids, .. } = next(&mut group).await? else { bail!("no leave") };
    assert_eq!(pids.len(), 2);
    // Whoever does not listen keeps nothing alive, and a scope that ends ends its monitors.
    drop(whole);
    assert_eq!(scope.counts().monitors, 1);
    scope.stop();
    assert_eq!(group.next().await, None);
    assert!(scope.monitor(&g).is_err());
    assert_eq!(scope.join(&g, ours.pid()).await, Err(PgError::Ended));
    Ok(())
}

#[tokio::test]
async fn a_monitor_that_nobody_reads_keeps_the_newest_and_says_so() -> Result<()> {
    let world = World::new().await?;
    let node = world.node("rust")?.pg("pg").start().await?;
    let scope = node.pg("pg").context("no scope")?;
    let (_, mut monitor) = scope.monitor(&term!(g))?;
    let process = node.process()?;
    for _ in 0..1000 {
        scope.join(&term!(g), process.pid()).await?;
        scope.leave(&term!(g), process.pid()).await?;
    }
    assert_eq!(monitor.next().await, Some(PgEvent::Lagged(2000 - 1024)));
    for _ in 0..512 {
        assert!(matches!(monitor.next().await, Some(PgEvent::Join { .. })));
        assert!(matches!(monitor.next().await, Some(PgEvent::Leave { .. })));
    }
    Ok(())
}

#[tokio::test]
async fn our_scope_is_a_process_that_others_see() -> Result<()> {
    let mesh = Mesh::new(1, Visibility::Hidden).await?;
    let beam = &mesh.beams[0];
    let _ours = member(&mesh.node, &mesh.scope, &[&term!(g)]).await?;
    mesh.at_rest(1).await?;
    let session = beam.session();
    let scope = format!("{{pg, '{}'}}", mesh.node.name());
    session.eval(format!("M = monitor(process, {scope})")).await?;
    // It is not for others to ask it anything, but they are answered.
    let asked = format!("catch gen_server:call({scope}, {{join_local, g, self()}}, infinity)");
    assert_eq!(session.eval(&asked).await?, "{error,notsup}");
    let asked = format!("catch sys:get_state({scope}, infinity)");
    assert!(session.eval(&asked).await?.contains("notsup"));
    assert_eq!(
        session.eval("receive {'DOWN', M, _, _, _} -> down after 0 -> alive end").await?,
        "alive"
    );
    mesh.scope.stop();
    let down = "receive {'DOWN', M, _, _, R} -> R after 10000 -> alive end";
    assert_eq!(session.eval(down).await?, "shutdown");
    beam.eval_until(SOON, "pg:which_groups(pg)", "[]").await?;
    // And a new one of the same name is met anew.
    let scope = mesh.node.start_pg("pg")?;
    let again = member(&mesh.node, &scope, &[&term!(g)]).await?;
    at_rest(&scope, &mesh.beams(), 1).await?;
    assert!(seen_by(beam, "pg").await?.contains(&format!(" {} ", again.pid().id)));
    Ok(())
}
