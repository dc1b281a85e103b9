//! `beamjoin join` in a cluster of BEAM nodes that find each other through Postgres, while members,
//! EPMD and the Rust nodes themselves come and go.

use anyhow::Result;
use dist::{NodeName, epmd};
use integration::{
    ElixirNode, JoinOptions, Joined, MemberOptions, Postgres, SOON, World, eventually, unique,
};

/// Where a cluster forms.
struct Place {
    postgres: Postgres,
    world: World,
    channel: String,
}

impl Place {
    async fn new(world: World) -> Result<Self> {
        Ok(Self { postgres: Postgres::start().await?, world, channel: unique("cluster") })
    }

    async fn member(&self) -> Result<ElixirNode> {
        let options = MemberOptions {
            heartbeat_interval: std::time::Duration::from_millis(500),
            ..MemberOptions::new(&self.postgres, &self.channel)
        };
        ElixirNode::start(self.world.beam_options("member"), options).await
    }

    fn rust(&self) -> Result<Joined> {
        JoinOptions::new(&self.world, &self.postgres, &self.channel).start()
    }

    /// Waits until EPMD knows a node.
    async fn registered(&self, name: &str) -> Result<()> {
        let name: NodeName = name.parse()?;
        eventually(SOON, "a place in EPMD", async || {
            epmd::lookup(name.host(), self.world.port, name.base()).await
        })
        .await?;
        Ok(())
    }
}

async fn all_see(members: &[&ElixirNode], name: &str) -> Result<()> {
    for member in members {
        member.sees(name, true, SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn two_rust_nodes_serve_epmd_one_after_the_other() -> Result<()> {
    let place = Place::new(World::without_epmd()?).await?;
    let mut first = place.rust()?;
    first.event_named("announced", SOON).await?;
    place.registered(&first.name).await?;
    // Everybody registers with the first one's EPMD.
    let second = place.rust()?;
    let (one, two) = tokio::try_join!(place.member(), place.member())?;
    all_see(&[&one, &two], &first.name).await?;
    all_see(&[&one, &two], &second.name).await?;
    one.sees(two.name(), true, SOON).await?;
    // It leaves; the second serves, and the BEAM nodes register there by themselves.
    first.kill9().await?;
    for name in [&second.name[..], one.name(), two.name()] {
        place.registered(name).await?;
    }
    for member in [&one, &two] {
        member.sees(&first.name, false, SOON).await?;
        member.sees(&second.name, true, SOON).await?;
    }
    // So whoever comes now finds all of them.
    let three = place.member().await?;
    all_see(&[&three], &second.name).await?;
    all_see(&[&three], one.name()).await?;
    let third = place.rust()?;
    all_see(&[&one, &two, &three], &third.name).await
}

#[tokio::test]
async fn the_death_of_either_side_heals_by_itself() -> Result<()> {
    let place = Place::new(World::new().await?).await?;
    let (mut one, two) = tokio::try_join!(place.member(), place.member())?;
    let mut rust = place.rust()?;
    let name = rust.name.clone();
    all_see(&[&one, &two], &name).await?;

    one.kill9().await?;
    rust.event_about("down", one.name(), SOON).await?;
    one.restart().await?;
    all_see(&[&one, &two], &name).await?;

    rust.kill9().await?;
    for member in [&one, &two] {
        member.sees(&name, false, SOON).await?;
    }
    let options = JoinOptions::new(&place.world, &place.postgres, &place.channel);
    let again = JoinOptions { name: name.clone(), ..options }.start()?;
    all_see(&[&one, &two], &name).await?;
    assert_eq!(one.eval(format!("net_adm:ping('{name}')")).await?, "pong");
    drop(again);
    Ok(())
}

#[tokio::test]
async fn a_node_that_was_announced_once_is_dialled_again_after_its_death() -> Result<()> {
    let place = Place::new(World::new().await?).await?;
    // It announces nothing itself, and does not know the Rust node.
    let mut beam = place.world.beam("beam").await?;
    let mut rust = place.rust()?;
    rust.event_named("announced", SOON).await?;
    let announce = format!("NOTIFY \"{}\", '{}'", place.channel, beam.name());
    place.postgres.psql(&announce).await?;
    rust.event_about("up", beam.name(), SOON).await?;
    beam.kill9().await?;
    rust.event_about("down", beam.name(), SOON).await?;
    beam.restart().await?;
    // The waits have grown while it started.
    rust.event_about("up", beam.name(), 3 * SOON).await?;
    beam.sees(&rust.name, true, SOON).await
}

#[tokio::test]
async fn epmd_killed_and_started_again_costs_no_link() -> Result<()> {
    let mut place = Place::new(World::new().await?).await?;
    let one = place.member().await?;
    let mut rust = place.rust()?;
    let name = rust.name.clone();
    all_see(&[&one], &name).await?;
    if let Some(epmd) = &mut place.world.epmd {
        epmd.kill9().await?;
        epmd.restart().await?;
    }
    place.registered(&name).await?;
    place.registered(one.name()).await?;
    // A newcomer finds both, and nobody has lost anybody.
    let two = place.member().await?;
    all_see(&[&two], &name).await?;
    one.sees(&name, true, SOON).await?;
    assert!(rust.events()?.iter().all(|event| event["event"] != "down"), "{:?}", rust.events()?);
    Ok(())
}
