//! The one door to decisions, whatever protocol they are asked over.
//!
//! ```text
//! adapter --pin()--> Pinned --query()--> Query --authorize()--> Answer
//! ```
//!
//! [`Pdp::pin`] takes hold of one policy snapshot and one directory view; all
//! that is asked of a [`Pinned`] is answered from these two (invariant 1), so
//! a batch pins once. Everything here is synchronous and takes microseconds.
//! The decision cache stands in [`Pinned::authorize`] before the engine, the audit
//! log behind it ([`recording`]).

pub mod atomic;
pub mod cache;
pub mod clock;
pub mod ids;
pub mod key;
pub mod recording;
pub mod stamps;
pub mod state;
pub mod words;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use thiserror::Error;
use tokio::time::Instant;

use crate::audit::decision::DecisionRecord;
use crate::audit::decision::What;
use crate::engine::Cause;
use crate::engine::Decision;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::decide;
use crate::engine::explain;
use crate::engine::explain::Explanation;
use crate::engine::footprint::Half;
use crate::engine::query::Context;
use crate::engine::query::QueryError;
use crate::engine::scope::Atom;
use crate::engine::stored::Second;
use crate::identity::Caller;
use crate::telemetry::Counters;
use crate::telemetry::events;
use crate::telemetry::events::Decided;
use crate::telemetry::trace::Part;
use cache::Cache;
use cache::CacheSettings;
use cache::Found;
use clock::Clock;
use ids::DecisionId;
use ids::DecisionIds;
use recording::Call;
use recording::Pending;
use recording::Recording;
use state::Active;
use state::State;

/// What the operator decides about decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The resolution at which the server fills `context.now`.
    pub time_resolution: Duration,
    /// Whether callers may set `context.now` themselves.
    pub trust_caller_time: bool,
    /// How long callers may keep an answer; zero is not at all.
    pub keep_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            time_resolution: Duration::from_secs(1),
            trust_caller_time: false,
            keep_for: Duration::ZERO,
        }
    }
}

/// The policy decision point.
#[derive(Debug)]
pub struct Pdp {
    state: State,
    settings: Settings,
    clock: Clock,
    ids: DecisionIds,
    cache: Option<Cache>,
    recording: Option<Recording>,
    counters: Arc<Counters>,
}

/// No question can be answered now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotReady {
    /// No policies are in force yet.
    #[error("no policies are in force yet")]
    NoPolicies,
    /// Something has ended, and the directory has not removed it: whoever held
    /// it must not keep it because a disk is full.
    #[error("the directory is behind: what ended at {ended} (seconds since 1970) is still in it")]
    Behind {
        /// When it ended, in seconds since 1970.
        ended: Second,
    },
}

/// So much later than its time, an ending that is not in the view stops decisions.
const ENDING_LATE_MILLIS: i64 = 1000;

/// A question that cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// It does not fit the schema, or its entities are bad.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// It sets the time, which this server does itself.
    #[error("`context.now` is set by the server, not by the caller")]
    TimeNotTrusted,
    /// The server could not make a time; a fault of ours.
    #[error("the server cannot tell the time: {0}")]
    Clock(String),
}

impl AskError {
    /// The field of the request that has to be mended.
    pub fn field(&self) -> &str {
        match self {
            Self::Query(error) => error.field(),
            Self::TimeNotTrusted | Self::Clock(_) => "context.now",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Query(error) => error.hint(),
            Self::TimeNotTrusted => {
                "leave `now` out, or let the operator set `decision.trust_caller_time`".into()
            }
            Self::Clock(_) => "report this: it is a fault of deodar".into(),
        }
    }
}

/// The parts of a question, before they are known to fit the schema.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Who asks.
    pub principal: Arc<EntityUID>,
    /// To do what.
    pub action: Arc<EntityUID>,
    /// To what.
    pub resource: Arc<EntityUID>,
    /// The circumstances.
    pub context: Arc<Context>,
    /// Entities that the request carries.
    pub overlay: Arc<[Entity]>,
}

/// A question that fits the schema, and when it was made.
#[derive(Debug)]
pub struct Question {
    /// The question.
    pub query: Query,
    /// The tick of the clock that the server put into its context, if it did.
    pub tick: Option<i64>,
}

/// A decision with what the caller is told besides.
#[derive(Debug)]
pub struct Answer {
    /// The decision.
    pub decision: Arc<Decision>,
    /// Whether it had been made before.
    pub cached: bool,
    /// Its name in logs and audit.
    pub id: DecisionId,
    /// How long the caller may keep it; zero is not at all.
    pub keep_for: Duration,
}

impl Pdp {
    /// A decision point without policies: it answers once some are published.
    pub fn new(settings: Settings, cache: &CacheSettings, counters: Arc<Counters>) -> Self {
        Self {
            cache: Cache::new(cache, &counters),
            recording: None,
            state: State::default(),
            settings,
            clock: Clock::new(settings.time_resolution),
            ids: DecisionIds::default(),
            counters,
        }
    }

    /// The decision point, with its decisions recorded in an audit log.
    #[must_use]
    pub fn recorded(mut self, recording: Recording) -> Self {
        self.recording = Some(recording);
        self
    }

    /// Where decisions are recorded; `None` when they are not.
    pub fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    fn is_late(&self, ended: Second) -> bool {
        let late = ended
            .saturating_mul(1000)
            .saturating_add(ENDING_LATE_MILLIS);
        self.clock.millis() >= late
    }

    /// What is in force, and how changes went.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The decisions that are kept; `None` when the cache is switched off.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// Puts the next state of the directory in force: first what changed is
    /// marked, so that no kept decision that rests on it is good any longer, then
    /// the view is published.
    pub fn advance(&self, view: View, changes: &[(Atom, Half)]) {
        if let Some(cache) = &self.cache {
            cache.touch(changes, view.sequence());
        }
        if let Some(active) = self.state.load_full() {
            let policies = Arc::clone(&active.policies);
            self.state.advance(Active { policies, view });
        }
    }

    /// What has been counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Submits that a call was refused before its question could be asked, with
    /// the reason in a word and in a sentence; and what has to happen before the
    /// refusal may go out.
    pub fn refused(&self, caller: &Caller, call: &Call, reason: &str, message: &str) -> Pending {
        let mut pending = Pending::default();
        if let Some(recording) = &self.recording {
            let millis = self.clock.millis();
            recording.refusal(caller, call, (reason, message), millis, &mut pending);
        }
        pending
    }

    /// Takes hold of what is in force now.
    ///
    /// # Errors
    /// Before the first policies are in force, and while the directory fails to
    /// remove what has ended.
    pub fn pin(&self) -> Result<Pinned<'_>, NotReady> {
        self.in_force().inspect_err(|_| self.counters.not_ready())
    }

    /// As [`Pdp::pin`], for who asks again if there is nothing: that it was
    /// refused is not counted.
    ///
    /// # Errors
    /// As [`Pdp::pin`].
    pub fn in_force(&self) -> Result<Pinned<'_>, NotReady> {
        match self.state.load_full() {
            None => Err(NotReady::NoPolicies),
            Some(active) => match active.view.next_end() {
                Some(ended) if self.is_late(ended) => Err(NotReady::Behind { ended }),
                _ => Ok(Pinned {
                    pdp: self,
                    active,
                    call: Call::default(),
                    pending: RefCell::default(),
                    shared: RefCell::default(),
                }),
            },
        }
    }
}

/// One policy snapshot and one directory view, held for a question or a batch.
#[derive(Debug)]
pub struct Pinned<'a> {
    pdp: &'a Pdp,
    active: Arc<Active>,
    call: Call,
    pending: RefCell<Pending>,
    shared: RefCell<Option<SharedContext>>,
}

/// A decision that has no name yet.
struct Made {
    decision: Arc<Decision>,
    /// Whether it had been made before.
    cached: bool,
    /// Since when it was looked for.
    started: Option<Instant>,
}

/// A context that several questions share, as the last of them was made of it.
#[derive(Debug)]
struct SharedContext {
    /// As it was given. While it is held here nothing else can be at its place.
    given: Arc<Context>,
    /// A question whose context is this one, filled and checked.
    query: Query,
    tick: Option<i64>,
}

impl Pinned<'_> {
    /// What the call is known by in records of its decisions.
    #[must_use]
    pub fn for_call(mut self, call: Call) -> Self {
        self.call = call;
        self
    }

    /// Records a question that could not be asked, and why.
    pub fn refused(&self, caller: &Caller, reason: &str, message: &str) {
        if let Some(recording) = &self.pdp.recording {
            let mut pending = self.pending.borrow_mut();
            let millis = self.pdp.clock.millis();
            recording.refusal(caller, &self.call, (reason, message), millis, &mut pending);
        }
    }

    /// What has to happen before the answers given so far may go out.
    pub fn take_pending(&self) -> Pending {
        self.pending.take()
    }

    /// What is pinned.
    pub fn active(&self) -> &Active {
        &self.active
    }

    /// The pinned policies.
    pub fn snapshot(&self) -> &Snapshot {
        self.active().snapshot()
    }

    /// The pinned entities and links.
    pub fn view(&self) -> &View {
        &self.active().view
    }

    /// Makes a question of its parts: fills `context.now` where the schema
    /// declares it, and checks the rest against the schema.
    ///
    /// # Errors
    /// What does not fit.
    pub fn query(&self, parts: Parts) -> Result<Query, AskError> {
        self.question(parts).map(|question| question.query)
    }

    /// As [`Pinned::query`], and tells which tick of the clock is in it. A context
    /// that questions of one action share is filled and checked for the first of
    /// them.
    ///
    /// # Errors
    /// As [`Pinned::query`].
    pub fn question(&self, mut parts: Parts) -> Result<Question, AskError> {
        if let Some(known) = &*self.shared.borrow()
            && Arc::ptr_eq(&known.given, &parts.context)
            && known.query.action == parts.action
        {
            let (principal, resource) = (parts.principal, parts.resource);
            let query = &known.query;
            let query = query.of_others(self.snapshot(), principal, resource, parts.overlay)?;
            let tick = known.tick;
            return Ok(Question { query, tick });
        }
        let is_shared = Arc::strong_count(&parts.context) > 1;
        let given = is_shared.then(|| Arc::clone(&parts.context));
        let mut tick = None;
        let declared = self
            .snapshot()
            .schema()
            .and_then(|schema| schema.action(&parts.action));
        if declared.is_some_and(|action| action.takes_now) {
            if !parts.context.contains_key("now") {
                let millis = self.pdp.clock.tick();
                let now = self.pdp.clock.at(millis).map_err(AskError::Clock)?;
                tick = Some(millis);
                Arc::make_mut(&mut parts.context).insert("now".into(), now);
            } else if !self.pdp.settings.trust_caller_time {
                return Err(AskError::TimeNotTrusted);
            }
        }
        let query = Query::new(
            self.snapshot(),
            parts.principal,
            parts.action,
            parts.resource,
            parts.context,
            parts.overlay,
        )?;
        if let Some(given) = given
            && query.is_checked(self.snapshot())
        {
            let query = query.clone();
            let known = SharedContext { given, query, tick };
            *self.shared.borrow_mut() = Some(known);
        }
        Ok(Question { query, tick })
    }

    /// Decides, names the decision and counts it.
    ///
    /// # Errors
    /// When the carried entities are bad.
    pub fn authorize(&self, caller: &Caller, query: &Query) -> Result<Answer, AskError> {
        let started = self.started();
        let (decision, cached) = self.decide(query)?;
        let what = |decision: &Arc<Decision>| What::Made {
            query: query.clone(),
            decision: Arc::clone(decision),
        };
        let made = Made {
            decision,
            cached,
            started,
        };
        Ok(self.answer(caller, &query.action, made, what))
    }

    /// The time is taken only for records.
    fn started(&self) -> Option<Instant> {
        self.pdp.recording.as_ref().map(|_| Instant::now())
    }

    /// Names a decision, submits its record and counts it. One that cannot be
    /// recorded is a deny.
    fn answer(
        &self,
        caller: &Caller,
        action: &EntityUID,
        made: Made,
        what: impl FnOnce(&Arc<Decision>) -> What,
    ) -> Answer {
        let Made {
            mut decision,
            cached,
            started,
        } = made;
        let millis = self.pdp.clock.millis();
        let id = self.pdp.ids.next(millis);
        if let Some((recording, started)) = self.pdp.recording.as_ref().zip(started) {
            let record = DecisionRecord {
                id: id.uuid(),
                caller: caller.clone(),
                what: what(&decision),
                snapshot: Arc::clone(&self.active.policies.snapshot),
                directory: Arc::clone(self.view().revision()),
                cached,
                nanos: u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
                request: self.call.request.clone(),
                trace: self.call.trace.clone(),
                content: Arc::clone(&recording.content),
            };
            if !recording.decision(record, millis, &mut self.pending.borrow_mut()) {
                decision = Arc::new(Decision::not_recorded());
            }
        }
        let decided = Decided {
            id,
            caller,
            action,
            decision: &decision,
            policy_revision: &self.active.policies.revision,
            directory_revision: self.view().revision(),
            cached,
        };
        let of_action = self.active.policies.by_action().of(action);
        events::decided(&self.pdp.counters, of_action, &decided);
        Answer {
            keep_for: self.keep_for(action, &decision),
            decision,
            cached,
            id,
        }
    }

    /// From the cache, if it is there and good; and whether it was.
    fn decide(&self, query: &Query) -> Result<(Arc<Decision>, bool), AskError> {
        let Some(cache) = &self.pdp.cache else {
            return Ok((self.evaluate(query)?, false));
        };
        let asked = match cache.find(self.active(), query) {
            Found::Hit(decision) => return Ok((decision, true)),
            Found::Miss(asked) => Some(asked),
            Found::Skip => None,
        };
        let decision = self.evaluate(query)?;
        if let Some(asked) = asked {
            cache.keep(self.active(), asked, &decision);
        }
        Ok((decision, false))
    }

    /// By the engine, and how long it took is counted.
    fn evaluate(&self, query: &Query) -> Result<Arc<Decision>, AskError> {
        let counters = &self.pdp.counters;
        let _part = counters.tracer().map(|_| Part::begin("deodar.evaluate"));
        let started = Instant::now();
        let decision = decide(self.snapshot(), self.view(), query)?;
        counters.decide().observe(started.elapsed());
        Ok(Arc::new(decision))
    }

    /// Why a question is answered as it is.
    ///
    /// # Errors
    /// As [`Pinned::authorize`].
    pub fn explain(&self, query: &Query) -> Result<Explanation, AskError> {
        Ok(explain(self.snapshot(), self.view(), query)?)
    }

    /// How long the caller may keep an answer: as its policies say, the strictest
    /// of them, else as configured. Never past the tick if it depends on the
    /// time, nor past the end of something that it rests on; and not at all when
    /// an evaluation failed, or when there was no room for the record.
    fn keep_for(&self, action: &EntityUID, decision: &Decision) -> Duration {
        let settings = &self.pdp.settings;
        let by_policy = decision
            .policies
            .iter()
            .filter_map(|policy| policy.keep_for);
        let kept = by_policy.min().unwrap_or(settings.keep_for);
        let is_recorded = decision.cause() != Some(Cause::NotRecorded);
        if kept.is_zero() || !decision.errors.is_empty() || !is_recorded {
            return Duration::ZERO;
        }
        let reads_now = self.snapshot().projection(action).reads_context("now");
        let tick = if reads_now {
            self.pdp.clock.left_of_tick()
        } else {
            Duration::MAX
        };
        let ends = decision.footprint().first_end().map(|second| {
            let left = second.saturating_mul(1000) - self.pdp.clock.millis();
            Duration::from_millis(u64::try_from(left).unwrap_or(0))
        });
        kept.min(tick).min(ends.unwrap_or(Duration::MAX))
    }
}
