//! Where settings come from: flags, else environment, else a file, else a default.

mod cookie;
mod file;
mod key;
mod layers;
mod name;
mod postgres;
mod tls;
mod value;

pub(crate) use self::{
    cookie::{channel, cookie, cookie_and_warning},
    key::Key,
    layers::Layers,
    name::node_name,
    postgres::postgres,
    tls::Tls,
    value::{
        Format, Port, admin, boolean, epmd, heartbeat_interval, listen, number, patterns,
        setup_time,
    },
};
