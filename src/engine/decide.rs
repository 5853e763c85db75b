//! The decision: index, evaluate the few, combine.

use std::sync::Arc;

use cedar_policy_core::ast;
use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::EntityUIDEntry;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::ValueKind;
use cedar_policy_core::entities::Entities;
use cedar_policy_core::evaluator::Evaluator;

use super::decision::Cause;
use super::decision::Decision;
use super::decision::PolicyError;
use super::extensions::extensions;
use super::footprint::Footprint;
use super::manifest::OnError;
use super::manifest::OnUnknown;
use super::named::Probe;
use super::overlay::Overlay;
use super::policy::Policy;
use super::policy::PolicyInfo;
use super::query::Query;
use super::query::QueryError;
use super::reach::Reach;
use super::scope::Parties;
use super::scope::Party;
use super::slice::Slice;
use super::snapshot::Snapshot;
use super::view::View;

/// Decides one query.
///
/// Takes as long for 100,000 policies as for 10: only policies whose scope
/// matches are evaluated. The decision, its policies and its errors are what
/// Cedar's `Authorizer` gives for the same policies, entities and request,
/// unless the manifest asks for more (erroring forbids deny, unknown entities
/// are denied).
///
/// # Errors
/// When the entities that the request carries do not fit the schema or form a
/// cycle.
pub fn decide(snapshot: &Snapshot, view: &View, query: &Query) -> Result<Decision, QueryError> {
    let mut footprint = Footprint::default();
    let ground = match Ground::new(snapshot, view, query, &mut footprint)? {
        Ok(ground) => ground,
        Err(cause) => {
            let refused = Decision::deny(cause, Vec::new(), Vec::new());
            return Ok(refused.resting_on(footprint));
        }
    };
    Ok(judge(&ground, snapshot, query).resting_on(footprint))
}

/// What the candidates come to together.
pub(super) fn judge(ground: &Ground<'_>, snapshot: &Snapshot, query: &Query) -> Decision {
    let mut verdict = Verdict::default();
    let evaluator = ground.evaluator(query);
    for policy in &ground.candidates {
        match satisfied(policy, &evaluator) {
            Ok(false) => {}
            Ok(true) => match policy.effect {
                Effect::Permit => verdict.permits.push(Arc::clone(&policy.info)),
                Effect::Forbid => verdict.forbids.push(Arc::clone(&policy.info)),
            },
            Err(message) => verdict.errors.push(PolicyError {
                policy: Arc::clone(&policy.info),
                message,
            }),
        }
    }
    verdict.decide(snapshot.manifest().errors)
}

/// What a query is decided on: the policies whose scope matches, and the
/// entities that they may read.
pub(super) struct Ground<'a> {
    pub(super) candidates: Vec<&'a Policy>,
    entities: Arc<Entities>,
}

impl<'a> Ground<'a> {
    /// Gathers candidates and entities, or says why the query is denied before
    /// any policy is asked.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        view: &'a View,
        query: &Query,
        footprint: &mut Footprint,
    ) -> Result<Result<Self, Cause>, QueryError> {
        Self::edited(snapshot, view, query, footprint, |_, _| {})
    }

    /// The same with other candidates than the policies of the snapshot and the
    /// links of the view.
    pub(super) fn edited(
        snapshot: &'a Snapshot,
        view: &'a View,
        query: &Query,
        footprint: &mut Footprint,
        edit: impl FnOnce(&Parties<'_>, &mut Vec<&'a Policy>),
    ) -> Result<Result<Self, Cause>, QueryError> {
        let overlay = if query.overlay.is_empty() {
            None
        } else {
            Some(Overlay::new(snapshot, view, query, footprint)?)
        };
        let reach = Reach {
            snapshot,
            view,
            overlay: overlay.as_ref(),
        };
        let [principal, action, resource] =
            [&query.principal, &query.action, &query.resource].map(|uid| Probe::new(uid));
        if let Some(cause) = refusal(reach, [principal, resource], query, footprint) {
            return Ok(Err(cause));
        }
        let above_principal = reach.ancestors(principal, footprint)?;
        let above_action = reach.ancestors(action, footprint)?;
        let above_resource = reach.ancestors(resource, footprint)?;
        let parties = Parties {
            principal: Party::new(principal, &above_principal),
            action: Party::new(action, &above_action),
            resource: Party::new(resource, &above_resource),
        };
        let mut candidates = Vec::with_capacity(16);
        snapshot.rules().matching(&parties, &mut candidates);
        view.links().matching(&parties, &mut candidates);
        edit(&parties, &mut candidates);
        let entities = Slice::gather(reach, footprint, &candidates, query)?;
        Ok(Ok(Self {
            candidates,
            entities,
        }))
    }

    pub(super) fn evaluator(&self, query: &Query) -> Evaluator<'_> {
        let known = |uid: &Arc<EntityUID>| EntityUIDEntry::Known {
            euid: Arc::clone(uid),
            loc: None,
        };
        let request = ast::Request::new_unchecked(
            known(&query.principal),
            known(&query.action),
            known(&query.resource),
            Some(ast::Context::Value(Arc::clone(&query.context))),
        );
        Evaluator::new(request, &self.entities, extensions())
    }
}

/// Whether a policy whose scope matches is satisfied.
pub(super) fn satisfied(policy: &Policy, evaluator: &Evaluator<'_>) -> Result<bool, String> {
    match &policy.condition {
        None => Ok(true),
        Some(condition) => policy.on_its_stack(|| holds(condition, policy, evaluator)),
    }
}

fn holds(
    condition: &ast::Expr,
    policy: &Policy,
    evaluator: &Evaluator<'_>,
) -> Result<bool, String> {
    let value = evaluator
        .interpret(condition, policy.cedar.env())
        .map_err(|error| error.to_string())?;
    if let ValueKind::Lit(Literal::Bool(satisfied)) = value.value_kind() {
        return Ok(*satisfied);
    }
    // A condition that is no boolean is a type error, which Cedar words when it
    // has to negate it; only a repository without validation has one. Not the
    // whole policy is evaluated: its scope has matched, and the entities may be
    // a slice without what it reads.
    let negated = ast::Expr::not(condition.clone());
    let error = evaluator.interpret(&negated, policy.cedar.env()).err();
    Err(error.map_or_else(
        || "the condition is not a boolean".to_owned(),
        |error| error.to_string(),
    ))
}

/// What is denied whatever the policies say.
fn refusal(
    reach: Reach<'_>,
    [principal, resource]: [Probe<'_>; 2],
    query: &Query,
    footprint: &mut Footprint,
) -> Option<Cause> {
    let manifest = reach.snapshot.manifest();
    if manifest.unknown == OnUnknown::Cedar {
        return None;
    }
    if let Some(schema) = reach.snapshot.schema() {
        let Some(action) = schema.action(&query.action) else {
            return Some(Cause::UnknownAction);
        };
        if !action.applies_to(&query.principal, &query.resource) {
            return Some(Cause::NotApplicable);
        }
    }
    let mut unknown = |probe: Probe<'_>| {
        !manifest.implicit_types.contains(probe.uid.entity_type()) && !reach.knows(probe, footprint)
    };
    if unknown(principal) {
        Some(Cause::UnknownPrincipal)
    } else if unknown(resource) {
        Some(Cause::UnknownResource)
    } else {
        None
    }
}

#[derive(Default)]
struct Verdict {
    permits: Vec<Arc<PolicyInfo>>,
    forbids: Vec<Arc<PolicyInfo>>,
    errors: Vec<PolicyError>,
}

impl Verdict {
    fn decide(self, on_error: OnError) -> Decision {
        let forbid_failed = on_error == OnError::Deny
            && self
                .errors
                .iter()
                .any(|error| error.policy.effect == Effect::Forbid);
        if !self.forbids.is_empty() {
            Decision::deny(Cause::Forbidden, self.forbids, self.errors)
        } else if forbid_failed {
            Decision::deny(Cause::ForbidFailed, Vec::new(), self.errors)
        } else if self.permits.is_empty() {
            Decision::deny(Cause::NoPermit, Vec::new(), self.errors)
        } else {
            Decision::allow(self.permits, self.errors)
        }
    }
}
