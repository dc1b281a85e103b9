%% The server of the tests in tests/gen_server, as one writes it in Erlang; scorer.rs beside them is the same in Rust.
-module(scorer).
-behaviour(gen_server).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).
-record(state, {score, watcher = none, from = none, last = none}).

init({fail, Reason}) -> {stop, Reason};
init({Score, Watcher}) -> process_flag(trap_exit, true), {ok, #state{score = Score, watcher = Watcher}};
init(Score) -> {ok, #state{score = Score}}.

handle_call({echo, Term}, _From, S) -> {reply, Term, S};
handle_call({add, N}, _From, S = #state{score = Score}) -> {reply, Score + N, S#state{score = Score + N}};
handle_call(pid, _From, S) -> {reply, self(), S};
handle_call(never, _From, S) -> {noreply, S};
handle_call({later, Ms, Term}, From, S) ->
    spawn(fun() -> timer:sleep(Ms), gen_server:reply(From, Term) end),
    {noreply, S};
handle_call({hand_over, Pid}, From, S) -> Pid ! {handed, From}, {noreply, S};
handle_call(keep, From, S) -> {noreply, S#state{from = From}};
handle_call(release, _From, S) -> gen_server:reply(S#state.from, kept), {reply, ok, S#state{from = none}};
handle_call({stop, Reason}, _From, S) -> {stop, Reason, S};
handle_call({stop, Reason, Reply}, _From, S) -> {stop, Reason, Reply, S};
handle_call({trap, Trap}, _From, S) -> {reply, process_flag(trap_exit, Trap), S};
handle_call({link, Pid}, _From, S) -> {reply, link(Pid), S};
handle_call({watch, Pid}, _From, S) -> {reply, ok, S#state{watcher = Pid}};
handle_call(last, _From, S) -> {reply, S#state.last, S}.

handle_cast({set, N}, S) -> {noreply, S#state{score = N}};
handle_cast({tell, Pid, Term}, S) -> Pid ! Term, {noreply, S};
handle_cast({stop, Reason}, S) -> {stop, Reason, S}.

handle_info({ping, Pid}, S) -> Pid ! {pong, S#state.score}, {noreply, S};
handle_info({stop, Reason}, S) -> {stop, Reason, S};
handle_info(Message, S) -> {noreply, S#state{last = Message}}.

terminate(_Reason, #state{watcher = none}) -> ok;
terminate(Reason, #state{watcher = Watcher, score = Score}) -> Watcher ! {terminated, Score, Reason}.
