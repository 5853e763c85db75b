//! The arguments of the whole command, and those that verbs share.

use std::ffi::OsString;
use std::path::PathBuf;

use anstream::ColorChoice;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use super::audit;
use super::bench;
use super::check;
use super::completions;
use super::config;
use super::diff;
use super::directory;
use super::explain;
use super::fmt;
use super::init;
use super::lint;
use super::prove;
use super::replay;
use super::serve;
use super::test;
use super::validate;
use crate::config::Flags;
use crate::config::Resolved;
use crate::config::env;
use crate::config::load;
use crate::config::raw::Value;

use super::failure::Failure;

/// Decides who may do what, from Cedar policies
///
/// Deodar answers "may this principal do this action on this resource, now?"
/// from a directory of Cedar policies, and tells why.
#[derive(Debug, Parser)]
#[command(
    name = "deodar",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "\
Examples:
  deodar validate policies/         find the mistakes in a policy directory
  deodar check --policies policies/ --principal 'User::\"alice\"' \\
      --action 'Action::\"read\"' --resource 'Doc::\"plan\"'
  deodar init demo                  start a policy directory with tests
  deodar test --coverage demo       test it, and see what no test reaches
  deodar diff main .                who gains or loses access by a change
  deodar serve                      answer over gRPC on 127.0.0.1:8470
  deodar directory stats            what entities and links the server has
  deodar audit tail                 what was decided last
  deodar config show                what is configured, and where each value comes from

Exit codes: 0 yes, 1 failed, 2 usage or configuration, 3 denied, 4 invalid policies, 5 tests failed,
6 found what was looked for (a lint, a change, a broken invariant), 7 no solver")]
pub struct Cli {
    /// When to write in colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        display_order = 1000
    )]
    pub color: Color,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done. The arguments of each verb say what it is for, so the
/// variants do not.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Serve(serve::ServeArgs),
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Init(init::InitArgs),
    Validate(validate::ValidateArgs),
    Test(test::TestArgs),
    Lint(lint::LintArgs),
    Fmt(fmt::FmtArgs),
    Prove(prove::ProveArgs),
    Diff(diff::DiffArgs),
    Replay(replay::ReplayArgs),
    Bench(bench::BenchArgs),
    Directory(directory::DirectoryArgs),
    Audit(audit::AuditArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
}

/// When to write in colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// What the arguments ask for, read before they are parsed.
    pub fn asked_for(arguments: &[OsString]) -> Self {
        let value =
            arguments
                .iter()
                .enumerate()
                .find_map(|(at, argument)| match argument.to_str()? {
                    "--color" => arguments.get(at + 1)?.to_str(),
                    argument => argument.strip_prefix("--color="),
                });
        value
            .and_then(|value| Self::from_str(value, false).ok())
            .unwrap_or_default()
    }

    /// For clap's own output.
    pub fn for_clap(self) -> clap::ColorChoice {
        match self {
            Self::Auto => clap::ColorChoice::Auto,
            Self::Always => clap::ColorChoice::Always,
            Self::Never => clap::ColorChoice::Never,
        }
    }

    /// For ours.
    pub fn for_streams(self) -> ColorChoice {
        match self {
            Self::Auto => ColorChoice::Auto,
            // `Always` would still leave colours out for a dumb terminal.
            Self::Always => ColorChoice::AlwaysAnsi,
            Self::Never => ColorChoice::Never,
        }
    }
}

/// The configuration file, for verbs that use little of it.
#[derive(Debug, Args)]
pub struct FileArg {
    /// The configuration file; by default `DEODAR_CONFIG`, or ./deodar.toml if there is one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl FileArg {
    /// The configuration of file and environment.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn resolve(&self) -> Result<Resolved, Failure> {
        let flags = Flags {
            config: self.config.clone(),
            ..Flags::default()
        };
        load(&flags, &env::read()).map_err(Failure::Config)
    }
}

/// Keys of the configuration that have flags.
#[derive(Debug, Args)]
pub struct SettingArgs {
    #[command(flatten)]
    file: FileArg,
    /// The directory of policies [key: policies.path]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Where to serve gRPC; may be repeated [key: server.grpc]
    #[arg(long, value_name = "ADDR")]
    grpc: Vec<String>,
    /// A unix socket on which to serve gRPC; may be repeated [key: server.unix]
    #[arg(long, value_name = "PATH")]
    unix: Vec<String>,
    /// Where to serve HTTP, or `off` [key: server.http]
    #[arg(long, value_name = "ADDR|off")]
    http: Option<String>,
    /// Listen beyond this machine without TLS and without knowing the callers: everyone who reaches
    /// it may ask, read, and write entities and links [key: server.insecure]
    #[arg(long)]
    insecure: bool,
    /// How to write log lines: auto, human or json [key: log.format]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Which log lines to write, such as `debug` or `info,deodar::source=debug` [key: log.level]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl SettingArgs {
    /// The configuration of file, environment and these flags.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn resolve(&self) -> Result<Resolved, Failure> {
        let mut flags = Flags {
            config: self.file.config.clone(),
            ..Flags::default()
        };
        let texts = [
            (
                "policies.path",
                "--policies",
                self.policies
                    .as_ref()
                    .map(|path| path.to_string_lossy().into_owned()),
            ),
            ("server.http", "--http", self.http.clone()),
            ("log.format", "--log-format", self.log_format.clone()),
            ("log.level", "--log-level", self.log_level.clone()),
        ];
        for (key, flag, text) in texts {
            if let Some(text) = text {
                flags.set(key, flag, Value::Text(text));
            }
        }
        for (key, flag, items) in [
            ("server.grpc", "--grpc", &self.grpc),
            ("server.unix", "--unix", &self.unix),
        ] {
            if !items.is_empty() {
                flags.set(key, flag, Value::List(items.clone()));
            }
        }
        if self.insecure {
            flags.set("server.insecure", "--insecure", Value::Flag(true));
        }
        load(&flags, &env::read()).map_err(Failure::Config)
    }
}
