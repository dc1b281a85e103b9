//! Three BEAM nodes, all connected, and a Rust node with them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dist::{Node, NodeBuilder, Visibility};
use integration::{Beam, BeamOptions, SOON, World, eventually, name_of};

/// How long a cluster may take to come to rest. Lockers that meet each other wait up to three
/// seconds before they try again.
pub const REST: Duration = Duration::from_secs(60);

/// A cluster.
pub struct Mesh {
    pub world: World,
    pub beams: Vec<Beam>,
    /// The `global_name_server` of each, which must be the same to the end.
    servers: Vec<String>,
}

impl Mesh {
    /// Three BEAM nodes.
    pub async fn new() -> Result<Self> {
        Self::with(|options| options).await
    }

    pub async fn with(options: impl Fn(BeamOptions) -> BeamOptions) -> Result<Self> {
        let world = World::new().await?;
        let (a, b, c) = tokio::try_join!(
            Beam::start(options(world.beam_options("a"))),
            Beam::start(options(world.beam_options("b"))),
            Beam::start(options(world.beam_options("c"))),
        )?;
        let mut mesh = Self { world, beams: vec![a, b, c], servers: Vec::new() };
        for beam in &mesh.beams {
            mesh.servers.push(beam.eval("pid_to_list(whereis(global_name_server))").await?);
        }
        mesh.connect().await?;
        Ok(mesh)
    }

    pub fn a(&self) -> &Beam {
        &self.beams[0]
    }

    pub fn b(&self) -> &Beam {
        &self.beams[1]
    }

    pub fn c(&self) -> &Beam {
        &self.beams[2]
    }

    /// Connects the BEAM nodes, and waits until they are one partition.
    pub async fn connect(&self) -> Result<()> {
        for beam in &self.beams[1..] {
            let connect = format!("net_kernel:connect_node('{}')", beam.name());
            ensure!(self.a().eval(connect).await? == "true", "{} is not there", beam.name());
        }
        self.at_rest(&self.names()).await
    }

    /// The names of the BEAM nodes.
    pub fn names(&self) -> Vec<String> {
        self.beams.iter().map(|beam| beam.name().to_owned()).collect()
    }

    /// A Rust node of this cluster, not yet started.
    pub fn rust(&self) -> Result<NodeBuilder> {
        Ok(self.world.node("rust")?.visibility(Visibility::Visible))
    }

    /// Starts a visible Rust node, connects it with the first BEAM node, and waits until all are
    /// one partition.
    pub async fn join(&self) -> Result<Node> {
        self.join_as(self.rust()?).await
    }

    /// As [`Mesh::join`], of a node that was described otherwise.
    pub async fn join_as(&self, rust: NodeBuilder) -> Result<Node> {
        let rust = rust.start().await?;
        rust.connect(&name_of(self.a())?).await?;
        self.joined(&rust).await?;
        Ok(rust)
    }

    /// Waits until all BEAM nodes and the Rust node are one partition.
    pub async fn joined(&self, rust: &Node) -> Result<()> {
        let mut names = self.names();
        names.push(rust.name().to_string());
        self.at_rest(&names).await?;
        for beam in &self.beams {
            let name = name_of(beam)?;
            eventually(SOON, "a link of the Rust node", async || rust.is_connected(&name)).await?;
        }
        Ok(())
    }

    /// Waits until each BEAM node is in sync with all of these, and nobody has the lock.
    pub async fn at_rest(&self, names: &[String]) -> Result<()> {
        for beam in &self.beams {
            self.beam_at_rest(beam, names).await?;
        }
        Ok(())
    }

    /// The same of one BEAM node.
    pub async fn beam_at_rest(&self, beam: &Beam, names: &[String]) -> Result<()> {
        let mut others: Vec<String> = names
            .iter()
            .filter(|name| *name != beam.name())
            .map(|name| format!("'{name}'"))
            .collect();
        others.sort();
        let others = format!("[{}]", others.join(","));
        let state = format!(
            "Others = lists:sort({others}), \
             {{lists:sort(nodes()) =:= Others, \
               lists:sort(gen_server:call(global_name_server, get_known)) =:= Others, \
               lists:usort(gen_server:call(global_name_server, get_synced)) =:= Others, \
               ets:tab2list(global_locks)}}"
        );
        let rest = beam.eval_until(REST, state, "{true,true,true,[]}").await;
        rest.with_context(|| beam.output())
    }

    /// Nobody's `global` has crashed.
    pub async fn is_sound(&self) -> Result<()> {
        for (beam, server) in self.beams.iter().zip(&self.servers) {
            let now = beam.eval("pid_to_list(whereis(global_name_server))").await?;
            ensure!(now == *server, "{}: {now} instead of {server}", beam.name());
            let output = beam.output();
            ensure!(!output.contains("crash"), "{}: {output}", beam.name());
            ensure!(!output.contains("unexpected message"), "{}: {output}", beam.name());
        }
        Ok(())
    }
}
