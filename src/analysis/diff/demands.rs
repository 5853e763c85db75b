//! What the policies that differ are about: for each the entities that its scope takes
//! as principal and as resource.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;

use super::touched::Touched;
use super::touched::declared;
use crate::analysis::world::World;
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::policy::Policy;
use crate::engine::scope::Actions;
use crate::engine::scope::Constraint;
use crate::engine::scope::Parties;
use crate::engine::scope::Party;
use crate::engine::scope::Scope;

/// One party of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The principal.
    Principal,
    /// The resource.
    Resource,
}

/// What one policy is about. Entities are told by their numbers, in order.
#[derive(Debug)]
pub struct About<'a> {
    world: World<'a>,
    action: Scope,
    /// Entities that may be its principal, of whatever type.
    pub principals: Vec<u32>,
    /// Entities that may be its resource, of whatever type.
    pub resources: Vec<u32>,
}

/// What all of them are about.
#[derive(Debug)]
pub struct Demands<'a> {
    /// Each by itself.
    pub policies: Vec<About<'a>>,
    /// There were too many policies and entities to put one to the other.
    pub is_coarse: bool,
}

impl<'a> Demands<'a> {
    /// Of the policies that differ; so many times at the most an entity is put to a
    /// policy.
    pub fn new(touched: &Touched<'a>, uids: &[Arc<EntityUID>], limit: u64) -> Self {
        let trials = (touched.policies.len() as u64).saturating_mul(uids.len() as u64);
        let is_coarse = trials > limit;
        let mut policies = Vec::new();
        let mut rest = touched.policies.as_slice();
        // Those of one side come together, and what is above an entity is found once.
        while let Some((world, _)) = rest.first() {
            let count = rest
                .iter()
                .take_while(|(other, _)| std::ptr::eq(other.view, world.view));
            let (these, others) = rest.split_at(count.count());
            let above: Vec<Vec<&Named>> = if is_coarse {
                Vec::new()
            } else {
                uids.iter().map(|uid| ancestors(*world, uid)).collect()
            };
            let parties: Vec<Party<'_>> = uids
                .iter()
                .zip(&above)
                .map(|(uid, above)| Party::new(Probe::new(uid), above))
                .collect();
            policies.extend(these.iter().map(|(world, policy)| About {
                world: *world,
                action: Scope {
                    action: policy.scope.action.clone(),
                    ..any()
                },
                principals: fitting(policy, Part::Principal, &parties),
                resources: fitting(policy, Part::Resource, &parties),
            }));
            rest = others;
        }
        Self {
            policies,
            is_coarse,
        }
    }

    /// The policies that are about an action.
    pub fn of_action(&self, action: &EntityUID) -> Vec<&About<'a>> {
        let policies = self.policies.iter();
        policies.filter(|about| about.is_about(action)).collect()
    }
}

impl About<'_> {
    fn is_about(&self, action: &EntityUID) -> bool {
        let above = if self.world.snapshot.schema().is_some() {
            declared(self.world, action)
                .map(|action| action.ancestors.iter().collect())
                .unwrap_or_default()
        } else {
            // Without a schema actions are entities like others.
            ancestors(self.world, action)
        };
        holds(&self.action, Party::new(Probe::new(action), &above))
    }
}

fn any() -> Scope {
    Scope {
        principal: Constraint::Any,
        action: Actions::Any,
        resource: Constraint::Any,
    }
}

fn holds(scope: &Scope, party: Party<'_>) -> bool {
    scope.holds(&Parties {
        principal: party,
        action: party,
        resource: party,
    })
}

/// The numbers of those that fit one demand of a policy.
fn fitting(policy: &Policy, part: Part, parties: &[Party<'_>]) -> Vec<u32> {
    let mut scope = any();
    match part {
        Part::Principal => scope.principal = policy.scope.principal.clone(),
        Part::Resource => scope.resource = policy.scope.resource.clone(),
    }
    let all = (0_u32..).zip(parties);
    all.filter(|(_, party)| holds(&scope, **party))
        .map(|(at, _)| at)
        .collect()
}

/// The ancestors of an entity, direct and indirect.
fn ancestors<'a>(world: World<'a>, uid: &EntityUID) -> Vec<&'a Named> {
    let mut above: Vec<&'a Named> = Vec::new();
    let mut seen: HashSet<&EntityUID> = HashSet::new();
    let mut next: Vec<Probe<'_>> = vec![Probe::new(uid)];
    while let Some(probe) = next.pop() {
        let Some(stored) = world.view.get(probe) else {
            continue;
        };
        for parent in &stored.parents {
            if seen.insert(parent.uid()) {
                above.push(parent);
                next.push(parent.probe());
            }
        }
    }
    above
}
