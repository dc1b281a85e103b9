//! `cargo xtask`: what a checkout of this repository can do beyond building: show a cluster, test against real servers, make
//! the images and the test vectors. Installs what is missing, and says so.

mod bench;
mod chaos;
mod compose;
mod compose_tests;
mod demo;
mod demo_pubsub;
mod host;
mod image;
mod images;
mod matrix;
mod test;
mod vectors;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Show, test and build this repository",
    version
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start Postgres, BEAM nodes and a Rust node in containers and show who sees whom
    Demo {
        /// Stop and remove what an earlier demo left running
        #[arg(long, conflicts_with = "once")]
        down: bool,
        /// Stop and remove everything once the table is shown
        #[arg(long)]
        once: bool,
    },
    /// Run every test; those against real servers need Erlang, Elixir and Postgres, which are installed when missing
    Test {
        /// Run the tests against the containers of docker-compose.yml instead: nothing but Docker is needed
        #[arg(long)]
        compose: bool,
        /// Only tests whose name contains this
        filter: Option<String>,
    },
    /// Run the tests in containers with OTP 23, 25, 27 and 29 and Postgres 13, 15, 17 and 18, and write docs/compatibility.md
    Matrix {
        /// Only this OTP; the others stay in the table as they were last run
        #[arg(long, value_name = "RELEASE")]
        otp: Vec<u32>,
        /// Only this file of integration/tests; the others stay in the table as they were last run
        #[arg(long, value_name = "NAME")]
        program: Vec<String>,
        /// Only the clusters that have several of them at once
        #[arg(long, conflicts_with_all = ["otp", "program"])]
        clusters: bool,
    },
    /// Make everything fail that can, in a cluster of containers: links, nodes, Postgres; all must be well again after each fault
    Chaos {
        /// How long
        #[arg(long, default_value_t = 3.0)]
        minutes: f64,
        /// The faults of an earlier run, which printed its seed
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measure against BEAM nodes and other peers, print a table and keep it in docs/benchmarks.md
    Bench {
        /// Print JSON instead, and keep nothing
        #[arg(long)]
        json: bool,
        /// Only the groups whose name contains this, and keep nothing
        filter: Option<String>,
    },
    /// Build the image of the command alone, check it and print its size
    Image {
        /// What to call it
        #[arg(long, default_value = "beamjoin/beamjoin")]
        tag: String,
    },
    /// Make the images that the compose file builds on where no registry can be reached
    Images {
        /// Make them even if a registry can be reached
        #[arg(long)]
        stand_in: bool,
    },
    /// Have the installed OTP write the test vectors of crates/etf again
    Vectors,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Demo { down: true, .. } => demo::down(),
        Task::Demo { once, .. } => demo::up(once),
        Task::Test { compose: true, filter } => compose_tests::run(filter.as_deref()),
        Task::Test { compose: false, filter } => test::run(filter.as_deref()),
        Task::Bench { json, filter } => bench::run(json, filter.as_deref()),
        Task::Image { tag } => image::make(&tag),
        Task::Chaos { minutes, seed } => chaos::run(minutes, seed),
        Task::Matrix { clusters: true, .. } => matrix::run_clusters(),
        Task::Matrix { otp, program, .. } => matrix::run(&otp, &program),
        Task::Images { stand_in } => images::make(stand_in),
        Task::Vectors => vectors::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
