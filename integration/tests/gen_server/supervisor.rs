//! A supervisor in Rust, as BEAM nodes see it, beside one of OTP with the same children.

use std::time::Duration;

use anyhow::Result;
use dist::etf::{Pid, Term, term};
use dist::{ChildSpec, Exit, GenServer, Intensity, Node, Process, Restart, Shutdown, Supervisor};
use integration::{SOON, eventually};

use super::pair::Pair;
use super::scorer::Scorer;

/// Three servers, of which `b` is transient and `c` temporary; each tells `watcher` when it ends.
fn children(node: &Node, watcher: &Pid) -> Vec<ChildSpec> {
    let init = |score: i64| {
        let (node, watcher) = (node.clone(), watcher.clone());
        move || (node.clone(), term!({(score), (&watcher)}))
    };
    vec![
        ChildSpec::server::<Scorer>("a", init(1)),
        ChildSpec::server::<Scorer>("b", init(2)).restart(Restart::Transient),
        ChildSpec::server::<Scorer>("c", init(3)).restart(Restart::Temporary),
    ]
}

/// The same in Erlang, in a process that is never ended by it.
fn in_erlang(restarts: usize) -> String {
    format!(
        "Init = fun(Watcher) -> {{ok, {{#{{strategy => one_for_one, intensity => {restarts}, period => 5}}, \
           [#{{id => Id, start => {{gen_server, start_link, [{{local, Id}}, scorer, {{Score, Watcher}}, []]}}, restart => R}} \
            || {{Id, Score, R}} <- [{{a, 1, permanent}}, {{b, 2, transient}}, {{c, 3, temporary}}]]}}}} end, "
    )
}

async fn both(restarts: usize, expression: &str) -> Result<(String, String)> {
    let pair = Pair::new().await?;
    // The callback module of a supervisor is one function.
    let forms = "Forms = [begin {ok, T, _} = erl_scan:string(F ++ \".\"), {ok, P} = erl_parse:parse_form(T), P end \
         || F <- [\"-module(sup)\", \"-export([init/1])\", \"init({F, W}) -> F(W)\"]], \
         {ok, sup, B} = compile:forms(Forms), {module, sup} = code:load_binary(sup, \"sup\", B), ok";
    pair.beam.eval(forms).await?;
    // The watcher is a process of the asker that keeps what it is told.
    let watcher = "W = spawn(fun() -> (fun F(L) -> receive {get, P} -> P ! {told, lists:reverse(L)}, F([]); M -> F([M | L]) end end)([]) end), register(watcher, W), W";
    let watcher_pid = {
        let mut inbox = pair.rust.register("inbox")?;
        let code = format!("{watcher}, {{inbox, '{}'}} ! W, ok", pair.rust.name());
        pair.asker.eval(code).await?;
        inbox.recv().await.and_then(|message| message.term.as_pid().cloned())
    };
    let watcher_pid = watcher_pid.ok_or_else(|| anyhow::anyhow!("no watcher"))?;
    let start = format!(
        "{} spawn(fun() -> process_flag(trap_exit, true), {{ok, _}} = supervisor:start_link({{local, sup}}, sup, \
         {{Init, erpc:call('{}', erlang, whereis, [watcher])}}), receive never -> ok end end), \
         (fun F() -> case whereis(sup) of undefined -> timer:sleep(5), F(); _ -> supervisor:which_children(sup) end end)(), ok",
        in_erlang(restarts),
        pair.asker.name()
    );
    pair.beam.eval(start).await?;
    let intensity = Intensity { restarts, within: Duration::from_secs(5) };
    let specs = children(&pair.rust, &watcher_pid);
    Supervisor::start_named(&pair.rust, "sup", (intensity, specs)).await?;
    let mut results = Vec::new();
    for node in [pair.beam.name(), pair.rust.name().as_str()] {
        let code = format!(
            "N = '{node}', S = {{sup, N}}, \
             Whole = fun F(Name) -> try gen_server:call({{Name, N}}, pid) catch exit:_ -> timer:sleep(5), F(Name) end end, \
             Which = fun() -> [{{I, is_pid(P), T}} || {{I, P, T, _}} <- supervisor:which_children(S)] end, \
             Crash = fun(Name) -> P = Whole(Name), M = monitor(process, P), exit(P, kill), \
               receive {{'DOWN', M, _, _, R}} -> R end end, \
             End = fun(Name, Reason) -> catch gen_server:call({{Name, N}}, {{stop, Reason}}) end, \
             Told = fun() -> watcher ! {{get, self()}}, receive {{told, T}} -> T end end, \
             Run = fun() -> {expression} end, Result = Run(), _ = Told(), Result"
        );
        results.push(pair.asker.eval(code).await?.replace(node, "NODE"));
    }
    let rust = results.pop().unwrap_or_default();
    Ok((results.pop().unwrap_or_default(), rust))
}

async fn same(restarts: usize, expressions: &[&str]) -> Result<()> {
    let each: Vec<_> = expressions.iter().map(|one| format!("(fun() -> {one} end)()")).collect();
    let (beam, rust) = both(restarts, &format!("[{}]", each.join(", "))).await?;
    assert_eq!(rust, beam, "{expressions:?}");
    Ok(())
}

#[tokio::test]
async fn a_crashed_child_comes_back_under_its_name() -> Result<()> {
    same(
        10,
        &[
            "Which()",
            "lists:sort(supervisor:count_children(S))",
            // A new process with a new state.
            "P = Whole(a), 8 = gen_server:call({a, N}, {add, 7}), Crash(a), Q = Whole(a), {P =/= Q, gen_server:call({a, N}, {add, 0})}",
            "P = Whole(a), End(a, normal), Q = Whole(a), P =/= Q",
            // Transient: back after a failure, not after an end in order.
            "P = Whole(b), End(b, oops), Q = Whole(b), P =/= Q",
            "End(b, {shutdown, done}), supervisor:which_children(S), Which()",
            // Temporary: gone.
            "Crash(c), supervisor:which_children(S), Which()",
            "lists:sort(supervisor:count_children(S))",
            "[supervisor:terminate_child(S, X) || X <- [a, a, nobody]]",
            "Which()",
            "[element(1, supervisor:restart_child(S, a)), supervisor:restart_child(S, a), supervisor:restart_child(S, nobody)]",
            "[supervisor:delete_child(S, X) || X <- [a, b, b]]",
            "[supervisor:F(S, Id) || F <- [terminate_child, restart_child, delete_child], Id <- [\"a\", {a, 1}, <<>>]]",
            "Which()",
        ],
    )
    .await
}

#[tokio::test]
async fn too_many_restarts_end_the_supervisor_and_its_children() -> Result<()> {
    same(
        2,
        &[
            "M = monitor(process, S), Told(), [Crash(a) || _ <- [1, 2, 3]], receive {'DOWN', M, _, _, R} -> R end",
            "[catch gen_server:call({X, N}, pid) || X <- [a, b, c]]",
            // The last one started is ended first.
            "Told()",
        ],
    )
    .await
}

#[tokio::test]
async fn a_supervisor_that_is_stopped_ends_its_children_first() -> Result<()> {
    same(
        2,
        &[
            "M = monitor(process, {a, N}), gen_server:stop(S, shutdown, 5000), receive {'DOWN', M, _, _, R} -> R after 0 -> later end",
            "Told()",
            "[catch gen_server:call({X, N}, pid) || X <- [sup, a, b, c]]",
        ],
    )
    .await
}

#[tokio::test]
async fn children_that_do_not_obey_are_killed_and_plain_processes_are_supervised() -> Result<()> {
    let pair = Pair::new().await?;
    let node = &pair.rust;
    let stubborn = |process: Process| async move {
        process.trap_exit(true);
        if process.register("stubborn").is_err() {
            return Exit(term!(name_taken));
        }
        std::future::pending::<()>().await;
        Exit::normal()
    };
    let child = ChildSpec::process("stubborn", stubborn)
        .shutdown(Shutdown::Within(Duration::from_millis(50)));
    let nested = ChildSpec::server::<Supervisor>("nested", || {
        (Intensity::default(), vec![ChildSpec::process("idle", |_| std::future::pending::<()>())])
    });
    let init = (Intensity { restarts: 3, within: SOON }, vec![child, nested]);
    let pid = Supervisor::start(node, init).await?;
    let first = eventually(SOON, "the child", async || node.whereis("stubborn")).await?;
    let count = node.call(&pid, term!(count_children), Some(SOON)).await?;
    assert_eq!(count, term!([{specs, 2}, {active, 2}, {supervisors, 1}, {workers, 1}]));
    let mut watcher = node.process()?;
    watcher.exit(&first, term!(kill)).await;
    let second =
        eventually(SOON, "another", async || node.whereis("stubborn").filter(|pid| *pid != first))
            .await?;
    let monitor = watcher.monitor(&second).await;
    node.stop(&pid, Exit::shutdown(), Some(SOON)).await?;
    let down = watcher.recv().await.map(|message| message.term);
    let expected = term!({(Term::atom("DOWN")), (&monitor), process, (&second), killed});
    assert_eq!(down, Some(expected));
    drop(watcher);
    assert_eq!(node.counts().processes, 0);
    Ok(())
}

#[tokio::test]
async fn a_child_that_cannot_start_ends_those_before_it() -> Result<()> {
    let pair = Pair::new().await?;
    let node = pair.rust.clone();
    let good = {
        let node = node.clone();
        ChildSpec::server::<Scorer>("good", move || (node.clone(), Term::Int(1)))
    };
    let bad = {
        let node = node.clone();
        ChildSpec::server::<Scorer>("bad", move || (node.clone(), term!({fail, no_disk})))
    };
    let failed = Supervisor::start(&node, (Intensity::default(), vec![good, bad])).await;
    let reason = term!({shutdown, {failed_to_start_child, bad, no_disk}});
    assert_eq!(failed, Err(dist::ServerStartError::Init(Exit(reason))));
    assert_eq!(node.counts().processes, 0);
    Ok(())
}
