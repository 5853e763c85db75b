//! How an audit log is kept: where, how durable, how much, and for how long.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::files::Files;
use super::sink::Sink;
use crate::directory::time::Time;

/// When a record is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Before the answer. All that wait share one sync.
    Sync,
    /// Within this time of being submitted. Each record states it.
    Batched {
        /// The most that a crash may cost, in time.
        window: Duration,
    },
}

impl Mode {
    /// What a record states of itself: `sync`, or the window such as `200ms`.
    pub(super) fn stated(self) -> String {
        match self {
            Self::Sync => "sync".to_owned(),
            Self::Batched { window } => format!("{}ms", window.as_millis()),
        }
    }
}

/// What happens to a record when there is no room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It is handed back, and the caller waits for room.
    Block,
    /// The caller must deny.
    Deny,
    /// It is lost, counted, and told in the next `gap` record.
    Count,
}

/// How an audit log is kept.
#[derive(Debug)]
pub struct Options {
    /// The directory of its segments, made if there is none.
    pub directory: PathBuf,
    /// When a record is durable.
    pub mode: Mode,
    /// What happens when there is no room.
    pub overflow: Overflow,
    /// The most records that may wait to become durable.
    pub waiting_records_max: usize,
    /// The most bytes of memory, roughly, that these may take.
    pub waiting_bytes_max: usize,
    /// A segment is closed when it has so many bytes, uncompressed.
    pub segment_bytes: u64,
    /// A segment is closed when it is so old.
    pub segment_age: Duration,
    /// Closed segments are dropped when all their records are older; never, if
    /// there is none.
    pub keep_age: Option<Duration>,
    /// The oldest closed segments are dropped while all files together are
    /// larger, in bytes as they are on disk.
    pub keep_bytes: Option<u64>,
    /// How long to wait before a disk that failed is tried again. It doubles
    /// with each failure, up to 50 times this.
    pub retry: Duration,
    /// What time it is.
    pub time: Time,
    /// The way to the disk.
    pub files: Files,
    /// Who is told of each durable record, in order.
    pub sinks: Vec<Box<dyn Sink>>,
}

/// As the configuration has it when nothing is said, in `audit`.
impl Default for Options {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("audit"),
            mode: Mode::Batched {
                window: Duration::from_millis(200),
            },
            overflow: Overflow::Block,
            waiting_records_max: 65_536,
            waiting_bytes_max: 64 << 20,
            segment_bytes: 64 << 20,
            segment_age: Duration::from_hours(24),
            keep_age: None,
            keep_bytes: None,
            retry: Duration::from_millis(100),
            time: Time::System,
            files: Files::default(),
            sinks: Vec::new(),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stated())
    }
}
