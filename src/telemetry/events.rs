//! Events: each writes its log line and moves its counter.

use std::net::SocketAddr;
use std::time::Duration;

use cedar_policy_core::ast::EntityUID;

use super::counters::Counters;
use super::metrics::actions::ActionCount;
use super::metrics::directory::DirectoryCounters;
use super::otlp::queue::Signal;
use super::trace;
use crate::engine::Decision;
use crate::engine::Fault;
use crate::identity::Caller;
use crate::pdp::ids::DecisionId;

/// At most so many faults of a refused revision are logged one by one.
const FAULTS_LOGGED_MAX: usize = 20;

/// A decision, and what is told of it.
#[derive(Debug)]
pub struct Decided<'a> {
    /// Its name.
    pub id: DecisionId,
    /// Who asked.
    pub caller: &'a Caller,
    /// What was asked for.
    pub action: &'a EntityUID,
    /// What was decided.
    pub decision: &'a Decision,
    /// The digest of the policies that it was made by.
    pub policy_revision: &'a str,
    /// The revision of the directory that it was made on.
    pub directory_revision: &'a str,
    /// Whether it came from the cache.
    pub cached: bool,
}

/// A decision was made.
///
/// To do: nothing; shown at `debug`, one line a decision.
pub fn decided(counters: &Counters, of_action: &ActionCount, decided: &Decided<'_>) {
    let Decided {
        id,
        caller,
        action,
        decision,
        cached,
        ..
    } = *decided;
    let allow = decision.is_allow();
    counters.decision(decision, cached);
    of_action.add(allow, cached);
    if counters.tracer().is_some() {
        trace::decided(decided);
    }
    tracing::debug!(
        target: "deodar::decision",
        %id,
        %caller,
        %action,
        allow,
        cached,
        "decided"
    );
}

/// Policies were put in force.
///
/// To do: nothing.
pub fn policies_activated(counters: &Counters, revision: &str, policies: usize, took: Duration) {
    counters.activation(took);
    tracing::info!(revision, policies, ?took, "policies are in force");
}

/// A change of policies was refused; what was in force stays so.
///
/// To do: mend the policies; a line for each fault follows.
pub fn policies_rejected(
    counters: &Counters,
    revision: &str,
    faults: &[Fault],
    in_force: Option<&str>,
    took: Duration,
) {
    counters.rejection(took);
    tracing::error!(
        revision,
        in_force = in_force.unwrap_or("none"),
        faults = faults.len(),
        ?took,
        "policies are refused; what was in force stays"
    );
    for fault in faults.iter().take(FAULTS_LOGGED_MAX) {
        tracing::error!(
            place = fault.place(),
            hint = fault.hint.as_deref().unwrap_or_default(),
            "{}",
            fault.message
        );
    }
}

/// The validator warned of something in policies that are now in force.
///
/// To do: look at the place that it names; the policies are in force all the same.
pub fn policy_warning(fault: &Fault) {
    tracing::warn!(
        place = fault.place(),
        hint = fault.hint.as_deref().unwrap_or_default(),
        "{}",
        fault.message
    );
}

/// The store of the directory failed; nothing of the write is in force.
///
/// To do: look for room and rights on the disk of `directory.path`; writes are refused meanwhile.
pub fn directory_failed(error: &str) {
    tracing::error!(error, "the directory cannot be written");
}

/// A snapshot of the directory was kept: the next start begins from it.
///
/// To do: nothing.
pub fn directory_snapshot(counters: &DirectoryCounters, sequence: u64) {
    counters.snapshot(true);
    tracing::info!(sequence, "a snapshot of the directory was kept");
}

/// A snapshot of the directory could not be kept; the next start takes longer.
///
/// To do: look for room on the disk of `directory.path`.
pub fn directory_snapshot_failed(counters: &DirectoryCounters, error: &str) {
    counters.snapshot(false);
    tracing::warn!(error, "a snapshot of the directory could not be kept");
}

/// The directory was opened.
///
/// To do: nothing.
pub fn directory_opened(revision: &str, entities: usize, links: usize, took: Duration) {
    tracing::info!(revision, entities, links, ?took, "the directory is open");
}

/// Stored data does not fit the policies that are in force all the same.
///
/// To do: mend what is stored, or the schema; `directory.on_schema_conflict` let it pass.
pub fn directory_misfits(count: usize) {
    tracing::warn!(
        count,
        "stored entities or links do not fit the policies in force"
    );
}

/// The repository's entities were not taken: the directory has its own.
///
/// To do: nothing, or import them with `deodar directory import`.
pub fn directory_has_its_own(entities: usize) {
    tracing::info!(
        entities,
        "the entities of the policy repository are not taken: they begin a new directory, and this one is not new"
    );
}

/// The policy directory changed, but holds the same policies and data.
///
/// To do: nothing.
pub fn policies_unchanged(revision: &str) {
    tracing::info!(
        revision,
        "the policy directory changed, the policies did not"
    );
}

/// Listening with gRPC where others than this machine can reach.
///
/// To do: put a mesh in front that lets in nobody else, or listen on loopback or a unix socket.
pub fn insecure(address: &SocketAddr) {
    tracing::warn!(
        %address,
        "listening off loopback without TLS and caller authentication, as `insecure` asks: everyone who reaches this address may ask, read, and write entities and links; put a mesh in front that lets in nobody else, or listen on loopback or a unix socket"
    );
}

/// Listening with HTTP where others than this machine can reach.
///
/// To do: keep the port from strangers, or listen on loopback.
pub fn insecure_http(address: &SocketAddr) {
    tracing::warn!(
        %address,
        "listening off loopback without TLS, as `insecure` asks: everyone who reaches this address may read health and metrics"
    );
}

/// A listener takes no more connections for now.
///
/// To do: find out who opens so many, or raise `limits.connections_max`.
pub fn connection_refused(counters: &Counters, limit: usize) {
    counters.connection_refused();
    tracing::warn!(
        limit,
        "a connection is refused: `limits.connections_max` is reached"
    );
}

/// The system would not give up a connection that waits.
///
/// To do: raise the limit of open files.
pub fn accept_failed(error: &std::io::Error) {
    tracing::error!(%error, "cannot accept a connection, trying again");
}

/// A variable for telemetry cannot be followed.
///
/// To do: mend the variable; until then it is as if it were not set, or nothing is sent.
pub fn export_variable(warning: &str) {
    tracing::warn!("{warning}");
}

/// A batch was dropped, after all tries; told once until one is taken again.
///
/// To do: look at the collector; see `deodar.telemetry.dropped`.
pub fn export_failed(signal: Signal, error: &str) {
    tracing::warn!(
        ?signal,
        error,
        "telemetry cannot be sent and is dropped; decisions go on: look at the collector"
    );
}

/// Spans, metrics or log lines were not taken before the end.
///
/// To do: look at the collector if it happens at every end: it was slow, or not there.
pub fn export_ended_with(left: u64) {
    tracing::warn!(left, "telemetry that waited was not taken before the end");
}

/// Other log lines are written from now on.
///
/// To do: nothing.
pub fn log_level_changed(level: &str) {
    tracing::info!(level, "SIGHUP: `log.level` was read again");
}

/// The log lines stay as they were.
///
/// To do: mend the configuration, and send SIGHUP again.
pub fn log_level_refused(error: &str) {
    tracing::error!(
        error,
        "SIGHUP: the configuration is refused, `log.level` stays; `deodar config show` shows the faults"
    );
}

/// Draining has begun.
///
/// To do: nothing.
pub fn draining(signal: &str) {
    tracing::info!(signal, "draining: no new work is taken");
}

/// Some work did not end within the grace.
///
/// To do: raise `shutdown.grace` if calls need longer.
pub fn grace_ended() {
    tracing::warn!("`shutdown.grace` is over, open calls are cut");
}

/// Changes of the policy directory are no longer seen.
///
/// To do: restart to take changes of policies.
pub fn control_line_ended(reason: &str) {
    tracing::error!(
        reason,
        "the policy directory is no longer watched; restart to take changes"
    );
}

/// The audit log was opened.
///
/// To do: nothing.
pub fn audit_opened(directory: &str, segments: usize, next_seq: u64) {
    tracing::info!(directory, segments, next_seq, "the audit log is open");
}

/// What a crash tore was cut off from the audit log, and kept.
///
/// To do: keep the file; nothing that was acknowledged in the mode `sync` is in it.
pub fn audit_repaired(file: &str, bytes: u64) {
    tracing::warn!(
        file,
        bytes,
        "a crash tore the end of the audit log: what is no record is kept in this file"
    );
}

/// Records of the audit log begin to be lost or refused; told once until the gap
/// is recorded.
///
/// To do: look at the disk of `audit.path`; what is missing is told by a `gap` record.
pub fn audit_losing(is_lost: bool) {
    let what = if is_lost { "lost" } else { "refused" };
    tracing::error!("audit records are {what}: too many wait to be written");
}

/// The audit log cannot be written; told once until it can.
///
/// To do: make room, or mend the disk of `audit.path`; it is tried again by itself.
pub fn audit_failing(path: &str, error: &std::io::Error) {
    tracing::error!(path, %error, "the audit log cannot be written, trying again");
}

/// The audit log can be written again.
///
/// To do: nothing; `deodar audit query --kind gap` tells what is missing.
pub fn audit_recovered(failures: u64) {
    tracing::info!(failures, "the audit log is written again");
}

/// What went wrong was recorded in the audit log.
///
/// To do: `late` says that the disk took longer than the window: a faster disk, or a longer `audit.window`; for the rest see what was logged before.
pub fn audit_gap(lost: u64, refused: u64, why: &str) {
    tracing::warn!(lost, refused, why, "a gap was recorded in the audit log");
}

/// The audit log has ended with records that could not be written.
///
/// To do: mend the disk before the next start; the decisions of these records were given.
pub fn audit_ended_with(left: usize) {
    tracing::error!(left, "the audit log has ended, and these records are lost");
}

/// The audit log cannot be closed: its disk takes too long.
///
/// To do: look at the disk of `audit.path`; the server has ended all the same, and records that it gave last may be missing.
pub fn audit_close_hangs(grace: Duration) {
    tracing::warn!(
        ?grace,
        "the audit log is not closed by now, and is not waited for any more: its disk hangs"
    );
}

/// A closed segment of the audit log cannot be packed or dropped.
///
/// To do: look at the disk of `audit.path`; it is tried again by itself.
pub fn audit_sweep_failed(path: &str, error: &std::io::Error) {
    tracing::warn!(path, %error, "a closed segment of the audit log cannot be packed or dropped, trying again");
}

/// A closed segment of the audit log is not what was written.
///
/// To do: keep the directory as it is, as evidence, and run `deodar audit verify`.
pub fn audit_damaged(file: &str) {
    tracing::error!(
        file,
        "a closed segment of the audit log is not what was written: run `deodar audit verify`"
    );
}

/// Segments of the audit log were dropped, as their retention has it.
///
/// To do: nothing; `audit.keep_age` and `audit.keep_bytes` say so.
pub fn audit_dropped(segments: usize, through: u64) {
    tracing::info!(segments, through, "segments of the audit log were dropped");
}
