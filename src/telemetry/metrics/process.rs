//! What the system says of this process, where there is a `/proc`.

use std::fs;

use super::Family;
use super::table;

/// Ticks a second of the times in `/proc`, on every Linux that there is.
const TICKS: f64 = 100.0;
/// The page of memory that `/proc` counts in on the machines we release for.
const PAGE: f64 = 4096.0;

/// What the system says of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    resident_bytes: f64,
    cpu_seconds: f64,
    open_fds: f64,
    threads: f64,
    start_seconds: f64,
}

impl Process {
    /// Reads `/proc`; zeros where there is none.
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        let mut process = Self::of(&stat, &machine).unwrap_or_default();
        // The listing itself is open while it is counted.
        let open = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() - 1);
        process.open_fds = u32::try_from(open).map_or(0.0, f64::from);
        process
    }

    fn of(stat: &str, machine: &str) -> Option<Self> {
        // The name of the program may have spaces and brackets of its own.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // Numbered from 3 in proc(5).
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let booted = machine.lines().find_map(|line| line.strip_prefix("btime "));
        let booted: f64 = booted?.trim().parse().ok()?;
        Some(Self {
            resident_bytes: field(24)? * PAGE,
            cpu_seconds: (field(14)? + field(15)?) / TICKS,
            open_fds: 0.0,
            threads: field(20)?,
            start_seconds: booted + field(22)? / TICKS,
        })
    }

    pub(in crate::telemetry) fn families(self) -> Vec<Family> {
        vec![
            Family::number(&table::PROCESS_MEMORY, self.resident_bytes),
            Family::number(&table::PROCESS_CPU, self.cpu_seconds),
            Family::number(&table::PROCESS_FDS, self.open_fds),
            Family::number(&table::PROCESS_THREADS, self.threads),
            Family::number(&table::PROCESS_START, self.start_seconds),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn the_name_of_the_program_does_not_shift_the_fields() {
        let fields: Vec<_> = (4..=52).map(|field: i32| field.to_string()).collect();
        let stat = format!("1 (a) b (c)) S {}", fields.join(" "));
        let read = Process::of(&stat, "cpu 1\nbtime 1000\n").unwrap();
        let expected = Process {
            resident_bytes: 24.0 * 4096.0,
            cpu_seconds: 0.29,
            open_fds: 0.0,
            threads: 20.0,
            start_seconds: 1000.22,
        };
        assert_eq!(read, expected);
        assert_eq!(Process::of("1 (a) S", ""), None);
    }
}
