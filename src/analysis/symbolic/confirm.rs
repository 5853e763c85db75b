//! Asking our own engine whether a counterexample is one.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast;
use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::EntityUIDEntry;
use cedar_policy_core::entities::Entities;
use cedar_policy_core::entities::NoEntitiesSchema;
use cedar_policy_core::entities::TCComputation;
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use smol_str::SmolStr;

use super::Side;
use super::counterexample::Counterexample;
use super::policies::LinkScope;
use crate::engine::Cause;
use crate::engine::Decision;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::decide;
use crate::engine::link::Link;

/// What a counterexample shows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Demand<'a> {
    /// The policy matches, and it is allowed all the same.
    Allowed(&'a ast::Policy),
    /// The policy matches, and it is denied all the same.
    Denied(&'a ast::Policy),
    /// The policy matches.
    Matches(&'a ast::Policy),
    /// The first matches, the second does not.
    MatchesOnly(&'a ast::Policy, &'a ast::Policy),
    /// Both match.
    MatchesBoth(&'a ast::Policy, &'a ast::Policy),
    /// The policy fails to evaluate.
    Fails(&'a ast::Policy),
    /// Allowed, where the other side denies.
    AllowedUnlike(Side<'a>),
}

/// Policies and links that counterexamples are confirmed with, without any entity
/// of the repository.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    snapshot: &'a Snapshot,
    view: View,
}

impl<'a> Judge<'a> {
    /// With the links of the repository, or with none.
    pub(super) fn new(side: Side<'a>, links: LinkScope) -> Self {
        let mut view = View::empty("counterexample");
        if links == LinkScope::Repository {
            *view.links_mut() = side.view.links().clone();
        }
        Self {
            snapshot: side.snapshot,
            view,
        }
    }

    /// What the engine says.
    ///
    /// # Errors
    /// When it cannot be asked that.
    pub(super) fn decide(&self, example: &Counterexample) -> Result<Decision, String> {
        decision(self.snapshot, &self.view, example)
    }

    /// Whether the counterexample shows what it should.
    ///
    /// # Errors
    /// When it does not: what came instead.
    pub(super) fn confirm(
        &self,
        demand: &Demand<'_>,
        example: &Counterexample,
    ) -> Result<(), String> {
        // Whatever is demanded, policies have to be asked, and nothing may fail only
        // because an entity is left out.
        let decision = self.decide(example)?;
        is(is_by_policies(&decision), || {
            format!("it is {}", made_by(&decision))
        })?;
        let lost = decision
            .errors
            .iter()
            .find(|error| is_for_want(&error.message));
        if let Some(error) = lost {
            return Err(error.message.clone());
        }
        match demand {
            Demand::Allowed(matcher) => {
                self.expect(matcher, example, Some(true))?;
                is(decision.is_allow(), || {
                    format!("it is {}", made_by(&decision))
                })
            }
            Demand::Denied(matcher) => {
                self.expect(matcher, example, Some(true))?;
                is(!decision.is_allow(), || "it is allowed".to_owned())
            }
            Demand::Matches(policy) => self.expect(policy, example, Some(true)),
            Demand::MatchesOnly(narrow, wide) => {
                self.expect(narrow, example, Some(true))?;
                let matched = self.matches(wide, example)?;
                is(matched != Some(true), || "both match".to_owned())
            }
            Demand::MatchesBoth(one, other) => {
                self.expect(one, example, Some(true))?;
                self.expect(other, example, Some(true))
            }
            Demand::Fails(policy) => {
                self.expect(policy, example, None)?;
                // Of a template, it takes a link that fails.
                let id: &str = policy.id().as_ref();
                let mut failed = decision.errors.iter().map(|error| &*error.policy);
                let fails = failed.any(|info| {
                    let template = info.template.as_deref();
                    info.id == id || template == Some(id)
                });
                is(fails, || format!("`{id}` is not asked"))
            }
            Demand::AllowedUnlike(other) => {
                is(decision.is_allow(), || {
                    format!("it is {}", made_by(&decision))
                })?;
                let there = Judge::new(*other, LinkScope::Repository).decide(example)?;
                is(is_by_policies(&there) && !there.is_allow(), || {
                    format!("on the other side it is {}", made_by(&there))
                })
            }
        }
    }

    fn expect(
        &self,
        policy: &ast::Policy,
        example: &Counterexample,
        expected: Option<bool>,
    ) -> Result<(), String> {
        let came = self.matches(policy, example)?;
        is(came == expected, || {
            let what = match came {
                Some(true) => "matches",
                Some(false) => "does not match",
                None => "fails to evaluate",
            };
            format!("`{}` {what}", policy.id())
        })
    }

    /// Whether a policy matches; `None` when it fails to evaluate.
    fn matches(
        &self,
        policy: &ast::Policy,
        example: &Counterexample,
    ) -> Result<Option<bool>, String> {
        let asked = example.question().asked(self.snapshot, &self.view);
        let query = asked.map_err(|(message, _)| message)?.query;
        let entities = entities(self.snapshot, &query)?;
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
        let evaluator = Evaluator::new(request, &entities, Extensions::all_available());
        match evaluator.evaluate(policy) {
            Ok(matches) => Ok(Some(matches)),
            Err(error) if is_for_want(&error.to_string()) => Err(error.to_string()),
            Err(_) => Ok(None),
        }
    }
}

/// What the engine says with these entities and links.
///
/// # Errors
/// When it cannot be asked that.
pub(super) fn decision(
    snapshot: &Snapshot,
    view: &View,
    example: &Counterexample,
) -> Result<Decision, String> {
    let question = example.question();
    let asked = question
        .asked(snapshot, view)
        .map_err(|(message, _)| message)?;
    decide(snapshot, &asked.view, &asked.query).map_err(|error| error.to_string())
}

/// Whether a policy failed because an entity is not there.
fn is_for_want(message: &str) -> bool {
    message.starts_with("entity `") && message.ends_with("does not exist")
}

fn is(fits: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if fits { Ok(()) } else { Err(otherwise()) }
}

/// Whether policies were asked: not where somebody is unknown.
fn is_by_policies(decision: &Decision) -> bool {
    let denied = [Cause::Forbidden, Cause::ForbidFailed, Cause::NoPermit];
    decision.cause().is_none_or(|cause| denied.contains(&cause))
}

/// What made a decision, for people.
pub(super) fn made_by(decision: &Decision) -> String {
    let names = |ids: Vec<&str>| -> String {
        let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
        ids.join(", ")
    };
    let policies = names(decision.policies.iter().map(|info| &*info.id).collect());
    match decision.cause() {
        None => format!("allowed by {policies}"),
        Some(Cause::Forbidden) => format!("denied by {policies}"),
        Some(Cause::ForbidFailed) => {
            let failed = decision.errors.iter();
            let failed = failed.filter(|error| error.policy.effect == Effect::Forbid);
            let failed = names(failed.map(|error| &*error.policy.id).collect());
            format!("denied, because {failed} fails to evaluate")
        }
        Some(cause) => format!("denied: {}", cause.sentence()),
    }
}

/// The carried entities and the actions, as Cedar's evaluator takes them.
fn entities(snapshot: &Snapshot, query: &Query) -> Result<Entities, String> {
    let actions = snapshot.schema().into_iter().flat_map(|schema| {
        let actions = schema.actions();
        actions.map(|action| Entity::clone(&action.entity))
    });
    Entities::from_entities(
        query.overlay.iter().cloned().chain(actions),
        None::<&NoEntitiesSchema>,
        TCComputation::ComputeNow,
        Extensions::all_available(),
    )
    .map_err(|error| error.to_string())
}

/// A link of each template to the parties of the counterexample, as far as its
/// slots take them: what a claim about any link has to be shown with.
pub(super) fn links_to_parties(
    snapshot: &Snapshot,
    effect: Effect,
    example: &Counterexample,
) -> Vec<Link> {
    let mut by_id = BTreeMap::new();
    let of_effect = snapshot
        .templates()
        .filter(|template| template.info.effect == effect);
    for template in of_effect {
        let has = |slot: ast::SlotId| template.cedar.slots().any(|found| found.id == slot);
        let link = Link {
            id: SmolStr::from(format!("linked-{}", template.info.id)),
            template: template.info.id.clone(),
            principal: has(ast::SlotId::principal()).then(|| example.principal.clone()),
            resource: has(ast::SlotId::resource()).then(|| example.resource.clone()),
            file: "counterexample".into(),
            source: ("".into(), 0..0),
        };
        by_id.insert(link.id.clone(), link);
    }
    by_id.into_values().collect()
}
