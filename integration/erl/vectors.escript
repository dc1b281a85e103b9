#!/usr/bin/env escript
%%! +pc unicode
%% Writes what OTP makes of many terms: test vectors for the external term format.
%%
%% Usage: escript vectors.escript FILE
%%
%% One vector a line, with tabs between: name, the bytes in hexadecimal, those that OTP itself writes for the same term ("="
%% when they are the same), and what ~0tp prints ("-" where that would depend on the node that prints). The reader is
%% expected to write the second bytes, too; where it should keep the form that it has read instead, they are "=" as well.
-mode(compile).

main([File]) ->
    {ok, Out} = file:open(File, [write, {encoding, utf8}]),
    io:format(Out, "# Written by OTP ~s, made by integration/erl/vectors.escript (cargo xtask vectors).~n",
              [erlang:system_info(otp_release)]),
    io:format(Out, "# name, bytes, the bytes that OTP writes for it (=: the same), what ~~0tp prints (-: undefined)~n", []),
    [write(Out, Vector) || Vector <- vectors()],
    ok = file:close(Out).

write(Out, {kept, {Name, Bytes, Printed}}) ->
    write(Out, Name, Bytes, "=", Printed);
write(Out, {Name, Bytes, Printed}) ->
    case term_to_binary(binary_to_term(Bytes), [{minor_version, 2}]) of
        Bytes -> write(Out, Name, Bytes, "=", Printed);
        Other -> write(Out, Name, Bytes, hex(Other), Printed)
    end.

write(Out, Name, Bytes, Canonical, Printed) ->
    io:format(Out, "~ts\t~s\t~s\t~ts~n", [Name, hex(Bytes), Canonical, Printed]).

hex(Bytes) ->
    [io_lib:format("~2.16.0b", [Byte]) || <<Byte>> <= Bytes].

%% A term in the form that OTP writes by itself.
term(Name, Term) ->
    {Name, term_to_binary(Term, [{minor_version, 2}]), print(Term)}.

%% A term in another form that OTP writes on request.
term(Name, Term, Options) ->
    {Name, term_to_binary(Term, Options), print(Term)}.

%% Bytes in a form that OTP only reads.
bytes(Name, Bytes) ->
    {Name, Bytes, print(binary_to_term(Bytes))}.

%% An identifier: how it is printed depends on the node that prints.
identifier(Name, Bytes, Format, Arguments) ->
    true = is_identifier(binary_to_term(Bytes)),
    {Name, Bytes, io_lib:format(Format, Arguments)}.

is_identifier(Term) -> is_pid(Term) orelse is_port(Term) orelse is_reference(Term).

print(Term) -> io_lib:format("~0tp", [Term]).

vectors() ->
    lists:flatten(
      [integers(), floats(), atoms(), binaries(), bitstrings(), lists(), tuples(), maps(), pids(), ports(),
       references(), funs(), nested(), compressed()]).

integers() ->
    Edges = [0, 1, 127, 255, 256, 32767, 65535, 65536, 16#7ffffff, 16#8000000, 16#7fffffff, 16#80000000, 16#80000001,
             16#ffffffff, 16#100000000, 16#7ffffffffffffff, 16#800000000000000, 16#800000000000001,
             16#fffffffffffffff, 16#7fffffffffffffff, 16#8000000000000000, 16#8000000000000001,
             16#ffffffffffffffff, 16#10000000000000000],
    Powers = [1 bsl (8 * Bytes) || Bytes <- [9, 15, 16, 17, 31, 32, 64, 127, 128, 253, 254, 255, 256, 300, 1000]],
    Big = lists:append([[Power - 1, Power, Power + 1] || Power <- Powers]),
    Digits = [123456789012345678901234567890, 1000000000000000000000000000000000000000],
    [[[term(["integer_", integer_to_list(N band 16#ffff), "_", integer_to_list(bits(N))], N),
       term(["integer_minus_", integer_to_list(N band 16#ffff), "_", integer_to_list(bits(N))], -N)]
      || N <- lists:usort(Edges ++ Big ++ Digits)],
     bytes("integer_wide_zero", <<131, 98, 0:32>>),
     bytes("integer_big_zero", <<131, 110, 0, 0>>),
     bytes("integer_big_minus_zero", <<131, 110, 1, 1, 0>>),
     bytes("integer_big_five", <<131, 110, 4, 1, 5, 0, 0, 0>>),
     bytes("integer_large_big_five", <<131, 111, 2:32, 0, 5, 0>>),
     bytes("integer_large_big_padded", <<131, 111, 12:32, 1, 1:96/little>>),
     bytes("integer_big_sign_of_two", <<131, 110, 1, 2, 7>>)].

bits(0) -> 0;
bits(N) -> 1 + bits(N bsr 1).

floats() ->
    Floats = [0.0, -0.0, 1.0, -1.0, 1.5, 0.1, 0.2, 0.3, 100.0, 1000.0, 10000.0, 1.0e5, 1500.0, 12345.0, 123456.7, 0.001,
              0.0001, 1.23e-4, 0.00001, 1.0e15, 1.0e16, 9007199254740991.0, 9007199254740992.0, 1.0e21, 1.0e22,
              1.0e23, 1.7976931348623157e308, 2.2250738585072014e-308, 5.0e-324, math:pi(), -math:exp(1.0),
              1.0 / 3.0, 123456789012345680.0],
    [[term(["float_", float_to_list(F, [short])], F),
      term(["float_text_", float_to_list(F, [short])], F, [{minor_version, 0}])]
     || F <- Floats].

atoms() ->
    Long = [{"255", lists:duplicate(255, $a)}, {"255_wide", lists:duplicate(255, $é)},
            {"256_bytes", lists:duplicate(128, $é)}, {"255_bytes", [$a | lists:duplicate(127, $é)]},
            {"255_emoji", lists:duplicate(255, 16#1f600)}],
    Texts = ["", "a", "ok", "hello world", "Elixir.Enum", "Foo", "_x", "1a", "foo@bar", "foo_Bar1", "a.b", "it's",
             "back\\slash", "new\nline", "tab\tescape\e", [0, 1, 127, 128, 159, 160], "é", "Éa", "aÉ", "a÷", "日本語",
             [16#1f600], "nonode@nohost", "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr",
             "bxor", "case", "catch", "cond", "div", "end", "fun", "if", "let", "not", "of", "or", "orelse",
             "receive", "rem", "try", "when", "xor", "true", "nil"],
    Latin = ["", "ok", "hello world", "é", "Éa", lists:duplicate(255, $é)],
    [[term(["atom_", integer_to_list(At)], list_to_atom(Text)) || {At, Text} <- number(Texts)],
     [term(["atom_", Name], list_to_atom(Text)) || {Name, Text} <- Long],
     [term(["atom_latin1_", integer_to_list(At)], list_to_atom(Text), [{minor_version, 1}])
      || {At, Text} <- number(Latin)],
     [bytes(["atom_small_latin1_", integer_to_list(At)], <<131, 115, (length(Text)), (list_to_binary(Text))/binary>>)
      || {At, Text} <- number(Latin)],
     bytes("atom_wide_utf8", <<131, 118, 2:16, "ok">>)].

number(List) -> lists:zip(lists:seq(1, length(List)), List).

binaries() ->
    Binaries = [<<>>, <<"hello">>, <<"quote\" back\\slash">>, <<"lines\r\n\t\v\b\f\e">>, <<127>>, <<0>>, <<1, 2, 3>>,
                <<"héllo"/utf8>>, <<"héllo">>, <<"日本語"/utf8>>, <<16#1f600/utf8>>, <<16#fffe/utf8>>,
                <<255>>, <<128>>, <<159>>, <<160>>, <<"a", 0>>, <<"é"/utf8, 0>>, <<16#85/utf8>>, <<16#ed, 16#a0, 16#80>>,
                binary:copy(<<"x">>, 255), binary:copy(<<"x">>, 256), binary:copy(<<7>>, 4096)],
    [term(["binary_", integer_to_list(At)], Binary) || {At, Binary} <- number(Binaries)].

bitstrings() ->
    [[term(["bits_", integer_to_list(Bits)], <<(16#5a5a5a5a5a bsr 3):Bits>>) || Bits <- [1, 2, 3, 4, 5, 6, 7, 9, 15, 17, 31]],
     term("bits_string", <<"abc", 1:1>>),
     bytes("bits_none", <<131, 77, 0:32, 0>>),
     bytes("bits_whole", <<131, 77, 2:32, 8, 1, 2>>),
     bytes("bits_garbage", <<131, 77, 2:32, 3, 1, 2#10111111>>)].

lists() ->
    Lists = [[], [1], [0], [255], [256], [-1], "hello", "lines\r\n\t\v\b\f\e", "quote\" back\\slash", [127], [31],
             "héllo", "日本語", [16#1f600], [16#d800], [16#fffe], [16#110000], [$a, 1.0], [$a, b], [[]], [[[]], []],
             lists:seq(1, 300), lists:duplicate(300, $a), [ok, "text", <<"text">>], [a | b], [1, 2 | 3], [[a | b] | c],
             [1 | <<"x">>], [a, b | {}], [a | #{}], [$a | $b], lists:duplicate(40, {a, 1})],
    [[term(["list_", integer_to_list(At)], List) || {At, List} <- number(Lists)],
     bytes("list_of_bytes", <<131, 108, 2:32, 97, 1, 97, 2, 106>>),
     bytes("list_empty_string", <<131, 107, 0:16>>),
     bytes("list_empty", <<131, 108, 0:32, 106>>),
     bytes("list_of_no_elements", <<131, 108, 0:32, 97, 1>>),
     bytes("list_in_tail", <<131, 108, 1:32, 97, 1, 108, 1:32, 97, 2, 106>>),
     bytes("list_string_in_tail", <<131, 108, 1:32, 97, 1, 107, 2:16, 2, 3>>),
     bytes("list_improper_in_tail", <<131, 108, 1:32, 97, 1, 108, 1:32, 97, 2, 97, 3>>),
     bytes("list_empty_in_tail", <<131, 108, 1:32, 97, 1, 108, 0:32, 106>>)].

tuples() ->
    [term("tuple_0", {}), term("tuple_1", {a}), term("tuple_2", {a, {b, {}}}),
     term("tuple_255", list_to_tuple(lists:seq(1, 255))), term("tuple_256", list_to_tuple(lists:seq(1, 256))),
     bytes("tuple_large_form", <<131, 105, 1:32, 97, 1>>)].

maps() ->
    Seq = fun(N) -> maps:from_list([{K, K * K} || K <- lists:seq(1, N)]) end,
    [term("map_0", #{}), term("map_1", #{a => 1}), term("map_numbers", #{1 => int, 1.0 => float}),
     term("map_keys", #{{a, 1} => 1, [1, 2] => 2, <<"bin">> => 3, #{x => y} => 4, "str" => 5, [] => 6, -7 => 7}),
     term("map_nested", #{a => #{b => #{c => []}}}),
     term("map_32", Seq(32)),
     % Larger maps are not printed in the order that they are written in.
     [unprinted(term(["map_", integer_to_list(N)], Seq(N))) || N <- [33, 100, 1000]],
     % Maps keep the order of the wire.
     {kept, unprinted(term("map_deterministic", Seq(40), [deterministic, {minor_version, 2}]))},
     {kept, unprinted(bytes("map_unsorted", <<131, 116, 2:32, 97, 2, 97, 0, 97, 1, 97, 0>>))}].

unprinted({Name, Bytes, _}) -> {Name, Bytes, "-"}.

nodes_and_creations() ->
    [{'n1@127.0.0.1', 0}, {'n1@127.0.0.1', 1}, {'n1@127.0.0.1', 16#6b02f1dd}, {'a-long-name-of-a-node@host.example.org', 16#ffffffff},
     {'é@host', 4}].

pids() ->
    Ids = [{0, 0}, {84, 0}, {16#7fff, 16#1fff}, {16#0fffffff, 16#ffffffff}, {16#ffffffff, 1}],
    Print = fun(Node, Id, Serial) -> ["#Pid<~ts.~w.~w>", [Node, Id, Serial]] end,
    [[apply(fun identifier/4, ["pid_" ++ integer_to_list(At),
                               <<131, 88, (atom(Node))/binary, Id:32, Serial:32, Creation:32>> | Print(Node, Id, Serial)])
      || {At, {{Node, Creation}, {Id, Serial}}} <- number([{N, I} || N <- nodes_and_creations(), I <- Ids])],
     identifier("pid_old", <<131, 103, (atom('n1@host'))/binary, 84:32, 7:32, 2>>, "#Pid<n1@host.84.7>", [])].

ports() ->
    Long = [16#10000000, 16#ffffffff, 16#ffffffffffffffff],
    Print = fun(Node, Id) -> ["#Port<~ts.~w>", [Node, Id]] end,
    [[apply(fun identifier/4, ["port_" ++ integer_to_list(At),
                               <<131, 89, (atom(Node))/binary, Id:32, Creation:32>> | Print(Node, Id)])
      || {At, {{Node, Creation}, Id}} <- number([{N, I} || N <- nodes_and_creations(), I <- [0, 5, 16#fffffff]])],
     [apply(fun identifier/4, ["port_long_" ++ integer_to_list(At),
                               <<131, 120, (atom(Node))/binary, Id:64, Creation:32>> | Print(Node, Id)])
      || {At, {{Node, Creation}, Id}} <- number([{N, I} || N <- nodes_and_creations(), I <- Long])],
     identifier("port_long_form", <<131, 120, (atom('n1@host'))/binary, 5:64, 9:32>>, "#Port<n1@host.5>", []),
     identifier("port_old", <<131, 102, (atom('n1@host'))/binary, 5:32, 2>>, "#Port<n1@host.5>", [])].

references() ->
    Words = [[1], [1, 2], [16#3ffff, 2, 3], [1, 2, 3, 4], [16#ffffffff, 16#fffffffe, 3, 4, 5]],
    Print = fun(Node, Ws) -> ["#Ref<~ts~s>", [Node, [[$. | integer_to_list(W)] || W <- lists:reverse(Ws)]]] end,
    [[apply(fun identifier/4, ["reference_" ++ integer_to_list(At),
                               <<131, 90, (length(Ws)):16, (atom(Node))/binary, Creation:32,
                                 (<< <<W:32>> || W <- Ws >>)/binary>> | Print(Node, Ws)])
      || {At, {{Node, Creation}, Ws}} <- number([{N, W} || N <- nodes_and_creations(), W <- Words])],
     identifier("reference_old", <<131, 114, 3:16, (atom('n1@host'))/binary, 2, 1:32, 2:32, 3:32>>,
                "#Ref<n1@host.3.2.1>", []),
     identifier("reference_oldest", <<131, 101, (atom('n1@host'))/binary, 77:32, 2>>, "#Ref<n1@host.77>", [])].

atom(Atom) ->
    <<131, Bytes/binary>> = term_to_binary(Atom, [{minor_version, 2}]),
    Bytes.

%% Compiled, so that the funs are those of a module and not of this script.
funs() ->
    Source = ["-module(vector_funs).",
              "-export([plain/0, closure/1, named/0, nested/1]).",
              "plain() -> fun() -> ok end.",
              "closure(X) -> fun(A, B) -> {X, A, B} end.",
              "named() -> fun local/3.",
              "nested(F) -> fun(A) -> F(A) end.",
              "local(A, B, C) -> [A, B, C]."],
    Forms = [begin {ok, Tokens, _} = erl_scan:string(Line), {ok, Form} = erl_parse:parse_form(Tokens), Form end
             || Line <- Source],
    {ok, Module, Code} = compile:forms(Forms, [deterministic]),
    {module, Module} = code:load_binary(Module, "vector_funs.beam", Code),
    Closure = Module:closure({"text", <<"binary">>, 1.5, [a | b], #{k => v}}),
    [term("fun_plain", Module:plain()), term("fun_closure", Closure), term("fun_named", Module:named()),
     term("fun_nested", Module:nested(Module:nested(Closure))),
     term("fun_in_tuple", {before, Closure, 'after'}),
     % Funs keep their bytes.
     {kept, term("fun_latin1", Closure, [{minor_version, 1}])},
     term("export", fun lists:reverse/1), term("export_quoted", fun 'Elixir.Enum':'hello world'/255),
     bytes("export_wide_arity", <<131, 113, 119, 1, $m, 119, 1, $f, 98, 0:32>>),
     bytes("fun_wrong_size", wrong_size(term_to_binary(Closure, [{minor_version, 2}])))].

wrong_size(<<131, 112, Size:32, Rest/binary>>) -> <<131, 112, (Size - 1):32, Rest/binary>>.

nested() ->
    Deep = fun(N, Wrap) -> lists:foldl(fun(_, Inner) -> Wrap(Inner) end, ok, lists:seq(1, N)) end,
    [term("deep_tuples", Deep(500, fun(T) -> {T} end)),
     term("deep_lists", Deep(500, fun(T) -> [T] end)),
     term("deep_maps", Deep(500, fun(T) -> #{k => T} end)),
     term("flat_tail", Deep(5000, fun(T) -> [x | T] end)),
     term("message", {'$gen_cast', {event, 42, <<"hello">>}}),
     term("proplist", [{list_to_atom("key" ++ integer_to_list(N)), N, <<"value">>} || N <- lists:seq(1, 20)])].

compressed() ->
    [term("compressed_text", lists:duplicate(100, <<"the same again">>), [compressed, {minor_version, 2}]),
     term("compressed_best", lists:seq(1, 500), [{compressed, 9}, {minor_version, 2}]),
     term("compressed_map", #{list => lists:duplicate(200, $x)}, [{compressed, 1}, {minor_version, 2}])].
