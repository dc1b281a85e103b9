//! Each form that we send, to the scope of the OTP there is: it takes it, and goes on.

use anyhow::Result;
use dist::Visibility;
use dist::etf::{Pid, Term, term};

use crate::groups::{Mesh, member};

#[tokio::test]
async fn every_form_that_we_send_is_taken() -> Result<()> {
    for visibility in [Visibility::Hidden, Visibility::Visible] {
        let mesh = Mesh::new(2, visibility).await?;
        let scope = &mesh.scope;
        // discover, and sync of nothing.
        mesh.at_rest(0).await?;
        let scopes = mesh.scopes().await?;
        let (g, h) = (term!(g), term!({h, [1, "x"]}));
        // join of one, and leave of one group that it is the last in.
        let ours = member(&mesh.node, scope, &[&g]).await?;
        mesh.at_rest(1).await?;
        scope.leave(&g, ours.pid()).await?;
        mesh.at_rest(0).await?;
        // join and leave of a list, in which one stands twice.
        let processes: Vec<_> = (0..5).map(|_| mesh.node.process()).collect::<Result<_, _>>()?;
        let mut pids: Vec<Pid> = processes.iter().map(|process| process.pid().clone()).collect();
        pids.push(pids[0].clone());
        scope.join_all(&h, &pids).await?;
        mesh.at_rest(6).await?;
        scope.leave_all(&h, &pids[..3]).await?;
        mesh.at_rest(3).await?;
        scope.leave_all(&h, &pids).await?;
        mesh.at_rest(0).await?;
        // leave of ended processes: one in several groups, several in the same ones.
        scope.join_all(&g, &pids).await?;
        scope.join_all(&h, &pids).await?;
        scope.join_all(&g, &pids).await?;
        mesh.at_rest(18).await?;
        drop(processes);
        mesh.at_rest(0).await?;
        // sync of many, to one that knows us already and to one that does not.
        scope.join_all(&g, &[ours.pid().clone(), ours.pid().clone()]).await?;
        for group in 0..100 {
            scope.join(&term!({g, (Term::Int(group))}), ours.pid()).await?;
        }
        for beam in &mesh.beams {
            let ask = format!("{{pg, '{}'}} ! {{discover, whereis(pg)}}", mesh.node.name());
            beam.eval(&ask).await?;
            // As OTP 26 and later may ask.
            beam.eval(ask.replace("whereis(pg)}", "whereis(pg), 1}")).await?;
        }
        mesh.at_rest(102).await?;
        mesh.node.disconnect(&mesh.name(0)?);
        mesh.beams[0].sees(mesh.node.name().as_str(), false, integration::SOON).await?;
        mesh.healed(102).await?;
        // The scope's end.
        scope.stop();
        for beam in &mesh.beams {
            beam.eval_until(integration::SOON, "pg:which_groups(pg)", "[]").await?;
        }
        assert_eq!(mesh.scopes().await?, scopes, "no scope crashed");
    }
    Ok(())
}

/// The forms of OTP 29 that this OTP does not send.
#[tokio::test]
async fn every_form_that_others_send_is_understood() -> Result<()> {
    let mesh = Mesh::new(1, Visibility::Hidden).await?;
    mesh.at_rest(0).await?;
    let beam = &mesh.beams[0];
    let session = beam.session();
    session
        .eval(format!(
            "Us = {{pg, '{}'}}, register(a, A = spawn(fun() -> timer:sleep(infinity) end)), \
             register(b, B = spawn(fun() -> timer:sleep(infinity) end))",
            mesh.node.name()
        ))
        .await?;
    let seen = async |count: usize| {
        integration::eventually(integration::SOON, "the members", async || {
            mesh.scope.members(&term!(g)).len() == count
        })
        .await
    };
    for (message, count) in [
        ("{'$gen_cast', {local_data, whereis(pg), 1, #{g => [A, B, A]}}}", 3),
        ("{update, whereis(pg), [{g, [B], [A]}]}", 3),
        ("{update, whereis(pg), [{h, [A], []}, {g, [], [A, B, B]}]}", 0),
        ("{join, whereis(pg), g, [A, B]}", 2),
        ("{leave, whereis(pg), [A], [h, g, nobody]}", 1),
        ("{leave, whereis(pg), B, [g, g]}", 0),
        ("{join, whereis(pg), g, A}", 1),
        ("{'$gen_cast', {sync, whereis(pg), [{g, [B]}, {g, [A]}]}}", 2),
        ("{'$gen_cast', {sync, whereis(pg), []}}", 0),
    ] {
        session.eval(format!("Us ! {message}")).await?;
        seen(count).await.map_err(|error| error.context(message))?;
    }
    Ok(())
}
