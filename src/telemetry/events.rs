//! Events: each writes its log line and moves its counter.

use std::net::SocketAddr;
use std::time::Duration;

use cedar_policy_core::ast::EntityUID;

use super::counters::Counters;
use super::metrics::actions::ActionCount;
use super::metrics::directory::DirectoryCounters;
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
    /// Whether it came from the cache.
    pub cached: bool,
}

/// A decision was made.
pub fn decided(counters: &Counters, of_action: &ActionCount, decided: &Decided<'_>) {
    let Decided {
        id,
        caller,
        action,
        decision,
        cached,
    } = *decided;
    let allow = decision.is_allow();
    counters.decision(decision, cached);
    of_action.add(allow, cached);
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
pub fn policies_activated(counters: &Counters, revision: &str, policies: usize, took: Duration) {
    counters.activation(took);
    tracing::info!(revision, policies, ?took, "policies are in force");
}

/// A change of policies was refused; what was in force stays so.
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
pub fn policy_warning(fault: &Fault) {
    tracing::warn!(
        place = fault.place(),
        hint = fault.hint.as_deref().unwrap_or_default(),
        "{}",
        fault.message
    );
}

/// The store of the directory failed; nothing of the write is in force.
pub fn directory_failed(error: &str) {
    tracing::error!(error, "the directory cannot be written");
}

/// A snapshot of the directory was kept: the next start begins from it.
pub fn directory_snapshot(counters: &DirectoryCounters, sequence: u64) {
    counters.snapshot(true);
    tracing::info!(sequence, "a snapshot of the directory was kept");
}

/// A snapshot of the directory could not be kept; the next start takes longer.
pub fn directory_snapshot_failed(counters: &DirectoryCounters, error: &str) {
    counters.snapshot(false);
    tracing::warn!(error, "a snapshot of the directory could not be kept");
}

/// The directory was opened.
pub fn directory_opened(revision: &str, entities: usize, links: usize, took: Duration) {
    tracing::info!(revision, entities, links, ?took, "the directory is open");
}

/// Stored data does not fit the policies that are in force all the same.
pub fn directory_misfits(count: usize) {
    tracing::warn!(
        count,
        "stored entities or links do not fit the policies in force"
    );
}

/// The repository's entities were not taken: the directory has its own.
pub fn directory_has_its_own(entities: usize) {
    tracing::info!(
        entities,
        "the entities of the policy repository are not taken: they begin a new directory, and this one is not new"
    );
}

/// The policy directory changed, but holds the same policies and data.
pub fn policies_unchanged(revision: &str) {
    tracing::info!(
        revision,
        "the policy directory changed, the policies did not"
    );
}

/// Listening with gRPC where others than this machine can reach.
pub fn insecure(address: &SocketAddr) {
    tracing::warn!(
        %address,
        "listening off loopback without TLS and caller authentication, as `insecure` asks: everyone who reaches this address may ask, read, and write entities and links; put a mesh in front that lets in nobody else, or listen on loopback or a unix socket"
    );
}

/// Listening with HTTP where others than this machine can reach.
pub fn insecure_http(address: &SocketAddr) {
    tracing::warn!(
        %address,
        "listening off loopback without TLS, as `insecure` asks: everyone who reaches this address may read health and metrics"
    );
}

/// A listener takes no more connections for now.
pub fn connection_refused(counters: &Counters, limit: usize) {
    counters.connection_refused();
    tracing::warn!(
        limit,
        "a connection is refused: `limits.connections_max` is reached"
    );
}

/// The system would not give up a connection that waits.
pub fn accept_failed(error: &std::io::Error) {
    tracing::error!(%error, "cannot accept a connection, trying again");
}

/// Other log lines are written from now on.
pub fn log_level_changed(level: &str) {
    tracing::info!(level, "SIGHUP: `log.level` was read again");
}

/// The log lines stay as they were.
pub fn log_level_refused(error: &str) {
    tracing::error!(
        error,
        "SIGHUP: the configuration is refused, `log.level` stays; `deodar config show` shows the faults"
    );
}

/// Draining has begun.
pub fn draining(signal: &str) {
    tracing::info!(signal, "draining: no new work is taken");
}

/// Some work did not end within the grace.
pub fn grace_ended() {
    tracing::warn!("`shutdown.grace` is over, open calls are cut");
}

/// Changes of the policy directory are no longer seen.
pub fn control_line_ended(reason: &str) {
    tracing::error!(
        reason,
        "the policy directory is no longer watched; restart to take changes"
    );
}
