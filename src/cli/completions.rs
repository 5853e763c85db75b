//! `deodar completions`: for the shell.

use clap::Args;
use clap_complete::Shell;

use super::ExitCode;
use super::Failure;
use super::output;
use super::verbs;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar completions bash > ~/.local/share/bash-completion/completions/deodar
  deodar completions zsh > \"${fpath[1]}/_deodar\"
  deodar completions fish > ~/.config/fish/completions/deodar.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints them.
///
/// # Errors
/// Never, so far.
pub fn run(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut verbs::command(), "deodar", &mut script);
    output::stdout(&String::from_utf8_lossy(&script));
    Ok(ExitCode::Yes)
}
