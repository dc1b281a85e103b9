%% Runs inside a BEAM node that the harness starts: `erl -eval`, so it is a sequence of expressions, not a module.
%% Reads requests from the harness over TCP (loopback, unless BEAM_HARNESS_HOST says otherwise) and answers them; ends the node when the harness goes away.
%%
%%   harness -> node   <<Id:64, Session:32, Language:8, Code/binary>>     each in {packet, 4}
%%   node -> harness   <<Id:64, Status:8, Text/binary>>                   status 0 is a value, 1 an exception
%%
%% Session 0 is a process of its own for each request; any other number is one process that lives on, with its bindings.
%% The standard streams stay free for whatever the node prints.

Print = fun(Value) -> unicode:characters_to_binary(io_lib:format("~0tp", [Value])) end,

Erlang = fun(Code, Bindings) ->
    Characters = unicode:characters_to_list(Code),
    {ok, Tokens, _} = erl_scan:string(Characters),
    Complete = case lists:reverse(Tokens) of
        [{dot, _} | _] -> Tokens;
        _ -> Tokens ++ [{dot, erl_anno:new(1)}]
    end,
    {ok, Expressions} = erl_parse:parse_exprs(Complete),
    {value, Value, After} = erl_eval:exprs(Expressions, Bindings),
    {Print(Value), After}
end,

Elixir = fun(Code, Bindings) ->
    {Value, _} = 'Elixir.Code':eval_string(Code),
    {'Elixir.Kernel':inspect(Value, [{limit, infinity}, {printable_limit, infinity}]), Bindings}
end,

Evaluate = fun(0, Code, Bindings) -> Erlang(Code, Bindings); (1, Code, Bindings) -> Elixir(Code, Bindings) end,

Answer = fun(Socket, Id, Language, Code, Bindings) ->
    {Status, Text, After} =
        try Evaluate(Language, Code, Bindings) of
            {Printed, New} -> {0, Printed, New}
        catch
            Class:Reason:Stack ->
                Message = io_lib:format("~tp: ~0tp~n  at ~0tp", [Class, Reason, Stack]),
                {1, unicode:characters_to_binary(Message), Bindings}
        end,
    gen_tcp:send(Socket, <<Id:64, Status:8, Text/binary>>),
    After
end,

Session = fun Loop(Socket, Bindings) ->
    receive
        {evaluate, Id, Language, Code} -> Loop(Socket, Answer(Socket, Id, Language, Code, Bindings))
    end
end,

Serve = fun Loop(Socket, Sessions) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, <<Id:64, 0:32, Language:8, Code/binary>>} ->
            spawn(fun() -> Answer(Socket, Id, Language, Code, erl_eval:new_bindings()) end),
            Loop(Socket, Sessions);
        {ok, <<Id:64, Number:32, Language:8, Code/binary>>} ->
            Known = case maps:find(Number, Sessions) of
                {ok, Old} -> case is_process_alive(Old) of true -> Sessions; false -> maps:remove(Number, Sessions) end;
                error -> Sessions
            end,
            {Pid, Now} = case maps:find(Number, Known) of
                {ok, Living} -> {Living, Known};
                error ->
                    New = spawn(fun() -> Session(Socket, erl_eval:new_bindings()) end),
                    {New, maps:put(Number, New, Known)}
            end,
            Pid ! {evaluate, Id, Language, Code},
            Loop(Socket, Now);
        {error, _} ->
            erlang:halt(0)
    end
end,

spawn(fun() ->
    Port = list_to_integer(os:getenv("BEAM_HARNESS_PORT")),
    Token = list_to_binary(os:getenv("BEAM_HARNESS_TOKEN")),
    Host = os:getenv("BEAM_HARNESS_HOST", "127.0.0.1"),
    {ok, Socket} = gen_tcp:connect(Host, Port, [binary, {packet, 4}, {active, false}, {nodelay, true}]),
    %% Not before the rest of the boot: a node answers only once it is wholly up.
    case os:getenv("BEAM_HARNESS_ELIXIR") of
        false -> ok;
        _ -> {ok, _} = application:ensure_all_started(elixir)
    end,
    ok = gen_tcp:send(Socket, Token),
    Serve(Socket, #{})
end).
