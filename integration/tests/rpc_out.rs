//! Functions of a BEAM node called from Rust: each call is made between two BEAM nodes first, and
//! both results are compared.

use std::time::Duration;

use anyhow::{Result, ensure};
use dist::etf::{Term, term};
use dist::{ErpcError, Mfa, NodeCounts, RpcError, RpcOptions};
use integration::{SOON, World, eventually, name_of};

/// A result as the exception or value of `erpc:call/5`.
fn as_erlang(result: Result<Term, RpcError>) -> Result<Term> {
    Ok(match result {
        Ok(value) => term!({return, (value)}),
        Err(RpcError::Error { reason, stack }) => {
            term!({error, {exception, (reason), (stack)}})
        }
        Err(RpcError::Exit(reason)) => term!({exit, {exception, (reason)}}),
        Err(RpcError::Throw(value)) => term!({throw, (value)}),
        Err(RpcError::Signal(reason)) => term!({exit, {signal, (reason)}}),
        Err(RpcError::Erpc(ErpcError::NoConnection { .. })) => {
            term!({error, {erpc, noconnection}})
        }
        Err(RpcError::Erpc(ErpcError::NotSupported)) => term!({error, {erpc, notsup}}),
        Err(RpcError::Erpc(ErpcError::Timeout)) => term!({error, {erpc, timeout}}),
        Err(RpcError::Erpc(ErpcError::Other(reason))) => term!({error, {erpc, (reason)}}),
        Err(other) => anyhow::bail!("no exception of Erlang's: {other}"),
    })
}

fn is_idle(counts: NodeCounts) -> Result<()> {
    ensure!(counts.calls == 0 && counts.relations == 0, "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn every_way_to_end_is_what_another_beam_node_gets() -> Result<()> {
    let world = World::new().await?;
    let (asker, server) = (world.beam("asker").await?, world.beam("server").await?);
    let node = world.node("rust")?.start().await?;
    let target = name_of(&server)?;
    let calls = [
        ("lists", "sum", "[[1,2,3]]", 5000),
        ("erlang", "throw", "[{thrown,<<\"x\">>}]", 5000),
        ("erlang", "exit", "[{because,1.5}]", 5000),
        ("erlang", "exit", "[normal]", 5000),
        ("erlang", "error", "[{odd,#{a => 1}}]", 5000),
        ("erlang", "hd", "[[]]", 5000),
        ("lists", "sum", "[[a]]", 5000),
        ("nosuch", "function", "[1,x]", 5000),
        ("lists", "nosuch", "[]", 5000),
        ("timer", "sleep", "[infinity]", 100),
        ("lists", "foreach", "[none,1]", 5000),
        ("erlang", "apply", "[erlang,make_tuple,lists:seq(1,300)]", 5000),
        ("erlang", "length", "[lists:seq(1,100000)]", 5000),
    ];
    for (module, function, args, time) in calls {
        let erlang = format!(
            "try erpc:call('{target}', {module}, {function}, {args}, {time}) of V -> {{return, V}} \
             catch C:R -> {{C, R}} end"
        );
        let expected = asker.eval(&erlang).await?;
        let args = literal(&asker, args).await?;
        let ours = node.rpc(&target, module, function, args, Duration::from_millis(time)).await;
        let ours = printed(&asker, as_erlang(ours)?).await?;
        assert_eq!(ours, expected, "{module}:{function}");
    }
    is_idle(node.counts())
}

#[tokio::test]
async fn a_result_over_our_limits_is_no_exit() -> Result<()> {
    let world = World::new().await?;
    let server = world.beam("server").await?;
    let node = world.node("rust")?.start().await?;
    const DEPTH: usize = 1000;
    let deep = [&[131][..], &[108, 0, 0, 0, 1].repeat(DEPTH), &[106; DEPTH + 1]].concat();
    let deep = vec![Term::from(deep.as_slice())];
    let result = node.rpc(&name_of(&server)?, "erlang", "binary_to_term", deep, SOON).await;
    ensure!(matches!(result, Err(RpcError::Erpc(ErpcError::TooLarge))), "{result:?}");
    is_idle(node.counts())
}

#[tokio::test]
async fn a_process_that_is_killed_and_a_node_that_is_lost() -> Result<()> {
    let world = World::new().await?;
    let mut server = world.beam("server").await?;
    let node = world.node("rust")?.start().await?;
    let target = name_of(&server)?;
    let sleep = node.rpc(&target, "timer", "sleep", vec![term!(infinity)], None);
    let kill = async {
        let find = "[P] = [P || P <- processes(), \
                    {current_function, {timer, sleep, 1}} =:= \
                    process_info(P, current_function)], exit(P, {on, purpose})";
        eventually(SOON, "a sleeper to kill", async || server.eval(find).await).await
    };
    let (slept, done) = tokio::join!(sleep, kill);
    assert_eq!(done?, "true");
    match slept {
        Err(RpcError::Signal(reason)) => assert_eq!(reason, term!({on, purpose})),
        other => panic!("{other:?}"),
    }

    let sleep = node.rpc(&target, "timer", "sleep", vec![term!(infinity)], None);
    let (slept, done) = tokio::join!(sleep, async {
        eventually(SOON, "the call", async || {
            ensure!(node.counts().calls == 1);
            Ok(())
        })
        .await?;
        server.kill9().await
    });
    done?;
    ensure!(
        matches!(slept, Err(RpcError::Erpc(ErpcError::NoConnection { cause: None }))),
        "{slept:?}"
    );
    // And now there is no such node.
    let none = node.rpc(&target, "erlang", "node", vec![], SOON).await;
    ensure!(
        matches!(none, Err(RpcError::Erpc(ErpcError::NoConnection { cause: Some(_) }))),
        "{none:?}"
    );
    is_idle(node.counts())
}

#[tokio::test]
async fn calls_that_are_given_up_leave_nothing_on_either_side() -> Result<()> {
    let world = World::new().await?;
    let server = world.beam("server").await?;
    let node = world.node("rust")?.start().await?;
    let target = name_of(&server)?;
    node.connect(&target).await?;
    let sleep = |time: u64| {
        let node = node.clone();
        let target = target.clone();
        async move {
            let args = vec![Term::Int(20)];
            node.rpc(&target, "timer", "sleep", args, Duration::from_millis(time)).await
        }
    };
    // Some end in time, some do not, some so early that there is no process yet.
    let all = futures::future::join_all((0..2000).map(|n| sleep(n % 40))).await;
    assert!(
        all.iter().all(|result| matches!(result, Ok(_) | Err(RpcError::Erpc(ErpcError::Timeout))))
    );
    assert!(all.iter().any(Result::is_err));
    for n in 0..200 {
        let call = sleep(10_000);
        let _ = tokio::time::timeout(Duration::from_micros(n * 20), call).await;
    }
    eventually(SOON, "no call", async || is_idle(node.counts())).await?;
    let monitored = "lists:sum([length(L) || P <- processes(), \
                     {monitored_by, L} <- [process_info(P, monitored_by)], \
                     lists:any(fun(M) -> is_pid(M) andalso node(M) =/= node() end, L)])";
    server.eval_until(SOON, monitored, "0").await
}

#[tokio::test]
async fn casts_run_and_several_nodes_are_called_at_once() -> Result<()> {
    let world = World::new().await?;
    let (one, two) = (world.beam("one").await?, world.beam("two").await?);
    let node = world.node("rust")?.start().await?;
    let nobody = "nobody@127.0.0.1".parse()?;
    let put = Mfa::new("persistent_term", "put", vec![term!(cast), term!(arrived)])?;
    node.rpc_cast(&name_of(&one)?, put).await?;
    one.eval_until(SOON, "persistent_term:get(cast, none)", "arrived").await?;

    let targets = [name_of(&one)?, nobody, name_of(&two)?];
    let mfa = Mfa::new("erlang", "node", vec![])?;
    let results = node.multicall(&targets, &mfa, &RpcOptions::new().timeout(SOON)).await;
    assert_eq!(results[0].as_ref().unwrap().as_atom().unwrap(), one.name());
    ensure!(matches!(results[1], Err(RpcError::Erpc(ErpcError::NoConnection { cause: Some(_) }))));
    assert_eq!(results[2].as_ref().unwrap().as_atom().unwrap(), two.name());
    is_idle(node.counts())
}

/// Arguments in Erlang syntax as terms.
async fn literal(beam: &integration::Beam, args: &str) -> Result<Vec<Term>> {
    let bytes = beam.eval(format!("base64:encode_to_string(term_to_binary({args}))")).await?;
    let bytes = decode_base64(bytes.trim_matches('"'));
    let term = dist::etf::decode(&bytes.into(), &dist::etf::Limits::default())?;
    term.into_list().map_err(|term| anyhow::anyhow!("no list: {term}"))
}

/// A term as the BEAM node prints it.
async fn printed(beam: &integration::Beam, term: Term) -> Result<String> {
    let bytes = dist::etf::encode(&term)?.into_bytes();
    let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
    beam.eval(format!("binary_to_term(<<{}>>)", bytes.join(","))).await
}

fn decode_base64(text: &str) -> Vec<u8> {
    let value = |c: u8| -> Option<u32> {
        Some(u32::from(match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    };
    let mut bytes = Vec::new();
    for chunk in text.as_bytes().chunks(4) {
        let values: Vec<u32> = chunk.iter().filter_map(|c| value(*c)).collect();
        let bits = values.iter().fold(0, |bits, value| bits << 6 | value);
        let bits = bits << (6 * (4 - values.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..values.len()]);
    }
    bytes
}
