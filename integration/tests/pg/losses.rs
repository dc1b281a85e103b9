//! Nodes, links, scopes and processes that go, and come back.

use anyhow::{Context, Result};
use dist::etf::{Pid, term};
use dist::{Exit, PgEvent, Visibility};
use integration::{SOON, eventually, name_of};

use crate::groups::{Mesh, at_rest, join, member, start_scope};

/// How often a link goes and comes.
const FLAPS: u32 = 15;

#[tokio::test]
async fn members_go_with_their_node_and_come_back_with_it() -> Result<()> {
    let mut mesh = Mesh::new(2, Visibility::Hidden).await?;
    let _ours = member(&mesh.node, &mesh.scope, &[&term!(g)]).await?;
    for beam in &mesh.beams {
        join(beam, "p", &["g", "h"]).await?;
    }
    mesh.at_rest(5).await?;
    mesh.beams[1].kill9().await?;
    at_rest(&mesh.scope, &[&mesh.beams[0]], 3).await?;
    assert_eq!(mesh.scope.counts().peers, 1);
    mesh.beams[1].restart().await?;
    start_scope(&mesh.beams[1], "pg").await?;
    join(&mesh.beams[1], "p", &["g"]).await?;
    crate::groups::connect(&mesh.beams[1], &mesh.beams[0]).await?;
    mesh.node.connect(&mesh.name(1)?).await?;
    mesh.at_rest(4).await?;
    Ok(())
}

#[tokio::test]
async fn a_scope_that_crashes_on_the_other_side_is_met_anew() -> Result<()> {
    let mesh = Mesh::new(2, Visibility::Hidden).await?;
    let _ours = member(&mesh.node, &mesh.scope, &[&term!(g), &term!(g)]).await?;
    join(&mesh.beams[0], "p", &["g"]).await?;
    mesh.at_rest(3).await?;
    let (_, mut monitor) = mesh.scope.monitor(&term!(g))?;
    mesh.beams[0].eval("exit(whereis(pg), kill)").await?;
    assert!(matches!(monitor.next().await, Some(PgEvent::Leave { .. })));
    at_rest(&mesh.scope, &[&mesh.beams[1]], 2).await?;
    // One that starts asks the visible nodes only: it is for us to ask.
    start_scope(&mesh.beams[0], "pg").await?;
    mesh.at_rest(2).await?;
    Ok(())
}

#[tokio::test]
async fn a_scope_that_crashes_is_met_by_a_visible_node_at_once() -> Result<()> {
    let mesh = Mesh::new(2, Visibility::Visible).await?;
    let _ours = member(&mesh.node, &mesh.scope, &[&term!(g), &term!(h)]).await?;
    mesh.at_rest(2).await?;
    for _ in 0..3 {
        mesh.beams[0].eval("exit(whereis(pg), kill)").await?;
        mesh.beams[0].eval_until(SOON, "whereis(pg)", "undefined").await?;
        start_scope(&mesh.beams[0], "pg").await?;
        mesh.at_rest(2).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_link_that_goes_and_comes_leaves_nothing_wrong() -> Result<()> {
    for visibility in [Visibility::Hidden, Visibility::Visible] {
        let mesh = Mesh::new(2, visibility).await?;
        let scopes = mesh.scopes().await?;
        let stays = member(&mesh.node, &mesh.scope, &[&term!(g)]).await?;
        join(&mesh.beams[0], "p", &["g"]).await?;
        let name = mesh.name(0)?;
        for flap in 0..FLAPS {
            // Joins, leaves and ends on both sides while the link is on its way down or up.
            let goes =
                member(&mesh.node, &mesh.scope, &[&term!(g), &term!({flap, (i64::from(flap))})])
                    .await?;
            match flap % 3 {
                0 => drop(mesh.node.disconnect(&name)),
                1 => drop(
                    mesh.beams[0]
                        .eval(format!("erlang:disconnect_node('{}')", mesh.node.name()))
                        .await?,
                ),
                _ => {}
            }
            mesh.scope.join(&term!(h), stays.pid()).await?;
            drop(goes);
            mesh.beams[0].eval("pg:join(pg, g, whereis(p)), pg:leave(pg, g, whereis(p))").await?;
            eventually(SOON, "the link", async || mesh.node.connect(&name).await).await?;
            mesh.scope.leave(&term!(h), stays.pid()).await?;
        }
        mesh.healed(2).await?;
        assert_eq!(mesh.scopes().await?, scopes, "no scope crashed");
        assert_eq!(mesh.scope.counts().peers, 2);
    }
    Ok(())
}

#[tokio::test]
async fn processes_that_end_in_any_way_leave() -> Result<()> {
    let mesh = Mesh::new(2, Visibility::Hidden).await?;
    let scopes = mesh.scopes().await?;
    let (g, h) = (term!(g), term!({h, 1}));
    let dropped = member(&mesh.node, &mesh.scope, &[&g, &h, &g]).await?;
    let stopped = member(&mesh.node, &mesh.scope, &[&g]).await?;
    let panics = mesh
        .node
        .spawn(|mut process| async move {
            let message = process.recv().await;
            assert!(message.is_none(), "on purpose");
        })
        .context("shut down")?;
    let killed = mesh.node.process()?;
    mesh.scope.join_all(&h, &[panics.clone(), killed.pid().clone(), panics.clone()]).await?;
    mesh.at_rest(7).await?;
    drop(dropped);
    mesh.at_rest(4).await?;
    stopped.stop(&Exit::shutdown());
    mesh.node.send(&panics, term!(now)).await?;
    mesh.at_rest(1).await?;
    // By a process of another node, which finds it in the group.
    mesh.beams[0].eval("[P] = pg:get_members(pg, {h, 1}), exit(P, kill)").await?;
    mesh.at_rest(0).await?;

    // A thousand at once, in the same groups, in others, and more than once.
    let processes: Vec<_> = (0..1000).map(|_| mesh.node.process()).collect::<Result<_, _>>()?;
    let pids: Vec<Pid> = processes.iter().map(|process| process.pid().clone()).collect();
    mesh.scope.join_all(&g, &pids).await?;
    mesh.scope.join_all(&g, &pids[..500]).await?;
    mesh.scope.join_all(&h, &pids[250..750]).await?;
    let stays = member(&mesh.node, &mesh.scope, &[&h]).await?;
    mesh.at_rest(2001).await?;
    drop(processes);
    mesh.at_rest(1).await?;
    assert_eq!(mesh.scope.members(&h), [stays.pid().clone()]);
    assert_eq!(mesh.scopes().await?, scopes, "no scope crashed");
    Ok(())
}

#[tokio::test]
async fn a_node_that_shuts_down_leaves_nobody_behind() -> Result<()> {
    let mesh = Mesh::new(2, Visibility::Hidden).await?;
    let scopes = mesh.scopes().await?;
    let processes: Vec<_> = (0..100).map(|_| mesh.node.process()).collect::<Result<_, _>>()?;
    let pids: Vec<Pid> = processes.iter().map(|process| process.pid().clone()).collect();
    mesh.scope.join_all(&term!(g), &pids).await?;
    mesh.at_rest(100).await?;
    mesh.node.shutdown(SOON).await;
    for beam in &mesh.beams {
        beam.eval_until(SOON, "pg:which_groups(pg)", "[]").await?;
    }
    assert_eq!(mesh.scopes().await?, scopes, "no scope crashed");
    assert!(mesh.node.pg("pg").is_none());
    assert!(mesh.node.start_pg("pg").is_err());
    assert_eq!(mesh.scope.groups(), []);
    Ok(())
}

#[tokio::test]
async fn a_beam_node_behind_a_dead_link_is_forgotten_and_found() -> Result<()> {
    let mut mesh = Mesh::new(1, Visibility::Hidden).await?;
    let beam = mesh.world.beam("late").await?;
    start_scope(&beam, "pg").await?;
    join(&beam, "p", &["g"]).await?;
    mesh.node.connect(&name_of(&beam)?).await?;
    at_rest(&mesh.scope, &[&beam], 1).await?;
    // Stopped in order, instead of killed.
    mesh.beams.push(beam);
    mesh.beams[1].stop().await?;
    at_rest(&mesh.scope, &[&mesh.beams[0]], 0).await?;
    assert_eq!(mesh.node.counts().relations, 2, "two scopes watch each other");
    Ok(())
}
