//! One link of the mesh is lost: what remains is fully connected, and comes together again.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use dist::etf::term;
use dist::{ConflictMethod, Epmd, Listen, Node, Visibility, epmd};
use integration::{Answer, FakeEpmd, Proxy, SOON, eventually, name_of};

use super::mesh::{Mesh, REST};

/// A mesh whose Rust node reaches each BEAM node through a proxy.
struct Proxied {
    mesh: Mesh,
    rust: Node,
    proxies: Vec<Proxy>,
    _epmd: FakeEpmd,
}

impl Proxied {
    async fn new(prevent: bool) -> Result<Self> {
        let mesh = match prevent {
            true => Mesh::new().await?,
            false => {
                let off = ["-kernel", "prevent_overlapping_partitions", "false"];
                Mesh::with(|options| options.args(off)).await?
            }
        };
        let (mut proxies, mut ports) = (Vec::new(), HashMap::new());
        for beam in &mesh.beams {
            let base = beam.name().split('@').next().unwrap_or_default();
            let lookup =
                format!("{{port, P, _}} = erl_epmd:port_please(\"{base}\", {{127,0,0,1}}), P");
            let port: u16 = beam.eval(lookup).await?.parse()?;
            let proxy = Proxy::start(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).await?;
            ports.insert(base.to_owned(), proxy.addr().port());
            proxies.push(proxy);
        }
        let answer = move |name: &str| {
            ports.get(name).map_or(Answer::NoSuchNode, |port| Answer::Port(*port))
        };
        let fake = FakeEpmd::start(answer).await?;
        // The BEAM nodes cannot dial it: every link goes through its proxy.
        let rust = mesh
            .world
            .node("rust")?
            .visibility(Visibility::Visible)
            .listen(Listen::Off)
            .epmd(Epmd::None)
            .epmd_config(epmd::Config::with_port(fake.port()))
            .prevent_overlapping_partitions(prevent)
            .start()
            .await?;
        for beam in &mesh.beams {
            rust.connect(&name_of(beam)?).await?;
        }
        mesh.joined(&rust).await?;
        Ok(Self { mesh, rust, proxies, _epmd: fake })
    }

    /// Who sees whom, each with itself.
    async fn views(&self) -> Result<HashMap<String, Vec<String>>> {
        let mut views = HashMap::new();
        for beam in &self.mesh.beams {
            let nodes =
                beam.eval("[atom_to_list(N) || N <- lists:sort([node() | nodes()])]").await?;
            let nodes = nodes.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect();
            views.insert(beam.name().to_owned(), nodes);
        }
        let mut seen: Vec<String> =
            self.rust.nodes().iter().map(|peer| peer.name.to_string()).collect();
        seen.push(self.rust.name().to_string());
        seen.sort();
        views.insert(self.rust.name().to_string(), seen);
        Ok(views)
    }

    /// Waits until no partition overlaps another, and these two are in different ones.
    async fn is_split(&self, a: &str, b: &str) -> Result<HashMap<String, Vec<String>>> {
        eventually(REST, "partitions that do not overlap", async || {
            let views = self.views().await?;
            for (node, seen) in &views {
                ensure!(
                    !(seen.contains(&a.to_owned()) && seen.contains(&b.to_owned())),
                    "{views:?}"
                );
                for other in seen {
                    ensure!(views.get(other) == Some(seen), "{node}: {views:?}");
                }
            }
            Ok(views)
        })
        .await
    }

    async fn heal(&self) -> Result<()> {
        for beam in &self.mesh.beams {
            self.rust.connect(&name_of(beam)?).await?;
        }
        self.mesh
            .a()
            .eval(format!("[net_kernel:connect_node(N) || N <- {}]", self.beam_list()))
            .await?;
        self.mesh.joined(&self.rust).await
    }

    fn beam_list(&self) -> String {
        let names = self.mesh.names();
        format!("[{}]", names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(","))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_link_in_turn_is_lost_and_healed() -> Result<()> {
    let all = Proxied::new(true).await?;
    let global = all.rust.global().context("no global")?;
    let own = all.rust.process()?;
    assert!(global.register_name(term!(of_rust), own.pid(), ConflictMethod::default()).await?);
    all.mesh
        .b()
        .eval("P = spawn(fun() -> receive stop -> ok end end), yes = global:register_name(of_b, P)")
        .await?;
    // Between the Rust node and each of the others.
    for (beam, proxy) in all.mesh.beams.iter().zip(&all.proxies) {
        proxy.cut();
        let views = all.is_split(all.rust.name().as_str(), beam.name()).await?;
        // The two that were not at either end stay together.
        let rest: Vec<&str> = all
            .mesh
            .beams
            .iter()
            .map(|beam| beam.name())
            .filter(|name| *name != beam.name())
            .collect();
        ensure!(rest.iter().all(|name| views[rest[0]].contains(&(*name).to_owned())), "{views:?}");
        all.heal().await?;
    }
    // Between BEAM nodes.
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        let (one, other) = (&all.mesh.beams[one], &all.mesh.beams[other]);
        one.eval(format!("erlang:disconnect_node('{}')", other.name())).await?;
        all.is_split(one.name(), other.name()).await?;
        all.heal().await?;
    }
    for beam in &all.mesh.beams {
        let whereis = "[node(global:whereis_name(N)) || N <- [of_rust, of_b]]";
        let expected = format!("['{}','{}']", all.rust.name(), all.mesh.b().name());
        beam.eval_until(SOON, whereis, &expected).await?;
    }
    assert_eq!(
        global.whereis_name(&term!(of_b)).context("of_b")?.node.as_str(),
        all.mesh.b().name()
    );
    all.mesh.is_sound().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_prevention_only_the_lost_link_is_lost() -> Result<()> {
    let all = Proxied::new(false).await?;
    all.proxies[0].cut();
    let name = name_of(all.mesh.a())?;
    eventually(SOON, "the link to be lost", async || !all.rust.is_connected(&name)).await?;
    all.mesh.a().sees(all.rust.name().as_str(), false, SOON).await?;
    // A call through each of the others comes after whatever they would have said.
    for beam in &all.mesh.beams[1..] {
        assert_eq!(beam.eval(format!("net_adm:ping('{}')", all.rust.name())).await?, "pong");
        assert_eq!(beam.eval(format!("net_adm:ping('{}')", all.mesh.a().name())).await?, "pong");
        assert!(all.rust.is_connected(&name_of(beam)?));
    }
    assert_eq!(all.rust.nodes().len(), 2);
    all.heal().await?;
    all.mesh.is_sound().await
}
