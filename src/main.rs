//! The `deodar` command.

/// Decisions are many small allocations on a few threads, each freed soon and
/// where it was made; docs/performance.md has what this allocator saves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> deodar::cli::ExitCode {
    deodar::cli::run()
}
