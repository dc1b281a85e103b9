//! The command line: one module for each command, and what they share.

mod admin;
mod args;
mod config;
mod doctor;
mod exit;
mod join;
mod log;
mod manual;
mod names;
mod output;
mod ping;
mod pubsub;
mod ready;
mod remote;
mod signals;
mod systemd;
mod watch;

use std::{io::Write, mem::ManuallyDrop, process::ExitCode, time::Duration};

use clap::{Parser, error::ErrorKind};
use tokio::runtime::{Builder, Runtime};

use self::{
    args::{Arguments, Command, FileArgs, Given},
    config::Layers,
    exit::{Failure, USAGE},
    pubsub::PubSubCommand,
};

/// Runs the command of this process' arguments to its end.
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return answered_by_clap(&error),
    };
    match dispatch(arguments) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn dispatch(arguments: Arguments) -> Result<ExitCode, Failure> {
    let log = arguments.log.given();
    match arguments.command {
        Command::Join(args) => {
            let layers = layers(log, args.given(), Some(&args.file))?;
            log::start(&layers, "info")?;
            many_threads()?.run(join::join(layers))
        }
        Command::Watch(args) => {
            let layers = layers(log, args.given(), Some(&args.file))?;
            log::start(&layers, "info")?;
            one_thread()?.run(watch::watch(layers))
        }
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { command } => manual::page(&command),
        Command::Doctor(args) => {
            let layers = layers(log, args.join.given(), Some(&args.join.file))?;
            log::start(&layers, "off")?;
            one_thread()?.run(doctor::doctor(layers, *args))
        }
        Command::Names(args) => {
            log::start(&layers(log, vec![], None)?, "warn")?;
            one_thread()?.run_last(names::names(args))
        }
        Command::Ping(args) => {
            let layers = layers(log, args.given(), Some(&args.file))?;
            log::start(&layers, "warn")?;
            one_thread()?.run_last(ping::ping(layers, args))
        }
        Command::Call(args) => {
            let layers = remote_layers(log, &args.node_args)?;
            one_thread()?.run_last(remote::call(layers, args))
        }
        Command::Eval(args) => {
            let layers = remote_layers(log, &args.node_args)?;
            one_thread()?.run_last(remote::eval(layers, args))
        }
        Command::Send(args) => {
            let layers = remote_layers(log, &args.node_args)?;
            one_thread()?.run_last(remote::send(layers, args))
        }
        Command::Pubsub { command } => {
            let member = command.member();
            let layers = layers(log, member.given(), Some(&member.node_args.file))?;
            log::start(&layers, "warn")?;
            match command {
                PubSubCommand::Tail(args) => one_thread()?.run(pubsub::tail(layers, *args)),
                PubSubCommand::Publish(args) => one_thread()?.run(pubsub::publish(layers, *args)),
            }
        }
        Command::GenCall(args) => {
            let layers = remote_layers(log, &args.node_args)?;
            one_thread()?.run_last(remote::gen_call(layers, args))
        }
    }
}

/// The settings of a command that speaks to another node; it logs only what is wrong.
fn remote_layers(log: Vec<Given>, args: &remote::NodeArgs) -> Result<Layers, Failure> {
    let layers = layers(log, args.given(), Some(&args.file))?;
    log::start(&layers, "warn")?;
    Ok(layers)
}

/// The settings from everywhere.
fn layers(
    mut log: Vec<Given>,
    given: Vec<Given>,
    file: Option<&FileArgs>,
) -> Result<Layers, Failure> {
    log.extend(given);
    let mut layers = Layers::new(log, std::env::vars_os());
    if let Some(file) = file {
        layers = layers.with_file(file.config.as_deref())?;
    }
    Ok(layers)
}

/// `--help` and `--version` on stdout, code 0; all else on stderr, code 64 instead of clap's 2.
fn answered_by_clap(error: &clap::Error) -> ExitCode {
    // Nobody reads it: nothing to be done about that.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(USAGE),
    }
}

fn many_threads() -> Result<Run, Failure> {
    Builder::new_multi_thread().enable_all().build().map(Run).map_err(no_runtime)
}

fn one_thread() -> Result<Run, Failure> {
    Builder::new_current_thread().enable_all().build().map(Run).map_err(no_runtime)
}

fn no_runtime(error: std::io::Error) -> Failure {
    Failure::new(exit::UNAVAILABLE, format!("failed to start threads: {error}"))
}

struct Run(Runtime);

impl Run {
    fn run(
        self,
        command: impl Future<Output = Result<ExitCode, Failure>>,
    ) -> Result<ExitCode, Failure> {
        let result = self.0.block_on(command);
        // A look-up of a name that never returns must not keep the process.
        self.0.shutdown_timeout(Duration::from_millis(100));
        result
    }

    /// Runs a command that has nothing left to write when it is over: the process ends, and the system takes back what it
    /// has in less time than it takes to give it back in order.
    fn run_last(
        self,
        command: impl Future<Output = Result<ExitCode, Failure>>,
    ) -> Result<ExitCode, Failure> {
        ManuallyDrop::new(self.0).block_on(command)
    }
}

/// Writes text to stdout; false if it cannot be written, most likely because nobody reads it any more.
fn print(text: &str) -> bool {
    write(text).is_ok()
}

/// Writes a command's result to stdout.
fn print_result(text: &str) -> Result<(), Failure> {
    write(text).or_else(|error| unwritten(&error))
}

/// What it means that stdout cannot be written: it is no error that nobody reads it, but a disk that is full is.
fn unwritten(error: &std::io::Error) -> Result<(), Failure> {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Failure::new(exit::UNAVAILABLE, format!("failed to write to stdout: {error}")))
}

/// Writes where it holds up neither links nor signals: a reader may stall for as long as it likes.
async fn write_away(text: String) -> std::io::Result<()> {
    let written = tokio::task::spawn_blocking(move || write(&text)).await;
    written.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}

fn write(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}
