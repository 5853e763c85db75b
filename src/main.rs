//! The `deodar` command.

fn main() -> deodar::cli::ExitCode {
    deodar::cli::run()
}
