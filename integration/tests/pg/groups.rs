//! What a scope looks like, from a BEAM node and from Rust, in one form.

use anyhow::{Context, Result, ensure};
use dist::etf::{Pid, Term};
use dist::{Node, NodeName, PgScope, Process, Visibility};
use integration::{Beam, SOON, World, eventually, name_of};

/// Every membership of a scope, as a BEAM node sees it.
pub(crate) async fn seen_by(beam: &Beam, scope: &str) -> Result<String> {
    let seen = beam
        .eval(format!(
            "Ids = fun(P) -> B = term_to_binary(P), binary:part(B, byte_size(B) - 12, 12) end, \
             L = [begin <<I:32, S:32, C:32>> = Ids(P), \
                  lists:flatten(io_lib:format(\"~0tp ~s ~w ~w ~w\", [G, node(P), I, S, C])) end \
                  || G <- pg:which_groups({scope}), P <- pg:get_members({scope}, G)], \
             list_to_binary(lists:join(\"|\", lists:sort(L)))"
        ))
        .await?;
    let text = seen.strip_prefix("<<").and_then(|text| text.strip_suffix(">>"));
    Ok(text.context("no binary")?.trim_matches('"').replace("\\\"", "\""))
}

/// The same, as Rust sees it.
pub(crate) fn seen_by_rust(scope: &PgScope) -> String {
    let mut lines = Vec::new();
    for group in scope.groups() {
        let line = |pid: Pid| {
            format!("{group} {} {} {} {}", pid.node.as_str(), pid.id, pid.serial, pid.creation)
        };
        lines.extend(scope.members(&group).into_iter().map(line));
    }
    lines.sort();
    lines.join("|")
}

/// Waits until all see the same, with so many memberships; gives what they see.
pub(crate) async fn at_rest(scope: &PgScope, beams: &[&Beam], count: usize) -> Result<String> {
    eventually(SOON, "all to see the same members", async || same(scope, beams, count).await).await
}

/// What all see, if that is the same, with so many memberships.
async fn same(scope: &PgScope, beams: &[&Beam], count: usize) -> Result<String> {
    let name = Term::Atom(scope.name().clone()).to_string();
    let ours = seen_by_rust(scope);
    let is = ours.split('|').filter(|line| !line.is_empty()).count();
    ensure!(is == count, "Rust sees {is} memberships, not {count}: {ours:.1000}");
    for beam in beams {
        let theirs = seen_by(beam, &name).await?;
        ensure!(theirs == ours, "{} sees {theirs:.1000}\nRust sees {ours:.1000}", beam.name());
    }
    Ok(ours)
}

/// A Rust node with scopes, connected to BEAM nodes that run them too.
pub(crate) struct Mesh {
    pub(crate) world: World,
    pub(crate) beams: Vec<Beam>,
    pub(crate) node: Node,
    pub(crate) scope: PgScope,
}

impl Mesh {
    pub(crate) async fn new(beams: usize, visibility: Visibility) -> Result<Self> {
        let world = World::new().await?;
        let mut started = Vec::new();
        for _ in 0..beams {
            let beam = world.beam("beam").await?;
            start_scope(&beam, "pg").await?;
            if let Some(first) = started.first() {
                connect(&beam, first).await?;
            }
            started.push(beam);
        }
        let node = world.node("rust")?.visibility(visibility).pg("pg").start().await?;
        for beam in &started {
            node.connect(&name_of(beam)?).await?;
        }
        let scope = node.pg("pg").context("the scope was started with the node")?;
        Ok(Self { world, beams: started, node, scope })
    }

    pub(crate) fn beams(&self) -> Vec<&Beam> {
        self.beams.iter().collect()
    }

    pub(crate) async fn at_rest(&self, count: usize) -> Result<String> {
        at_rest(&self.scope, &self.beams(), count).await
    }

    /// As [`Mesh::at_rest`], of a mesh in which a link was cut. Among visible nodes `global` then cuts others of its own
    /// accord (`prevent_overlapping_partitions`), so all are made anew until they stay.
    pub(crate) async fn healed(&self, count: usize) -> Result<String> {
        eventually(SOON, "the mesh to be whole", async || {
            for beam in &self.beams {
                self.node.connect(&name_of(beam)?).await?;
                for other in self.beams.iter().filter(|other| other.name() != beam.name()) {
                    connect(beam, other).await?;
                }
            }
            same(&self.scope, &self.beams(), count).await
        })
        .await
    }

    pub(crate) fn name(&self, beam: usize) -> Result<NodeName> {
        name_of(&self.beams[beam])
    }

    /// The pids of the BEAM nodes' scopes: a scope that crashed and was started again has another.
    pub(crate) async fn scopes(&self) -> Result<Vec<String>> {
        let mut pids = Vec::new();
        for beam in &self.beams {
            pids.push(beam.eval("whereis(pg)").await?);
        }
        Ok(pids)
    }
}

/// Starts a scope that nobody supervises: a crash of it is seen.
pub(crate) async fn start_scope(beam: &Beam, scope: &str) -> Result<()> {
    let started = beam.eval(format!("element(1, pg:start({scope}))")).await?;
    ensure!(started == "ok", "{started}");
    Ok(())
}

pub(crate) async fn connect(beam: &Beam, to: &Beam) -> Result<()> {
    let connected = beam.eval(format!("net_kernel:connect_node('{}')", to.name())).await?;
    ensure!(connected == "true", "{connected}");
    Ok(())
}

/// Makes a process on a BEAM node that joins groups, and lives until it is told otherwise.
pub(crate) async fn join(beam: &Beam, name: &str, groups: &[&str]) -> Result<()> {
    let joins: String = groups.iter().map(|group| format!(", pg:join(pg, {group}, P)")).collect();
    let made =
        format!("P = spawn(fun() -> receive stop -> ok end end), register({name}, P){joins}, ok");
    beam.eval(made).await.map(drop)
}

/// A process of the Rust node in some groups.
pub(crate) async fn member(node: &Node, scope: &PgScope, groups: &[&Term]) -> Result<Process> {
    let process = node.process()?;
    for group in groups {
        scope.join(group, process.pid()).await?;
    }
    Ok(process)
}
