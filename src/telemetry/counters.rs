//! Counters, and their Prometheus text.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::cache::CacheCounters;
use crate::engine::Cause;
use crate::engine::Decision;

/// What is counted since the start. Labels are closed sets, never ids.
#[derive(Debug, Default)]
pub struct Counters {
    allowed: AtomicU64,
    denied: [AtomicU64; CAUSES.len()],
    policy_errors: AtomicU64,
    bad_questions: AtomicU64,
    not_ready: AtomicU64,
    deadlines: AtomicU64,
    activations: AtomicU64,
    rejections: AtomicU64,
    connections_refused: AtomicU64,
    cache: CacheCounters,
}

const CAUSES: [Cause; 8] = [
    Cause::Forbidden,
    Cause::NoPermit,
    Cause::ForbidFailed,
    Cause::UnknownPrincipal,
    Cause::UnknownAction,
    Cause::UnknownResource,
    Cause::NotApplicable,
    Cause::NotRecorded,
];

impl Counters {
    /// A decision was made.
    pub fn decision(&self, decision: &Decision) {
        match decision.cause() {
            None => add(&self.allowed),
            Some(cause) => {
                let place = CAUSES.iter().position(|known| *known == cause);
                place
                    .and_then(|place| self.denied.get(place))
                    .into_iter()
                    .for_each(add);
            }
        }
        if !decision.errors.is_empty() {
            self.policy_errors
                .fetch_add(decision.errors.len() as u64, Ordering::Relaxed);
        }
    }

    /// A question could not be asked.
    pub fn bad_question(&self) {
        add(&self.bad_questions);
    }

    /// A question came before any policies were in force.
    pub fn not_ready(&self) {
        add(&self.not_ready);
    }

    /// A deadline passed before the answer.
    pub fn deadline(&self) {
        add(&self.deadlines);
    }

    /// Policies were put in force.
    pub fn activation(&self) {
        add(&self.activations);
    }

    /// A change of policies was refused.
    pub fn rejection(&self) {
        add(&self.rejections);
    }

    /// A connection was refused because there were too many.
    pub fn connection_refused(&self) {
        add(&self.connections_refused);
    }

    /// How the decision cache fares.
    pub fn cache(&self) -> &CacheCounters {
        &self.cache
    }

    /// All counters in Prometheus' text format, version 0.0.4.
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        let decisions = std::iter::once(("allow", "policy", &self.allowed)).chain(
            CAUSES
                .iter()
                .zip(&self.denied)
                .map(|(cause, count)| ("deny", cause.as_str(), count)),
        );
        head(
            &mut text,
            "deodar_decisions_total",
            "Decisions made, by outcome and cause.",
        );
        for (decision, cause, count) in decisions {
            let count = count.load(Ordering::Relaxed);
            let labels = format!("decision=\"{decision}\",cause=\"{cause}\"");
            line(&mut text, "deodar_decisions_total", &labels, count);
        }
        let plain = [
            (
                "deodar_policy_errors_total",
                "Policies that failed to evaluate.",
                &self.policy_errors,
            ),
            (
                "deodar_bad_questions_total",
                "Questions that could not be asked.",
                &self.bad_questions,
            ),
            (
                "deodar_not_ready_total",
                "Questions before any policies were in force.",
                &self.not_ready,
            ),
            (
                "deodar_deadlines_exceeded_total",
                "Questions whose deadline passed.",
                &self.deadlines,
            ),
            (
                "deodar_policy_activations_total",
                "Policy revisions put in force.",
                &self.activations,
            ),
            (
                "deodar_policy_rejections_total",
                "Policy revisions refused.",
                &self.rejections,
            ),
            (
                "deodar_connections_refused_total",
                "Connections refused as too many.",
                &self.connections_refused,
            ),
        ];
        for (name, help, count) in plain {
            head(&mut text, name, help);
            line(&mut text, name, "", count.load(Ordering::Relaxed));
        }
        self.cache.prometheus(&mut text);
        text
    }
}

pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn head(text: &mut String, name: &str, help: &str) {
    // Writing to a string cannot fail.
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter").ok();
}

pub(super) fn line(text: &mut String, name: &str, labels: &str, count: u64) {
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    };
    writeln!(text, "{name}{labels} {count}").ok();
}
