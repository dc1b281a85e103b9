//! A busy link, whose socket is left alone between two reads. A test binary of its own, so that nobody
//! else's files are counted.

use std::time::Duration;

use anyhow::{Result, ensure};
use dist::etf::Term;
use integration::{SOON, World, eventually};

/// Bursts of 1 to 40 messages that are echoed. The next one begins when the whole of it is back, at once or a
/// little later, so that bursts end in every moment of a pause; `{lost, Burst}` if something stays away.
const BURSTS: &str = "Echo = {echo, 'NODE'}, Me = self(),
    Burst = fun(I) ->
        Size = 1 + I * 7 rem 40,
        [Echo ! {Me, {I, K}} || K <- lists:seq(1, Size)],
        Back = [receive {I, K} -> ok after 10000 -> lost end || K <- lists:seq(1, Size)],
        [erlang:yield() || _ <- lists:seq(1, I rem 100)],
        lists:all(fun(B) -> B =:= ok end, Back) end,
    case lists:dropwhile(Burst, lists:seq(1, 3000)) of [] -> ok; [I | _] -> {lost, I} end";

fn open_files() -> Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_messages_of_a_burst_come_too_and_nothing_stays_open() -> Result<()> {
    let world = World::new().await?;
    let beam = world.beam("beam").await?;
    let node = world.node("rust")?.start().await?;
    let mut echo = node.register("echo")?;
    let task = tokio::spawn(async move {
        while let Some(message) = echo.recv().await {
            let [to, what] = <[Term; 2]>::try_from(message.term.into_tuple().unwrap()).unwrap();
            echo.send(to.as_pid().unwrap().clone(), what).await.unwrap();
        }
    });
    let connect = format!("net_adm:ping('{}')", node.name());
    ensure!(beam.eval(connect).await? == "pong", "no connection");
    let before = open_files()?;
    let bursts = BURSTS.replace("NODE", node.name().as_str());
    assert_eq!(beam.eval_within(Duration::from_secs(120), bursts).await?, "ok");
    eventually(SOON, "the timer to be given back", async || {
        let now = open_files()?;
        ensure!(now <= before, "{before} files were open, now {now}");
        Ok(())
    })
    .await?;
    task.abort();
    Ok(())
}
