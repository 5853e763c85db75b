//! Every key there is: the one table behind the file, the environment,
//! `config show`, `config keys` and the documentation.

use super::duration;
use super::size;

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// The table of the file that it is in.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// The value when nobody writes one; a list as the environment writes it.
    pub default: &'static str,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
}

/// What values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A path.
    Path,
    /// A list of paths of unix sockets.
    Sockets,
    /// A list of actions, as policies write them.
    Actions,
    /// A list of IP addresses with ports.
    Addresses,
    /// An IP address with its port, or `off`.
    AddressOrOff,
    /// A duration within bounds in milliseconds.
    Duration(Bounds),
    /// A number of bytes within bounds.
    Size(Bounds),
    /// A number within bounds.
    Count(Bounds),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of names.
    Names,
    /// A list of redaction rules.
    Redactions,
    /// What becomes of policies whose schema stored entities do not fit.
    SchemaConflict,
    /// What is made of the trace of a caller.
    TraceTrust,
    /// How log lines are written.
    LogFormat,
    /// A filter of log lines, in the syntax of `tracing`.
    LogFilter,
}

/// What a number may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At least this.
    pub min: u64,
    /// At most this.
    pub max: u64,
    /// Zero may be written as well, and has the meaning that the doc tells.
    pub or_zero: bool,
}

const fn from(min: u64, max: u64) -> Bounds {
    Bounds {
        min,
        max,
        or_zero: false,
    }
}

const fn zero_or(min: u64, max: u64) -> Bounds {
    Bounds {
        min,
        max,
        or_zero: true,
    }
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;

const fn key(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key {
        section,
        name,
        kind,
        default,
        doc,
    }
}

/// All keys, by section, in the order in which they are shown.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key("server", "grpc", Kind::Addresses, "127.0.0.1:8470",
        "Where gRPC is served."),
    key("server", "unix", Kind::Sockets, "",
        "Unix sockets on which gRPC is served as well."),
    key("server", "http", Kind::AddressOrOff, "127.0.0.1:8471",
        "Where health and metrics are served over HTTP; `off` for nowhere."),
    key("server", "insecure", Kind::Flag, "false",
        "Lets the server listen beyond this machine without TLS and without knowing its callers. Everyone who reaches it may ask, read, and write entities and links: until callers are authenticated, keep to loopback, to a unix socket, or to a network where a mesh in front lets in nobody else."),
    key("server", "reflection", Kind::Flag, "true",
        "Serves gRPC reflection, with which tools such as grpcurl need no proto files."),

    key("policies", "path", Kind::Path, "policies",
        "The directory of policies, schema, entities and links. Relative to the working directory."),
    key("policies", "watch", Kind::Flag, "true",
        "Reads the directory again when a file of it changes."),
    key("policies", "debounce", Kind::Duration(from(10, MINUTE)), "200ms",
        "Changes are read when none has come for so long, so that the many writes of an editor or of git are one change."),
    key("policies", "file_bytes_max", Kind::Size(from(KIB, 4 * GIB)), "64MiB",
        "Bytes of one file."),
    key("policies", "files_max", Kind::Count(from(1, 10_000_000)), "20000",
        "Files of the directory; and as many directories that symbolic links in it lead to."),
    key("policies", "total_bytes_max", Kind::Size(from(KIB, 64 * GIB)), "512MiB",
        "Bytes of all files together."),
    key("policies", "depth_max", Kind::Count(from(1, 256)), "16",
        "Directories below one another."),

    key("directory", "path", Kind::Path, "deodar-data/directory",
        "Where entities and links are stored; the word `memory` keeps them in memory, gone with the process. Relative to the working directory."),
    key("directory", "retain", Kind::Count(from(1, 1_000_000_000_000)), "1000000",
        "The last transactions that are kept for those who watch."),
    key("directory", "on_schema_conflict", Kind::SchemaConflict, "reject",
        "What becomes of new policies whose schema stored entities do not fit: `reject` keeps the old policies, `activate` takes the new ones."),
    key("directory", "entity_bytes_max", Kind::Size(from(KIB, 16 << 20)), "64KiB",
        "Bytes of one stored entity."),
    key("directory", "attributes_max", Kind::Count(from(1, 100_000)), "256",
        "Attributes of one stored entity."),
    key("directory", "tags_max", Kind::Count(from(1, 100_000)), "1024",
        "Tags of one stored entity."),
    key("directory", "parents_max", Kind::Count(from(1, 100_000)), "256",
        "Direct parents of one stored entity."),
    key("directory", "depth_max", Kind::Count(from(1, 1000)), "32",
        "Memberships above one another."),
    key("directory", "writes_waiting_max", Kind::Count(from(1, 1_000_000)), "10000",
        "Writes that wait to be applied; more are refused."),
    key("directory", "writes_waiting_bytes_max", Kind::Size(from(KIB, 64 * GIB)), "256MiB",
        "Bytes of the writes that wait to be applied, as they were sent; more are refused."),
    key("directory", "operations_max", Kind::Count(from(1, 1_000_000)), "10000",
        "Operations and preconditions of one write."),
    key("directory", "page_max", Kind::Count(from(1, 100_000)), "1000",
        "Entities and links in one page of a list, or in one read."),
    key("directory", "watches_max", Kind::Count(from(1, 1_000_000)), "1000",
        "Watches at a time."),

    key("cache", "bytes_max", Kind::Size(zero_or(KIB, 64 * GIB)), "64MiB",
        "Bytes of decisions that are kept, with their questions; `0` keeps none."),
    key("cache", "stamps", Kind::Count(from(1024, 1 << 30)), "1048576",
        "Places in which changes of entities are noted, 8 bytes each, rounded up to a power of two. With far more entities than places, decisions are refused that were still good."),
    key("cache", "skip_actions", Kind::Actions, "",
        "Actions whose decisions are not kept, as in `Iot::Action::\"unlock\"`."),

    key("audit", "path", Kind::Path, "deodar-data/audit",
        "Where the audit log is written; the word `off` writes none. Relative to the working directory."),
    key("audit", "mode", Kind::Word(&["batched", "sync"]), "batched",
        "When records are on the disk: `batched` within the window, `sync` before the answer is given."),
    key("audit", "window", Kind::Duration(from(1, HOUR)), "200ms",
        "In the mode `batched`, the most that a crash may cost."),
    key("audit", "overflow", Kind::Word(&["block", "deny", "count"]), "block",
        "What happens when the disk is too slow and there is no room for a record: `block` waits up to the deadline of the call, `deny` denies, `count` goes on and records how many are missing."),
    key("audit", "waiting_records_max", Kind::Count(from(1, 10_000_000)), "65536",
        "Records that wait to be on the disk."),
    key("audit", "waiting_bytes_max", Kind::Size(from(KIB, 64 * GIB)), "64MiB",
        "Bytes of memory that these may take, roughly."),
    key("audit", "segment_bytes", Kind::Size(from(KIB, 64 * GIB)), "64MiB",
        "A file of the log is closed and compressed when it is so long."),
    key("audit", "segment_age", Kind::Duration(from(SECOND, 365 * DAY)), "24h",
        "A file of the log is closed and compressed when it is so old."),
    key("audit", "keep_age", Kind::Duration(zero_or(SECOND, 36_500 * DAY)), "0s",
        "Closed files are removed when all their records are older; `0s` for never."),
    key("audit", "keep_bytes", Kind::Size(zero_or(KIB, 1 << 50)), "0",
        "The oldest closed files are removed while all together are longer; `0` for never."),
    key("audit", "context_keys", Kind::Names, "",
        "Keys of the context that are recorded although no policy can read them."),
    key("audit", "entities", Kind::Word(&["record", "digest"]), "record",
        "Whether entities that requests carry are recorded, or only counted and digested."),
    key("audit", "redact", Kind::Redactions, "",
        "What is taken out of records before they are written, as in `context.session.ip=mask`, `entities.phone=drop`, `entity:Org::User=hash`, `caller=hash`."),
    key("audit", "redact_key_file", Kind::Path, "none",
        "The file whose bytes are the key of `hash` rules; the word `none` for no file."),
    key("audit", "readable", Kind::Flag, "true",
        "Whether the log can be read over gRPC, by everyone who can ask."),
    key("audit", "page_max", Kind::Count(from(1, 100_000)), "1000",
        "Records in one page of a query."),
    key("audit", "looked_at_max", Kind::Count(from(1, 1_000_000_000)), "100000",
        "Records that are looked at for one page."),
    key("audit", "tails_max", Kind::Count(from(1, 1_000_000)), "100",
        "Callers that follow the log at a time."),

    key("decision", "time_resolution", Kind::Duration(from(1, HOUR)), "1s",
        "`context.now` is the time rounded down to a multiple of this."),
    key("decision", "trust_caller_time", Kind::Flag, "false",
        "Lets callers set `context.now` themselves."),
    key("decision", "keep_for", Kind::Duration(zero_or(1, DAY)), "0s",
        "How long callers may keep an answer, which is then as stale as that; `0s` for not at all. `@cache_ttl` of a policy goes before."),

    key("limits", "message_bytes_max", Kind::Size(from(KIB, GIB)), "1MiB",
        "Bytes of one request."),
    key("limits", "batch_items_max", Kind::Count(from(1, 1_000_000)), "1000",
        "Questions of one batch."),
    key("limits", "id_bytes_max", Kind::Size(from(16, 64 * KIB)), "1024",
        "Bytes of the id of an entity in a request."),
    key("limits", "entities_max", Kind::Count(zero_or(1, 1_000_000)), "100",
        "Entities that a request may carry."),
    key("limits", "depth_max", Kind::Count(from(1, 64)), "16",
        "How deep sets and records of a request may be nested."),
    key("limits", "values_max", Kind::Count(from(1, 10_000_000)), "4096",
        "Values in one context, or in all entities of one request."),
    key("limits", "connections_max", Kind::Count(from(1, 1_000_000)), "10000",
        "Connections at a time."),
    key("limits", "streams_per_connection_max", Kind::Count(from(1, 1_000_000)), "1000",
        "Requests and streams at a time on one connection."),
    key("limits", "deadline_max", Kind::Duration(from(10, HOUR)), "30s",
        "The longest that a request may take, whatever deadline the caller sets."),

    key("connection", "keepalive_interval", Kind::Duration(zero_or(SECOND, DAY)), "30s",
        "A connection on which nothing comes for so long is pinged; `0s` for never."),
    key("connection", "keepalive_timeout", Kind::Duration(from(100, HOUR)), "10s",
        "A connection that does not answer a ping for so long is closed."),
    key("connection", "age_max", Kind::Duration(zero_or(SECOND, 365 * DAY)), "30m",
        "A connection is asked to close at this age, so that balancers get to spread it anew; `0s` for never."),
    key("connection", "age_grace", Kind::Duration(zero_or(1, DAY)), "30s",
        "How long what is under way on such a connection may still take."),

    key("compression", "above_bytes", Kind::Size(zero_or(1, GIB)), "8192",
        "Answers at least so long are compressed for callers that accept it; `0` for never."),

    key("shutdown", "delay", Kind::Duration(zero_or(1, HOUR)), "0s",
        "How long to go on serving, reported as not ready, before shutting down: the time balancers take to notice."),
    key("shutdown", "grace", Kind::Duration(zero_or(1, HOUR)), "10s",
        "How long requests under way may still take while shutting down."),

    key("telemetry", "trace_trust", Kind::TraceTrust, "child",
        "What is made of the trace that a caller names: `child` goes on with it, `link` begins a new one that points to it, `ignore` begins a new one. Whether and where traces, metrics and log lines are sent is told by the `OTEL_*` variables of OpenTelemetry."),

    key("log", "format", Kind::LogFormat, "auto",
        "How log lines are written: `human`, `json`, or `auto`, which is human on a terminal."),
    key("log", "level", Kind::LogFilter, "info",
        "Which log lines are written: a level, or directives such as `info,deodar::source=debug`."),
];

impl Key {
    /// The key as people write it: `section.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The variable of the environment that sets it.
    pub fn variable(&self) -> String {
        format!("DEODAR_{}__{}", self.section, self.name).to_uppercase()
    }
}

/// The key of this path.
pub fn find(path: &str) -> Option<&'static Key> {
    let (section, name) = path.split_once('.')?;
    KEYS.iter()
        .find(|key| key.section == section && key.name == name)
}

impl Kind {
    /// What to write, for people.
    pub fn values(self) -> String {
        match self {
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Sockets => "list of paths".to_owned(),
            Self::Actions => "list of actions".to_owned(),
            Self::Names => "list of names".to_owned(),
            Self::Redactions => "list of rules".to_owned(),
            Self::Word(words) => words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(" or "),
            Self::Addresses => "list of addresses".to_owned(),
            Self::AddressOrOff => "address or `off`".to_owned(),
            Self::Duration(bounds) => format!("duration, {}", bounds.shown(duration::shown)),
            Self::Size(bounds) => format!("bytes, {}", bounds.shown(size::shown)),
            Self::Count(bounds) => format!("number, {}", bounds.shown(|number| number.to_string())),
            Self::SchemaConflict => "`reject` or `activate`".to_owned(),
            Self::TraceTrust => "`child`, `link` or `ignore`".to_owned(),
            Self::LogFormat => "`auto`, `human` or `json`".to_owned(),
            Self::LogFilter => "log filter".to_owned(),
        }
    }
}

impl Bounds {
    /// Whether a number is within.
    pub fn hold(self, number: u64) -> bool {
        (self.min..=self.max).contains(&number) || (self.or_zero && number == 0)
    }

    /// The bounds for people, with numbers written in the unit at hand.
    pub fn shown(self, number: impl Fn(u64) -> String) -> String {
        let range = format!("{} to {}", number(self.min), number(self.max));
        if self.or_zero {
            format!("{} or {range}", number(0))
        } else {
            range
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KEYS;
    use super::find;

    #[test]
    fn keys_are_unique_and_grouped() {
        let mut paths: Vec<_> = KEYS.iter().map(super::Key::path).collect();
        let sections: Vec<_> = KEYS
            .chunk_by(|a, b| a.section == b.section)
            .map(|group| group[0].section)
            .collect();
        assert_eq!(sections.len(), 12, "{sections:?}");
        assert!(paths.iter().all(|path| find(path).is_some()));
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), KEYS.len());
    }
}
