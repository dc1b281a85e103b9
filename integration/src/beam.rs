//! Real BEAM nodes.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{OnceCell, oneshot};
use tokio::time::timeout;

use crate::eventually::eventually;
use crate::frozen;
use crate::output::Output;

/// How long a node may take to start. Generous: a loaded machine of two cores runs several at once.
const START_DEADLINE: Duration = Duration::from_secs(40);
/// How long an evaluation may take unless the caller says otherwise.
const EVAL_DEADLINE: Duration = Duration::from_secs(60);
/// How long an orderly stop may take.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// For `erl -eval`: answers the harness.
pub(crate) const EVALUATOR: &str = include_str!("../erl/evaluator.erl");

const ERLANG: u8 = 0;
const ELIXIR: u8 = 1;

/// How to start a BEAM node. The defaults are a visible node with a long name that starts no EPMD of its own.
#[derive(Clone, Debug)]
pub struct BeamOptions {
    /// The whole name, for example `n1@127.0.0.1`. A host without a dot starts the node with a short name (`-sname`).
    pub name: String,
    /// The cookie, passed by `-setcookie`.
    pub cookie: String,
    /// The EPMD to register with (`ERL_EPMD_PORT`).
    pub epmd_port: u16,
    /// Whether the node starts an EPMD itself if there is none on that port. Such an EPMD is a daemon that outlives the test.
    pub start_epmd: bool,
    /// `-hidden`.
    pub hidden: bool,
    /// `-kernel net_ticktime`, in seconds.
    pub net_ticktime: Option<u32>,
    /// Whether Elixir is on the code path and started, for [`Beam::elixir`].
    pub elixir: bool,
    /// More arguments for `erl`.
    pub args: Vec<String>,
    /// More environment variables.
    pub env: Vec<(String, String)>,
}

impl BeamOptions {
    /// A visible node.
    pub fn new(name: impl Into<String>, cookie: impl Into<String>, epmd_port: u16) -> Self {
        Self {
            name: name.into(),
            cookie: cookie.into(),
            epmd_port,
            start_epmd: false,
            hidden: false,
            net_ticktime: None,
            elixir: false,
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// Starts the node with `-hidden`.
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Sets `net_ticktime`, in seconds.
    pub fn net_ticktime(mut self, seconds: u32) -> Self {
        self.net_ticktime = Some(seconds);
        self
    }

    /// Puts Elixir on the code path and starts it.
    pub fn elixir(mut self) -> Self {
        self.elixir = true;
        self
    }

    /// Adds arguments for `erl`, for example `["-kernel", "prevent_overlapping_partitions", "false"]`.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// A running BEAM node, killed when dropped.
///
/// It evaluates expressions over a loopback socket of its own, so its distribution, its standard streams and its shell
/// are as in any other node.
#[derive(Debug)]
pub struct Beam {
    options: BeamOptions,
    child: Child,
    pid: Pid,
    control: Control,
    output: Output,
}

impl Beam {
    /// Starts a node and waits until it answers.
    ///
    /// # Errors
    /// When `erl` is missing, or the node ends or does not answer within 40 s; the message has the node's output.
    pub async fn start(options: BeamOptions) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let token = crate::unique("harness");
        let mut command = command(&options).await?;
        command
            .env("BEAM_HARNESS_PORT", listener.local_addr()?.port().to_string())
            .env("BEAM_HARNESS_TOKEN", &token);
        let child = command.spawn().context(
            "erl could not be started: the tests need Erlang/OTP (`cargo xtask test` installs it)",
        )?;
        Self::attach(options, child, &listener, &token).await
    }

    /// Waits until a node answers that runs [`EVALUATOR`], has `token` and was told to report at `listener`.
    ///
    /// # Errors
    /// As [`Beam::start`].
    pub(crate) async fn attach(
        options: BeamOptions,
        mut child: Child,
        listener: &TcpListener,
        token: &str,
    ) -> Result<Self> {
        let output = Output::new();
        output.follow(child.stdout.take().context("no stdout")?);
        output.follow(child.stderr.take().context("no stderr")?);
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.context("erl ended at once")?;

        let name = options.name.clone();
        let socket = tokio::select! {
            socket = timeout(START_DEADLINE, greet(listener, token.as_bytes())) => socket
                .map_err(|_| anyhow!("it did not answer within {START_DEADLINE:?}"))
                .and_then(|socket| socket),
            status = child.wait() => Err(anyhow!("it ended: {}", status?)),
        };
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                child.kill().await.ok();
                bail!("node {name} did not start: {error}\n{}", output.text());
            }
        };
        Ok(Self { options, child, pid, control: Control::new(socket), output })
    }

    /// The node's whole name.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// What the node was started with.
    pub fn options(&self) -> &BeamOptions {
        &self.options
    }

    /// The operating system's process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// What the node has printed so far (the last 400 lines).
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Evaluates Erlang expressions in a process of their own and returns the value of the last one, printed with `~0tp`.
    /// The last dot may be left out.
    ///
    /// # Errors
    /// An exception, with its class, reason and stack; a syntax error; a node that does not answer within 20 s.
    pub async fn eval(&self, expressions: impl AsRef<str>) -> Result<String> {
        self.run(0, ERLANG, expressions.as_ref(), EVAL_DEADLINE).await
    }

    /// As [`Beam::eval`], with another deadline.
    ///
    /// # Errors
    /// As [`Beam::eval`].
    pub async fn eval_within(
        &self,
        deadline: Duration,
        expressions: impl AsRef<str>,
    ) -> Result<String> {
        self.run(0, ERLANG, expressions.as_ref(), deadline).await
    }

    /// Evaluates Elixir code and returns what `inspect/1` prints. The node must have been started with
    /// [`BeamOptions::elixir`].
    ///
    /// # Errors
    /// As [`Beam::eval`].
    pub async fn elixir(&self, code: impl AsRef<str>) -> Result<String> {
        ensure!(self.options.elixir, "node {} was started without Elixir", self.name());
        self.run(0, ELIXIR, code.as_ref(), EVAL_DEADLINE).await
    }

    /// A process on the node that lives on between evaluations and keeps its bindings and its mailbox.
    pub fn session(&self) -> Session<'_> {
        Session { beam: self, number: self.control.next_session() }
    }

    /// Polls until `expressions` print as `expected`.
    ///
    /// # Errors
    /// After `deadline`, with the last answer.
    pub async fn eval_until(
        &self,
        deadline: Duration,
        expressions: impl AsRef<str>,
        expected: &str,
    ) -> Result<()> {
        let expressions = expressions.as_ref();
        let what = format!("{expressions} on {} to be {expected}", self.name());
        eventually(deadline, &what, async || {
            let value = self.eval(expressions).await?;
            ensure!(value == expected, "it is {value}");
            Ok(())
        })
        .await
    }

    /// Polls until `node` is in `nodes(connected)` here (hidden or visible), or no longer is.
    ///
    /// # Errors
    /// After `deadline`, with the last answer.
    pub async fn sees(&self, node: &str, seen: bool, deadline: Duration) -> Result<()> {
        let listed = format!("lists:member('{node}', nodes(connected))");
        self.eval_until(deadline, listed, if seen { "true" } else { "false" }).await
    }

    /// Ends the node as a crash of its machine would: SIGKILL.
    ///
    /// # Errors
    /// When the process cannot be signalled or waited for.
    pub async fn kill9(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("failed to kill {}", self.name()))
    }

    /// Stops the node in order (`init:stop/0`) and waits for its end.
    ///
    /// # Errors
    /// When it has not ended after 20 s.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        // It may be gone before it has answered.
        let answer = self.eval("init:stop()").await;
        match timeout(STOP_DEADLINE, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("node {} did not stop: {answer:?}\n{}", self.name(), self.output()),
        }
    }

    /// Starts a node with the same options; the one before must have ended (it is killed if not).
    ///
    /// # Errors
    /// As [`Beam::start`].
    pub async fn restart(&mut self) -> Result<()> {
        if self.child.id().is_some() {
            self.kill9().await?;
        }
        *self = Self::start(self.options.clone()).await?;
        Ok(())
    }

    /// Freezes the node (SIGSTOP): its sockets stay open and nothing is read or written.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub async fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        frozen::stopped(self.pid()).await
    }

    /// Lets a frozen node go on (SIGCONT).
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.child.id().is_some(), "node {} has ended", self.name());
        kill_process(self.pid, signal).with_context(|| format!("failed to signal {}", self.name()))
    }

    async fn run(
        &self,
        session: u32,
        language: u8,
        code: &str,
        deadline: Duration,
    ) -> Result<String> {
        let answer = timeout(deadline, self.control.ask(session, language, code)).await;
        match answer {
            Ok(Ok(Answer { exception: false, text })) => Ok(text),
            Ok(Ok(Answer { exception: true, text })) => bail!("{}: {code}: {text}", self.name()),
            Ok(Err(error)) => bail!("{}: {code}: {error:#}\n{}", self.name(), self.output()),
            Err(_) => {
                bail!("{}: {code}: no answer within {deadline:?}\n{}", self.name(), self.output())
            }
        }
    }
}

/// One process of a [`Beam`] that evaluates several expressions in turn.
#[derive(Debug)]
pub struct Session<'a> {
    beam: &'a Beam,
    number: u32,
}

impl Session<'_> {
    /// As [`Beam::eval`], in this session's process and with its bindings.
    ///
    /// # Errors
    /// As [`Beam::eval`]. An exception leaves the process and its bindings as they were.
    pub async fn eval(&self, expressions: impl AsRef<str>) -> Result<String> {
        self.beam.run(self.number, ERLANG, expressions.as_ref(), EVAL_DEADLINE).await
    }
}

#[derive(Debug)]
struct Answer {
    exception: bool,
    text: String,
}

/// The evaluator's socket: several questions may be open at a time.
#[derive(Debug)]
struct Control {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Waiting,
    next_id: AtomicU64,
    sessions: AtomicU32,
}

/// `None` once the socket has closed.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>>;

impl Control {
    fn new(socket: TcpStream) -> Self {
        let (reader, writer) = socket.into_split();
        let waiting = Waiting::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(distribute(reader, Arc::clone(&waiting)));
        Self {
            writer: tokio::sync::Mutex::new(writer),
            waiting,
            next_id: AtomicU64::new(1),
            sessions: AtomicU32::new(1),
        }
    }

    fn next_session(&self) -> u32 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    async fn ask(&self, session: u32, language: u8, code: &str) -> Result<Answer> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        match &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(waiting) => waiting.insert(id, sender),
            None => bail!("the node has ended"),
        };
        let mut frame = Vec::with_capacity(17 + code.len());
        frame.extend(u32::try_from(13 + code.len())?.to_be_bytes());
        frame.extend(id.to_be_bytes());
        frame.extend(session.to_be_bytes());
        frame.push(language);
        frame.extend(code.as_bytes());
        self.writer.lock().await.write_all(&frame).await.context("the node has ended")?;
        receiver.await.context("the node ended before it answered")
    }
}

async fn distribute(mut reader: OwnedReadHalf, waiting: Waiting) {
    while let Ok(frame) = read_frame(&mut reader).await {
        let Some((id, rest)) = frame.split_first_chunk::<8>() else { break };
        let Some((status, text)) = rest.split_first() else { break };
        let answer =
            Answer { exception: *status != 0, text: String::from_utf8_lossy(text).into_owned() };
        let asked = match &mut *waiting.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(waiting) => waiting.remove(&u64::from_be_bytes(*id)),
            None => None,
        };
        if let Some(asked) = asked {
            // The asker may have given up.
            asked.send(answer).ok();
        }
    }
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
}

async fn greet(listener: &TcpListener, token: &[u8]) -> Result<TcpStream> {
    loop {
        let (mut socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        if matches!(read_frame(&mut socket).await, Ok(greeting) if greeting == token) {
            return Ok(socket);
        }
    }
}

async fn read_frame(reader: &mut (impl AsyncReadExt + Unpin)) -> Result<Vec<u8>> {
    let length = reader.read_u32().await?;
    let mut frame = Vec::new();
    reader.take(u64::from(length)).read_to_end(&mut frame).await?;
    ensure!(frame.len() == usize::try_from(length)?, "the node closed inside a frame");
    Ok(frame)
}

async fn command(options: &BeamOptions) -> Result<Command> {
    let (_, host) = options.name.split_once('@').context("a node's name has an @")?;
    let mut command = Command::new("erl");
    command.arg(if host.contains('.') || host.contains(':') { "-name" } else { "-sname" });
    command.arg(&options.name).args(["-setcookie", &options.cookie]);
    let is_ipv6 = options.args.iter().any(|arg| arg.starts_with("inet6_"));
    let loopback = match (is_ipv6, host.contains(':')) {
        (true, true) => "{0,0,0,0,0,0,0,1}",
        // The one of IPv4, as IPv6 has it.
        (true, false) => "{0,0,0,0,0,65535,32512,1}",
        (false, _) => "{127,0,0,1}",
    };
    command.args(["-noshell", "-noinput", "-kernel", "inet_dist_use_interface", loopback]);
    if !options.start_epmd {
        command.args(["-start_epmd", "false"]);
    }
    if options.hidden {
        command.arg("-hidden");
    }
    if let Some(seconds) = options.net_ticktime {
        command.args(["-kernel", "net_ticktime", &seconds.to_string()]);
    }
    if options.elixir {
        command.arg("-pa").args(&elixir().await?.paths);
        command.env("BEAM_HARNESS_ELIXIR", "1");
    }
    command.args(&options.args);
    command.args(["-eval", EVALUATOR]);
    command
        .env("ERL_EPMD_PORT", options.epmd_port.to_string())
        // A crash dump in the middle of the sources helps nobody.
        .env("ERL_CRASH_DUMP_SECONDS", "0")
        .env_remove("ERL_AFLAGS")
        .env_remove("ERL_FLAGS")
        .env_remove("ERL_ZFLAGS")
        .envs(options.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

/// The Elixir that is installed.
#[derive(Debug)]
pub(crate) struct Elixir {
    /// Its version and that of the OTP below it: code compiled by one may not load into another.
    pub(crate) version: String,
    /// Where its applications are.
    paths: Vec<String>,
}

/// What `elixir` says of itself. Asked once.
pub(crate) async fn elixir() -> Result<&'static Elixir> {
    static ELIXIR: OnceCell<Elixir> = OnceCell::const_new();
    let elixir = ELIXIR.get_or_try_init(async || {
        let program = "IO.puts([System.version(), ?-, System.otp_release()]); \
                       for app <- [:elixir, :logger, :eex, :mix], do: IO.puts([:code.lib_dir(app), \"/ebin\"])";
        let output = Command::new("elixir").args(["-e", program]).kill_on_drop(true).output();
        let output = timeout(START_DEADLINE, output).await.context("elixir did not answer")?.context(
            "elixir could not be started: the tests need it (`cargo xtask test` installs it)",
        )?;
        ensure!(output.status.success(), "elixir: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout)?;
        let mut lines = said.lines().map(ToOwned::to_owned);
        let version = lines.next().context("elixir said nothing")?;
        Ok::<_, anyhow::Error>(Elixir { version, paths: lines.collect() })
    });
    elixir.await
}
