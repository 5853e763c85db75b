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
    /// There were too many policies and entities to put one to the other, and a demand of
    /// this one cannot be told without.
    pub is_coarse: bool,
}

/// What all of them are about.
#[derive(Debug)]
pub struct Demands<'a> {
    /// Each by itself.
    pub policies: Vec<About<'a>>,
}

impl<'a> Demands<'a> {
    /// Of the policies that differ. The entities are in order; so many times at the most
    /// one is put to both demands of a policy.
    pub fn new(touched: &Touched<'a>, uids: &[Arc<EntityUID>], limit: u64) -> Self {
        let each = touched.policies.iter().map(|(_, policy)| tried(policy));
        let trials = each.sum::<u64>().saturating_mul(uids.len() as u64);
        let is_coarse = trials > limit.saturating_mul(2);
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
                principals: fitting(policy, Part::Principal, uids, &parties),
                resources: fitting(policy, Part::Resource, uids, &parties),
                is_coarse: is_coarse && tried(policy) > 0,
            }));
            rest = others;
        }
        Self { policies }
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

/// To how many demands of a policy entities have to be put: whom `==` takes is looked up.
fn tried(policy: &Policy) -> u64 {
    let demands = [&policy.scope.principal, &policy.scope.resource].into_iter();
    demands.filter(|demand| demand.only().is_none()).count() as u64
}

/// The numbers of those that fit one demand of a policy.
fn fitting(
    policy: &Policy,
    part: Part,
    uids: &[Arc<EntityUID>],
    parties: &[Party<'_>],
) -> Vec<u32> {
    let demand = match part {
        Part::Principal => &policy.scope.principal,
        Part::Resource => &policy.scope.resource,
    };
    if let Some(only) = demand.only() {
        let at = uids.binary_search_by(|uid| uid.as_ref().cmp(only));
        return Vec::from_iter(at.ok().and_then(|at| u32::try_from(at).ok()));
    }
    let mut scope = any();
    match part {
        Part::Principal => scope.principal = demand.clone(),
        Part::Resource => scope.resource = demand.clone(),
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

#[cfg(test)]
mod tests {
    use crate::analysis::diff;
    use crate::analysis::diff::Options;
    use crate::analysis::diff::tests::Built;
    use crate::analysis::diff::tests::SCHEMA;
    use crate::analysis::diff::tests::options;
    use crate::analysis::diff::tests::world;

    /// Triples that policies alter when they come, and whether every one of an action
    /// counts, of 40 users, one of them in a group, with 40 documents, and two groups.
    fn touched(policies: &str, planned_max: u64) -> (u64, bool) {
        let entities = world(&[3; 40], &[(0, false); 40], &[(3, None)]);
        let build = |policies: &str| {
            let never = r#"permit (principal == User::"none", action, resource);"#;
            Built::new(&[
                ("manifest.toml", "validate = \"off\""),
                ("s.cedarschema", SCHEMA),
                ("never.cedar", never),
                ("p.cedar", policies),
                ("entities/e.json", &entities),
            ])
        };
        let (before, after) = (build(""), build(policies));
        let options = Options {
            planned_max,
            ..options()
        };
        let found = diff::diff(before.world(), after.world(), &[], &options).triples;
        let is_told = |note: &String| note.contains("every triple counts");
        (found.touched, found.notes.iter().any(is_told))
    }

    const ONE: &str =
        r#"permit (principal == User::"7", action == Action::"read", resource == Doc::"30");"#;

    #[test]
    fn whom_equality_takes_is_told_of_any_number() {
        assert_eq!(touched(ONE, 1), (1, false));
        let nobody = ONE.replace('7', "nobody");
        assert_eq!(touched(&nobody, 1), (0, false));
        assert_eq!(touched(&format!("{ONE}\n{nobody}"), 10), (1, false));
    }

    #[test]
    fn other_demands_are_told_up_to_the_limit() {
        let half = ONE.replace("resource == Doc::\"30\"", "resource is Doc");
        let whole = half.replace("== User::\"7\"", "in Group::\"1\"");
        // Of 82 entities. What `==` takes counts for nothing.
        for (policies, planned_max, expected) in [
            (half.clone(), 41, (40, false)),
            (half, 40, (1600, true)),
            (whole.clone(), 82, (40, false)),
            (whole.clone(), 81, (1600, true)),
            (format!("{ONE}\n{whole}"), 82, (41, false)),
        ] {
            assert_eq!(touched(&policies, planned_max), expected, "{policies}");
        }
        // Where telling takes too much, actions that can be told of without still are.
        let write = whole.replace("read", "write");
        assert_eq!(touched(&format!("{ONE}\n{write}"), 10), (1601, true));
    }
}
