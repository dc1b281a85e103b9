//! `Phoenix.PubSub`: a Rust node beside nodes that run the stand-in for it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dist::etf::{Term, term};
use dist::{
    Node, PubSub, PubSubError, PubSubEvent, PubSubMessage, RegisterError, SocketBroadcast,
    Subscription, Visibility,
};
use integration::{Beam, SOON, World, eventually, name_of, with_member_code};
use tokio::time::timeout;

const NAME: &str = "Demo.PubSub";

/// A struct of Elixir as a type of ours; fields that it does not name are passed over.
#[derive(serde::Deserialize)]
struct Event {
    payload: std::collections::HashMap<String, i64>,
}

/// A Rust node beside two BEAM nodes whose pools have these sizes.
struct Cluster {
    beams: Vec<Beam>,
    node: Node,
    pubsub: PubSub,
    _world: World,
}

impl Cluster {
    async fn new(pools: &[usize], visibility: Visibility) -> Result<Self> {
        let world = World::new().await?;
        let mut beams: Vec<Beam> = Vec::new();
        for size in pools {
            let beam = Beam::start(with_member_code(world.beam_options("beam")).await?).await?;
            let start = format!("elem(Member.PubSub.start(name: {NAME}, pool_size: {size}), 0)");
            ensure!(beam.elixir(start).await? == ":ok", "no PubSub");
            if let Some(first) = beams.first() {
                crate::groups::connect(&beam, first).await?;
            }
            beams.push(beam);
        }
        let node = world.node("rust")?.visibility(visibility).start().await?;
        let pubsub = PubSub::new(&node, NAME)?;
        for beam in &beams {
            node.connect(&name_of(beam)?).await?;
        }
        let cluster = Self { beams, node, pubsub, _world: world };
        let largest = pools.iter().copied().max().unwrap_or(1);
        cluster.met(largest).await?;
        Ok(cluster)
    }

    /// Waits until every group has one process of every node that has it, and we are in all of them.
    async fn met(&self, largest: usize) -> Result<()> {
        eventually(SOON, "the pools to meet", async || {
            ensure!(self.pubsub.pool_size() == largest, "{}", self.pubsub.pool_size());
            ensure!(self.pubsub.nodes().len() == self.beams.len());
            for beam in &self.beams {
                for number in 1..=largest {
                    let of_ours = self.members(beam, number).await?;
                    ensure!(of_ours == "1", "{of_ours} of ours in group {number}");
                }
            }
            Ok(())
        })
        .await
    }

    /// How many processes of ours a BEAM node sees in a group.
    async fn members(&self, beam: &Beam, number: usize) -> Result<String> {
        let group = match number {
            1 => format!("'Elixir.{NAME}.Adapter'"),
            number => format!("'Elixir.{NAME}.Adapter_{number}'"),
        };
        let node = self.node.name();
        beam.eval(format!(
            "length([P || P <- pg:get_members('Elixir.Phoenix.PubSub', {group}), node(P) =:= '{node}'])"
        ))
        .await
    }
}

/// Erlang that calls the stand-in.
fn call(function: &str, args: &str) -> String {
    format!("'Elixir.Member.PubSub':{function}({args})")
        .replace("NAME", &format!("'Elixir.{NAME}'"))
}

async fn next(subscription: &mut Subscription) -> Result<PubSubMessage> {
    match timeout(SOON, subscription.next()).await {
        Ok(Some(PubSubEvent::Message(message))) => Ok(message),
        other => bail!("no message: {other:?}"),
    }
}

/// Nothing has come: a message that is broadcast now is the next.
async fn nothing_more(
    cluster: &Cluster,
    subscription: &mut Subscription,
    topic: &str,
) -> Result<()> {
    for beam in &cluster.beams {
        beam.eval(call("broadcast", &format!("NAME, <<\"{topic}\">>, mark"))).await?;
        assert_eq!(next(subscription).await?.term()?, &term!(mark));
    }
    Ok(())
}

#[tokio::test]
async fn broadcasts_from_elixir_arrive_once_whatever_the_pools() -> Result<()> {
    for (pools, visibility) in
        [([1, 1], Visibility::Hidden), ([4, 1], Visibility::Hidden), ([4, 4], Visibility::Visible)]
    {
        let cluster = Cluster::new(&pools, visibility).await?;
        let mut room = cluster.pubsub.subscribe("room:1");
        for beam in &cluster.beams {
            // From processes that choose different groups.
            let one = call("broadcast", "NAME, <<\"room:1\">>, {hello, N}");
            let all = format!(
                "[begin {{_, M}} = spawn_monitor(fun() -> {one} end), receive {{'DOWN', M, _, _, _}} -> ok end end \
                 || N <- lists:seq(1, 40)], ok"
            );
            beam.eval(all).await?;
            let mut numbers = Vec::new();
            for _ in 0..40 {
                let message = next(&mut room).await?;
                assert_eq!(message.topic(), b"room:1");
                assert_eq!(message.dispatcher()?.as_str(), "Elixir.Phoenix.PubSub");
                let Some([_, number]) = message.term()?.as_tuple() else { bail!("{message:?}") };
                numbers.push(number.as_int().context("no number")?);
            }
            numbers.sort_unstable();
            assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
            nothing_more(&cluster, &mut room, "room:1").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn broadcasts_from_rust_arrive_once_in_order_whatever_the_pools() -> Result<()> {
    let cluster = Cluster::new(&[1, 4], Visibility::Hidden).await?;
    let sessions: Vec<_> = cluster.beams.iter().map(Beam::session).collect();
    for session in &sessions {
        session.eval(call("subscribe", "NAME, <<\"room:1\">>")).await?;
    }
    let mut own = cluster.pubsub.subscribe("room:1");
    for n in 0..1000 {
        cluster.pubsub.broadcast("room:1", term!({n, (Term::Int(n))})).await?;
        assert_eq!(next(&mut own).await?.term()?, &term!({n, (Term::Int(n))}));
    }
    cluster.pubsub.broadcast("room:2", term!(elsewhere)).await?;
    cluster.pubsub.broadcast("room:1", term!(last)).await?;
    for session in &sessions {
        let all = "R = fun R() -> receive last -> []; M -> [M | R()] after 10000 -> [none] end end, \
                   R() =:= [{n, N} || N <- lists:seq(0, 999)]";
        assert_eq!(session.eval(all).await?, "true");
    }
    // And in order the other way.
    next(&mut own).await?;
    let many = call("broadcast", "NAME, <<\"room:1\">>, N");
    cluster.beams[1].eval(format!("[{many} || N <- lists:seq(1, 1000)], ok")).await?;
    for n in 1..=1000 {
        assert_eq!(next(&mut own).await?.term()?, &Term::Int(n));
    }
    Ok(())
}

#[tokio::test]
async fn every_kind_of_broadcast_goes_where_it_should() -> Result<()> {
    let cluster = Cluster::new(&[1, 4], Visibility::Hidden).await?;
    let pubsub = &cluster.pubsub;
    let sessions: Vec<_> = cluster.beams.iter().map(Beam::session).collect();
    for session in &sessions {
        session.eval(call("subscribe", "NAME, <<\"t\">>")).await?;
    }
    let (mut first, mut second) = (pubsub.subscribe("t"), pubsub.subscribe_all(["t", "u"]));
    pubsub.broadcast_from(&first, "t", term!(from)).await?;
    assert_eq!(next(&mut second).await?.term()?, &term!(from));
    pubsub.direct_broadcast(&name_of(&cluster.beams[0])?, "t", term!(direct)).await?;
    pubsub.local_broadcast("t", term!(local));
    for subscription in [&mut first, &mut second] {
        assert_eq!(next(subscription).await?.term()?, &term!(local));
    }
    pubsub.direct_broadcast(cluster.node.name(), "u", term!(to_us)).await?;
    assert_eq!(next(&mut second).await?.term()?, &term!(to_us));
    pubsub.broadcast("t", term!(last)).await?;
    let all =
        "R = fun R() -> receive last -> []; M -> [M | R()] after 10000 -> [none] end end, R()";
    assert_eq!(sessions[0].eval(all).await?, "[from,direct]");
    assert_eq!(sessions[1].eval(all).await?, "[from]");
    next(&mut first).await?;

    let us = cluster.node.name();
    for (beam, n) in cluster.beams.iter().zip([1, 2]) {
        beam.eval(call("direct_broadcast", &format!("'{us}', NAME, <<\"t\">>, {{direct, {n}}}")))
            .await?;
        assert_eq!(next(&mut first).await?.term()?, &term!({direct, (Term::Int(n))}));
        beam.eval(call("broadcast_from", &format!("NAME, self(), <<\"t\">>, {{from, {n}}}")))
            .await?;
        assert_eq!(next(&mut first).await?.term()?, &term!({from, (Term::Int(n))}));
        beam.eval(call("local_broadcast", "NAME, <<\"t\">>, local")).await?;
    }
    nothing_more(&cluster, &mut first, "t").await
}

#[tokio::test]
async fn other_dispatchers_and_channel_events_are_understood_and_made() -> Result<()> {
    let cluster = Cluster::new(&[1], Visibility::Hidden).await?;
    let beam = &cluster.beams[0];
    beam.elixir(
        "defmodule Phoenix.Socket.Broadcast do defstruct [:topic, :event, :payload] end
         for module <- [MyApp.Dispatcher, Phoenix.Channel.Server] do
           defmodule module do
             def dispatch(entries, from, message) do
               for {pid, _} <- entries, do: send(pid, {__MODULE__, from, message})
             end
           end
         end",
    )
    .await?;
    let session = beam.session();
    session.eval(call("subscribe", "NAME, <<\"t\">>")).await?;
    let custom = cluster.pubsub.with_dispatcher("MyApp.Dispatcher")?;
    custom.broadcast("t", term!(hello)).await?;
    let received = "receive M -> M after 10000 -> none end";
    assert_eq!(session.eval(received).await?, "{'Elixir.MyApp.Dispatcher',none,hello}");
    cluster.pubsub.broadcast_event("t", "new_msg", term!(#{"body" => "hi"})).await?;
    let read = "receive {'Elixir.Phoenix.Channel.Server', none, #{'__struct__' := S} = E} -> {S, maps:size(E), \
                maps:get(topic, E), maps:get(event, E), maps:get(payload, E)} after 10000 -> none end";
    assert_eq!(
        session.eval(read).await?,
        "{'Elixir.Phoenix.Socket.Broadcast',4,<<\"t\">>,<<\"new_msg\">>,#{<<\"body\">> => <<\"hi\">>}}"
    );

    // One that is nowhere is no matter of ours: whoever listens gets the message.
    let mut room = cluster.pubsub.subscribe("t");
    let event =
        "\"t\", %Phoenix.Socket.Broadcast{topic: \"t\", event: \"e\", payload: %{\"a\" => 1}}";
    beam.elixir(format!("Member.PubSub.broadcast({NAME}, {event}, Phoenix.Channel.Server)"))
        .await?;
    let message = next(&mut room).await?;
    assert_eq!(message.dispatcher()?.as_str(), "Elixir.Phoenix.Channel.Server");
    let expected = SocketBroadcast::new("t", "e", term!(#{"a" => 1}));
    assert_eq!(message.socket_broadcast(), Some(expected));
    assert_eq!(message.deserialize::<Event>()?.payload, [("a".to_owned(), 1)].into());
    assert!(message.deserialize::<u64>().is_err());
    beam.eval(call(
        "direct_broadcast",
        &format!("'{}', NAME, <<\"t\">>, x, nowhere", cluster.node.name()),
    ))
    .await?;
    let message = next(&mut room).await?;
    assert_eq!((message.term()?, message.dispatcher()?.as_str()), (&term!(x), "nowhere"));
    assert_eq!(message.socket_broadcast(), None);
    Ok(())
}

#[tokio::test]
async fn a_thousand_subscribers_cost_one_decode_and_other_topics_none() -> Result<()> {
    let cluster = Cluster::new(&[4], Visibility::Hidden).await?;
    let pubsub = &cluster.pubsub;
    let mut subscribers: Vec<_> = (0..1000).map(|_| pubsub.subscribe("room:1")).collect();
    let elsewhere = call("broadcast", "NAME, <<\"room:2\">>, {lists:seq(1, 1000), N}");
    cluster.beams[0].eval(format!("[{elsewhere} || N <- lists:seq(1, 100)], ok")).await?;
    cluster.beams[0]
        .eval(call("broadcast", "NAME, <<\"room:1\">>, {hello, #{a => [1, 2]}}"))
        .await?;
    for subscriber in &mut subscribers {
        assert_eq!(next(subscriber).await?.term()?, &term!({hello, #{a => [1, 2]}}));
    }
    let counts = pubsub.counts();
    assert_eq!((counts.received, counts.unheard, counts.decoded), (101, 100, 1));
    assert_eq!((counts.topics, counts.subscriptions), (1, 1000));
    drop(subscribers);
    let counts = pubsub.counts();
    assert_eq!((counts.topics, counts.subscriptions), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_slow_subscriber_is_told_what_it_missed() -> Result<()> {
    let cluster = Cluster::new(&[1], Visibility::Hidden).await?;
    let mut slow = cluster.pubsub.subscribe("t");
    let many = call("broadcast", "NAME, <<\"t\">>, N");
    cluster.beams[0].eval(format!("[{many} || N <- lists:seq(1, 2000)], ok")).await?;
    let pubsub = &cluster.pubsub;
    eventually(SOON, "all to arrive", async || pubsub.counts().received == 2000).await?;
    let lagged = slow.next().await.context("the end")?;
    assert!(matches!(lagged, PubSubEvent::Lagged(976)), "{lagged:?}");
    for n in 977..=2000 {
        assert_eq!(next(&mut slow).await?.term()?, &Term::Int(n));
    }
    assert_eq!(pubsub.counts().decoded, 1024);
    // Large ones are bounded by their bytes.
    let large = call("broadcast", "NAME, <<\"t\">>, binary:copy(<<0>>, 16777216)");
    cluster.beams[0].eval(format!("[{large} || _ <- lists:seq(1, 6)], ok")).await?;
    eventually(SOON, "all to arrive", async || pubsub.counts().received == 2006).await?;
    assert!(matches!(slow.next().await, Some(PubSubEvent::Lagged(3))));
    Ok(())
}

#[tokio::test]
async fn bad_input_costs_nobody_anything() -> Result<()> {
    let cluster = Cluster::new(&[4], Visibility::Hidden).await?;
    let beam = &cluster.beams[0];
    let mut room = cluster.pubsub.subscribe("t");
    let worker = format!("{{'Elixir.{NAME}.Adapter', '{}'}}", cluster.node.name());
    for message in [
        "hello",
        "{forward_to_local, <<\"t\">>, x}",
        "{forward_to_local, topic, x, y}",
        "{forward_to_local, <<3:2>>, x, y}",
        "{forward_to_local, [], x, y}",
        "[forward_to_local | x]",
        "{'$gen_cast', x}",
    ] {
        beam.eval(format!("{worker} ! {message}")).await?;
    }
    // Whoever asks a worker something is answered.
    let asked = beam.eval(format!("catch gen_server:call({worker}, hello, infinity)")).await?;
    assert_eq!(asked, "{error,notsup}");
    nothing_more(&cluster, &mut room, "t").await?;
    // A topic of any bytes, also of none.
    let mut odd = cluster.pubsub.subscribe([0_u8, 255]);
    let mut none = cluster.pubsub.subscribe("");
    beam.eval(call("broadcast", "NAME, <<0, 255>>, odd")).await?;
    beam.eval(call("broadcast", "NAME, <<>>, none")).await?;
    assert_eq!(next(&mut odd).await?.term()?, &term!(odd));
    assert_eq!(next(&mut none).await?.term()?, &term!(none));
    // A worker that somebody ends is started again.
    let old = beam
        .eval(format!("[P || P <- pg:get_members('Elixir.Phoenix.PubSub', 'Elixir.{NAME}.Adapter_3'), node(P) =/= node()]"))
        .await?;
    beam.eval(format!("[exit(P, kill) || P <- pg:get_members('Elixir.Phoenix.PubSub', 'Elixir.{NAME}.Adapter_3'), node(P) =/= node()]"))
        .await?;
    eventually(SOON, "another worker", async || {
        let new = beam
            .eval(format!("[P || P <- pg:get_members('Elixir.Phoenix.PubSub', 'Elixir.{NAME}.Adapter_3'), node(P) =/= node()]"))
            .await?;
        ensure!(new != old && new != "[]", "{new}");
        Ok(())
    })
    .await?;
    nothing_more(&cluster, &mut room, "t").await
}

#[tokio::test]
async fn one_takes_part_as_long_as_it_wants() -> Result<()> {
    let cluster = Cluster::new(&[4], Visibility::Hidden).await?;
    let beam = &cluster.beams[0];
    let again = PubSub::new(&cluster.node, NAME);
    assert!(matches!(again, Err(PubSubError::Register(RegisterError::Taken(_)))), "{again:?}");
    for (pool, broadcast) in [(0, 1), (1, 0), (1, 2), (257, 1)] {
        let builder = PubSub::builder(&cluster.node, "Other").pool_size(pool);
        let refused = builder.broadcast_pool_size(broadcast).start();
        assert!(matches!(refused, Err(PubSubError::PoolSize { .. })), "{pool} {broadcast}");
    }
    // Another one beside it, on the same scope; its broadcasts are shared out among the groups.
    let other =
        PubSub::builder(&cluster.node, "Other").pool_size(4).broadcast_pool_size(4).start()?;
    let start = "elem(Member.PubSub.start(name: Other, pool_size: 4), 0)";
    assert_eq!(beam.elixir(start).await?, ":ok");
    eventually(SOON, "the other to be met", async || other.nodes().len() == 1).await?;
    let session = beam.session();
    for topic in 0..20 {
        session
            .eval(format!("'Elixir.Member.PubSub':subscribe('Elixir.Other', <<\"t{topic}\">>)"))
            .await?;
    }
    for topic in 0..20 {
        other.broadcast(format!("t{topic}"), Term::Int(topic)).await?;
    }
    let all = "lists:sort([receive N -> N after 10000 -> none end || _ <- lists:seq(0, 19)]) =:= lists:seq(0, 19)";
    assert_eq!(session.eval(all).await?, "true");
    assert_eq!(cluster.pubsub.counts().received, 0);

    // A subscription keeps it, and without one it leaves.
    let Cluster { node, pubsub, .. } = &cluster;
    let processes = node.counts().processes;
    let mut last = other.subscribe("t");
    drop(other);
    beam.elixir("Member.PubSub.broadcast(Other, \"t\", :still)").await?;
    assert_eq!(next(&mut last).await?.term()?, &term!(still));
    drop(last);
    let ours = "length([P || N <- [<<>>, <<\"_2\">>, <<\"_3\">>, <<\"_4\">>], \
         P <- pg:get_members('Elixir.Phoenix.PubSub', binary_to_atom(<<\"Elixir.Other.Adapter\", N/binary>>)), \
         node(P) =/= node()])";
    beam.eval_until(SOON, ours, "0").await?;
    assert_eq!(node.counts().processes, processes - 4);
    // With the node everything ends.
    let mut ending = pubsub.subscribe("t");
    node.shutdown(Duration::from_secs(5)).await;
    assert!(matches!(timeout(SOON, ending.next()).await, Ok(None)));
    assert!(matches!(pubsub.broadcast("t", term!(x)).await, Err(PubSubError::Ended)));
    Ok(())
}
