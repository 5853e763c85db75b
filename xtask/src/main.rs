//! `cargo xtask`: what a developer does besides building and testing.

use std::process::ExitCode;

mod bench;
mod devices;
mod docs;
mod kill;
mod peers;
mod places;

const HELP: &str = "\
cargo xtask <task>

  peers    install the outside programs that some tests use
  docs     write docs/cli.md, man pages and completions, or --check the page
  bench    measure, and write docs/performance.md
  kill     kill a process that writes, again and again: --rounds <number>
  devices  generate devices to import: --count <number> [--seed <number>]
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        Some("peers") => peers::run(),
        Some("docs") => docs::run(&arguments.collect::<Vec<_>>()),
        Some("devices") => devices::run(arguments.collect()),
        Some("kill") => kill::run(&arguments.collect::<Vec<_>>()),
        Some("bench") => bench::run(arguments.collect()),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
