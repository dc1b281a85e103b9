#!/usr/bin/env escript
%%! +pc unicode
%% Reads encoded terms and says what OTP makes of them.
%%
%% Usage: escript terms.escript IN OUT
%%
%% IN: 4 bytes of length and an encoded term, again and again. OUT, a line for each, with tabs between: the bytes that OTP
%% writes for it, what ~0tp prints, and how it compares to the term before (<, >, == or =:=).
-mode(compile).

main([In, Out]) ->
    {ok, Input} = file:read_file(In),
    {ok, Output} = file:open(Out, [write, {encoding, utf8}]),
    each(Input, none, Output),
    ok = file:close(Output).

each(<<>>, _Before, _Output) ->
    ok;
each(<<Size:32, Bytes:Size/binary, Rest/binary>>, Before, Output) ->
    Term = try binary_to_term(Bytes)
           catch error:badarg -> erlang:error({not_a_term, Bytes})
           end,
    io:format(Output, "~s\t~0tp\t~s~n",
              [hex(term_to_binary(Term, [{minor_version, 2}])), Term, compare(Before, Term)]),
    each(Rest, Term, Output).

hex(Bytes) ->
    << <<(digit(Nibble))>> || <<Nibble:4>> <= Bytes >>.

digit(Nibble) when Nibble < 10 -> $0 + Nibble;
digit(Nibble) -> $a + Nibble - 10.

compare(A, B) when A =:= B -> "=:=";
compare(A, B) when A == B -> "==";
compare(A, B) when A < B -> "<";
compare(_, _) -> ">".
