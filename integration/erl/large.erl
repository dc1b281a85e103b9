%% Large terms between this node and another, and pings meanwhile. The other end is {large, Node}, here or in Rust:
%%   {From, Ref, prepare, What} -> {Ref, ok}     has a term ready
%%   {From, Ref, send}          -> {Ref, Term}   sends it
%%   {From, Ref, take, Term}    -> {Ref, ok}     keeps it
%%   {From, Ref, drop}          -> {Ref, ok}     forgets both
-module(large).
-export([start/0, out/2, push/2, back/1, pings/4, drop/1, ask/2]).

start() ->
    register(large, spawn(fun() -> loop(none) end)),
    register(pong, spawn(fun Loop() -> receive {'$gen_call', From, ping} -> gen:reply(From, pong), Loop() end end)),
    ok.

loop(Term) ->
    receive
        {From, Ref, prepare, What} -> New = make(What), From ! {Ref, ok}, loop(New);
        {From, Ref, send} -> From ! {Ref, Term}, loop(Term);
        {From, Ref, take, New} -> From ! {Ref, ok}, loop(New);
        {From, Ref, drop} -> garbage_collect(), From ! {Ref, ok}, loop(none)
    end.

make(binary) -> binary:copy(<<7>>, 100000000);
make(list) -> lists:seq(1000, 20000999).

ask(Node, Request) ->
    Ref = make_ref(),
    {large, Node} ! list_to_tuple([self(), Ref | Request]),
    receive {Ref, Answer} -> Answer end.

%% Milliseconds until a term has arrived there.
out(Node, What) ->
    Term = make(What),
    timed(fun() -> ask(Node, [take, Term]) end).

%% Sends a term to a node that does not answer: when that began, in nanoseconds since 1970.
push(Node, What) ->
    Term = make(What),
    Start = erlang:system_time(nanosecond),
    {large, Node} ! Term,
    Start.

%% Milliseconds until the term that is ready there has arrived here.
back(Node) ->
    timed(fun() -> ask(Node, [send]) end).

drop(Node) ->
    ok = ask(Node, [drop]).

%% {99th percentile, longest} in microseconds of calls to a node while a term goes to Node, while one comes back, or
%% both. Of fewer than a hundred calls the first is the second longest.
pings(Node, What, Ways, Called) ->
    ok = ask(Node, [prepare, What]),
    Parent = self(),
    Going = [spawn_link(fun() -> go(Parent, Node, What, Way), Parent ! {self(), done} end) || Way <- Ways],
    pong = gen_server:call({pong, Called}, ping, infinity),
    %% To make the term takes several times as long as to send it, and is not what is measured.
    [receive {Pid, ready} -> ok end || Pid <- Going],
    [Pid ! go || Pid <- Going],
    Times = lists:sort(ping(Called, Going)),
    Count = length(Times),
    {lists:nth(max(1, Count * 99 div 100), Times) / 1000, lists:last(Times) / 1000}.

go(Parent, Node, What, Way) ->
    Request = case Way of out -> [take, make(What)]; back -> [send] end,
    Parent ! {self(), ready},
    receive go -> ask(Node, Request) end.

ping(_, []) -> [];
ping(Node, Left) ->
    Start = erlang:monotonic_time(nanosecond),
    pong = gen_server:call({pong, Node}, ping, infinity),
    Time = erlang:monotonic_time(nanosecond) - Start,
    [Time | ping(Node, receive {Pid, done} -> lists:delete(Pid, Left) after 0 -> Left end)].

timed(Fun) ->
    Start = erlang:monotonic_time(nanosecond),
    Fun(),
    (erlang:monotonic_time(nanosecond) - Start) / 1000000.
