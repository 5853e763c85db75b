//! The one door to decisions, whatever protocol they are asked over.
//!
//! ```text
//! adapter --pin()--> Pinned --query()--> Query --authorize()--> Answer
//! ```
//!
//! [`Pdp::pin`] takes hold of one policy snapshot and one directory view; all
//! that is asked of a [`Pinned`] is answered from these two (invariant 1), so
//! a batch pins once. Everything here is synchronous and takes microseconds.
//! The decision cache and the audit log will stand in [`Pinned::authorize`],
//! before and behind the engine.

pub mod clock;
pub mod ids;
pub mod state;

use std::sync::Arc;
use std::time::Duration;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use thiserror::Error;

use crate::engine::Decision;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::decide;
use crate::engine::explain;
use crate::engine::explain::Explanation;
use crate::engine::query::Context;
use crate::engine::query::QueryError;
use crate::identity::Caller;
use crate::telemetry::Counters;
use clock::Clock;
use ids::DecisionId;
use ids::DecisionIds;
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
    counters: Arc<Counters>,
}

/// No question can be answered yet: no policies are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no policies are in force yet")]
pub struct NotReady;

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

/// A decision with what the caller is told besides.
#[derive(Debug)]
pub struct Answer {
    /// The decision.
    pub decision: Decision,
    /// Its name in logs and audit.
    pub id: DecisionId,
    /// How long the caller may keep it; zero is not at all.
    pub keep_for: Duration,
}

impl Pdp {
    /// A decision point without policies: it answers once some are published.
    pub fn new(settings: Settings, counters: Arc<Counters>) -> Self {
        Self {
            state: State::default(),
            settings,
            clock: Clock::new(settings.time_resolution),
            ids: DecisionIds::default(),
            counters,
        }
    }

    /// What is in force, and how changes went.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What has been counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Takes hold of what is in force now.
    ///
    /// # Errors
    /// Before the first policies are in force.
    pub fn pin(&self) -> Result<Pinned<'_>, NotReady> {
        match self.state.load_full() {
            Some(active) => Ok(Pinned { pdp: self, active }),
            None => {
                self.counters.not_ready();
                Err(NotReady)
            }
        }
    }
}

/// One policy snapshot and one directory view, held for a question or a batch.
#[derive(Debug)]
pub struct Pinned<'a> {
    pdp: &'a Pdp,
    active: Arc<Active>,
}

impl Pinned<'_> {
    /// What is pinned.
    pub fn active(&self) -> &Active {
        &self.active
    }

    /// The pinned policies.
    pub fn snapshot(&self) -> &Snapshot {
        &self.active().snapshot
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
    pub fn query(&self, mut parts: Parts) -> Result<Query, AskError> {
        let declared = self
            .snapshot()
            .schema()
            .and_then(|schema| schema.action(&parts.action));
        if declared.is_some_and(|action| action.takes_now) {
            if !parts.context.contains_key("now") {
                let now = self.pdp.clock.now().map_err(AskError::Clock)?;
                Arc::make_mut(&mut parts.context).insert("now".into(), now);
            } else if !self.pdp.settings.trust_caller_time {
                return Err(AskError::TimeNotTrusted);
            }
        }
        Ok(Query::new(
            self.snapshot(),
            parts.principal,
            parts.action,
            parts.resource,
            parts.context,
            parts.overlay,
        )?)
    }

    /// Decides, names the decision and counts it.
    ///
    /// # Errors
    /// When the carried entities are bad.
    pub fn authorize(&self, caller: &Caller, query: &Query) -> Result<Answer, AskError> {
        let decision = decide(self.snapshot(), self.view(), query)?;
        let id = self.pdp.ids.next(self.pdp.clock.millis());
        self.pdp.counters.decision(&decision);
        tracing::debug!(
            target: "deodar::decision",
            %id,
            %caller,
            action = %query.action,
            allow = decision.is_allow(),
            "decided"
        );
        Ok(Answer {
            keep_for: self.keep_for(query, &decision),
            decision,
            id,
        })
    }

    /// Why a question is answered as it is.
    ///
    /// # Errors
    /// As [`Pinned::authorize`].
    pub fn explain(&self, query: &Query) -> Result<Explanation, AskError> {
        Ok(explain(self.snapshot(), self.view(), query)?)
    }

    /// An answer that depends on the time is good for one tick at most, and one
    /// that came of a failed evaluation is not to be kept at all.
    fn keep_for(&self, query: &Query, decision: &Decision) -> Duration {
        let settings = &self.pdp.settings;
        if settings.keep_for.is_zero() || !decision.errors.is_empty() {
            return Duration::ZERO;
        }
        if self
            .snapshot()
            .projection(&query.action)
            .reads_context("now")
        {
            return settings.keep_for.min(settings.time_resolution);
        }
        settings.keep_for
    }
}
