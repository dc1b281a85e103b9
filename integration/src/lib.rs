//! What the tests against real servers are made of: BEAM nodes, Postgres, EPMD, a proxy that misbehaves on request, and the
//! built `beamjoin` binary. Every process started here ends with the value that started it. A server that cannot be started
//! is an error with that server's own output, never a test that passes by not running.

pub mod beam;
pub mod both_ways;
pub mod certificates;
pub mod elixir_node;
pub mod epmd;
pub mod eventually;
pub mod example;
pub mod fake_epmd;
mod frozen;
pub mod joined;
pub mod lab;
pub mod names;
mod output;
pub mod pgbouncer;
pub mod postgres;
pub mod proxy;
pub mod raw_peer;
pub mod rust_node;
pub mod world;

pub use beam::{Beam, BeamOptions, Session};
pub use certificates::{Authority, Identity};
pub use elixir_node::{ElixirNode, MemberOptions, with_member_code};
pub use epmd::EpmdProcess;
pub use eventually::eventually;
pub use example::Example;
pub use fake_epmd::{Answer, FakeEpmd};
pub use joined::{JoinOptions, Joined};
pub use names::{free_port, unique};
pub use pgbouncer::{PgBouncer, PoolMode};
pub use postgres::{Postgres, PostgresOptions, Shutdown, TlsFiles};
pub use proxy::Proxy;
pub use raw_peer::RawPeer;
pub use rust_node::{Exit, RustNode};
pub use world::{SOON, World, event, name_of};
