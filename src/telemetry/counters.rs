//! What decisions, calls and policies are counted by.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::cache::CacheCounters;
use super::metrics::Family;
use super::metrics::Metric;
use super::metrics::Value;
use super::metrics::actions::Actions;
use super::metrics::histogram::Histogram;
use super::metrics::histogram::OF_DECISIONS;
use super::metrics::histogram::OF_RELOADS;
use super::metrics::prometheus::Format;
use super::metrics::rpc::Calls;
use super::metrics::table;
use super::otlp::queue::ExportCounters;
use super::trace::Tracer;
use crate::engine::Cause;
use crate::engine::Decision;

/// What is counted since the start. Labels are closed sets, never ids.
///
/// One atomic for each, not one for each core: that is for when a measurement asks
/// for it.
#[derive(Debug)]
pub struct Counters {
    /// By cause, from `policy`; decided and from the cache.
    decisions: [[AtomicU64; 2]; CAUSES.len() + 1],
    policy_errors: AtomicU64,
    bad_questions: AtomicU64,
    not_ready: AtomicU64,
    deadlines: AtomicU64,
    activations: AtomicU64,
    rejections: AtomicU64,
    connections_refused: AtomicU64,
    cache: CacheCounters,
    calls: Calls,
    actions: Actions,
    decide: Histogram,
    activated: Histogram,
    rejected: Histogram,
    exports: Arc<ExportCounters>,
    tracer: OnceLock<Tracer>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            decisions: Default::default(),
            policy_errors: AtomicU64::default(),
            bad_questions: AtomicU64::default(),
            not_ready: AtomicU64::default(),
            deadlines: AtomicU64::default(),
            activations: AtomicU64::default(),
            rejections: AtomicU64::default(),
            connections_refused: AtomicU64::default(),
            cache: CacheCounters::default(),
            calls: Calls::default(),
            actions: Actions::default(),
            decide: Histogram::new(OF_DECISIONS),
            activated: Histogram::new(OF_RELOADS),
            rejected: Histogram::new(OF_RELOADS),
            exports: Arc::default(),
            tracer: OnceLock::new(),
        }
    }
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
    pub(super) fn decision(&self, decision: &Decision, cached: bool) {
        let place = decision.cause().map_or(Some(0), |cause| {
            let place = CAUSES.iter().position(|known| *known == cause);
            place.map(|place| place + 1)
        });
        let counts = place.and_then(|place| self.decisions.get(place));
        let count = counts.and_then(|counts| counts.get(usize::from(cached)));
        count.into_iter().for_each(add);
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
    pub fn activation(&self, took: Duration) {
        add(&self.activations);
        self.activated.observe(took);
    }

    /// A change of policies was refused.
    pub fn rejection(&self, took: Duration) {
        add(&self.rejections);
        self.rejected.observe(took);
    }

    /// A connection was refused because there were too many.
    pub fn connection_refused(&self) {
        add(&self.connections_refused);
    }

    /// How the decision cache fares.
    pub fn cache(&self) -> &CacheCounters {
        &self.cache
    }

    /// How long calls took.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// How long the engine takes for a decision.
    pub fn decide(&self) -> &Histogram {
        &self.decide
    }

    /// Decisions by action.
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// How sending telemetry goes.
    pub fn exports(&self) -> &Arc<ExportCounters> {
        &self.exports
    }

    /// What traces calls, if anything does.
    pub fn tracer(&self) -> Option<&Tracer> {
        self.tracer.get()
    }

    /// Calls are traced from now on; the first tracer stays.
    pub fn trace_with(&self, tracer: Tracer) {
        self.tracer.set(tracer).ok();
    }

    /// Every metric that is counted here.
    pub(super) fn families(&self) -> Vec<Family> {
        let plain = |(metric, count): (&'static Metric, &AtomicU64)| {
            Family::count(metric, count.load(Ordering::Relaxed))
        };
        let reload = |outcome, histogram: &Histogram| {
            let spread = histogram.read();
            Family::of(&table::RELOAD_DURATION).with([outcome], Value::Spread(spread))
        };
        let mut reloads = reload("activated", &self.activated);
        reloads
            .points
            .extend(reload("rejected", &self.rejected).points);
        let decide = Value::Spread(self.decide.read());
        let mut families = vec![
            self.calls.family(),
            self.decisions(),
            self.actions.family(),
            Family::of(&table::DECIDE_DURATION).with([], decide),
            reloads,
        ];
        families.extend(self.cache.families());
        let counts = [
            (&table::POLICY_ERRORS, &self.policy_errors),
            (&table::BAD_QUESTIONS, &self.bad_questions),
            (&table::NOT_READY, &self.not_ready),
            (&table::DEADLINES_EXCEEDED, &self.deadlines),
            (&table::ACTIVATIONS, &self.activations),
            (&table::REJECTIONS, &self.rejections),
            (&table::CONNECTIONS_REFUSED, &self.connections_refused),
        ];
        families.extend(counts.map(plain));
        families.extend(self.exports.families());
        families
    }

    /// What is counted here, as Prometheus reads it.
    pub fn prometheus(&self) -> String {
        Format::Text.write(&self.families())
    }

    fn decisions(&self) -> Family {
        let mut family = Family::of(&table::DECISIONS);
        for (cause, counts) in table::CAUSES.iter().zip(&self.decisions) {
            let decision = if *cause == "policy" { "allow" } else { "deny" };
            for (cached, count) in ["false", "true"].into_iter().zip(counts) {
                let count = Value::Count(count.load(Ordering::Relaxed));
                family = family.with([decision, *cause, cached], count);
            }
        }
        family
    }
}

pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::CAUSES;
    use super::table;

    #[test]
    fn causes_are_named_as_the_table_has_them() {
        let named = CAUSES.iter().map(|cause| cause.as_str());
        assert!(
            ["policy"]
                .into_iter()
                .chain(named)
                .eq(table::CAUSES.iter().copied())
        );
    }
}
