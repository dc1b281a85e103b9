//! `beamjoin completions` and `beamjoin man`: what packages install beside the command.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use super::{
    args::Arguments,
    exit::{Failure, UNAVAILABLE, USAGE},
    print_result,
};

pub(crate) fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "beamjoin", &mut script);
    print_result(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// The page of the command that these words call; none call `beamjoin` itself.
pub(crate) fn page(words: &[String]) -> Result<ExitCode, Failure> {
    let mut root = Arguments::command();
    // Gives every command the options that all have, and its whole name.
    root.build();
    let mut command = &root;
    for word in words {
        command = command.find_subcommand(word).ok_or_else(|| {
            let whole = words.join(" ");
            Failure::new(
                USAGE,
                format!("there is no command {whole:?}; `beamjoin --help` lists them"),
            )
        })?;
    }
    let mut page = Vec::new();
    Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| Failure::new(UNAVAILABLE, format!("failed to write the page: {error}")))?;
    print_result(&String::from_utf8_lossy(&page))?;
    Ok(ExitCode::SUCCESS)
}
