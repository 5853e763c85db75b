//! `deodar serve`: answer requests over gRPC.

use clap::Args;

use super::ExitCode;
use super::Failure;
use super::args::SettingArgs;
use crate::run;

/// Answer requests over gRPC
///
/// Every setting is a key of deodar.toml, a variable `DEODAR_SECTION__KEY`, or
/// one of the flags below; a flag wins over a variable, a variable over the
/// file. All of them are checked before anything is listened on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar serve --policies policies/
  deodar serve --grpc 127.0.0.1:9000 --unix /run/deodar.sock --http off
  DEODAR_LIMITS__DEADLINE_MAX=5s deodar serve --config /etc/deodar.toml

`deodar config keys` lists every key, `deodar config show` what they are set to.")]
pub struct ServeArgs {
    #[command(flatten)]
    settings: SettingArgs,
}

/// Resolves the configuration, then serves until told to stop.
///
/// # Errors
/// Every fault of the configuration, or why the server ended.
pub fn run(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let resolved = args.settings.resolve()?;
    run::serve(resolved.config, &resolved.settings, || {
        level(&args.settings)
    })?;
    Ok(ExitCode::Yes)
}

/// The filter of log lines as it is configured now.
fn level(settings: &SettingArgs) -> Result<String, String> {
    match settings.resolve() {
        Ok(resolved) => Ok(resolved.config.log.level),
        Err(Failure::Config(faults)) => {
            let faults = faults.iter();
            let faults = faults.map(|fault| format!("`{}` {}", fault.key, fault.reason));
            Err(faults.collect::<Vec<_>>().join("; "))
        }
        Err(failure) => Err(failure.to_string()),
    }
}
