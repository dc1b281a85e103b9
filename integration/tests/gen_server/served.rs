//! What BEAM nodes see of a server in Rust is what they see of one in Erlang.

use anyhow::Result;

use super::pair::Pair;

#[tokio::test]
async fn calls() -> Result<()> {
    let pair = Pair::new().await?;
    pair.same(&[
        "gen_server:call(S, {echo, {a, 1.5, <<1>>, [x|y], #{k => v}, self()}}) =:= {a, 1.5, <<1>>, [x|y], #{k => v}, self()}",
        "[gen_server:call(S, {add, 3}), gen_server:call(P, {add, 4})]",
        "catch gen_server:call({nobody, N}, x)",
        "gen_server:call(S, {later, 50, x})",
        "gen_server:call(S, {echo, x}, infinity)",
        // The one before waits until the one after has come.
        "spawn(fun() -> timer:sleep(50), gen_server:call(S, release) end), gen_server:call(S, keep)",
        // Somebody else replies, on another node.
        "Self = self(), spawn(fun() -> Me = self(), spawn(fun() -> Self ! {r, gen_server:call(S, {hand_over, Me})} end), receive {handed, F} -> gen_server:reply(F, hello) end end), receive {r, R} -> R end",
        // A hundred at once, of a hundred processes.
        "Self = self(), [spawn(fun() -> Self ! gen_server:call(S, {add, 1}) end) || _ <- lists:seq(1, 100)], lists:sort([receive R -> R end || _ <- lists:seq(1, 100)]) =:= lists:seq(1, 100)",
        // Large ones both ways.
        "B = binary:copy(<<\"ab\">>, 1000000), gen_server:call(S, {echo, {B, B}}) =:= {B, B}",
    ])
    .await
}

#[tokio::test]
async fn a_reply_that_is_late_reaches_nobody() -> Result<()> {
    let pair = Pair::new().await?;
    pair.same(&[
        "{catch gen_server:call(S, never, 50), receive M -> M after 100 -> nothing end}",
        // The late reply is sent before the one to `release`, to the same process.
        "{catch gen_server:call(S, keep, 50), gen_server:call(S, release), receive M -> M after 0 -> nothing end}",
        "{catch gen_server:multi_call([N], scorer, keep, 50), gen_server:call(S, release), receive M -> M after 0 -> nothing end}",
        "Id = gen_server:send_request(S, keep), {gen_server:receive_response(Id, 50), gen_server:call(S, release), receive M -> M after 0 -> nothing end}",
        "Id = gen_server:send_request(S, keep), {gen_server:wait_response(Id, 50), gen_server:call(S, release), gen_server:wait_response(Id, 2000)}",
    ])
    .await
}

#[tokio::test]
async fn ends() -> Result<()> {
    let pair = Pair::new().await?;
    pair.same(&[
        "catch gen_server:call(S, {stop, oops})",
        "catch gen_server:call(S, {stop, normal})",
        "{gen_server:call(S, {stop, shutdown, bye}), begin M = monitor(process, P), receive {'DOWN', M, _, _, R} when R =:= shutdown; R =:= noproc -> gone end end, catch gen_server:call(S, x)}",
        "M = monitor(process, S), catch gen_server:call(S, {stop, {bad, [reason]}}), receive {'DOWN', M, T, O, R} -> {T, O, R} end",
        "M = monitor(process, P), gen_server:cast(S, {stop, {bad, #{r => 1}}}), receive {'DOWN', M, T, O, R} -> {T, O =:= P, R} end",
        "M = monitor(process, P), S ! {stop, sent}, receive {'DOWN', M, _, _, R} -> R end",
        "process_flag(trap_exit, true), link(P), gen_server:cast(S, {stop, {bad, link}}), receive {'EXIT', P, R} -> R end",
        "process_flag(trap_exit, true), link(P), exit(P, {from, outside}), receive {'EXIT', P, R} -> R end",
        "process_flag(trap_exit, true), link(P), exit(P, kill), receive {'EXIT', P, R} -> R end",
        "exit(P, normal), gen_server:call(S, {echo, alive})",
        "gen_server:stop(S)",
        "M = monitor(process, P), {gen_server:stop(S, {shutdown, now}, 1000), receive {'DOWN', M, _, _, R} -> R end}",
        "{'EXIT', R} = (catch gen_server:stop({nobody, N})), R",
        "gen_server:call(S, {watch, self()}), gen_server:call(S, {add, 7}), gen_server:stop(S), receive {terminated, Score, R} -> {Score, R} end",
        "gen_server:call(S, {watch, self()}), catch gen_server:call(S, {stop, oops}), receive {terminated, Score, R} -> {Score, R} end",
        // terminate comes before the reply.
        "gen_server:call(S, {watch, self()}), R = gen_server:call(S, {stop, normal, bye}), {R, receive {terminated, _, _} -> before after 0 -> not_yet end}",
        // Not trapping, it is not asked.
        "gen_server:call(S, {watch, self()}), M = monitor(process, P), exit(P, out), receive {'DOWN', M, _, _, R} -> R end, receive {terminated, _, _} = T -> T after 100 -> not_asked end",
        // Trapping, it is a message like any other.
        "gen_server:call(S, {trap, true}), exit(P, out), {'EXIT', F, R} = gen_server:call(S, last), {F =:= self(), R}",
        // A linked process that ends takes it along.
        "M = monitor(process, P), spawn(fun() -> gen_server:call(S, {link, self()}), exit({with, me}) end), receive {'DOWN', M, _, _, R} -> R end",
        // Dying during many calls tells each of them.
        "Self = self(), [spawn(fun() -> Self ! (catch gen_server:call(S, never)) end) || _ <- lists:seq(1, 20)], timer:sleep(100), exit(P, {struck, down}), lists:usort([receive {'EXIT', {R, _}} -> R end || _ <- lists:seq(1, 20)])",
    ])
    .await
}

#[tokio::test]
async fn casts_messages_and_their_order() -> Result<()> {
    let pair = Pair::new().await?;
    pair.same(&[
        "[gen_server:cast(S, {set, 41}), gen_server:call(S, {add, 1})]",
        "[gen_server:cast({nobody, N}, x), gen_server:cast(P, {set, 4}), gen_server:call(S, {add, 0})]",
        "gen_server:abcast([N], scorer, {set, 5}), gen_server:call(S, {add, 0})",
        "P ! {ping, self()}, receive M -> M end",
        "S ! {some, [thing]}, gen_server:call(S, last)",
        "S ! {'$gen_cast', {set, 3}}, gen_server:call(S, {add, 0})",
        "[gen_server:cast(S, {tell, self(), I}) || I <- lists:seq(1, 1000)], [receive I -> I end || _ <- lists:seq(1, 1000)] =:= lists:seq(1, 1000)",
    ])
    .await
}

#[tokio::test]
async fn requests_that_are_waited_for_later() -> Result<()> {
    let pair = Pair::new().await?;
    pair.same(&[
        "Id = gen_server:send_request(S, {add, 2}), gen_server:wait_response(Id, 2000)",
        "Id = gen_server:send_request(S, {add, 2}), gen_server:receive_response(Id, infinity)",
        "Id = gen_server:send_request({nobody, N}, x), gen_server:receive_response(Id, infinity)",
        "Id = gen_server:send_request(S, {stop, oops}), gen_server:receive_response(Id, infinity)",
        "Id = gen_server:send_request(S, {later, 20, x}), receive M -> gen_server:check_response(M, Id) end",
        // Collections have tags of their own.
        "C1 = gen_server:send_request(S, {later, 40, x}, slow, gen_server:reqids_new()), C2 = gen_server:send_request(S, {echo, y}, fast, C1), {A, fast, C3} = gen_server:receive_response(C2, 2000, true), {B, slow, C4} = gen_server:receive_response(C3, 2000, true), {A, B, gen_server:receive_response(C4, 2000, true)}",
    ])
    .await
}

#[tokio::test]
async fn a_tag_of_any_shape_comes_back_as_it_was() -> Result<()> {
    let pair = Pair::new().await?;
    let ask = "Ask = fun(Tag) -> S ! {'$gen_call', {self(), Tag}, {echo, hi}}, receive {Tag, R} -> R after 2000 -> none end end, ";
    let shapes = [
        "[Ask(T) || T <- [make_ref(), 1, -1, {a, b}, {make_ref(), N}, [x|y], \"text\", <<\"bin\">>, 1.5, [], [alias], [alias, 1], [alias, make_ref()], [alias|x], [[alias|x]|y], [[alias]|y], #{}, self(), fun erlang:node/0]]",
        // To an alias, however deep the tag hides it.
        "A = alias(), Ask([alias|A])",
        "A = alias(), Ask([[alias|A]|make_ref()])",
        "A = alias(), Ask([[alias|A]|x])",
        "A = alias([reply]), {Ask([alias|A]), unalias(A)}",
        // One that is no more gets nothing.
        "A = alias(), unalias(A), Ask([alias|A])",
        "A = alias(), unalias(A), Ask([[alias|A]|x])",
    ];
    for shape in shapes {
        let (beam, rust) = pair.both(&format!("{ask}{shape}")).await?;
        assert_eq!(rust, beam, "{shape}");
    }
    Ok(())
}

#[tokio::test]
async fn many_nodes_at_once() -> Result<()> {
    let pair = Pair::new().await?;
    pair.same(&[
        "gen_server:multi_call([N], scorer, {add, 1})",
        "gen_server:multi_call([N], scorer, {add, 1}, infinity)",
        "gen_server:multi_call([node(), N, 'nobody@127.0.0.1'], scorer, {add, 1}, 2000)",
        "gen_server:multi_call([node() | nodes(connected)], nobody, {add, 1}, infinity), ok",
        "gen_server:multi_call([N], scorer, never, 50)",
        "gen_server:multi_call([N], scorer, {stop, oops}, infinity)",
    ])
    .await?;
    // Everybody at once, and nobody is waited for in vain.
    pair.fresh().await?;
    let all = "{Replies, []} = gen_server:multi_call([node() | nodes(connected)] -- [node()], scorer, {add, 1}, infinity), lists:sort([R || {_, R} <- Replies])";
    assert_eq!(pair.asker.eval(all).await?, "[1,1]");
    let everybody = "{Replies, [Me]} = gen_server:multi_call([node() | nodes(connected)], scorer, {add, 1}, infinity), {length(Replies), Me =:= node()}";
    assert_eq!(pair.asker.eval(everybody).await?, "{2,true}");
    Ok(())
}

#[tokio::test]
async fn the_questions_of_sys() -> Result<()> {
    let pair = Pair::new().await?;
    pair.same(&[
        "{sys:suspend(S), catch gen_server:call(S, {add, 1}, 50), sys:resume(S), gen_server:call(S, {add, 1})}",
        // While suspended calls wait, in their order.
        "sys:suspend(P), Self = self(), spawn(fun() -> Self ! {r, gen_server:call(S, {add, 1})} end), timer:sleep(50), gen_server:cast(S, {set, 10}), Waits = receive {r, _} -> false after 50 -> true end, sys:resume(P), {Waits, receive {r, R} -> R end, gen_server:call(S, {add, 0})}",
        "{sys:suspend(S), sys:suspend(S), sys:resume(S), sys:resume(S), gen_server:call(S, {echo, x})}",
        "sys:suspend(S), M = monitor(process, P), exit(P, out), receive {'DOWN', M, _, _, R} -> R end",
        "sys:suspend(S), M = monitor(process, P), {sys:terminate(S, {told, by, sys}), receive {'DOWN', M, _, _, R} -> R end}",
        "gen_server:call(S, {watch, self()}), sys:terminate(S, enough), receive {terminated, _, R} -> R end",
        "sys:suspend(S), {status, Q, {module, M}, [D, C, Parent, Debug, Misc]} = sys:get_status(S), {Q =:= P, M, is_list(D), C, Parent =:= P, Debug, [K || {K, _} <- Misc], proplists:get_value(header, Misc), [{K, V} || {K, V} <- proplists:get_value(data, Misc), K =/= \"Parent\"]}",
        "element(2, lists:keyfind('$initial_call', 1, hd(element(4, sys:get_status(S))))) =/= x",
        "[sys:statistics(S, true), gen_server:call(S, {add, 1}), gen_server:cast(S, {set, 1}), gen_server:call(S, {add, 1}), begin {ok, L} = sys:statistics(S, get), {[K || {K, _} <- L], proplists:get_value(messages_in, L), proplists:get_value(messages_out, L)} end, sys:statistics(S, false), sys:statistics(S, get)]",
        "sys:log(S, true), gen_server:call(S, {add, 1}), gen_server:cast(S, {set, 1}), {ok, L} = sys:log(S, get), {[case E of {out, R, _, _} -> {out, R}; {in, M} -> {in, element(1, M)}; {noreply, _} -> noreply end || E <- L], sys:log(S, print), sys:log(S, false)}",
        "[sys:log(S, {true, 2}), gen_server:call(S, {add, 1}), gen_server:call(S, {add, 1}), length(element(2, sys:log(S, get))), sys:no_debug(S), sys:log(S, get)]",
        "[sys:trace(S, false), sys:log_to_file(S, false), sys:remove(S, fun(A, _, _) -> A end)]",
        "[element(1, sys:change_code(S, scorer, 1, [])), gen_server:call(S, {echo, x})]",
        // Questions that nobody asks have an answer too.
        "Ask = fun(Q) -> T = make_ref(), P ! {system, {self(), T}, Q}, receive {T, R} -> R after 2000 -> none end end, [Ask(Q) || Q <- [foo, {foo, 1}, 7, {}, {debug, foo}, {debug, {log, foo}}, {debug, {foo, 1}}, {debug, {}}, {change_code, a, b}]]",
        "sys:suspend(S), Ask = fun(Q) -> T = make_ref(), P ! {system, {self(), T}, Q}, receive {T, R} -> R after 2000 -> none end end, [Ask(Q) || Q <- [foo, {foo, 1}]]",
    ])
    .await
}
