//! The clock that costs are measured with, and the machine that it is in.

use std::fs;
use std::sync::LazyLock;
use std::time::Instant;

use crate::analysis::cost::Machine;

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark is about the time that passes"
)]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the clock was first looked at.
pub fn nanos() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// This machine.
pub fn machine() -> Machine {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    Machine {
        cpu: cpu.to_owned(),
        threads: std::thread::available_parallelism().map_or(0, usize::from),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        deodar: env!("CARGO_PKG_VERSION").to_owned(),
        is_optimised: !cfg!(debug_assertions),
    }
}
