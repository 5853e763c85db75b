//! Pairs of policies, found without comparing each with each: by hashes of what has
//! to be equal.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::hash::Hash;

use cedar_policy_core::ast::Effect;
use rustc_hash::FxBuildHasher;
use rustc_hash::FxHashMap;
use rustc_hash::FxHashSet;

use super::policy::Policy;
use super::policy::listed;
use super::scopes::ActionSet;
use super::scopes::Party;
use super::scopes::Scope;

/// More wider policies than this are not tried for one.
const TRIED_MAX: usize = 64;

/// Policies that are covered, with one that covers them, and how many pairs were
/// compared to find them.
#[derive(Debug, Default)]
pub struct Shadows {
    /// The numbers of the narrower and the wider policy.
    pub found: Vec<(usize, usize)>,
    /// How many pairs were compared.
    pub compared: usize,
}

/// What two policies that are the same have in common: what they demand, whatever
/// the order of it.
fn key(policy: &Policy) -> u64 {
    let template = &policy.template;
    FxBuildHasher.hash_one((
        template.effect(),
        template.principal_constraint(),
        template.action_constraint(),
        template.resource_constraint(),
        demands(policy),
        obligations(policy),
    ))
}

/// A policy and the first one that is the same. Templates are none: each applies to
/// those whom its links name.
pub fn duplicates(policies: &[Policy]) -> Vec<(usize, usize)> {
    let mut first: HashMap<u64, usize> = HashMap::new();
    let mut found = Vec::new();
    let whole = policies.iter().enumerate();
    for (at, policy) in whole.filter(|(_, policy)| !policy.is_template()) {
        let key = key(policy);
        match first
            .get(&key)
            .and_then(|other| Some((*other, policies.get(*other)?)))
        {
            Some((other, same)) if is_same(policy, same) => found.push((at, other)),
            Some(_) => {}
            None => {
                first.insert(key, at);
            }
        }
    }
    found
}

fn is_same(a: &Policy, b: &Policy) -> bool {
    let (x, y) = (&a.template, &b.template);
    x.effect() == y.effect()
        && x.principal_constraint() == y.principal_constraint()
        && x.action_constraint() == y.action_constraint()
        && x.resource_constraint() == y.resource_constraint()
        && implies(a, b)
        && implies(b, a)
        && obligations(a) == obligations(b)
}

/// The hashes of the conjuncts, sorted.
fn demands(policy: &Policy) -> BTreeSet<u64> {
    let conjuncts = policy.conjuncts();
    conjuncts.iter().map(hash).collect()
}

fn hash(value: &impl Hash) -> u64 {
    FxBuildHasher.hash_one(value)
}

/// Whether everything that the second one demands is demanded by the first.
fn implies(narrow: &Policy, wide: &Policy) -> bool {
    let has = narrow.conjuncts();
    wide.conjuncts().iter().all(|wanted| has.contains(wanted))
}

/// Where a policy is filed as one that may cover others: its effect, and hashes of
/// both demands of its scope, an action, and a conjunct. Hashes that happen to be
/// equal cost a comparison, never a finding.
type Shelf = (Effect, u64, u64, Option<u64>, Option<u64>);

/// Policies by shelf, and the conjuncts that any are filed under.
#[derive(Default)]
struct Shelves {
    policies: FxHashMap<Shelf, Vec<usize>>,
    conjuncts: FxHashSet<u64>,
}

/// Policies that are covered by another one of the same effect.
///
/// A wider policy is filed under its effect, both demands of its scope, its actions
/// and the rarest of its conjuncts; a narrower one looks under each demand that its
/// own fulfil. So a pair is compared only if it has all of these in common.
pub fn shadows(policies: &[Policy], scopes: &[Scope]) -> Shadows {
    let same: BTreeSet<usize> = duplicates(policies).into_iter().map(|(at, _)| at).collect();
    let all: Vec<Compared<'_>> = policies
        .iter()
        .zip(scopes)
        .enumerate()
        .filter(|(at, _)| !same.contains(at))
        .map(|(at, (policy, scope))| Compared {
            at,
            policy,
            scope,
            demands: demands(policy),
        })
        .collect();
    let shelves = Shelves::new(&all);
    let mut shadows = Shadows::default();
    for narrow in &all {
        let wider = shelves.candidates(narrow);
        let wider = wider.iter().filter_map(|place| all.get(*place));
        let found = wider
            .filter(|wide| wide.at != narrow.at)
            .take(TRIED_MAX)
            .find(|wide| {
                shadows.compared += 1;
                // Of two that cover one another, the first may stay.
                let may_stay = narrow.at < wide.at && narrow.covers(wide);
                wide.covers(narrow) && !may_stay
            });
        shadows.found.extend(found.map(|wide| (narrow.at, wide.at)));
    }
    shadows
}

struct Compared<'a> {
    at: usize,
    policy: &'a Policy,
    scope: &'a Scope,
    demands: BTreeSet<u64>,
}

impl Compared<'_> {
    fn covers(&self, narrow: &Self) -> bool {
        let (wide, scope) = (self.scope, narrow.scope);
        // A template applies to those whom its links name, and to nobody else.
        !self.policy.is_template()
            && wide.actions.covers(&scope.actions)
            && scope.principal.wider().contains(&wide.principal)
            && scope.resource.wider().contains(&wide.resource)
            && implies(narrow.policy, self.policy)
            && brings_nothing(narrow.policy, self.policy)
    }
}

impl Shelves {
    fn new(all: &[Compared<'_>]) -> Self {
        let mut uses: FxHashMap<u64, usize> = FxHashMap::default();
        for demand in all.iter().flat_map(|policy| &policy.demands) {
            *uses.entry(*demand).or_default() += 1;
        }
        let mut shelves = Self::default();
        for (place, policy) in all.iter().enumerate() {
            let rarest = policy.demands.iter().min_by_key(|demand| uses.get(demand));
            shelves.conjuncts.extend(rarest);
            let scope = policy.scope;
            let actions: Vec<Option<u64>> = match &*scope.actions {
                ActionSet::Any => vec![None],
                ActionSet::Of { known, .. } => known.iter().map(|uid| Some(hash(uid))).collect(),
            };
            for action in actions {
                let shelf = (
                    policy.policy.template.effect(),
                    hash(&scope.principal),
                    hash(&scope.resource),
                    action,
                    rarest.copied(),
                );
                shelves.policies.entry(shelf).or_default().push(place);
            }
        }
        shelves
    }

    fn candidates(&self, narrow: &Compared<'_>) -> Vec<usize> {
        let effect = narrow.policy.template.effect();
        let action = match &*narrow.scope.actions {
            ActionSet::Any => None,
            ActionSet::Of { known, .. } => known.first().map(hash),
        };
        let filed = |demand: &&u64| self.conjuncts.contains(demand);
        let conjuncts: Vec<Option<u64>> = narrow
            .demands
            .iter()
            .filter(filed)
            .map(|demand| Some(*demand))
            .chain([None])
            .collect();
        let hashes = |party: &Party| party.wider().iter().map(hash).collect::<Vec<u64>>();
        let resources = hashes(&narrow.scope.resource);
        let mut found = Vec::new();
        for principal in hashes(&narrow.scope.principal) {
            for resource in &resources {
                for action in std::iter::once(None).chain(action.map(Some)) {
                    for conjunct in &conjuncts {
                        let shelf = (effect, principal, *resource, action, *conjunct);
                        found.extend(self.policies.get(&shelf).into_iter().flatten());
                    }
                }
            }
        }
        found
    }
}

/// Whether the narrower policy has no obligation that the wider one lacks.
fn brings_nothing(narrow: &Policy, wide: &Policy) -> bool {
    obligations(narrow).is_subset(&obligations(wide))
}

fn obligations(policy: &Policy) -> BTreeSet<&str> {
    let written = policy.annotation("obligation");
    written.map_or_else(BTreeSet::new, |written| listed(&written.value).collect())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::Arc;

    use super::Shadows;
    use super::duplicates;
    use super::shadows;
    use crate::analysis::lint::policy::Policy;
    use crate::analysis::lint::scopes::Resolved;
    use crate::analysis::lint::scopes::scope_of;
    use crate::analysis::lint::source::Source;

    fn found(text: &str) -> (Vec<Policy>, Shadows) {
        let source = Arc::new(Source::new("p.cedar", text));
        let policies = Policy::parse_all(&source).unwrap();
        let mut actions = Resolved::default();
        let scopes: Vec<_> = policies
            .iter()
            .map(|policy| scope_of(&policy.template, None, &mut actions))
            .collect();
        let shadows = shadows(&policies, &scopes);
        (policies, shadows)
    }

    #[test]
    fn wider_scopes_and_fewer_conditions_cover() {
        let wide = "permit (principal is U, action in [Action::\"a\", Action::\"b\"], resource) when { context.x };";
        for (narrow, is_covered) in [
            (
                "permit (principal == U::\"1\", action == Action::\"a\", resource) when { context.x };",
                true,
            ),
            (
                "permit (principal is U in G::\"g\", action == Action::\"b\", resource is D) when { context.y && context.x };",
                true,
            ),
            (
                "permit (principal is U, action == Action::\"a\", resource) unless { !context.x };",
                true,
            ),
            (
                "permit (principal, action == Action::\"a\", resource) when { context.x };",
                false,
            ),
            (
                "permit (principal == V::\"1\", action == Action::\"a\", resource) when { context.x };",
                false,
            ),
            (
                "permit (principal is U, action == Action::\"c\", resource) when { context.x };",
                false,
            ),
            (
                "permit (principal is U, action, resource) when { context.x };",
                false,
            ),
            (
                "permit (principal is U, action == Action::\"a\", resource) when { context.y };",
                false,
            ),
            (
                "permit (principal is U, action == Action::\"a\", resource) when { !context.x };",
                false,
            ),
            (
                "forbid (principal is U, action == Action::\"a\", resource) when { context.x };",
                false,
            ),
            (
                "@obligation(\"log\") permit (principal is U, action == Action::\"a\", resource) when { context.x };",
                false,
            ),
        ] {
            let (_, shadows) = found(&format!("{wide}\n{narrow}"));
            assert_eq!(shadows.found.contains(&(1, 0)), is_covered, "{narrow}");
        }
    }

    #[test]
    fn what_is_needed_is_not_covered() {
        let pairs = |first: &str, second: &str| {
            let (policies, shadows) = found(&format!("{first}\n{second}"));
            (duplicates(&policies), shadows.found)
        };
        let none = (vec![], vec![]);
        let of = |action: &str| format!("permit (principal, action {action}, resource);");
        let forbid = "forbid (principal, action, resource) when { context.x };";
        let (logged, told) = (
            format!("@obligation(\"log\") {forbid}"),
            format!("@obligation(\"tell\") {forbid}"),
        );
        assert_eq!(pairs(&logged, &told), none);
        assert_eq!(pairs(&logged, &logged), (vec![(1, 0)], vec![]));
        let share = "permit (principal == ?principal, action, resource);";
        let seniors = "permit (principal == ?principal, action, resource) when { context.x };";
        assert_eq!(pairs(share, share), none);
        assert_eq!(pairs(share, seniors), none);
        // Whoever a link names, everybody is permitted already.
        let all = "permit (principal, action, resource);";
        assert_eq!(pairs(all, share), (vec![], vec![(1, 0)]));
        // Without a schema nobody knows what is in a group, but the group itself.
        let (group, one) = (of("in Action::\"m\""), of("== Action::\"m\""));
        assert_eq!(pairs(&group, &one), (vec![], vec![(1, 0)]));
        assert_eq!(pairs(&one, &group), (vec![], vec![(0, 1)]));
        assert_eq!(
            pairs(&of("in [Action::\"m\", Action::\"n\"]"), &group),
            (vec![], vec![(1, 0)])
        );
    }

    #[test]
    fn few_pairs_are_compared() {
        let mut text = String::new();
        for number in 0..1500 {
            let (team, site) = (number % 30, number % 25);
            writeln!(
                text,
                "permit (principal in T::\"{team}\", action == Action::\"read\", resource in S::\"{site}\") when {{ principal has site && context.level > {number} }};"
            )
            .unwrap();
        }
        text.push_str("permit (principal in T::\"3\", action == Action::\"read\", resource);");
        let (policies, shadows) = found(&text);
        assert_eq!(policies.len(), 1501);
        // Those of the one team are covered; nobody else was compared with anybody.
        assert_eq!(shadows.found.len(), 50);
        assert!(shadows.compared < 200, "{}", shadows.compared);
    }
}
