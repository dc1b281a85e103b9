//! A cluster of one test, with a Rust node that has an admin port.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use integration::{
    Beam, JoinOptions, Joined, Postgres, PostgresOptions, SOON, World, eventually, unique,
};
use serde_json::Value;

use crate::http::{Response, get};

/// A password that must be seen nowhere.
const PASSWORD: &str = "pw-that-nobody-may-see";

pub struct Place {
    pub world: World,
    pub postgres: Postgres,
    pub channel: String,
}

/// A Rust node, where it takes nodes, and its admin port.
pub struct Node {
    pub joined: Joined,
    pub port: u16,
    pub admin: SocketAddr,
}

impl Place {
    pub async fn new() -> Result<Self> {
        let options =
            PostgresOptions { password: Some(PASSWORD.to_owned()), ..PostgresOptions::default() };
        let (world, postgres) = (World::new().await?, Postgres::start_with(options).await?);
        Ok(Self { world, postgres, channel: unique("channel") })
    }

    pub fn options(&self) -> JoinOptions {
        JoinOptions::new(&self.world, &self.postgres, &self.channel).args(["--admin", "0"])
    }

    pub async fn start(&self, options: JoinOptions) -> Result<Node> {
        let mut joined = options.start()?;
        let listening = joined.event_named("listening", SOON).await?;
        let admin = listening["admin"].as_str().context("no admin address")?.parse()?;
        let port = listening["port"].as_u64().context("no port")?;
        Ok(Node { joined, port: port.try_into()?, admin })
    }

    /// A node that has joined.
    pub async fn joined(&self) -> Result<Node> {
        let node = self.start(self.options()).await?;
        node.ready().await?;
        Ok(node)
    }

    /// A BEAM node, connected with `node`.
    pub async fn beam(&self, base: &str, node: &mut Node) -> Result<Beam> {
        let beam = self.world.beam(base).await?;
        self.announce(beam.name()).await?;
        node.joined.up(beam.name(), SOON).await?;
        beam.sees(&node.joined.name, true, SOON).await?;
        Ok(beam)
    }

    pub async fn announce(&self, name: &str) -> Result<()> {
        let name = name.replace('\'', "''");
        self.postgres.psql(&format!("NOTIFY \"{}\", '{name}'", self.channel)).await.map(drop)
    }

    /// Fails if a text holds anything secret.
    #[track_caller]
    pub fn assert_no_secret(&self, text: &str) {
        for secret in [self.world.cookie.as_str(), PASSWORD, self.channel.as_str()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

impl Node {
    pub async fn get(&self, path: &str) -> Result<Response> {
        get(self.admin, path).await
    }

    pub async fn members(&self) -> Result<Value> {
        let response = self.get("/members").await?;
        ensure!(response.status == 200, "{response:?}");
        Ok(serde_json::from_str(&response.body)?)
    }

    /// What `/members` says of one node.
    pub async fn member(&self, name: &str) -> Result<Value> {
        let members = self.members().await?;
        let mut all = members["members"].as_array().context("no members")?.iter();
        let found = all.find(|member| member["name"] == name);
        found.cloned().with_context(|| format!("{members:#}"))
    }

    /// Waits until `/members` says of a node what `wanted` takes.
    pub async fn member_that(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        eventually(SOON, what, async || {
            let member = self.member(name).await?;
            ensure!(wanted(&member), "{member:#}");
            Ok::<_, anyhow::Error>(member)
        })
        .await
    }

    /// Waits until `/ready` answers with 200.
    pub async fn ready(&self) -> Result<Value> {
        self.ready_is(200, "").await
    }

    /// Waits until `/ready` answers with this status, and for a reason with `part` in it.
    pub async fn ready_is(&self, status: u16, part: &str) -> Result<Value> {
        eventually(SOON, &format!("/ready to say {status}"), async || {
            let response = self.get("/ready").await?;
            ensure!(response.status == status && response.body.contains(part), "{response:?}");
            Ok::<_, anyhow::Error>(serde_json::from_str(&response.body)?)
        })
        .await
    }
}
