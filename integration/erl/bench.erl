%% Measures calls from this node: N callers at once, each making its share of them.
-module(bench).
-export([call/3, erpc/3]).

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
