%% Times the BEAM's own codec: for each line `Times File` on stdin, how many nanoseconds it takes to decode
%% what is in the file so many times, in a process of its own.
-module(codec).
-export([start/0]).

start() ->
    case io:get_line("") of
        eof ->
            halt();
        Line ->
            [Times, File] = string:lexemes(Line, " \n"),
            io:format("~b~n", [decode(File, list_to_integer(Times))]),
            start()
    end.

decode(File, Times) ->
    {ok, Binary} = file:read_file(File),
    Parent = self(),
    {Pid, Ref} = spawn_monitor(fun() ->
        Start = erlang:monotonic_time(nanosecond),
        decode_all(Binary, Times),
        Parent ! {self(), erlang:monotonic_time(nanosecond) - Start}
    end),
    receive
        {Pid, Took} -> erlang:demonitor(Ref, [flush]), Took;
        {'DOWN', Ref, process, Pid, Reason} -> exit(Reason)
    end.

decode_all(_, 0) -> ok;
decode_all(Binary, Left) ->
    _ = binary_to_term(Binary),
    decode_all(Binary, Left - 1).
