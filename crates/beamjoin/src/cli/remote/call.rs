//! `beamjoin call`

use std::process::ExitCode;

use dist::etf::literal;

use super::{CallArgs, args::shown, within};
use crate::cli::{
    config::Layers,
    exit::{Failure, USAGE},
};

pub(crate) async fn call(layers: Layers, args: CallArgs) -> Result<ExitCode, Failure> {
    let function = literal::function(&args.function).map_err(|error| {
        let shown = shown(&args.function);
        Failure::new(USAGE, format!("{shown} is no name of a function: {error}"))
    })?;
    let arguments = args.arguments.iter().enumerate();
    let arguments: Result<_, _> = arguments
        .map(|(at, text)| args.input.read(&format!("argument {}", at + 1), text))
        .collect();
    let arguments = arguments?;
    within(&layers, &args.node, args.timeout, async |remote| {
        let result = remote.rpc(function.module, function.name, arguments).await?;
        Ok(args.output.print(&result))
    })
    .await
}
