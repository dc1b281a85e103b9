//! What a server in Rust answers otherwise than one in Erlang, and what only it can suffer.

use anyhow::Result;
use dist::etf::{Term, term};
use dist::{Exit, GenServer, ServerStartError};
use integration::{SOON, eventually};

use super::pair::Pair;
use super::scorer::Scorer;

#[tokio::test]
async fn what_needs_a_beam_is_refused_as_sys_expects() -> Result<()> {
    let pair = Pair::new().await?;
    pair.fresh().await?;
    let server = format!("S = {{scorer, '{}'}}, ", pair.rust.name());
    for (question, answer) in [
        ("sys:get_state(S)", "{state,0}"),
        (
            "try sys:replace_state(S, fun(X) -> X end) catch error:{callback_failed, F, R} -> {is_function(F), R} end",
            "{true,{error,notsup}}",
        ),
        ("sys:suspend(S), sys:change_code(S, scorer, 1, [])", "{error,notsup}"),
        ("sys:resume(S)", "ok"),
        ("sys:install(S, {fun(A, _, _) -> A end, 0})", "unknown_debug"),
        ("sys:log_to_file(S, \"x\")", "{error,open_file}"),
        ("gen_server:call(S, {echo, x})", "x"),
    ] {
        assert_eq!(pair.asker.eval(format!("{server}{question}")).await?, answer, "{question}");
    }
    Ok(())
}

#[tokio::test]
async fn a_panic_ends_one_server_alone() -> Result<()> {
    let pair = Pair::new().await?;
    pair.fresh().await?;
    Scorer::start_named(&pair.rust, "other", (pair.rust.clone(), Term::Int(5))).await?;
    let name = pair.rust.name();
    let panic =
        format!("{{'EXIT', {{R, _}}}} = (catch gen_server:call({{scorer, '{name}'}}, panic)), R");
    assert_eq!(pair.asker.eval(panic).await?, "{rust_panic,<<\"out of cheese\">>}");
    let other = format!("gen_server:call({{other, '{name}'}}, {{add, 1}})");
    assert_eq!(pair.asker.eval(other).await?, "6");
    // A reply that has no external form ends the server too, so that nobody waits for ever.
    let nan = format!(
        "{{'EXIT', {{{{error, R}}, _}}}} = (catch gen_server:call({{other, '{name}'}}, unencodable)), R"
    );
    let reason = pair.asker.eval(nan).await?;
    assert!(reason.contains("NaN"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn calls_that_are_none_hurt_nobody() -> Result<()> {
    let pair = Pair::new().await?;
    pair.fresh().await?;
    let name = pair.rust.name();
    let odd = format!(
        "S = {{scorer, '{name}'}}, [S ! M || M <- [{{'$gen_call', x, y}}, {{'$gen_call', {{self()}}, y}}, \
         {{'$gen_call', {{x, y}}, z}}, {{'$gen_call', {{self(), t, u}}, z}}, {{'$gen_call', x}}, \
         {{'$gen_cast'}}, {{system, x, suspend}}, {{system, {{self()}}, suspend}}, {{'EXIT', self(), x}}, \
         {{'EXIT', x}}, {{'DOWN', make_ref(), process, self(), x}}, {{}}, [], x]], \
         {{gen_server:call(S, {{echo, alive}}), gen_server:call(S, last)}}"
    );
    assert_eq!(pair.asker.eval(odd).await?, "{alive,x}");
    Ok(())
}

#[tokio::test]
async fn the_starter_is_told_how_it_went() -> Result<()> {
    let pair = Pair::new().await?;
    let rust = &pair.rust;
    let start = |init: Term| Scorer::start_named(rust, "scorer", (rust.clone(), init));
    let failed = start(term!({fail, {no, "disk"}})).await;
    assert_eq!(failed, Err(ServerStartError::Init(Exit(term!({no, "disk"})))));
    let failed = start(term!(panic)).await;
    assert_eq!(failed, Err(ServerStartError::Init(Exit(term!({rust_panic, "no init"})))));
    let pid = start(term!(1)).await?;
    assert_eq!(start(term!(2)).await, Err(ServerStartError::AlreadyStarted(pid.clone())));
    assert!(matches!(
        Scorer::start_named(rust, "rex", (rust.clone(), term!(1))).await,
        Err(ServerStartError::Register(_))
    ));
    assert_eq!(rust.whereis("scorer"), Some(pid.clone()));
    rust.stop(&pid, Exit::normal(), Some(SOON)).await?;
    assert_eq!(rust.counts().processes, 0);
    Ok(())
}

#[tokio::test]
async fn a_server_ends_with_its_parent() -> Result<()> {
    let pair = Pair::new().await?;
    let rust = &pair.rust;
    let mut watcher = rust.process()?;
    for traps in [true, false] {
        let parent = rust.process()?;
        parent.trap_exit(false);
        let init = if traps { term!({7, (watcher.pid())}) } else { term!(7) };
        let pid = Scorer::start_link(&parent, Some("scorer"), (rust.clone(), init)).await?;
        let monitor = watcher.monitor(&pid).await;
        parent.stop(&Exit(term!({parent, gone})));
        if traps {
            let told = watcher.recv().await.map(|message| message.term);
            assert_eq!(told, Some(term!({terminated, 7, {parent, gone}})));
        }
        let down = watcher.recv().await.map(|message| message.term);
        assert_eq!(
            down,
            Some(term!({(Term::atom("DOWN")), (&monitor), process, (&pid), {parent, gone}}))
        );
    }
    // An init that fails is an error, and no exit signal to the one who started it.
    let parent = rust.process()?;
    parent.trap_exit(false);
    let failed = Scorer::start_link(&parent, None, (rust.clone(), term!({fail, x}))).await;
    assert_eq!(failed, Err(ServerStartError::Init(Exit(term!(x)))));
    assert!(rust.is_alive(parent.pid()));
    drop((parent, watcher));
    eventually(SOON, "no process", async || rust.counts().processes == 0).await
}
