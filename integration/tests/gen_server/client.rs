//! What a Rust node sees of a server in Erlang is what a BEAM node sees of it, and of a server in
//! Rust on the same node too.

use std::time::Duration;

use anyhow::Result;
use dist::etf::{Atom, Term, term};
use dist::{CallError, Destination, Exit, Node};
use integration::{SOON, eventually, name_of};

use super::pair::Pair;

const SCORER: Atom = Atom::from_static("scorer");

/// As `catch gen_server:call(…)` shows it, without the call itself.
async fn call(node: &Node, to: Destination, request: Term, time: Option<Duration>) -> String {
    match node.call(to, request, time).await {
        Ok(reply) => reply.to_string(),
        Err(CallError::NoProcess) => "exit noproc".into(),
        Err(CallError::Exit(reason)) => format!("exit {}", reason.0),
        Err(CallError::NoConnection(_)) => "exit nodedown".into(),
        Err(CallError::Timeout(_)) => "exit timeout".into(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn calls_show_what_gen_server_shows() -> Result<()> {
    let pair = Pair::new().await?;
    let beam = pair.beam_name()?;
    let away: Destination = (SCORER, beam.clone()).into();
    let here: Destination = SCORER.into();
    let ours: Destination = (SCORER, pair.rust.name().clone()).into();
    for (request, time) in [
        ("{echo,{a,[b|c],1.5,#{k => <<1>>}}}", None),
        ("{add,3}", Some(5000)),
        ("{later,50,x}", Some(5000)),
        ("{later,500,x}", Some(20)),
        ("never", Some(20)),
        ("{stop,oops}", None),
        ("{stop,normal}", None),
        ("{stop,{shutdown,x},bye}", None),
    ] {
        let infinity = time.map_or("infinity".into(), |time: u64| time.to_string());
        let expected = format!(
            "try gen_server:call({{scorer, '{beam}'}}, {request}, {infinity}) of R -> io_lib:format(\"~0tp\", [R]) \
             catch exit:{{R, _}} -> io_lib:format(\"exit ~0tp\", [R]) end"
        );
        pair.fresh().await?;
        let expected = pair.asker.eval(format!("list_to_binary({expected})")).await?;
        let expected = expected.trim_start_matches("<<\"").trim_end_matches("\">>");
        let expected = expected.replace("\\\"", "\"");
        let request = term_of(&pair, request).await?;
        let time = time.map(Duration::from_millis);
        for to in [&away, &here, &ours] {
            pair.fresh().await?;
            let shown = call(&pair.rust, to.clone(), request.clone(), time).await;
            assert_eq!(shown, expected, "{request} to {to:?}");
        }
    }
    assert_eq!(pair.rust.counts().calls, 0);
    Ok(())
}

/// A term as a BEAM node makes it of its text.
async fn term_of(pair: &Pair, text: &str) -> Result<Term> {
    let mut inbox = pair.rust.register("inbox")?;
    let code = format!("{{inbox, '{}'}} ! ({text}), ok", pair.rust.name());
    pair.asker.eval(code).await?;
    Ok(inbox.recv().await.map_or(Term::NIL, |message| message.term))
}

#[tokio::test]
async fn four_errors_are_told_apart() -> Result<()> {
    let mut pair = Pair::new().await?;
    pair.fresh().await?;
    let beam = pair.beam_name()?;
    let nobody = Atom::from_static("nobody");
    let rust = pair.rust.clone();
    let quick = Some(Duration::from_millis(30));
    let never = || term!(never);
    for to in [Destination::from((nobody.clone(), beam.clone())), Destination::from(nobody.clone())]
    {
        let missing = rust.call(to, never(), None).await;
        assert!(matches!(missing, Err(CallError::NoProcess)), "{missing:?}");
    }
    let late = rust.call((SCORER, beam.clone()), never(), quick).await;
    assert!(matches!(late, Err(CallError::Timeout(_))), "{late:?}");
    let unknown = rust.call((SCORER, "nobody@127.0.0.1".parse()?), never(), None).await;
    assert!(matches!(unknown, Err(CallError::NoConnection(Some(_)))), "{unknown:?}");
    let bad = rust.call((SCORER, beam.clone()), Term::Float(f64::NAN), None).await;
    assert!(matches!(bad, Err(CallError::Encode(_))), "{bad:?}");
    // The server dies during the call, and then its whole node.
    let dying = tokio::spawn({
        let (rust, beam) = (rust.clone(), beam.clone());
        async move { rust.call((SCORER, beam), never(), None).await }
    });
    eventually(SOON, "the call", async || rust.counts().calls == 1).await?;
    pair.beam.eval("exit(whereis(scorer), {struck, down})").await?;
    match dying.await? {
        Err(CallError::Exit(reason)) => assert_eq!(reason, Exit(term!({struck, down}))),
        other => panic!("{other:?}"),
    }
    pair.fresh().await?;
    let lost = tokio::spawn({
        let (rust, beam) = (rust.clone(), beam.clone());
        async move { rust.call((SCORER, beam), never(), None).await }
    });
    eventually(SOON, "the call", async || rust.counts().calls == 1).await?;
    pair.beam.kill9().await?;
    let lost = lost.await?;
    assert!(matches!(lost, Err(CallError::NoConnection(None))), "{lost:?}");
    assert_eq!(rust.counts().calls, 0);
    Ok(())
}

#[tokio::test]
async fn a_beam_caller_hears_that_the_rust_node_is_lost() -> Result<()> {
    let mut pair = Pair::new().await?;
    pair.fresh().await?;
    let reason = |node: &str| {
        format!(
            "{{'EXIT', {{R, _}}}} = (catch gen_server:call({{scorer, '{node}'}}, never, infinity)), R"
        )
    };
    let (beam, rust) = (pair.beam.name().to_owned(), pair.rust.name().to_string());
    let started = "length(element(2, process_info(whereis(scorer), monitored_by))) =:= 1";
    let (to_beam, to_rust) = (reason(&beam), reason(&rust));
    let asked = async {
        pair.beam.eval_until(SOON, started, "true").await?;
        pair.beam.eval("spawn(fun() -> timer:sleep(50), halt() end), ok").await
    };
    let (expected, halted) = tokio::join!(pair.asker.eval(&to_beam), asked);
    halted?;
    let relations = pair.rust.counts().relations;
    let stopped = async {
        eventually(SOON, "the call", async || pair.rust.counts().relations > relations).await?;
        pair.rust.shutdown(Duration::from_secs(2)).await;
        anyhow::Ok(())
    };
    let (shown, stopped) = tokio::join!(pair.asker.eval(&to_rust), stopped);
    stopped?;
    // In order we end the server first; the node that halts has no time for that.
    assert_eq!(expected?.replace(&beam, "NODE"), "{nodedown,'NODE'}");
    let shown = shown?.replace(&rust, "NODE");
    assert!(shown == "shutdown" || shown == "{nodedown,'NODE'}", "{shown}");
    pair.beam.kill9().await.ok();
    Ok(())
}

#[tokio::test]
async fn casts_requests_and_many_nodes() -> Result<()> {
    let pair = Pair::new().await?;
    pair.fresh().await?;
    let (rust, beam, asker) = (&pair.rust, pair.beam_name()?, name_of(&pair.asker)?);
    let second = Some(Duration::from_secs(5));
    rust.cast((SCORER, beam.clone()), term!({set, 41})).await?;
    assert_eq!(rust.call((SCORER, beam.clone()), term!({add, 1}), second).await?, Term::Int(42));
    rust.cast(Atom::from_static("nobody"), term!(x)).await?;

    // A request can be waited for twice, and is taken once.
    let mut slow = rust.send_request((SCORER, beam.clone()), term!({later, 300, x})).await?;
    let early = slow.wait(Some(Duration::from_millis(1))).await;
    assert!(matches!(early, Err(CallError::Timeout(_))), "{early:?}");
    assert_eq!(slow.wait(second).await?, term!(x));
    assert!(matches!(slow.wait(second).await, Err(CallError::Ended)));

    // Nodes with the server, without it, and none at all.
    let nodes = [rust.name().clone(), beam.clone(), asker.clone(), "nobody@127.0.0.1".parse()?];
    let (replies, bad) = rust.multi_call(&nodes, &SCORER, &term!({add, 1}), None).await;
    assert_eq!(replies, [(nodes[0].clone(), Term::Int(1)), (nodes[1].clone(), Term::Int(43))]);
    assert_eq!(bad, nodes[2..]);
    let (replies, bad) =
        rust.multi_call(&nodes[..2], &SCORER, &term!(never), Some(Duration::from_millis(30))).await;
    assert_eq!((replies.len(), bad.len()), (0, 2));

    // A server that calls another one of its node, and stopping both kinds.
    let ask = term!({ask, other, {add, 5}});
    super::scorer::Scorer::start_named_other(rust).await?;
    assert_eq!(rust.call(SCORER, ask, second).await?, Term::Int(5));
    rust.stop(SCORER, Exit::normal(), second).await?;
    rust.stop((SCORER, beam.clone()), Exit(term!({shutdown, done})), second).await?;
    let gone = rust.stop((SCORER, beam), Exit::normal(), second).await;
    assert!(matches!(gone, Err(CallError::NoProcess)), "{gone:?}");
    assert_eq!((rust.counts().calls, rust.whereis("scorer")), (0, None));
    Ok(())
}

#[tokio::test]
async fn servers_that_are_written_by_hand_may_reply_plainly() -> Result<()> {
    let pair = Pair::new().await?;
    // As a server of OTP 23 does: to the pid, whatever the tag says.
    let plain = "register(plain, spawn(fun F() -> receive {'$gen_call', {P, T}, R} -> P ! {T, {got, R}}, F() end end)), ok";
    pair.beam.eval(plain).await?;
    let mut here = pair.rust.register("plain")?;
    let served = tokio::spawn(async move {
        let message = here.recv().await?;
        let [_, from, request] = message.term.as_tuple()? else { return None };
        let [Term::Pid(pid), tag] = from.as_tuple()? else { return None };
        here.send(pid, term!({(tag), {got, (request)}})).await.ok()
    });
    for node in [pair.beam_name()?, pair.rust.name().clone()] {
        let reply = pair.rust.call(("plain", &node), term!(hello), Some(SOON)).await?;
        assert_eq!(reply, term!({got, hello}), "{node}");
    }
    assert_eq!(served.await?, Some(()));
    // A reply with another tag is none, and neither waits nor hurts.
    let wrong = "unregister(plain), register(plain, spawn(fun F() -> receive {'$gen_call', {P, [alias|A]}, _} -> P ! {wrong, 1}, P ! [], A ! {wrong, 2}, F() end end)), ok";
    pair.beam.eval(wrong).await?;
    let bad = pair.rust.call(("plain", &pair.beam_name()?), term!(hello), Some(SOON)).await;
    assert!(matches!(bad, Err(CallError::BadReply(_))), "{bad:?}");
    assert_eq!(pair.rust.counts().calls, 0);
    Ok(())
}
