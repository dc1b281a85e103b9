//! A peer that stops in the middle of the exchange, or says what no `global` says: it is given up, and
//! nobody else is held up.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dist::etf::{Atom, Pid, Term, term};
use dist::{ConflictMethod, Epmd, Flags, Node, Visibility};
use integration::raw_peer::{PLAIN, frame, read};
use integration::{Answer, FakeEpmd, RawPeer, SOON, World, eventually, unique};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::mesh::{Mesh, REST};

/// What a peer does last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    /// It says that it wants to connect.
    InitConnect,
    /// It lets its node be locked.
    Lock,
    /// It says that its own partition is locked.
    LockSet,
    /// It sends its names.
    Exchange,
}

/// A node that speaks `global` up to a point, and then lets everybody wait.
struct Halting {
    peer: RawPeer,
    name: Atom,
    pid: Pid,
    stop: Stop,
    /// Told when it has gone as far as it goes.
    reached: Option<Arc<Notify>>,
}

impl Halting {
    async fn connect(rust: &Node, cookie: &str, stop: Stop) -> Result<Self> {
        let name = format!("{}@127.0.0.1", unique("raw"));
        let flags = PLAIN.with(Flags::PUBLISHED);
        let peer = RawPeer::connect(rust, &name, cookie, flags).await?;
        let name = Atom::new(name)?;
        let pid = Pid { node: name.clone(), id: 70, serial: 0, creation: 7 };
        Ok(Self { peer, name, pid, stop, reached: None })
    }

    async fn tell(&mut self, message: Term) -> Result<()> {
        let control = term!({6, (&self.pid), (Term::atom("")), global_name_server});
        self.peer.send(&frame(&control, Some(&message))).await
    }

    async fn cast(&mut self, message: Term) -> Result<()> {
        self.tell(term!({(Term::atom("$gen_cast")), (message)})).await
    }

    /// Goes as far as it goes, each time that it is asked to; tells how often it got there.
    async fn run(mut self, mut end: oneshot::Receiver<()>) -> Result<u32> {
        let mut reached = 0;
        let (mut rust_tag, mut tag) = (Term::NIL, 100);
        loop {
            if let Some(told) = &self.reached
                && reached > 0
            {
                told.notify_one();
            }
            let frame = tokio::select! {
                frame = self.peer.receive() => frame?,
                _ = &mut end => return Ok(reached),
            };
            let Some(frame) = frame else { return Ok(reached) };
            let (_, Some(payload)) = read(&frame)? else { continue };
            let Some(fields) = payload.as_tuple() else { continue };
            match fields {
                [word, cast] if word.is_atom("$gen_cast") => {
                    let Some(fields) = cast.as_tuple() else { continue };
                    let node = Term::Atom(self.name.clone());
                    match (fields[0].as_atom().map_or("", Atom::as_str), fields) {
                        ("init_connect", [_, vsn, _, _]) => {
                            rust_tag = vsn.as_tuple().context("no version")?[1].clone();
                            tag += 1;
                            let locker = term!({locker, no_longer_a_pid, [], (&self.pid)});
                            self.cast(term!({init_connect, {8, (tag)}, (node.clone()), (locker)}))
                                .await?;
                            self.tell(term!({init_connect_ack, (node), (rust_tag.clone()), (tag)}))
                                .await?;
                            reached += u32::from(self.stop == Stop::InitConnect);
                        }
                        ("lock_set", [_, _, set, ..])
                            if set.is_atom("true") && self.stop >= Stop::LockSet =>
                        {
                            let set = term!({lock_set, (&self.pid), true, [], (rust_tag.clone())});
                            self.cast(set).await?;
                            reached += u32::from(self.stop == Stop::LockSet);
                        }
                        ("exchange", _) if self.stop >= Stop::Exchange => {
                            self.cast(term!({exchange, (node), [], [], (rust_tag.clone())}))
                                .await?;
                            reached += 1;
                        }
                        _ => {}
                    }
                }
                [word, from, request] if word.is_atom("$gen_call") => {
                    let Some([Term::Pid(to), reply_tag]) = from.as_tuple() else { continue };
                    let locks =
                        request.as_tuple().is_some_and(|fields| fields[0].is_atom("set_lock"));
                    if self.stop >= Stop::Lock {
                        let control = term!({22, (&self.pid), (to)});
                        let reply = term!({(reply_tag), true});
                        self.peer
                            .send(&integration::raw_peer::frame(&control, Some(&reply)))
                            .await?;
                        reached += u32::from(locks && self.stop == Stop::Lock);
                    }
                }
                _ => {}
            }
        }
    }

    fn spawn(self) -> (oneshot::Sender<()>, JoinHandle<Result<u32>>) {
        let (end, ended) = oneshot::channel();
        (end, tokio::spawn(self.run(ended)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stops_in_the_middle_holds_nobody_up() -> Result<()> {
    let mesh = Mesh::new().await?;
    let rust = mesh.join().await?;
    let global = rust.global().context("no global")?;
    let all = [mesh.names(), vec![rust.name().to_string()]].concat();
    for (round, stop) in
        [Stop::InitConnect, Stop::Lock, Stop::LockSet, Stop::Exchange].into_iter().enumerate()
    {
        let mut peer = Halting::connect(&rust, &mesh.world.cookie, stop).await?;
        let reached = Arc::new(Notify::new());
        peer.reached = Some(reached.clone());
        let (end, peer) = peer.spawn();
        tokio::time::timeout(REST, reached.notified()).await.context(format!("{stop:?}"))?;
        // As long as it is there, names are registered by everybody.
        for (n, beam) in mesh.beams.iter().enumerate() {
            let name = format!("n_{round}_{n}");
            let register = format!(
                "P = spawn(fun() -> receive stop -> ok end end), global:register_name({name}, P)"
            );
            assert_eq!(beam.eval_within(REST, register).await.context(format!("{stop:?}"))?, "yes");
        }
        let process = rust.process()?;
        let name = Term::Int(i64::try_from(round)?);
        let registered = global.register_name(name, process.pid(), ConflictMethod::default());
        assert!(tokio::time::timeout(REST, registered).await??, "{stop:?}");
        // Everybody is still there, and no call of ours is left.
        for beam in &mesh.beams {
            assert_eq!(beam.eval(format!("net_adm:ping('{}')", rust.name())).await?, "pong");
        }
        // It may have ended with its connection.
        let _ = end.send(());
        ensure!(peer.await?? > 0, "{stop:?} was never reached");
        mesh.at_rest(&all).await.context(format!("{stop:?}"))?;
    }
    // A BEAM node that comes now finds nothing in its way.
    let late = mesh.world.beam("late").await?;
    late.eval(format!("net_kernel:connect_node('{}')", rust.name())).await?;
    mesh.at_rest(&[all, vec![late.name().to_owned()]].concat()).await?;
    mesh.is_sound().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_global_says_changes_nothing() -> Result<()> {
    let mesh = Mesh::new().await?;
    let rust = mesh.join().await?;
    let global = rust.global().context("no global")?;
    let server = rust.whereis("global_name_server").context("no global_name_server")?;
    let mut peer = Halting::connect(&rust, &mesh.world.cookie, Stop::InitConnect).await?;
    let own = Term::Atom(peer.name.clone());
    let beam = Term::Atom(Atom::new(mesh.a().name())?);
    let pid = Term::Pid(peer.pid.clone());
    let nobody = Term::Pid(Pid { id: 4_000_000, ..peer.pid.clone() });
    let locker = term!({locker, x, [], (pid.clone())});
    for cast in [
        term!(nothing),
        term!({init_connect, 8, (own.clone()), (locker.clone())}),
        term!({init_connect, {8}, (own.clone()), (locker.clone())}),
        term!({init_connect, {4, 1}, (own.clone()), (locker.clone())}),
        term!({init_connect, {8, 1}, (own.clone()), {locker, x, [], no_pid}}),
        // In the name of another.
        term!({init_connect, {8, 1}, (beam.clone()), (locker.clone())}),
        term!({exchange, (beam.clone()), [], [], 1}),
        term!({in_sync, (beam.clone()), true}),
        term!({exchange, (own.clone()), [{a, b}], [], 1}),
        term!({exchange, (own.clone()), [{a, (pid.clone()), c}], [], 1}),
        term!({resolved, (own.clone()), [{insert, x}], [], unused, [], 1}),
        term!({resolved, (own.clone()), [], [{x, y}], unused, [], 1}),
        term!({resolved, (own.clone()), [], [], unused, [], 1}),
        term!({new_nodes, (own.clone()), [], [], [{1, 2}], []}),
        term!({lock_set, (pid.clone()), maybe, [], 1}),
        term!({lock_set, (pid.clone()), true, [], 1}),
        term!({lock_set, (pid.clone()), true, []}),
        term!({async_del_name, x, (pid.clone())}),
    ] {
        peer.cast(cast).await?;
    }
    for message in [
        term!(nothing),
        term!({init_connect_ack, (own.clone()), 1, 2}),
        term!({cancel_connect, (own.clone()), 1}),
        term!({lost_connection, (own.clone()), 1, not_a_number, (beam.clone())}),
        term!({remove_connection, (beam.clone())}),
        term!({nodedown, (beam.clone())}),
        term!({(Term::atom("$node_down")), (beam.clone())}),
        term!({(Term::atom("DOWN")), 1, process, (pid.clone()), x}),
        term!({(Term::atom("$gen_call")), x, {set_lock, {a, b}}}),
        term!({(Term::atom("$gen_call")), {(pid.clone()), x}, {set_lock, a}}),
        term!({(Term::atom("$gen_call")), {(pid.clone()), x}, {register, a, b, c}}),
        term!({(Term::atom("$gen_call")), {(pid.clone()), x}, {set_lock, {of_raw, me}}}),
        term!({(Term::atom("$gen_call")), {(pid.clone()), x}, {register, of_raw, (nobody), m}}),
        term!({(Term::atom("$gen_call")), {(pid.clone()), x}, stop}),
        term!({system, {(pid), x}, suspend}),
    ] {
        peer.tell(message).await?;
    }
    // It is read in order, so once this call is answered, all that was before it was taken.
    let mut answers = 0;
    while answers < 5 {
        let frame = peer.peer.receive().await?.context("the link was closed")?;
        let (control, payload) = read(&frame)?;
        let is_reply = payload.is_some_and(
            |payload| matches!(payload.as_tuple(), Some([tag, _]) if tag.is_atom("x")),
        );
        answers += usize::from(is_reply && control.as_tuple().is_some());
    }
    assert_eq!(rust.whereis("global_name_server"), Some(server));
    drop(peer);
    let names = || global.registered_names();
    eventually(SOON, "its names to be gone", async || {
        ensure!(names().is_empty(), "{:?}", names());
        Ok(())
    })
    .await?;
    let process = rust.process()?;
    let registered =
        global.register_name(term!(afterwards), process.pid(), ConflictMethod::default());
    assert!(tokio::time::timeout(REST, registered).await??);
    let whereis = format!("node(global:whereis_name(afterwards)) =:= '{}'", rust.name());
    for beam in &mesh.beams {
        assert_eq!(beam.eval(&whereis).await?, "true");
    }
    mesh.at_rest(&[mesh.names(), vec![rust.name().to_string()]].concat()).await?;
    mesh.is_sound().await
}

/// Names of processes on nodes that nobody has heard of: to monitor them we dial those nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_can_have_us_dial_is_bounded() -> Result<()> {
    /// More than are waited for at one time: `MOST_DIALLING` and `DIALS`.
    const NAMES: u32 = 12_000;
    const WAITING: usize = 10_000;
    const DIALS: usize = 64;
    let epmd = FakeEpmd::start(|_| Answer::Silence).await?;
    let mut world = World::without_epmd()?;
    world.port = epmd.port();
    let rust = world.node("rust")?.epmd(Epmd::None).visibility(Visibility::Visible);
    let rust = rust.start().await?;
    let flags = PLAIN.with(Flags::PUBLISHED);
    let name = format!("{}@127.0.0.1", unique("raw"));
    let mut peer = RawPeer::connect(&rust, &name, &world.cookie, flags).await?;
    let own = Pid { node: Atom::new(&name)?, id: 70, serial: 0, creation: 7 };
    let control = term!({6, (&own), (Term::atom("")), global_name_server});
    let method = term!({global, random_exit_name});
    for n in 0..NAMES {
        let node = Atom::new(format!("n{n}@127.0.0.1"))?;
        let of = Pid { node, id: 1, serial: 0, creation: 4 };
        let request = term!({register, (i64::from(n)), (of), (method.clone())});
        let call = term!({(Term::atom("$gen_call")), {(&own), (i64::from(n))}, (request)});
        peer.send(&frame(&control, Some(&call))).await?;
    }
    let mut answers = 0;
    while answers < NAMES {
        let frame = peer.receive().await?.context("it is closed")?;
        let (_, payload) = read(&frame)?;
        let answer = payload.as_ref().and_then(Term::as_tuple);
        answers += u32::from(answer.is_some_and(|fields| fields[1].is_atom("yes")));
    }
    // Of more than that the nodes count as not there, and their names as gone.
    let global = rust.global().context("no global")?;
    eventually(SOON, "names that are waited for", async || {
        let names = global.registered_names().len();
        ensure!(names <= WAITING, "{names} names");
        Ok(())
    })
    .await?;
    eventually(SOON, "dials", async || epmd.most_at_once() == DIALS).await?;
    assert!(rust.counts().slots <= 1 + DIALS, "{:?}", rust.counts());
    rust.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_name_server_of_ours_begins_anew() -> Result<()> {
    let mesh = Mesh::new().await?;
    let rust = mesh.join().await?;
    mesh.b()
        .eval("P = spawn(fun() -> receive stop -> ok end end), yes = global:register_name(of_b, P)")
        .await?;
    let server = rust.whereis("global_name_server").context("no global_name_server")?;
    let kill =
        format!("exit(rpc:call('{}', erlang, whereis, [global_name_server]), kill)", rust.name());
    assert_eq!(mesh.b().eval(kill).await?, "true");
    eventually(SOON, "another global_name_server", async || {
        let now = rust.whereis("global_name_server");
        ensure!(now.is_some() && now != Some(server.clone()), "{now:?}");
        Ok(())
    })
    .await?;
    assert!(!rust.unregister("global_name_server"));
    // What is left of the mesh is put together again, as the cluster's own strategy would.
    eventually(REST, "the Rust node to be back", async || {
        for beam in &mesh.beams {
            let connect = format!("net_kernel:connect_node('{}')", rust.name());
            ensure!(beam.eval(connect).await? == "true");
        }
        mesh.a()
            .eval(format!(
                "[net_kernel:connect_node(N) || N <- ['{}','{}']]",
                mesh.b().name(),
                mesh.c().name()
            ))
            .await?;
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    mesh.joined(&rust).await?;
    let global = rust.global().context("no global")?;
    eventually(SOON, "its names", async || global.whereis_name(&term!(of_b)).is_some()).await?;
    let late = Duration::from_secs(5);
    rust.shutdown(late).await;
    mesh.is_sound().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visible_node_without_global_is_silent() -> Result<()> {
    let mesh = Mesh::new().await?;
    let rust = mesh.rust()?.global(false).start().await?;
    for beam in &mesh.beams {
        assert_eq!(beam.eval(format!("net_kernel:connect_node('{}')", rust.name())).await?, "true");
    }
    assert!(rust.global().is_none());
    assert_eq!(rust.whereis("global_name_server"), None);
    let register = "P = spawn(fun() -> receive stop -> ok end end), global:register_name(n, P)";
    assert_eq!(mesh.a().eval(register).await?, "yes");
    let known =
        format!("lists:member('{}', gen_server:call(global_name_server, get_known))", rust.name());
    for beam in &mesh.beams {
        assert_eq!(beam.eval("is_pid(global:whereis_name(n))").await?, "true");
        assert_eq!(beam.eval(&known).await?, "false");
    }
    mesh.is_sound().await
}
