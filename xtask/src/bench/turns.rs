//! Servers that take turns under the same load.

use super::load::Load;
use super::load::Measured;
use super::load::Mode;
use super::process::Process;

/// A server, and what was measured of it.
pub(crate) struct Server {
    pub(crate) what: &'static str,
    pub(crate) process: Process,
    pub(crate) rounds: Vec<Measured>,
}

/// What each server is asked in each round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) mode: Mode,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    pub(crate) warm_seconds: f64,
    pub(crate) seconds: f64,
}

impl Asked {
    /// Asks a server.
    pub(crate) fn of(self, process: &Process) -> Result<Measured, String> {
        let load = Load {
            mode: self.mode,
            connections: self.connections,
            streams: self.streams,
            warm_seconds: self.warm_seconds,
            seconds: self.seconds,
            pid: process.pid(),
        };
        load.run(&process.address)
    }
}

impl Server {
    /// One that is ready, and was not asked yet.
    pub(crate) fn new(what: &'static str, process: Process) -> Result<Self, String> {
        process.wait_until_ready()?;
        let rounds = Vec::new();
        Ok(Self {
            what,
            process,
            rounds,
        })
    }
}

/// Asks all of them in turn, round by round. Each round begins with another one, so
/// that what is near in time is not always the same.
pub(crate) fn take(servers: &mut [Server], rounds: usize, asked: Asked) -> Result<(), String> {
    for round in 1..=rounds {
        let (before, first) = servers.split_at_mut((round - 1) % servers.len().max(1));
        for server in first.iter_mut().chain(before) {
            let measured = asked.of(&server.process)?;
            eprintln!(
                "round {round}, {}: {:.0} calls a second, {:.1} us CPU, p50 {} us, p99 {} us, {} failed",
                server.what,
                measured.calls_per_second,
                measured.cpu_us,
                measured.p50_us,
                measured.p99_us,
                measured.failed
            );
            server.rounds.push(measured);
        }
    }
    Ok(())
}
