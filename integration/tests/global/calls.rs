//! Some forty calls that address nodes of the cluster, in a mesh of BEAM nodes alone and with a Rust
//! node, hidden and visible: the same answers, and none of them late.

use std::time::Duration;

use anyhow::{Context, Result};
use dist::etf::term;
use dist::{Exports, Visibility};
use integration::name_of;

use super::mesh::Mesh;

/// Each call has the five seconds that `gen_server:call/2` would have.
const CALLS: &str = r"
    Run = fun(F) ->
        Self = self(), R = make_ref(),
        {P, M} = spawn_monitor(fun() -> Self ! {R, catch F()} end),
        receive {R, V} -> erlang:demonitor(M, [flush]), V; {'DOWN', M, _, _, X} -> {died, X}
        after 5000 -> exit(P, kill), deadline end
    end,
    All = lists:sort([node() | nodes()]), Connected = lists:sort([node() | nodes(connected)]),
    Same = fun(Nodes, Of) -> lists:sort(Nodes) =:= Of end,
    Gns = global_name_server,
    Idle = fun() -> spawn(fun() -> receive stop -> ok end end) end,
    Calls = [
    {ping, fun() -> lists:usort([net_adm:ping(N) || N <- Connected]) end},
    {ping_nobody, fun() -> net_adm:ping('nobody@127.0.0.1') end},
    {multicall, fun() -> {R, B} = rpc:multicall(All, erlang, node, [], infinity), {Same(R, All), B} end},
    {multicall_connected, fun() -> {R, B} = rpc:multicall(Connected, erlang, node, [], infinity), {Same(R, Connected), B} end},
    {multicall_default, fun() -> {R, B} = rpc:multicall(erlang, node, []), {Same(R, All), B} end},
    {erpc_multicall, fun() -> Same([N || {ok, N} <- erpc:multicall(All, erlang, node, [])], All) end},
    {erpc_multicall_infinity, fun() -> Same([N || {ok, N} <- erpc:multicall(Connected, erlang, node, [], infinity)], Connected) end},
    {erpc_multicast, fun() -> erpc:multicast(Connected, erlang, node, []) end},
    {rpc_call, fun() -> lists:usort([rpc:call(N, erlang, is_alive, []) || N <- Connected]) end},
    {rpc_block_call, fun() -> lists:usort([rpc:block_call(N, erlang, is_alive, []) || N <- Connected]) end},
    {rpc_async_call, fun() -> lists:usort([rpc:yield(rpc:async_call(N, erlang, is_alive, [])) || N <- Connected]) end},
    {rpc_cast, fun() -> lists:usort([rpc:cast(N, erlang, node, []) || N <- Connected]) end},
    {rpc_sbcast, fun() -> {[], B} = rpc:sbcast(All, nobody_there, hello), Same(B, All) end},
    {rpc_abcast, fun() -> rpc:abcast(All, nobody_there, hello) end},
    {multi_call, fun() -> {R, B} = gen_server:multi_call(All, Gns, get_protocol_version, infinity), {Same([N || {N, _} <- R], All), lists:usort([is_integer(V) || {_, V} <- R]), B} end},
    {multi_call_default, fun() -> {R, B} = gen_server:multi_call(Gns, get_protocol_version), {Same([N || {N, _} <- R], All), B} end},
    {multi_call_rex, fun() -> {R, B} = gen_server:multi_call(Connected, rex, {call, erlang, node, [], group_leader()}, infinity), {Same([N || {N, _} <- R], Connected), B} end},
    {multi_call_nobody, fun() -> {[], B} = gen_server:multi_call(Connected, nobody_there, hello, infinity), Same(B, Connected) end},
    {abcast, fun() -> gen_server:abcast(All, nobody_there, hello) end},
    {set_lock, fun() -> Id = {r1, self()}, {global:set_lock(Id), global:del_lock(Id)} end},
    {set_lock_connected, fun() -> Id = {r2, self()}, {global:set_lock(Id, Connected, 1), global:del_lock(Id, Connected)} end},
    {set_lock_held, fun() ->
        true = global:set_lock({r3, one}), F = global:set_lock({r3, two}, All, 0), S = global:set_lock({r3, one}, All, 0),
        global:del_lock({r3, one}), {F, S, global:set_lock({r3, two}, All, 0), global:del_lock({r3, two})} end},
    {set_lock_of_the_dead, fun() ->
        {_, M} = spawn_monitor(fun() -> true = global:set_lock({r4, x}) end), receive {'DOWN', M, _, _, R} -> R end,
        {R, global:set_lock({r4, y}, All, 3), global:del_lock({r4, y})} end},
    {trans, fun() -> global:trans({r5, self()}, fun() -> done end) end},
    {trans_infinity, fun() -> global:trans({r6, self()}, fun() -> done end, All, infinity) end},
    {trans_aborted, fun() -> true = global:set_lock({r7, one}), A = global:trans({r7, two}, fun() -> done end, All, 0), global:del_lock({r7, one}), A end},
    {trans_all_at_once, fun() ->
        Self = self(), [spawn(fun() -> Self ! {T, global:trans({r8, T}, fun() -> in end)} end) || T <- [1, 2]],
        [receive {T, R} -> R end || T <- [1, 2]] end},
    {register_name, fun() ->
        P = Idle(), Y = global:register_name(n1, P), {W, []} = rpc:multicall(All, global, whereis_name, [n1]),
        {Y, W =:= [P || _ <- All], global:register_name(n1, self()), global:register_name(n1b, P), P ! stop} end},
    {re_register, fun() -> [A, B] = [Idle(), Idle()],
        yes = global:register_name(n2, A), Y = global:re_register_name(n2, B), {W, []} = rpc:multicall(All, global, whereis_name, [n2]),
        A ! stop, {Y, W =:= [B || _ <- All], B ! stop} end},
    {unregister, fun() -> P = Idle(),
        yes = global:register_name(n3, P), U = global:unregister_name(n3), {W, []} = rpc:multicall(All, global, whereis_name, [n3]),
        {U, lists:usort(W), global:unregister_name(n3), P ! stop} end},
    {register_with_method, fun() -> P = Idle(), {global:register_name(n4, P, fun global:notify_all_name/3), global:unregister_name(n4), P ! stop} end},
    {send, fun() -> Self = self(), yes = global:register_name(n5, Self), P = global:send(n5, hello), R = receive hello -> got end,
        global:unregister_name(n5), {P =:= Self, R, try global:send(n5, hello) catch exit:X -> {raised, X} end} end},
    {registered_names, fun() -> Self = self(), yes = global:register_name({n, 6}, Self), {W, []} = rpc:multicall(All, global, registered_names, []),
        global:unregister_name({n, 6}), lists:usort([lists:member({n, 6}, L) || L <- W]) end},
    {via, fun() -> yes = global:register_name(n7, spawn(fun() -> receive {'$gen_call', F, X} -> gen_server:reply(F, X) end end)),
        gen_server:call({global, n7}, hello) end},
    {sync, fun() -> {global:sync(), global:sync(All)} end},
    {spawn, fun() -> lists:usort([is_pid(spawn(N, erlang, node, [])) || N <- Connected]) end},
    {spawn_monitor, fun() -> lists:usort([begin {_, M} = spawn_monitor(N, erlang, node, []), receive {'DOWN', M, _, _, R} -> R end end || N <- Connected]) end},
    {spawn_link, fun() -> process_flag(trap_exit, true), lists:usort([begin P = spawn_link(N, erlang, node, []), receive {'EXIT', P, R} -> R end end || N <- Connected]) end},
    {spawn_opt, fun() -> lists:usort([begin {_, M} = spawn_opt(N, erlang, node, [], [monitor]), receive {'DOWN', M, _, _, R} -> R end end || N <- Connected]) end},
    {spawn_request, fun() -> lists:usort([begin I = spawn_request(N, erlang, node, []), receive {spawn_reply, I, A, _} -> A end end || N <- Connected]) end},
    {monitor_nobody, fun() -> lists:usort([begin M = monitor(process, {nobody_there, N}), receive {'DOWN', M, _, _, R} -> R end end || N <- Connected]) end},
    {monitor_server, fun() -> Ms = [monitor(process, {Gns, N}) || N <- All], {_, []} = gen_server:multi_call(All, Gns, get_known),
        [receive {'DOWN', M, _, _, R} -> R after 0 -> alive end || M <- Ms] =:= [alive || _ <- All] end},
    {get_known, fun() -> {R, []} = gen_server:multi_call(All, Gns, get_known, infinity), lists:usort([Same([N | K], All) || {N, K} <- R]) end},
    {get_synced, fun() -> {R, []} = gen_server:multi_call(All, Gns, get_synced, infinity), lists:usort([Same([N | lists:usort(K)], All) || {N, K} <- R]) end},
    {pg, fun() -> {ok, S} = pg:start(scope), ok = pg:join(scope, g, self()), M = pg:get_members(scope, g) =:= [self()], gen_server:stop(S), M end},
    {disconnected, fun() -> lists:usort([lists:member(N, Connected) || N <- nodes()]) end}
    ],
    [{Name, Run(F)} || {Name, F} <- Calls]
";

/// The answers, one a line.
async fn answers(mesh: &Mesh) -> Result<Vec<String>> {
    let printed = format!(
        "{{_, L}} = {{x, begin {CALLS} end}}, [io_lib:format(\"~0tp~n\", [A]) || A <- L], lists:flatten([io_lib:format(\"~0tp;~n\", [A]) || A <- L])"
    );
    let text = mesh.a().eval_within(Duration::from_secs(180), printed).await?;
    // Printed as one Erlang string.
    let lines = text.trim_matches('"').split(";\\n").filter(|line| !line.is_empty());
    Ok(lines.map(ToOwned::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rust_node_changes_no_answer_and_delays_none() -> Result<()> {
    let mesh = Mesh::new().await?;
    let alone = answers(&mesh).await?;
    assert!(alone.len() > 40, "{alone:#?}");
    assert!(
        alone.iter().all(|line| !line.contains("'EXIT'") && !line.contains("deadline")),
        "{alone:#?}"
    );

    let exports = Exports::new();
    exports.add("nothing", "at_all", |[]: [_; 0]| async move { term!(ok) });
    let hidden = mesh.rust()?.visibility(Visibility::Hidden).exports(exports);
    let hidden = hidden.start().await?;
    for beam in &mesh.beams {
        hidden.connect(&name_of(beam)?).await?;
    }
    assert!(hidden.global().is_none());
    same(&alone, &answers(&mesh).await?, "hidden");
    hidden.shutdown(Duration::from_secs(5)).await;
    mesh.at_rest(&mesh.names()).await?;

    let visible = mesh.join().await?;
    assert!(visible.global().context("no global")?.registered_names().is_empty());
    same(&alone, &answers(&mesh).await?, "visible");
    let counts = visible.counts();
    assert_eq!((counts.calls, counts.aliases), (0, 0), "{counts:?}");
    mesh.is_sound().await
}

fn same(alone: &[String], with: &[String], what: &str) {
    for (alone, with) in alone.iter().zip(with) {
        assert_eq!(with, alone, "with a {what} Rust node");
    }
    assert_eq!(alone.len(), with.len());
}
