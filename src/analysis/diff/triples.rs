//! Decisions about all entities: every principal, action and resource that the
//! schema lets come together, as far as the change can alter the decision.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;

use cedar_policy_core::ast::ActionConstraint;
use cedar_policy_core::ast::EntityUID;

use super::Options;
use super::contexts;
use super::contexts::Circumstances;
use super::contexts::Contexts;
use super::touched;
use super::touched::Demand;
use super::touched::Part;
use super::touched::Touched;
use crate::analysis::flip::Answer;
use crate::analysis::flip::Direction;
use crate::analysis::flip::Groups;
use crate::analysis::flip::Key;
use crate::analysis::world::World;
use crate::engine::Decision;
use crate::engine::Query;
use crate::engine::decide;
use crate::engine::manifest::OnUnknown;
use crate::engine::query::Context;
use crate::testing::Case;

/// Triples that a thread takes at a time.
const BATCH: u64 = 512;

/// A triple that flips, in order of what is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TripleExample {
    /// The place of the context among those of the action: the simplest come first.
    pub context_at: usize,
    /// Who,
    pub principal: String,
    /// what,
    pub action: String,
    /// to what,
    pub resource: String,
    /// in which circumstances, as JSON.
    pub context: String,
    /// The answer before,
    pub before: Answer,
    /// and after.
    pub after: Answer,
}

/// What decisions about all entities show.
#[derive(Debug)]
pub struct TriplesDiff {
    /// Triples that there are.
    pub all: u64,
    /// Those of them that the change can alter.
    pub touched: u64,
    /// Those that were decided on both sides, in each context of their action: fewer
    /// when there are too many.
    pub decided: u64,
    /// Decisions of those that one of the sides refused to make.
    pub failed: u64,
    /// Actions that nothing was decided of, for want of a context.
    pub not_asked: Vec<String>,
    /// Decided the other way in any context: each counts once for its direction, and
    /// once in every group that it is of.
    pub flips: Groups<TripleExample>,
    /// Principals that gain something,
    pub gaining: BTreeSet<String>,
    /// and that lose something.
    pub losing: BTreeSet<String>,
    /// What is to be known of it: sentences without a full stop.
    pub notes: Vec<String>,
}

/// Decides triples on both sides. `changed` are the entities that differ.
pub fn compare(
    before: World<'_>,
    after: World<'_>,
    changed: &BTreeSet<Arc<EntityUID>>,
    cases: &[Case],
    options: &Options,
) -> TriplesDiff {
    let plan = Plan::new(before, after, changed, cases, options);
    let decided = plan.affordable(options.triples_max);
    let next = AtomicU64::new(0);
    let mut found = Found::new(options.examples);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.threads.max(1))
            .map(|_| {
                scope.spawn(|| {
                    let mut found = Found::new(options.examples);
                    loop {
                        let first = next.fetch_add(BATCH, Ordering::Relaxed);
                        if first >= decided {
                            return found;
                        }
                        for turn in first..decided.min(first + BATCH) {
                            let asked = plan.triple(chosen(turn, decided, plan.touched));
                            if let Some(asked) = asked {
                                found.decide(before, after, &plan, &asked);
                            }
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(others) => found.merge(others),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    let told = |uids: &BTreeSet<u32>| -> BTreeSet<String> {
        let uids = uids.iter().filter_map(|at| plan.uids.get(*at as usize));
        uids.map(ToString::to_string).collect()
    };
    TriplesDiff {
        all: plan.all,
        touched: plan.touched,
        decided,
        failed: found.failed,
        not_asked: plan.not_asked,
        gaining: told(&found.gaining),
        losing: told(&found.losing),
        flips: found.flips,
        notes: plan.notes,
    }
}

/// Which of `all` is asked about at this turn of `turns`: all of them, or some that
/// are spread evenly, the same each time.
fn chosen(turn: u64, turns: u64, all: u64) -> u64 {
    if turns >= all {
        return turn;
    }
    let at = |turn: u64| u128::from(turn) * u128::from(all) / u128::from(turns.max(1));
    let (low, high) = (at(turn), at(turn + 1));
    // Steps of one length would meet the same resource again and again.
    let mixed = turn.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let within = u128::from(mixed) % (high - low).max(1);
    u64::try_from(low + within).unwrap_or(u64::MAX)
}

/// An action, and in which circumstances it is asked about.
struct Asked {
    action: Arc<EntityUID>,
    contexts: Vec<Circumstances>,
}

/// Triples of one action: each of the principals with each of the resources.
struct Block {
    action: usize,
    principals: Vec<u32>,
    resources: Vec<u32>,
    /// The number of the first triple after it.
    end: u64,
}

/// One triple, with the contexts that it is asked about in.
struct Triple<'p> {
    principal: u32,
    resource: u32,
    asked: &'p Asked,
}

/// What is to be decided.
struct Plan {
    uids: Vec<Arc<EntityUID>>,
    asked: Vec<Asked>,
    blocks: Vec<Block>,
    all: u64,
    touched: u64,
    /// Decisions that those which are touched take of each side.
    decisions: u64,
    not_asked: Vec<String>,
    notes: Vec<String>,
}

impl Plan {
    fn new(
        before: World<'_>,
        after: World<'_>,
        changed: &BTreeSet<Arc<EntityUID>>,
        cases: &[Case],
        options: &Options,
    ) -> Self {
        let mut plan = Self {
            uids: uids(before, after, cases),
            asked: Vec::new(),
            blocks: Vec::new(),
            all: 0,
            touched: 0,
            decisions: 0,
            not_asked: Vec::new(),
            notes: Vec::new(),
        };
        let touched = Touched::new(before, after, changed);
        let filter = Demands::new(&touched);
        let mut contexts = Contexts::default();
        let mut made_up = 0;
        for action in actions(before, after, cases) {
            let Contexts {
                all: circumstances,
                is_made_up,
                adapted,
                left_out,
            } = contexts::of_action(before, after, &action, cases, &options.now);
            contexts.left_out += left_out;
            contexts.adapted += adapted;
            if circumstances.is_empty() {
                plan.not_asked.push(action.to_string());
                continue;
            }
            made_up += usize::from(is_made_up);
            let is_touched = touched.action(before, after, &action)
                || circumstances.iter().any(|context| {
                    context.before != context.after
                        || touched.context(&context.before)
                        || touched.context(&context.after)
                });
            let parties = [Part::Principal, Part::Resource]
                .map(|part| applicable(before, after, &action, part, &plan.uids));
            plan.asked.push(Asked {
                action: Arc::clone(&action),
                contexts: circumstances,
            });
            plan.action(parties, is_touched, &touched, &filter);
        }
        plan.note(made_up, &contexts);
        plan.note_implicit(before, after);
        plan
    }

    fn note(
        &mut self,
        made_up: usize,
        Contexts {
            adapted, left_out, ..
        }: &Contexts,
    ) {
        if made_up > 0 {
            self.notes.push(format!(
                "actions asked about with the least context that the schema takes, for want of a test \
                 case: {made_up}"
            ));
        }
        if *adapted > 0 {
            self.notes.push(format!(
                "contexts of test cases that fit one side only: {adapted}; the other was asked with \
                 what it takes of them, and with the least of what it demands besides"
            ));
        }
        if *left_out > 0 {
            self.notes.push(format!(
                "contexts of test cases that were not asked with: {left_out}; an action is asked about \
                 in {} that are least alike",
                contexts::CONTEXTS_MAX
            ));
        }
        if !self.not_asked.is_empty() {
            let without = self.not_asked.join(", ");
            self.notes
                .push(format!("not asked about for want of a context: {without}"));
        }
    }

    /// Says that there may be more than was asked about.
    fn note_implicit(&mut self, before: World<'_>, after: World<'_>) {
        let manifests = [before, after].map(|world| world.snapshot.manifest());
        let types = manifests
            .iter()
            .flat_map(|manifest| &manifest.implicit_types);
        let types: BTreeSet<String> = types.map(ToString::to_string).collect();
        if !types.is_empty() {
            let types: Vec<String> = types.into_iter().collect();
            self.notes.push(format!(
                "of the implicit types only what policies, entities and test cases name was asked about: {}",
                types.join(", ")
            ));
        }
        if manifests
            .iter()
            .any(|manifest| manifest.unknown == OnUnknown::Cedar)
        {
            self.notes.push(
                "entities that nobody knows are decided about, too (`unknown = \"cedar\"`): only what \
                 policies, entities and test cases name was asked about"
                    .to_owned(),
            );
        }
    }

    /// How many triples can be decided with so many decisions of each side.
    fn affordable(&self, decisions: u64) -> u64 {
        if self.decisions <= decisions {
            return self.touched;
        }
        let some = u128::from(self.touched) * u128::from(decisions);
        u64::try_from(some / u128::from(self.decisions)).unwrap_or(self.touched)
    }

    /// Adds the triples of the last action, as far as they are touched.
    fn action(
        &mut self,
        [principals, resources]: [Vec<u32>; 2],
        is_touched: bool,
        touched: &Touched<'_>,
        demands: &Demands<'_>,
    ) {
        let Some((number, asked)) = self.asked.iter().enumerate().next_back() else {
            return;
        };
        let all = principals.len() as u64 * resources.len() as u64;
        self.all = self.all.saturating_add(all);
        if is_touched {
            self.block(number, principals, resources);
            return;
        }
        let policies = demands.of_action(&asked.action);
        let is_affected = |at: &u32| {
            let uid = self.uids.get(*at as usize);
            uid.is_some_and(|uid| touched.entities.contains(uid))
        };
        let affected: Vec<u32> = resources
            .iter()
            .copied()
            .filter(|at| is_affected(at))
            .collect();
        let reached: Vec<Vec<u32>> = policies
            .iter()
            .map(|policy| demands.holding(*policy, Part::Resource, &resources, &self.uids))
            .collect();
        // Principals that the same policies are about go together.
        let mut alike: BTreeMap<Option<Vec<usize>>, Vec<u32>> = BTreeMap::new();
        let held: Vec<BTreeSet<u32>> = policies
            .iter()
            .map(|policy| {
                let holding = demands.holding(*policy, Part::Principal, &principals, &self.uids);
                holding.into_iter().collect()
            })
            .collect();
        for principal in principals {
            let about = if is_affected(&principal) {
                None
            } else {
                let about = held.iter().enumerate();
                let about = about.filter(|(_, held)| held.contains(&principal));
                Some(about.map(|(at, _)| at).collect())
            };
            alike.entry(about).or_default().push(principal);
        }
        for (about, principals) in alike {
            let resources = match about {
                None => resources.clone(),
                Some(about) => {
                    let lists = about.iter().filter_map(|at| reached.get(*at));
                    let mut some: Vec<u32> = lists.flatten().chain(&affected).copied().collect();
                    some.sort_unstable();
                    some.dedup();
                    some
                }
            };
            self.block(number, principals, resources);
        }
    }

    fn block(&mut self, action: usize, principals: Vec<u32>, resources: Vec<u32>) {
        let contexts = self
            .asked
            .get(action)
            .map_or(0, |asked| asked.contexts.len());
        let count = principals.len() as u64 * resources.len() as u64;
        if count > 0 {
            let decisions = count.saturating_mul(contexts as u64);
            self.decisions = self.decisions.saturating_add(decisions);
            self.touched = self.touched.saturating_add(count);
            self.blocks.push(Block {
                action,
                principals,
                resources,
                end: self.touched,
            });
        }
    }

    /// The triple of this number.
    fn triple(&self, number: u64) -> Option<Triple<'_>> {
        let at = self.blocks.partition_point(|block| block.end <= number);
        let block = self.blocks.get(at)?;
        let start = at.checked_sub(1).and_then(|at| self.blocks.get(at));
        let within = number - start.map_or(0, |block| block.end);
        let asked = self.asked.get(block.action)?;
        let resources = block.resources.len() as u64;
        let item = |list: &[u32], at: u64| list.get(usize::try_from(at).ok()?).copied();
        Some(Triple {
            principal: item(&block.principals, within / resources)?,
            resource: item(&block.resources, within % resources)?,
            asked,
        })
    }
}

/// The demands of the policies that differ.
struct Demands<'a> {
    policies: Vec<[Demand<'a>; 3]>,
}

impl<'a> Demands<'a> {
    fn new(touched: &Touched<'a>) -> Self {
        let parts = [Part::Principal, Part::Action, Part::Resource];
        let policies = touched.policies.iter();
        Self {
            policies: policies
                .map(|(world, policy)| parts.map(|part| Demand::new(*world, policy, part)))
                .collect(),
        }
    }

    /// The policies that are about an action.
    fn of_action(&self, action: &EntityUID) -> Vec<usize> {
        let policies = self.policies.iter().enumerate();
        policies
            .filter(|(_, [_, demand, _])| demand.holds(action))
            .map(|(at, _)| at)
            .collect()
    }

    /// Those that a policy is about.
    fn holding(
        &self,
        policy: usize,
        part: Part,
        among: &[u32],
        uids: &[Arc<EntityUID>],
    ) -> Vec<u32> {
        let Some([principal, action, resource]) = self.policies.get(policy) else {
            return Vec::new();
        };
        let demand = match part {
            Part::Principal => principal,
            Part::Action => action,
            Part::Resource => resource,
        };
        let holds = |at: &u32| uids.get(*at as usize).is_some_and(|uid| demand.holds(uid));
        among.iter().copied().filter(holds).collect()
    }
}

/// All entities of both sides, those that test cases name, and of those that are
/// decided about without being stored all that is named anywhere. In order.
fn uids(before: World<'_>, after: World<'_>, cases: &[Case]) -> Vec<Arc<EntityUID>> {
    let mut uids = BTreeSet::new();
    for world in [before, after] {
        let stored = world.view.iter().map(|(named, _)| Arc::clone(named.uid()));
        uids.extend(stored.filter(|uid| !uid.is_action()));
    }
    for case in cases {
        uids.insert(Arc::clone(&case.question.principal));
        uids.insert(Arc::clone(&case.question.resource));
    }
    let manifests = [before, after].map(|world| world.snapshot.manifest());
    let is_implicit = |uid: &EntityUID| {
        manifests.iter().any(|manifest| {
            manifest.unknown == OnUnknown::Cedar
                || manifest.implicit_types.contains(uid.entity_type())
        })
    };
    if manifests
        .iter()
        .any(|manifest| manifest.unknown == OnUnknown::Cedar || !manifest.implicit_types.is_empty())
    {
        let named = [before, after].into_iter().flat_map(touched::named);
        uids.extend(named.filter(|uid| !uid.is_action() && is_implicit(uid)));
    }
    uids.into_iter().collect()
}

/// The actions that something can be asked of, in order: those that a schema
/// declares, else those that policies and test cases name.
fn actions(before: World<'_>, after: World<'_>, cases: &[Case]) -> BTreeSet<Arc<EntityUID>> {
    let mut actions = BTreeSet::new();
    for world in [before, after] {
        if let Some(schema) = world.snapshot.schema() {
            let declared = schema.actions();
            let asked = declared.filter(|action| !action.principals.is_empty());
            actions.extend(asked.map(|action| Arc::clone(&action.uid)));
            continue;
        }
        for policy in world.snapshot.rules().iter() {
            let constraint = policy.cedar.action_constraint();
            if let ActionConstraint::Eq(uid) = constraint {
                actions.insert(Arc::clone(uid));
            } else if let ActionConstraint::In(uids) = constraint {
                actions.extend(uids.iter().map(Arc::clone));
            }
        }
        actions.extend(cases.iter().map(|case| Arc::clone(&case.question.action)));
    }
    actions
}

/// The entities whose types an action applies to, on either side.
fn applicable(
    before: World<'_>,
    after: World<'_>,
    action: &EntityUID,
    part: Part,
    uids: &[Arc<EntityUID>],
) -> Vec<u32> {
    let mut types = BTreeSet::new();
    let mut is_open = false;
    for world in [before, after] {
        let Some(schema) = world.snapshot.schema() else {
            is_open = true;
            continue;
        };
        let Some(declared) = schema.action(action) else {
            continue;
        };
        types.extend(match part {
            Part::Principal => &declared.principals,
            Part::Action | Part::Resource => &declared.resources,
        });
    }
    let all = (0_u32..).zip(uids);
    all.filter(|(_, uid)| is_open || types.contains(uid.entity_type()))
        .map(|(at, _)| at)
        .collect()
}

/// What a thread found.
struct Found {
    flips: Groups<TripleExample>,
    gaining: BTreeSet<u32>,
    losing: BTreeSet<u32>,
    failed: u64,
}

impl Found {
    fn new(examples: usize) -> Self {
        Self {
            flips: Groups::new(examples),
            gaining: BTreeSet::new(),
            losing: BTreeSet::new(),
            failed: 0,
        }
    }

    fn merge(&mut self, others: Self) {
        self.flips.merge(others.flips);
        self.gaining.extend(others.gaining);
        self.losing.extend(others.losing);
        self.failed += others.failed;
    }

    /// Decides a triple in every context; the simplest that shows a flip is kept.
    fn decide(&mut self, before: World<'_>, after: World<'_>, plan: &Plan, triple: &Triple<'_>) {
        let mut keys: Vec<Key> = Vec::new();
        for (context_at, circumstances) in triple.asked.contexts.iter().enumerate() {
            let Some([old, new]) = answers(before, after, plan, triple, circumstances) else {
                self.failed += 1;
                continue;
            };
            if old.is_allow() == new.is_allow() {
                continue;
            }
            let uid = |at: u32| plan.uids.get(at as usize);
            let (Some(principal), Some(resource)) = (uid(triple.principal), uid(triple.resource))
            else {
                continue;
            };
            let (before, after) = (Answer::of(&old), Answer::of(&new));
            let action = triple.asked.action.to_string();
            let principal_type = principal.entity_type().to_string();
            let key = Key::new(&before, &after, principal_type, Some(action.clone().into()));
            let Some(key) = key.filter(|key| !keys.contains(key)) else {
                continue;
            };
            match key.direction {
                Direction::Gained => self.gaining.insert(triple.principal),
                Direction::Lost => self.losing.insert(triple.principal),
            };
            let example = TripleExample {
                context_at,
                principal: principal.to_string(),
                action,
                resource: resource.to_string(),
                context: circumstances.told.clone(),
                before,
                after,
            };
            if keys.iter().any(|other| other.direction == key.direction) {
                self.flips.add_again(&key, example);
            } else {
                self.flips.add(&key, example);
            }
            keys.push(key);
        }
    }
}

/// What both sides decide; `None` when one of them refuses.
fn answers(
    before: World<'_>,
    after: World<'_>,
    plan: &Plan,
    triple: &Triple<'_>,
    circumstances: &Circumstances,
) -> Option<[Decision; 2]> {
    let uid = |at: u32| plan.uids.get(at as usize).map(Arc::clone);
    let (principal, resource) = (uid(triple.principal)?, uid(triple.resource)?);
    let decided = |world: World<'_>, context: &Arc<Context>| {
        let query = Query {
            principal: Arc::clone(&principal),
            action: Arc::clone(&triple.asked.action),
            resource: Arc::clone(&resource),
            context: Arc::clone(context),
            overlay: Arc::from([]),
        };
        decide(world.snapshot, world.view, &query).ok()
    };
    Some([
        decided(before, &circumstances.before)?,
        decided(after, &circumstances.after)?,
    ])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::chosen;

    proptest! {
        #[test]
        fn what_is_chosen_is_spread(all in 1_u64..100_000, turns in 1_u64..2000) {
            let turns = turns.min(all);
            let chosen: Vec<u64> = (0..turns).map(|turn| chosen(turn, turns, all)).collect();
            prop_assert!(chosen.is_sorted_by(|a, b| a < b), "{:?}", chosen);
            prop_assert!(chosen.last().is_some_and(|last| *last < all));
            let widest = chosen.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
            prop_assert!(widest <= 2 * (all / turns + 1));
        }
    }
}
