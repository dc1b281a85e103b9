%% Measures calls from this node: N callers at once, each making its share of them.
-module(bench).
-behaviour(gen_server).
-export([idle_servers/1, init/1, handle_call/3, handle_cast/2]).
-export([call/3, erpc/3, broadcast/3, count_broadcasts/1, join/3, seen/2]).

%% {Median, 99th percentile} in microseconds of gen_server:call/3 to a server that replies at once.
call(Server, Callers, Calls) ->
    measure(fun() -> pong = gen_server:call(Server, ping, infinity) end, Callers, Calls).

%% The same of erpc:call/4 of a function that is there.
erpc(Node, Callers, Calls) ->
    measure(fun() -> 1 = erpc:call(Node, erlang, abs, [-1]) end, Callers, Calls).

measure(Call, Callers, Calls) ->
    Parent = self(),
    Share = max(1, Calls div Callers),
    Pids = [spawn_link(fun() -> Parent ! {self(), times(Call, Share)} end)
            || _ <- lists:seq(1, Callers)],
    Times = lists:sort(lists:append([receive {Pid, T} -> T end || Pid <- Pids])),
    Count = length(Times),
    {lists:nth(Count div 2 + 1, Times) / 1000, lists:nth(Count * 99 div 100 + 1, Times) / 1000}.

times(_, 0) -> [];
times(Call, Left) ->
    Start = erlang:monotonic_time(nanosecond),
    Call(),
    End = erlang:monotonic_time(nanosecond),
    [End - Start | times(Call, Left - 1)].

%% Microseconds for each of so many broadcasts, until every one of the nodes has got all of them.
broadcast(Name, Nodes, Count) ->
    Start = erlang:monotonic_time(microsecond),
    [ok = 'Elixir.Member.PubSub':broadcast(Name, <<"bench">>, {n, N}) || N <- lists:seq(1, Count)],
    [ok = gen_server:call({counter, Node}, {seen, Count}, infinity) || Node <- Nodes],
    (erlang:monotonic_time(microsecond) - Start) / Count.

%% Counts what is broadcast, and tells whoever asks when it has seen as many.
count_broadcasts(Name) ->
    Parent = self(),
    Pid = spawn(fun() ->
        ok = 'Elixir.Member.PubSub':subscribe(Name, <<"bench">>),
        Parent ! {self(), ready},
        count(0)
    end),
    register(counter, Pid),
    receive {Pid, ready} -> ok end.

count(Seen) ->
    receive
        {n, _} -> count(Seen + 1);
        {'$gen_call', From, {seen, Count}} when Count =< Seen ->
            gen:reply(From, ok),
            count(Seen - Count)
    end.

%% Seconds until a node sees so many new processes in a group.
join(Group, Count, Node) ->
    Pids = [spawn(fun() -> timer:sleep(infinity) end) || _ <- lists:seq(1, Count)],
    Start = erlang:monotonic_time(microsecond),
    ok = pg:join(pg, Group, Pids),
    ok = erpc:call(Node, bench, seen, [Group, Count], infinity),
    (erlang:monotonic_time(microsecond) - Start) / 1.0e6.

%% Waits until a group has so many members.
seen(Group, Count) ->
    case length(pg:get_members(pg, Group)) of
        Count -> ok;
        _ -> timer:sleep(1), seen(Group, Count)
    end.

%% Bytes of memory that each of so many gen_servers takes which wait for a message.
idle_servers(Count) ->
    Before = erlang:memory(processes),
    Pids = [element(2, gen_server:start(?MODULE, [], [])) || _ <- lists:seq(1, Count)],
    After = erlang:memory(processes),
    [exit(Pid, kill) || Pid <- Pids],
    (After - Before) / Count.

init([]) -> {ok, []}.
handle_call(_, _, State) -> {reply, State, State}.
handle_cast(_, State) -> {noreply, State}.
