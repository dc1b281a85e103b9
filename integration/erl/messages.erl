%% Sends and counts small messages.
-module(messages).
-export([expect/1, took/0, send/2]).

%% From now on the process `sink` counts messages; see took/0.
expect(Count) ->
    Owner = self(),
    spawn(fun() ->
        {Sink, Monitor} = spawn_monitor(fun() -> exit({took, count(Count)}) end),
        true = register(sink, Sink),
        true = register(owner, self()),
        Owner ! {self(), ready},
        receive {'DOWN', Monitor, process, Sink, Result} -> ok end,
        receive {took, From} -> From ! Result end
    end),
    receive {_, ready} -> ok end.

%% Nanoseconds from the first to the last of the messages that were expected, once all are there.
took() ->
    owner ! {took, self()},
    receive {took, Nanoseconds} -> Nanoseconds end.

count(Count) ->
    receive {'$gen_cast', _} -> ok end,
    Start = erlang:monotonic_time(nanosecond),
    drain(Count - 1),
    erlang:monotonic_time(nanosecond) - Start.

drain(0) -> ok;
drain(Left) -> receive {'$gen_cast', _} -> drain(Left - 1) end.

%% Sends so many small messages.
send(_, 0) -> ok;
send(To, Left) ->
    To ! {'$gen_cast', {event, 42, <<"hello">>}},
    send(To, Left - 1).
