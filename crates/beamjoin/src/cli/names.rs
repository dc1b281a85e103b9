//! `beamjoin names`

use std::process::ExitCode;

use dist::epmd::{self, LookupError};
use serde_json::json;

use super::{
    args::NamesArgs,
    exit::{Failure, TIMED_OUT, UNAVAILABLE},
    print_result,
};

pub(crate) async fn names(args: NamesArgs) -> Result<ExitCode, Failure> {
    let config = epmd::Config::from_env().map_err(Failure::config)?;
    let names = epmd::names(&args.host, config.port).await.map_err(|error| {
        let code = match error {
            LookupError::Timeout { .. } => TIMED_OUT,
            _ => UNAVAILABLE,
        };
        Failure::new(code, error)
    })?;
    let text = if args.json {
        let names: Vec<_> =
            names.iter().map(|(name, port)| json!({"name": name, "port": port})).collect();
        format!("{}\n", json!({"host": args.host, "port": config.port, "names": names}))
    } else {
        // The words of `epmd -names`, which scripts read. A name can be anything that fits a line.
        let lines = names
            .iter()
            .map(|(name, port)| format!("name {} at port {port}\n", name.escape_debug()));
        format!(
            "epmd: up and running on port {} with data:\n{}",
            config.port,
            lines.collect::<String>()
        )
    };
    print_result(&text)?;
    Ok(ExitCode::SUCCESS)
}
