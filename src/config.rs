//! The configuration: what is written, where, and what it comes to.
//!
//! ```text
//! deodar.toml --+
//! DEODAR_*    --+--> Raw (as written, with origins) --> Config (as used) or every fault
//! flags       --+
//! ```
//!
//! A flag wins over a variable, a variable over the file, the file over the
//! default. Nothing else happens before all of it has been found right.
//!
//! Reading order: [`keys`] (every key there is), [`raw`] and [`mod@env`] (what was
//! written), [`reader`] and [`resolve`] (what it means).

pub mod address;
pub mod duration;
pub mod env;
pub mod fault;
pub mod keys;
pub mod listeners;
pub mod raw;
pub mod reader;
pub mod resolve;
pub mod secret;
pub mod size;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use smol_str::SmolStr;

pub use crate::engine::closest;
pub use fault::ConfigFault;
pub use fault::Origin;
pub use resolve::Flags;
pub use resolve::Resolved;
pub use resolve::load;
pub use secret::Secret;

use crate::audit::Mode;
use crate::audit::Overflow;
use crate::audit::redact::Rule;
use crate::pdp::cache::CacheSettings;
use crate::serve::AuditLimits;
use crate::serve::DirectoryLimits;
use crate::serve::Limits;
use crate::source;
use crate::telemetry::otlp;
use crate::telemetry::trace::Trust;

/// The configuration as used. The meaning of each field is the `doc` of its key
/// in [`keys::KEYS`].
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[policies]`
    pub policies: Policies,
    /// `[directory]`
    pub directory: Directory,
    /// `[cache]`
    pub cache: CacheSettings,
    /// `[audit]`
    pub audit: Audit,
    /// `[decision]`
    pub decision: Decision,
    /// `[limits]`
    pub limits: Limits,
    /// `[connection]`
    pub connection: Connection,
    /// `[compression]`
    pub compression: Compression,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[telemetry]`, and the variables of OpenTelemetry
    pub telemetry: Telemetry,
    /// `[log]`
    pub log: Log,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Addresses of gRPC.
    pub grpc: Vec<SocketAddr>,
    /// Unix sockets of gRPC.
    pub unix: Vec<PathBuf>,
    /// The address of HTTP, if it is served.
    pub http: Option<SocketAddr>,
    /// Whether listening beyond this machine without TLS is accepted, where
    /// everyone may then write entities and links.
    pub insecure: bool,
    /// Whether gRPC reflection is served.
    pub reflection: bool,
}

/// Where policies come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// The directory.
    pub path: PathBuf,
    /// Whether it is read again when it changes.
    pub watch: bool,
    /// How long no change must come before it is.
    pub debounce: Duration,
    /// How much it may hold.
    pub limits: source::Limits,
}

/// How decisions are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Where the log is written; `None` writes none.
    pub path: Option<PathBuf>,
    /// When records are on the disk.
    pub mode: Mode,
    /// What happens when there is no room for a record.
    pub overflow: Overflow,
    /// Records that wait to be on the disk.
    pub waiting_records_max: usize,
    /// Bytes of memory that these may take.
    pub waiting_bytes_max: usize,
    /// A segment is closed when it has so many bytes.
    pub segment_bytes: u64,
    /// A segment is closed when it is so old.
    pub segment_age: Duration,
    /// Closed segments are removed when their records are older.
    pub keep_age: Option<Duration>,
    /// The oldest closed segments are removed while all are longer.
    pub keep_bytes: Option<u64>,
    /// Context keys that are recorded although no policy can read them.
    pub context_keys: Vec<SmolStr>,
    /// Whether carried entities are only counted and digested.
    pub digests_entities: bool,
    /// What is taken out.
    pub redact: Vec<Rule>,
    /// The file with the key of hashes.
    pub redact_key_file: Option<PathBuf>,
    /// What callers may read of it; `None` is nothing.
    pub readable: Option<AuditLimits>,
}

/// Where entities and links are kept, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where.
    pub store: Store,
    /// How many transactions are kept for those who watch.
    pub retain: u64,
    /// What becomes of policies whose schema stored entities do not fit.
    pub on_schema_conflict: SchemaConflict,
    /// Bytes of one entity.
    pub entity_bytes_max: usize,
    /// Attributes of one entity.
    pub attributes_max: usize,
    /// Tags of one entity.
    pub tags_max: usize,
    /// Direct parents of one entity.
    pub parents_max: usize,
    /// Memberships above one another.
    pub depth_max: usize,
    /// Writes that wait to be applied.
    pub writes_waiting_max: usize,
    /// What callers of the service may ask for.
    pub limits: DirectoryLimits,
}

/// Where entities and links are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In memory, gone with the process.
    Memory,
    /// In this directory.
    Path(PathBuf),
}

/// What becomes of policies whose schema stored entities do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchemaConflict {
    /// They are refused; those before stay in force.
    #[default]
    Reject,
    /// They come into force.
    Activate,
}

/// How decisions are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What `context.now` is rounded down to.
    pub time_resolution: Duration,
    /// Whether callers may set `context.now`.
    pub trust_caller_time: bool,
    /// How long callers may keep an answer, if at all.
    pub keep_for: Option<Duration>,
}

/// How long connections live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// How long a connection may be silent before it is pinged, if ever.
    pub keepalive_interval: Option<Duration>,
    /// How long an answer to a ping may take.
    pub keepalive_timeout: Duration,
    /// The age at which a connection is asked to close, if any.
    pub age_max: Option<Duration>,
    /// How long what is under way on it may then take.
    pub age_grace: Duration,
}

/// What is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// Answers at least so long, if any.
    pub above_bytes: Option<usize>,
}

/// How the server ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How long it goes on serving, not ready.
    pub delay: Duration,
    /// How long requests under way may then take.
    pub grace: Duration,
}

/// What is told to a collector.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// What is made of the trace of a caller.
    pub trust: Trust,
    /// What the variables of OpenTelemetry say.
    pub otlp: otlp::settings::Settings,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How.
    pub format: LogFormat,
    /// What: a filter in the syntax of `tracing`.
    pub level: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// `Human` on a terminal, else `Json`.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}
