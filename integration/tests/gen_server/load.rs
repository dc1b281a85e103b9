//! Many calls, of which some are answered in time, some late and some never: afterwards nothing is
//! left of any of them.

use std::time::Duration;

use anyhow::{Result, ensure};
use dist::etf::{Atom, Term, term};
use dist::{CallError, Node, NodeName};
use integration::{SOON, eventually};
use tokio::task::JoinSet;

use super::pair::Pair;

const CALLERS: u64 = 200;
const CALLS: u64 = 300;

/// Numbers that look random and are the same in each run.
fn scramble(n: u64) -> u64 {
    let mixed = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
}

async fn many(node: Node, to: NodeName, caller: u64) -> Result<(u64, u64)> {
    let (mut replies, mut timeouts) = (0, 0);
    for n in 0..CALLS {
        let chance = scramble(caller * CALLS + n);
        let id = caller * CALLS + n;
        let request = match chance % 16 {
            0 => term!(never),
            1..4 => term!({later, (chance / 16 % 4), {reply, (id)}}),
            _ => term!({echo, {reply, (id)}}),
        };
        let time =
            Duration::from_micros([0, 300, 2000, 20_000, 400_000][(chance / 64 % 5) as usize]);
        match node.call((Atom::from_static("scorer"), to.clone()), request, Some(time)).await {
            Ok(reply) => {
                ensure!(reply == term!({reply, (id)}), "another call's reply: {reply}");
                replies += 1;
            }
            Err(CallError::Timeout(_)) => timeouts += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((replies, timeouts))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_calls_with_random_time_outs_leave_nothing() -> Result<()> {
    let pair = Pair::new().await?;
    pair.fresh().await?;
    let before = pair.rust.counts();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        // To the server in Erlang; a tenth to the one of our own node.
        let to = if caller % 10 == 0 { pair.rust.name().clone() } else { pair.beam_name()? };
        callers.spawn(many(pair.rust.clone(), to, caller));
    }
    // And at the same time from a BEAM node to the server in Rust.
    let from_beam = format!(
        "S = {{scorer, '{}'}}, Self = self(), Ask = fun(N) -> \
           C = erlang:phash2(N), R = case C rem 16 of 0 -> never; 1 -> {{later, C div 16 rem 4, N}}; _ -> {{echo, N}} end, \
           try gen_server:call(S, R, element(1 + C div 64 rem 5, {{0, 1, 5, 50, 400}})) of N -> reply catch exit:{{timeout, _}} -> timeout end end, \
         Ps = [spawn(fun() -> Rs = [Ask({{P, I}}) || I <- lists:seq(1, 400)], \
           Self ! {{done, [R || R <- Rs, R =:= reply], [R || R <- Rs, R =:= timeout], process_info(self(), messages)}} end) \
           || P <- lists:seq(1, 100)], \
         Done = [receive {{done, A, B, M}} -> {{length(A), length(B), M}} end || _ <- Ps], \
         {{lists:sum([A + B || {{A, B, _}} <- Done]), lists:any(fun({{A, _, _}}) -> A > 0 end, Done), \
           lists:any(fun({{_, B, _}}) -> B > 0 end, Done), lists:usort([M || {{_, _, M}} <- Done])}}",
        pair.rust.name()
    );
    let beam = pair.asker.eval_within(Duration::from_secs(60), from_beam);
    let rust = async {
        let (mut replies, mut timeouts) = (0, 0);
        while let Some(done) = callers.join_next().await {
            let (some, late) = done??;
            replies += some;
            timeouts += late;
        }
        anyhow::Ok((replies, timeouts))
    };
    let (beam, rust) = tokio::join!(beam, rust);
    // Nothing late in any mailbox.
    assert_eq!(beam?, "{40000,true,true,[{messages,[]}]}");
    let (replies, timeouts) = rust?;
    assert_eq!(replies + timeouts, CALLERS * CALLS);
    assert!(replies > 0 && timeouts > 0, "{replies} replies, {timeouts} time-outs");
    eventually(SOON, "empty tables", async || {
        let counts = pair.rust.counts();
        ensure!(
            (counts.calls, counts.aliases, counts.relations, counts.held, counts.processes)
                == (0, 0, 0, 0, before.processes),
            "{counts:?}"
        );
        Ok(())
    })
    .await?;
    // The BEAM's server has no monitor left either, and ours still serves.
    let watchers = "length(element(2, process_info(whereis(scorer), monitored_by)))";
    pair.beam.eval_until(SOON, watchers, "0").await?;
    let alive = pair.rust.call(Atom::from_static("scorer"), term!({add, 1}), None).await?;
    assert_eq!(alive, Term::Int(1));
    Ok(())
}
