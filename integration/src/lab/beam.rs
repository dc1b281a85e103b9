//! BEAM nodes in containers: a strategy that announces them on Postgres, a group, a global name, and calls to the Rust nodes.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::report::{Calls, GROUP};
use super::{CHANNEL, COOKIE, Container, Network, POSTGRES_HOST, Settings, Spec};
use crate::beam::{Beam, BeamOptions, EVALUATOR};
use crate::unique;

/// Compiles the member once, then becomes the node. Its arguments are the node's.
const START: &str = r#"
[ -d /tmp/member ] || { mkdir /tmp/aside; elixirc -o /tmp/aside /elixir/lib/member.ex /elixir/lib/member/*.ex; mv /tmp/aside /tmp/member; }
paths=$(elixir -e 'for app <- [:elixir, :logger, :eex, :mix], do: IO.puts([:code.lib_dir(app), "/ebin"])')
exec erl -pa /tmp/member $paths "$@"
"#;

/// A node in a container. Evaluate with [`LabBeam::eval`].
#[derive(Debug)]
pub struct LabBeam {
    container: Container,
    name: String,
    listener: TcpListener,
    token: String,
    settings: Settings,
    beam: Option<Beam>,
}

impl LabBeam {
    /// Starts a node `base@ADDRESS`, and its strategy.
    ///
    /// # Errors
    /// When it does not start, with its output.
    pub async fn start(
        network: &Arc<Network>,
        base: &str,
        image: &str,
        settings: Settings,
    ) -> Result<Self> {
        let listener = TcpListener::bind((network.gateway(), 0)).await?;
        let token = unique("lab");
        let elixir = Path::new(env!("CARGO_MANIFEST_DIR")).join("elixir");
        let own = r#"exec sh -c "$START" sh -name "$BASE@$(hostname -i | cut -d' ' -f1)" "$@""#;
        let mut command: Vec<String> = ["sh", "-c", own, "sh"].map(ToOwned::to_owned).into();
        command.extend(arguments(settings));
        let mut options = vec![format!("--volume={}:/elixir:ro", elixir.display())];
        for (name, value) in [
            ("START", START),
            ("BASE", base),
            ("LANG", "C.UTF-8"),
            ("ERL_CRASH_DUMP_SECONDS", "0"),
            ("BEAM_HARNESS_HOST", &network.gateway().to_string()),
            ("BEAM_HARNESS_PORT", &listener.local_addr()?.port().to_string()),
            ("BEAM_HARNESS_TOKEN", &token),
            ("BEAM_HARNESS_ELIXIR", "1"),
        ] {
            options.push(format!("--env={name}={value}"));
        }
        let spec = Spec { image: image.to_owned(), options, command, alias: None };
        let container = Container::create(network, base, spec).await?;
        let name = format!("{base}@{}", container.address());
        let mut node = Self { container, name, listener, token, settings, beam: None };
        node.run().await?;
        Ok(node)
    }

    /// Its container.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Its whole name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The scopes of `pg` that it has.
    pub fn scopes(&self) -> &'static [&'static str] {
        self.settings.scopes
    }

    /// The nodes with a member in the group [`GROUP`] of a scope, sorted, once for each member.
    ///
    /// # Errors
    /// As [`Beam::eval`].
    pub async fn group(&self, scope: &str) -> Result<Vec<String>> {
        self.atoms(&format!("[node(P) || P <- pg:get_members({scope}, {GROUP})]")).await
    }

    /// Starts the node again after its end.
    ///
    /// # Errors
    /// When it does not start, with its output.
    pub async fn run(&mut self) -> Result<()> {
        let mut start = Command::new("docker");
        start.args(["start", "--attach", self.container.name()]).kill_on_drop(true);
        start.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = start.spawn().context("docker could not be started")?;
        let options =
            BeamOptions::new(&self.name, COOKIE, 0).elixir().net_ticktime(self.settings.tick);
        self.beam = Some(Beam::attach(options, child, &self.listener, &self.token).await?);
        let member = format!(
            "elem(Member.start([hostname: \"{POSTGRES_HOST}\", port: 5432, username: \"postgres\", \
             password: \"postgres\", database: \"postgres\", channel_name: \"{CHANNEL}\", heartbeat_interval: 500]), 0)"
        );
        let started = self.beam()?.elixir(member).await?;
        ensure!(started == ":ok", "the member did not start: {started}");
        self.eval(format!(
            "Anchor = spawn(fun() -> receive stop -> ok end end), \
             [begin pg:start(Scope), ok = pg:join(Scope, {GROUP}, Anchor) end || Scope <- [{}]], \
             yes = global:register_name(node(), Anchor)",
            self.settings.scopes.join(", ")
        ))
        .await?;
        Ok(())
    }

    /// Begins to call `peers` all the time, each call with a time-out of 2 s, and counts.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn call_all(&self, peers: &[String]) -> Result<()> {
        let peers: Vec<String> = peers.iter().map(|peer| format!("'{peer}'")).collect();
        let code = CALLS.replace("PEERS", &peers.join(","));
        let answer = self.eval(code).await?;
        ensure!(answer == "ok", "{answer}");
        Ok(())
    }

    /// Lets the calls go on, or stops them.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn set_calling(&self, going: bool) -> Result<()> {
        self.eval(format!("persistent_term:put(lab_going, {going})")).await.map(drop)
    }

    /// How its calls stand, and how many are under way.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn calls(&self) -> Result<(Calls, u64)> {
        let answer = self
            .eval(
                "C = persistent_term:get(lab_calls), \
                 [counters:get(C, N) || N <- lists:seq(1, 5)]",
            )
            .await?;
        let numbers: Vec<u64> = serde_json::from_str(&answer).context(answer)?;
        let [started, answered, wrong, failed, longest] = numbers.as_slice() else {
            bail!("{numbers:?}");
        };
        let failures = [("error".to_owned(), *failed)].into();
        let calls = Calls {
            started: *started,
            answered: *answered,
            wrong: *wrong,
            failed: failures,
            longest: *longest,
        };
        Ok((calls, started.saturating_sub(answered + wrong + failed)))
    }

    /// Evaluates Erlang.
    ///
    /// # Errors
    /// As [`Beam::eval`].
    pub async fn eval(&self, expressions: impl AsRef<str>) -> Result<String> {
        self.beam()?.eval(expressions).await
    }

    /// The atoms that an expression yields, sorted, without quotes.
    ///
    /// # Errors
    /// As [`Beam::eval`].
    pub async fn atoms(&self, expression: &str) -> Result<Vec<String>> {
        let code = format!("lists:join(\" \", lists:sort([atom_to_list(A) || A <- {expression}]))");
        let joined = self.eval(format!("list_to_atom(lists:flatten({code}))")).await?;
        let joined = joined.trim_matches('\'');
        Ok(joined.split_whitespace().map(ToOwned::to_owned).collect())
    }

    fn beam(&self) -> Result<&Beam> {
        self.beam.as_ref().context("the node does not run")
    }
}

/// A process for each peer: `erpc`, and a `gen_server` call, in turn.
const CALLS: &str = r#"
C = counters:new(5, []), persistent_term:put(lab_calls, C), persistent_term:put(lab_going, true),
Call = fun(Peer, N) when N rem 2 =:= 0 -> N = erpc:call(Peer, erlang, abs, [-N], 2000);
          (Peer, _) -> yes = gen_server:call({net_kernel, Peer}, {is_auth, node()}, 2000)
       end,
Loop = fun Loop(Peer, N) ->
    case persistent_term:get(lab_going) of
        false -> ok;
        true ->
            counters:add(C, 1, 1),
            Start = erlang:monotonic_time(millisecond),
            try Call(Peer, N) of _ -> counters:add(C, 2, 1)
            catch error:{badmatch, _} -> counters:add(C, 3, 1);
                  _:_ -> counters:add(C, 4, 1)
            end,
            Took = erlang:monotonic_time(millisecond) - Start,
            case Took > counters:get(C, 5) of true -> counters:put(C, 5, Took); false -> ok end
    end,
    timer:sleep(20),
    Loop(Peer, N + 1)
end,
[spawn(fun() -> Loop(Peer, 1) end) || Peer <- [PEERS]], ok
"#;

fn arguments(settings: Settings) -> Vec<String> {
    let tick = settings.tick.to_string();
    let prevent = settings.prevent_overlapping_partitions.to_string();
    let words = [
        "-setcookie",
        COOKIE,
        "-noshell",
        "-noinput",
        "-kernel",
        "net_ticktime",
        &tick,
        "-kernel",
        "prevent_overlapping_partitions",
        &prevent,
        "-kernel",
        "net_setuptime",
        "3",
        "-eval",
        EVALUATOR,
    ];
    words.map(ToOwned::to_owned).into()
}
