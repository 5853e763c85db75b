//! The command line: arguments in, text and an exit code out.
//!
//! One file a verb. A verb takes its arguments, does its work with the modules
//! below, and returns an [`ExitCode`] or a [`Failure`]; only [`run`] prints
//! failures. What was asked for goes to standard output, everything else to
//! standard error, and colours only where a terminal shows them.

pub mod answer;
pub mod args;
pub mod audit;
pub mod bench;
pub mod check;
pub mod completions;
pub mod config;
pub mod diff;
pub mod directory;
pub mod exit;
pub mod explain;
pub mod failure;
pub mod fmt;
pub mod format;
pub mod init;
pub mod lint;
pub mod markdown;
pub mod output;
pub mod prove;
pub mod replay;
pub mod repository;
pub mod serve;
pub mod server;
pub mod test;
pub mod time;
pub mod validate;
pub mod verbs;

use std::env;
use std::ffi::OsString;

use clap::FromArgMatches as _;

pub use args::Cli;
pub use exit::ExitCode;
pub use failure::Failure;

use args::Color;
use args::Verb;

/// Runs the command that the arguments of this process ask for.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    // Help and usage errors are printed before the arguments are known.
    let command = verbs::command().color(Color::asked_for(&arguments).for_clap());
    let parsed = command
        .try_get_matches_from(arguments)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, format::is_json(&matches))));
    let (cli, is_json) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // A closed pipe is all that can go wrong, and nobody is left to tell.
            error.print().ok();
            return if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Yes
            };
        }
    };
    cli.color.for_streams().write_global();
    let done = match cli.verb {
        Verb::Serve(args) => serve::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Directory(args) => directory::run(&args),
        Verb::Audit(args) => audit::run(&args),
        Verb::Validate(args) => validate::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Lint(args) => lint::run(&args),
        Verb::Fmt(args) => fmt::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Diff(args) => diff::run(&args),
        Verb::Replay(args) => replay::run(&args),
        Verb::Prove(args) => prove::run(&args),
        Verb::Init(args) => init::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Config(args) => config::run(&args),
        Verb::Completions(args) => completions::run(&args),
    };
    done.unwrap_or_else(|failure| {
        if is_json {
            output::stdout(&failure.json());
        }
        output::stderr(&failure.to_string());
        failure.code()
    })
}
