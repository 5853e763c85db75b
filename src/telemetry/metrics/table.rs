//! Every metric there is. The page `docs/operations.md` is written from this table.

use super::Kind;
use super::Label;
use super::Metric;
use super::Values;
use super::rpc::CODES;
use super::rpc::METHODS;

const fn metric(
    (name, kind, unit): (&'static str, Kind, &'static str),
    labels: &'static [Label],
    help: &'static str,
    to_do: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        unit,
        labels,
        help,
        to_do,
    }
}

const fn one_of(name: &'static str, values: &'static [&'static str]) -> Label {
    let values = Values::OneOf(values);
    Label { name, values }
}

const fn current(name: &'static str) -> Label {
    let values = Values::Current;
    Label { name, values }
}

const ACTION: Label = Label {
    name: "action",
    values: Values::Actions,
};
const DECISION: Label = one_of("decision", &["allow", "deny"]);
const CACHED: Label = one_of("cached", &["true", "false"]);
/// Why a question was decided as it was.
pub static CAUSES: &[&str] = &[
    "policy",
    "forbidden",
    "no_permit",
    "forbid_failed",
    "unknown_principal",
    "unknown_action",
    "unknown_resource",
    "not_applicable",
    "not_recorded",
];

macro_rules! metrics {
    ($($id:ident = ($name:literal, $kind:ident, $unit:literal), $labels:expr, $help:literal, $to_do:literal;)*) => {
        $(
            #[doc = $help]
            pub static $id: Metric = metric(($name, Kind::$kind, $unit), $labels, $help, $to_do);
        )*
        /// All of them, in the order in which they are shown.
        pub static METRICS: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    CALL_DURATION = ("rpc.server.call.duration", Histogram, "s"),
        &[one_of("rpc.method", METHODS), one_of("rpc.system.name", &["grpc"]), one_of("rpc.response.status_code", CODES)],
        "How long calls took, streams to their end.",
        "Slow with few calls: look at `deodar.decide.duration` for policies that cost much, and at the load of the machine. `UNAVAILABLE` means not ready or behind, `RESOURCE_EXHAUSTED` that a limit is reached.";
    DECISIONS = ("deodar.decisions", Counter, ""),
        &[DECISION, one_of("cause", CAUSES), CACHED],
        "Decisions made, by outcome and cause.",
        "A deny is an answer, not a fault. A sudden rise of denials after a change of policies asks for `deodar check`, which explains; `unknown_*` says that callers name what the directory or the schema does not have.";
    DECISIONS_BY_ACTION = ("deodar.decisions.by_action", Counter, ""),
        &[ACTION, DECISION, CACHED],
        "Decisions made, by declared action.",
        "Shows which feature is asked for and denied. `_OTHER` are actions that the schema does not declare.";
    DECIDE_DURATION = ("deodar.decide.duration", Histogram, "s"),
        &[],
        "How long the engine took for decisions that the cache did not have.",
        "Above a millisecond: a policy walks a deep hierarchy or a large set; narrow its scope. Hits are not timed.";
    POLICY_ERRORS = ("deodar.policy_errors", Counter, ""),
        &[],
        "Policies that failed to evaluate.",
        "A policy reads what is not there: guard it with `has`. `deodar check` names the policy and the place.";
    BAD_QUESTIONS = ("deodar.bad_questions", Counter, ""),
        &[],
        "Questions that could not be asked.",
        "A caller does not fit the schema; its error status names the field and what to do.";
    NOT_READY = ("deodar.not_ready", Counter, ""),
        &[],
        "Questions that came while none could be answered.",
        "`/readyz` tells why.";
    DEADLINES_EXCEEDED = ("deodar.deadlines_exceeded", Counter, ""),
        &[],
        "Questions whose deadline passed.",
        "Callers wait for less than the server takes, or for a revision that does not come: see `rpc.server.call.duration`.";
    ACTIVATIONS = ("deodar.policy_activations", Counter, ""),
        &[],
        "Policy revisions put in force.",
        "Nothing; compare it with what was released.";
    REJECTIONS = ("deodar.policy_rejections", Counter, ""),
        &[],
        "Policy revisions refused.",
        "The log names each fault; what was in force stays. Mend the policies: `deodar validate DIR`.";
    POLICIES = ("deodar.policies.info", Gauge, ""),
        &[current("revision")],
        "The digest of the policies in force.",
        "Differs between instances while a release is under way; when it stays so, one of them refuses the revision.";
    POLICIES_SINCE = ("deodar.policies.since", Gauge, "s"),
        &[],
        "When the policies came into force, in seconds since 1970.",
        "Nothing.";
    RELOAD_DURATION = ("deodar.reload.duration", Histogram, "s"),
        &[one_of("outcome", &["activated", "rejected"])],
        "How long taking a policy revision took.",
        "Grows with policies, links and entities; it holds up no decision.";
    READY = ("deodar.ready", Gauge, ""),
        &[],
        "1 while questions are answered, else 0.",
        "`/readyz` tells why not.";
    CACHE_LOOKUPS = ("deodar.cache.lookups", Counter, ""),
        &[one_of("result", &["hit", "miss", "uncacheable"]), one_of("cause", &["", "absent", "policies_changed", "entities_changed", "action", "errors"])],
        "Decisions by what the cache did for them.",
        "Many `entities_changed` with few writes: raise `cache.stamps`. Many `absent` with removals by `size`: raise `cache.bytes_max`.";
    CACHE_REMOVALS = ("deodar.cache.removals", Counter, ""),
        &[one_of("cause", &["size", "replaced"])],
        "Decisions that left the cache.",
        "By `size` all the time: raise `cache.bytes_max`.";
    CACHE_ENTRIES = ("deodar.cache.entries", Gauge, ""),
        &[],
        "Decisions in the cache.",
        "Nothing.";
    CACHE_SIZE = ("deodar.cache.size", Gauge, "By"),
        &[],
        "Bytes of the cache.",
        "Stays below `cache.bytes_max`.";
    DIRECTORY_SEQUENCE = ("deodar.directory.sequence", Gauge, ""),
        &[],
        "The last transaction of the directory.",
        "Nothing; it goes up with each write.";
    DIRECTORY_ENTITIES = ("deodar.directory.entities", Gauge, ""),
        &[],
        "Entities in the directory.",
        "Plan half a kilobyte of memory for each.";
    DIRECTORY_LINKS = ("deodar.directory.links", Gauge, ""),
        &[],
        "Links of templates in the directory.",
        "Nothing.";
    DIRECTORY_WRITES = ("deodar.directory.writes", Counter, ""),
        &[one_of("outcome", &["applied", "refused", "precondition", "busy", "failed"])],
        "Writes to the directory, by outcome.",
        "`failed`: the disk, see the log. `busy`: writers are faster than the disk; raise `directory.writes_waiting_max`, or let them wait and try again.";
    DIRECTORY_WAITING = ("deodar.directory.writes_waiting", Gauge, ""),
        &[],
        "Writes that wait to be applied.",
        "Near `directory.writes_waiting_max` writes are refused: find out who writes so much.";
    DIRECTORY_SNAPSHOTS = ("deodar.directory.snapshots", Counter, ""),
        &[one_of("outcome", &["kept", "failed"])],
        "Snapshots of the directory.",
        "`failed`: look for room on the disk; until one is kept, a start takes longer.";
    AUDIT_RECORDS = ("deodar.audit.records", Counter, ""),
        &[],
        "Records of the audit log that are on the disk.",
        "Nothing; it grows with each decision.";
    AUDIT_MISSING = ("deodar.audit.missing", Counter, ""),
        &[one_of("outcome", &["lost", "refused"])],
        "Records that were lost, or refused so that the answer was deny.",
        "The disk of `audit.path` is full, broken or too slow: see the log. `deodar audit query --kind gap` tells from when to when.";
    AUDIT_WAITING = ("deodar.audit.records_waiting", Gauge, ""),
        &[],
        "Records that are not on the disk yet.",
        "Near `audit.waiting_records_max` answers wait, are denied, or lose their records, by `audit.overflow`.";
    AUDIT_WAITING_BYTES = ("deodar.audit.waiting", Gauge, "By"),
        &[],
        "Bytes of memory of records that are not on the disk yet.",
        "Near `audit.waiting_bytes_max` answers wait, are denied, or lose their records, by `audit.overflow`.";
    AUDIT_OLDEST = ("deodar.audit.oldest_waiting", Gauge, "s"),
        &[],
        "For how long the oldest of these has waited.",
        "More than `audit.window`: the disk is too slow.";
    AUDIT_LATE = ("deodar.audit.late_syncs", Counter, ""),
        &[],
        "Times that records were on the disk later than the window.",
        "A faster disk, or a longer `audit.window`.";
    AUDIT_DISK_ERRORS = ("deodar.audit.disk_errors", Counter, ""),
        &[],
        "Calls to the disk of the audit log that failed.",
        "The log names the file and what the system says.";
    CONNECTIONS_REFUSED = ("deodar.connections_refused", Counter, ""),
        &[],
        "Connections refused as too many.",
        "Raise `limits.connections_max` and the limit of open files, or spread the callers.";
    EXPORTED = ("deodar.telemetry.exported", Counter, ""),
        &[one_of("signal", &["traces", "metrics", "logs"])],
        "Spans, metrics and log lines that a collector took.",
        "Nothing; zero without an endpoint in `OTEL_EXPORTER_OTLP_ENDPOINT`.";
    EXPORT_DROPPED = ("deodar.telemetry.dropped", Counter, ""),
        &[one_of("signal", &["traces", "metrics", "logs"]), one_of("cause", &["queue_full", "send_failed", "too_many_parts"])],
        "Spans, metrics and log lines that were dropped.",
        "`send_failed`: look at the collector. `queue_full`: it is too slow; trace fewer calls with `OTEL_TRACES_SAMPLER`, or raise `OTEL_BSP_MAX_QUEUE_SIZE` or, for log lines, `OTEL_BLRP_MAX_QUEUE_SIZE`. `too_many_parts`: one call had more than 128. Decisions are not touched.";
    PROCESS_MEMORY = ("process.resident_memory", Gauge, "By"),
        &[],
        "Memory that the process has.",
        "Grows with the directory, `cache.bytes_max` and connections.";
    PROCESS_CPU = ("process.cpu", Counter, "s"),
        &[],
        "Processor time that the process took.",
        "Near the number of cores: add instances.";
    PROCESS_FDS = ("process.open_fds", Gauge, ""),
        &[],
        "Files and sockets that are open.",
        "Near `ulimit -n`, connections are not accepted: raise it.";
    PROCESS_THREADS = ("process.threads", Gauge, ""),
        &[],
        "Threads.",
        "Nothing.";
    PROCESS_START = ("process.start_time", Gauge, "s"),
        &[],
        "When the process started, in seconds since 1970.",
        "Changes often: the process is killed; ask the system for the reason.";
    BUILD = ("deodar.build.info", Gauge, ""),
        &[current("version")],
        "The version that runs.",
        "Nothing.";
}

#[cfg(test)]
mod tests {
    use super::METRICS;

    #[test]
    fn names_are_unique_and_every_metric_says_what_to_do() {
        let mut names: Vec<_> = METRICS.iter().map(|m| m.prometheus_name()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.to_do.ends_with('.'), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
