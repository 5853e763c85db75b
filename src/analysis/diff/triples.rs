//! Decisions about all entities: every principal, action and resource that the
//! schema lets come together, as far as the change can alter the decision.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;

use cedar_policy_core::ast::EntityUID;

use super::Options;
use super::contexts;
use super::contexts::Circumstances;
use super::demands::About;
use super::demands::Demands;
use super::demands::Part;
use super::parties::actions;
use super::parties::applicable;
use super::parties::uids;
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

/// What policies are about is looked through for each action: so many times as much may
/// be looked at as was to find it.
const BUDGET: u64 = 5;

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

/// In which contexts was asked, of the actions that the change can alter a decision of.
#[derive(Debug, Clone, Copy, Default)]
pub struct ContextsAsked {
    /// Actions without one of a test case, though there can be others than the least.
    pub made_up: usize,
    /// Contexts that fit one side only.
    pub adapted: usize,
    /// Contexts of test cases that were not asked with.
    pub left_out: usize,
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
    /// In which contexts was asked.
    pub contexts: ContextsAsked,
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
        contexts: plan.contexts,
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
    /// How many entities may still be looked at to tell what is touched.
    budget: u64,
    /// Actions of which everything was taken, because telling would take more.
    coarse: usize,
    contexts: ContextsAsked,
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
            budget: options.planned_max.saturating_mul(BUDGET),
            coarse: 0,
            contexts: ContextsAsked::default(),
            not_asked: Vec::new(),
            notes: Vec::new(),
        };
        let touched = Touched::new(before, after, changed);
        let demands = Demands::new(&touched, &plan.uids, options.planned_max);
        for action in actions(before, after, cases) {
            let contexts = contexts::of_action(before, after, &action, cases, &options.now);
            if contexts.all.is_empty() {
                plan.not_asked.push(action.to_string());
                continue;
            }
            let is_touched = touched.action(before, after, &action)
                || contexts.all.iter().any(|context| {
                    context.before != context.after
                        || touched.context(&context.before)
                        || touched.context(&context.after)
                });
            let parties = [Part::Principal, Part::Resource]
                .map(|part| applicable(before, after, &action, part, &plan.uids));
            plan.asked.push(Asked {
                action: Arc::clone(&action),
                contexts: contexts.all,
            });
            // What nothing is asked about needs no circumstances.
            if plan.action(parties, is_touched, &touched, &demands) {
                plan.contexts.made_up += usize::from(contexts.is_made_up);
                plan.contexts.adapted += contexts.adapted;
                plan.contexts.left_out += contexts.left_out;
            }
        }
        plan.note();
        plan.note_unstored(before, after);
        plan
    }

    fn note(&mut self) {
        let ContextsAsked {
            made_up,
            adapted,
            left_out,
        } = self.contexts;
        if made_up > 0 {
            self.notes.push(format!(
                "actions asked about with the least context that the schema takes, for want of a test \
                 case: {made_up}"
            ));
        }
        if adapted > 0 {
            self.notes.push(format!(
                "contexts of test cases that fit one side only: {adapted}; the other was asked with \
                 what it takes of them, and with the least of what it demands besides"
            ));
        }
        if left_out > 0 {
            self.notes.push(format!(
                "contexts of test cases that were not asked with: {left_out}; an action is asked about \
                 in {} that are least alike",
                contexts::CONTEXTS_MAX
            ));
        }
        if !self.not_asked.is_empty() {
            let without: Vec<String> = self.not_asked.iter().map(|id| format!("`{id}`")).collect();
            let without = without.join(", ");
            self.notes
                .push(format!("not asked about for want of a context: {without}"));
        }
        if self.coarse > 0 {
            self.notes.push(format!(
                "actions of which every triple counts as one that the change can alter, since too many \
                 policies differ to tell: {}",
                self.coarse
            ));
        }
    }

    /// Says who stands for those that are decided about without being stored.
    fn note_unstored(&mut self, before: World<'_>, after: World<'_>) {
        let manifests = [before, after].map(|world| world.snapshot.manifest());
        let types = manifests
            .iter()
            .flat_map(|manifest| &manifest.implicit_types);
        let types: BTreeSet<String> = types.map(|name| format!("`{name}`")).collect();
        if !types.is_empty() {
            let types: Vec<String> = types.into_iter().collect();
            self.notes.push(format!(
                "one that nothing names stands for all others of the implicit types {}",
                types.join(", ")
            ));
        }
        if manifests
            .iter()
            .any(|manifest| manifest.unknown == OnUnknown::Cedar)
        {
            self.notes.push(
                "whom nobody knows is decided about, too (`unknown = \"cedar\"`): one that nothing \
                 names stands for all others of its type"
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

    /// Adds the triples of the last action, as far as they are touched; tells whether
    /// any is.
    fn action(
        &mut self,
        [principals, resources]: [Vec<u32>; 2],
        is_touched: bool,
        touched: &Touched<'_>,
        demands: &Demands<'_>,
    ) -> bool {
        let Some((number, asked)) = self.asked.iter().enumerate().next_back() else {
            return false;
        };
        let all = principals.len() as u64 * resources.len() as u64;
        self.all = self.all.saturating_add(all);
        let start = self.touched;
        let about = demands.of_action(&asked.action);
        let groups = if is_touched {
            None
        } else if about.iter().any(|about| about.is_coarse) {
            self.coarse += 1;
            None
        } else {
            let groups = self.groups([&principals, &resources], touched, &about);
            self.coarse += usize::from(groups.is_none());
            groups
        };
        for [principals, resources] in groups.unwrap_or_else(|| vec![[principals, resources]]) {
            self.block(number, principals, resources);
        }
        self.touched > start
    }

    /// Principals with the resources that the change is about for them; `None` when
    /// telling that would take too much.
    fn groups(
        &mut self,
        [principals, resources]: [&[u32]; 2],
        touched: &Touched<'_>,
        about: &[&About<'_>],
    ) -> Option<Vec<[Vec<u32>; 2]>> {
        let lists = about
            .iter()
            .flat_map(|about| [&about.principals, &about.resources]);
        let length: usize = lists.map(Vec::len).sum();
        self.budget = self.budget.checked_sub(length as u64)?;
        let is_affected = |at: &u32| {
            let uid = self.uids.get(*at as usize);
            uid.is_some_and(|uid| touched.entities.contains(uid))
        };
        let affected: Vec<u32> = resources.iter().copied().filter(is_affected).collect();
        let applicable: HashSet<u32> = resources.iter().copied().collect();
        let reached: Vec<Vec<u32>> = about
            .iter()
            .map(|about| {
                let resources = about.resources.iter().copied();
                resources.filter(|at| applicable.contains(at)).collect()
            })
            .collect();
        let mut held: HashMap<u32, Vec<usize>> = HashMap::new();
        for (number, about) in about.iter().enumerate() {
            for principal in &about.principals {
                held.entry(*principal).or_default().push(number);
            }
        }
        // Principals that the same policies are about go together.
        let mut alike: BTreeMap<Option<Vec<usize>>, Vec<u32>> = BTreeMap::new();
        for principal in principals {
            let about = if is_affected(principal) {
                None
            } else {
                Some(held.remove(principal).unwrap_or_default())
            };
            alike.entry(about).or_default().push(*principal);
        }
        let lists = |about: &'_ [usize]| -> Vec<&Vec<u32>> {
            let lists = about.iter().filter_map(|at| reached.get(*at));
            lists.chain([&affected]).collect()
        };
        let lengths = alike.keys().flatten().flat_map(|about| lists(about));
        let length: usize = lengths.map(Vec::len).sum();
        self.budget = self.budget.checked_sub(length as u64)?;
        let groups = alike.into_iter().map(|(about, principals)| {
            let resources = about.map_or_else(
                || resources.to_vec(),
                |about| {
                    let mut some: Vec<u32> = lists(&about).into_iter().flatten().copied().collect();
                    some.sort_unstable();
                    some.dedup();
                    some
                },
            );
            [principals, resources]
        });
        Some(groups.collect())
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
