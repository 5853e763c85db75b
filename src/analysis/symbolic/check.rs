//! Invariants, proved in each environment that they concern.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use cedar_policy_core::ast;
use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_symcc::CompiledPolicySet;
use cedar_policy_symcc::disjoint_asserts;
use cedar_policy_symcc::implies_asserts;
use cedar_policy_symcc::matches_disjoint_asserts;
use cedar_policy_symcc::matches_implies_asserts;
use cedar_policy_symcc::never_errors_asserts;
use cedar_policy_symcc::never_matches_asserts;

use super::Environment;
use super::Options;
use super::Outcome;
use super::Side;
use super::confirm::Demand;
use super::confirm::Judge;
use super::confirm::decision;
use super::confirm::links_to_parties;
use super::confirm::made_by;
use super::counterexample::Carried;
use super::counterexample::Counterexample;
use super::environment::Compiler;
use super::environment::Unserved;
use super::environment::Within;
use super::minimise::mentioned;
use super::minimise::minimised;
use super::minimise::named_shortly;
use super::minimise::with_plain_dates;
use super::policies::LinkScope;
use super::policies::Unit;
use super::policies::Units;
use super::policies::entities_of;
use super::solver::Answer;
use super::solver::Solver;
use super::workers::for_each;
use crate::analysis::invariants::Claim;
use crate::analysis::invariants::Invariant;
use crate::analysis::invariants::Policies;
use crate::engine::Decision;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::named::Probe;
use crate::engine::stored::Stored;

/// Why an environment has no outcome.
pub(super) const STOPPED: &str = "the analysis stopped here, which is a fault of deodar";

/// What became of one invariant.
#[derive(Debug)]
pub struct Proof<'a> {
    /// The invariant.
    pub invariant: &'a Invariant,
    /// Each environment that it concerns, in order. An invariant that concerns none
    /// proves nothing.
    pub outcomes: Vec<(Environment, Outcome)>,
}

impl Proof<'_> {
    /// The environments in which it is broken, each with a request that shows it.
    pub fn broken(&self) -> impl Iterator<Item = (&Environment, &Counterexample)> {
        self.outcomes.iter().filter_map(|(environment, outcome)| {
            let Outcome::Broken(example) = outcome else {
                return None;
            };
            Some((environment, &**example))
        })
    }

    /// The environments of which nobody knows, and why.
    pub fn unknown(&self) -> impl Iterator<Item = (&Environment, &str)> {
        self.outcomes.iter().filter_map(|(environment, outcome)| {
            let Outcome::Unknown(reason) = outcome else {
                return None;
            };
            Some((environment, reason.as_str()))
        })
    }
}

/// Tries to prove invariants of one repository. `done` is told after each
/// environment, from any thread.
///
/// # Errors
/// When there is no schema, or one that formulas have no word for.
pub fn prove<'a>(
    side: Side<'_>,
    invariants: &'a [Invariant],
    options: &Options,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Proof<'a>>, String> {
    let schema = side
        .snapshot
        .schema()
        .ok_or("without a schema nothing can be said of every request")?;
    let units = Units::of(side);
    let compiler = Compiler::new(schema)?;
    let environments = Environment::all(schema);
    let found = for_each(&environments, options, done, |solver, environment| {
        let ground = Ground::new(side, &units, compiler.within(environment));
        let outcomes = invariants.iter().map(|invariant| {
            let concerned = invariant.within.has(environment);
            concerned.then(|| ground.check(solver, invariant)).flatten()
        });
        outcomes.collect::<Vec<Option<Outcome>>>()
    });
    let mut proofs: Vec<Proof<'a>> = invariants
        .iter()
        .map(|invariant| Proof {
            invariant,
            outcomes: Vec::new(),
        })
        .collect();
    for (environment, outcomes) in environments.into_iter().zip(found) {
        let stopped = || vec![Some(Outcome::Unknown(STOPPED.to_owned())); invariants.len()];
        let outcomes = outcomes.unwrap_or_else(stopped);
        for (proof, outcome) in proofs.iter_mut().zip(outcomes) {
            let outcome = outcome.map(|outcome| (environment.clone(), outcome));
            proof.outcomes.extend(outcome);
        }
    }
    Ok(proofs)
}

type Formula = OnceCell<Result<CompiledPolicySet, String>>;

/// One environment, with the formulas that several invariants need.
struct Ground<'a> {
    side: Side<'a>,
    units: &'a Units,
    within: Within<'a>,
    worst_for_never: Formula,
    worst_for_always: Formula,
    in_force: Formula,
    simple_worst: Formula,
    simple_in_force: Formula,
}

impl<'a> Ground<'a> {
    fn new(side: Side<'a>, units: &'a Units, within: Within<'a>) -> Self {
        Self {
            side,
            units,
            within,
            worst_for_never: OnceCell::new(),
            worst_for_always: OnceCell::new(),
            in_force: OnceCell::new(),
            simple_worst: OnceCell::new(),
            simple_in_force: OnceCell::new(),
        }
    }

    /// What becomes of an invariant here; `None` when it says nothing of this
    /// environment.
    fn check(&self, solver: &mut Solver, invariant: &Invariant) -> Option<Outcome> {
        let done = match &invariant.claim {
            Claim::Never(matcher) | Claim::Always(matcher) => {
                if !self.within.concerns(matcher) {
                    return None;
                }
                let done = match &invariant.claim {
                    Claim::Never(_) => self.never(solver, matcher, invariant.links),
                    _ => self.always(solver, matcher, invariant.links),
                };
                if matches!(done, Ok(Outcome::Holds)) {
                    return self.holds_of_something(solver, matcher);
                }
                done
            }
            Claim::NeverErrors(policies) => {
                let units = self.concerned(policies)?;
                Ok(self.each(solver, &units, Self::never_errors))
            }
            Claim::NeverApplies(policies) => {
                let units = self.concerned(policies)?;
                Ok(self.each(solver, &units, Self::never_applies))
            }
            Claim::Implies(narrow, wide) => {
                let (narrow, wide) = self.pair(narrow, wide)?;
                self.implies(solver, narrow, wide)
            }
            Claim::Disjoint(one, other) => {
                let (one, other) = self.pair(one, other)?;
                self.disjoint(solver, one, other)
            }
        };
        Some(done.unwrap_or_else(Outcome::Unknown))
    }

    /// What holds because the matcher can match nothing here says nothing of this
    /// environment.
    fn holds_of_something(&self, solver: &mut Solver, matcher: &ast::Policy) -> Option<Outcome> {
        let compiled = self.within.policy(&as_permit(matcher));
        let is_idle = compiled
            .and_then(|compiled| solver.is_unsatisfiable(&never_matches_asserts(&compiled)));
        match is_idle {
            Ok(true) => None,
            Ok(false) => Some(Outcome::Holds),
            Err(reason) => Some(Outcome::Unknown(format!(
                "nothing breaks it, but it may be about nothing: {reason}"
            ))),
        }
    }

    fn never(
        &self,
        solver: &mut Solver,
        matcher: &ast::Policy,
        links: LinkScope,
    ) -> Result<Outcome, String> {
        let matched = self.matched(matcher)?;
        let polish = self.polish(matcher, links, Effect::Permit, Demand::Allowed(matcher));
        // What is denied where failing forbids are skipped is denied where they deny,
        // and much is shown by that simpler formula.
        let simple = self.simple(links)?;
        let answer = solver.ask(&disjoint_asserts(simple, &matched));
        if let Answer::Unknown(reason) = answer {
            return Err(reason);
        }
        match polish.outcome(answer) {
            Outcome::Unknown(_) => {
                let served = self.formula(solver, links, Effect::Permit)?;
                Ok(polish.outcome(solver.ask(&disjoint_asserts(served, &matched))))
            }
            known => Ok(known),
        }
    }

    fn always(
        &self,
        solver: &mut Solver,
        matcher: &ast::Policy,
        links: LinkScope,
    ) -> Result<Outcome, String> {
        let allowed = self.formula(solver, links, Effect::Forbid)?;
        let matched = self.matched(matcher)?;
        let polish = self.polish(matcher, links, Effect::Forbid, Demand::Denied(matcher));
        Ok(polish.outcome(solver.ask(&implies_asserts(&matched, allowed))))
    }

    fn never_errors(&self, solver: &mut Solver, unit: &Unit) -> Result<Outcome, String> {
        let compiled = self.within.policy(&unit.policy)?;
        let answer = solver.ask(&never_errors_asserts(&compiled));
        Ok(self.of_policies(answer, Demand::Fails(&unit.policy), unit.open_effect()))
    }

    fn never_applies(&self, solver: &mut Solver, unit: &Unit) -> Result<Outcome, String> {
        let compiled = self.within.policy(&unit.policy)?;
        let answer = solver.ask(&never_matches_asserts(&compiled));
        Ok(self.of_policies(answer, Demand::Matches(&unit.policy), unit.open_effect()))
    }

    fn implies(&self, solver: &mut Solver, narrow: &Unit, wide: &Unit) -> Result<Outcome, String> {
        let one = self.within.policy(&narrow.policy)?;
        let other = self.within.policy(&wide.policy)?;
        let answer = solver.ask(&matches_implies_asserts(&one, &other));
        let demand = Demand::MatchesOnly(&narrow.policy, &wide.policy);
        Ok(self.of_policies(answer, demand, None))
    }

    fn disjoint(&self, solver: &mut Solver, one: &Unit, other: &Unit) -> Result<Outcome, String> {
        let first = self.within.policy(&one.policy)?;
        let second = self.within.policy(&other.policy)?;
        let answer = solver.ask(&matches_disjoint_asserts(&first, &second));
        let demand = Demand::MatchesBoth(&one.policy, &other.policy);
        Ok(self.of_policies(answer, demand, None))
    }

    /// The first outcome of several policies that is not good.
    fn each(
        &self,
        solver: &mut Solver,
        units: &[&Unit],
        check: impl Fn(&Self, &mut Solver, &Unit) -> Result<Outcome, String>,
    ) -> Outcome {
        let mut unknown = None;
        for unit in units {
            let of_unit = |text: String| format!("{} `{}`: {text}", unit.kind(), unit.id());
            match check(self, solver, unit).unwrap_or_else(Outcome::Unknown) {
                Outcome::Holds => {}
                Outcome::Broken(mut example) => {
                    example
                        .notes
                        .insert(0, of_unit("it is this one".to_owned()));
                    return Outcome::Broken(example);
                }
                Outcome::Unknown(reason) => {
                    unknown.get_or_insert_with(|| of_unit(reason));
                }
            }
        }
        unknown.map_or(Outcome::Holds, Outcome::Unknown)
    }

    /// The named policies whose scope can match here; `None` if there is none.
    fn concerned(&self, policies: &Policies) -> Option<Vec<&'a Unit>> {
        let units: Vec<&Unit> = match policies {
            // A template with open slots stands for its links.
            Policies::All => {
                let units = self.units.statics.iter().chain(&self.units.templates);
                units.collect()
            }
            Policies::These(ids) => ids.iter().filter_map(|id| self.units.get(id)).collect(),
        };
        let units: Vec<&Unit> = units
            .into_iter()
            .filter(|unit| self.within.concerns(&unit.policy))
            .collect();
        (!units.is_empty()).then_some(units)
    }

    fn pair(&self, one: &str, other: &str) -> Option<(&'a Unit, &'a Unit)> {
        let one = self.units.get(one)?;
        let other = self.units.get(other)?;
        self.within.concerns(&one.policy).then_some((one, other))
    }

    /// What is allowed, with links of this scope that are the worst for a claim
    /// which `against` would break.
    fn formula(
        &self,
        solver: &mut Solver,
        links: LinkScope,
        against: Effect,
    ) -> Result<&CompiledPolicySet, String> {
        let place = match (links, against) {
            (LinkScope::Repository, _) => &self.in_force,
            (LinkScope::Any, Effect::Permit) => &self.worst_for_never,
            (LinkScope::Any, Effect::Forbid) => &self.worst_for_always,
        };
        let made = place.get_or_init(|| {
            let units = self.under(links, against);
            let on_error = self.side.snapshot.manifest().errors;
            let served = self.within.served(solver, &units, on_error);
            served.map_err(Unserved::reason)
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// What would be allowed if failing forbids were skipped, with the worst links.
    fn simple(&self, links: LinkScope) -> Result<&CompiledPolicySet, String> {
        let place = match links {
            LinkScope::Repository => &self.simple_in_force,
            LinkScope::Any => &self.simple_worst,
        };
        let made = place.get_or_init(|| {
            let units = self.under(links, Effect::Permit);
            self.within.set(units.iter().map(|unit| &unit.policy))
        });
        made.as_ref().map_err(Clone::clone)
    }

    fn under(&self, links: LinkScope, against: Effect) -> Vec<&'a Unit> {
        let concerned = |unit: &&Unit| self.within.concerns(&unit.policy);
        match links {
            LinkScope::Repository => self.units.in_force().filter(concerned).collect(),
            LinkScope::Any => self.units.worst(against).filter(concerned).collect(),
        }
    }

    /// The formula of what a matcher matches.
    fn matched(&self, matcher: &ast::Policy) -> Result<CompiledPolicySet, String> {
        let unit = as_permit(matcher);
        Ok(self.within.policy(&unit)?.into_compiled_policyset())
    }

    fn polish<'p>(
        &'p self,
        matcher: &ast::Policy,
        links: LinkScope,
        against: Effect,
        demand: Demand<'p>,
    ) -> Polish<'p> {
        let mut named = self.units.named_entities();
        entities_of(&matcher.condition(), &mut named);
        Polish {
            side: self.side,
            judge: Judge::new(self.side, links),
            demand,
            named,
            link_open: (links == LinkScope::Any).then_some(against),
        }
    }

    /// The outcome of a claim about policies as such.
    fn of_policies(
        &self,
        answer: Answer,
        demand: Demand<'_>,
        link_open: Option<Effect>,
    ) -> Outcome {
        let polish = Polish {
            side: self.side,
            judge: Judge::new(self.side, LinkScope::Repository),
            demand,
            named: self.units.named_entities(),
            link_open,
        };
        polish.outcome(answer)
    }
}

/// The same scope and condition, as a permit.
fn as_permit(policy: &ast::Policy) -> ast::Policy {
    ast::Policy::from_when_clause(
        Effect::Permit,
        policy.condition(),
        policy.id().clone(),
        None,
    )
}

/// What makes an outcome of an answer: a counterexample is confirmed by the engine
/// and made readable.
pub(super) struct Polish<'a> {
    pub(super) side: Side<'a>,
    pub(super) judge: Judge<'a>,
    pub(super) demand: Demand<'a>,
    /// Entities that policies name, whose names have to stay.
    pub(super) named: BTreeSet<EntityUID>,
    /// Templates of this effect were open: the counterexample needs links of them.
    pub(super) link_open: Option<Effect>,
}

impl Polish<'_> {
    pub(super) fn outcome(&self, answer: Answer) -> Outcome {
        match answer {
            Answer::Unsatisfiable => Outcome::Holds,
            Answer::Unknown(reason) => Outcome::Unknown(reason),
            Answer::Satisfiable(found) => match Counterexample::read(&found) {
                Ok(example) => self.confirmed(example),
                Err(reason) => Outcome::Unknown(reason),
            },
        }
    }

    fn confirmed(&self, mut example: Counterexample) -> Outcome {
        for uid in [example.principal.clone(), example.resource.clone()] {
            if !example.entities.iter().any(|entity| entity.uid == uid) {
                example.entities.push(Carried::bare(uid));
            }
        }
        if let Some(effect) = self.link_open {
            example.links = links_to_parties(self.side.snapshot, effect, &example);
        }
        let shows = |example: &Counterexample| self.judge.confirm(&self.demand, example);
        if let Err(reason) = shows(&example) {
            return Outcome::Unknown(format!(
                "the solver found a request that breaks it, which the engine does not confirm: {reason}"
            ));
        }
        let is_shown = |example: &Counterexample| shows(example).is_ok();
        let plain = with_plain_dates(&example);
        if is_shown(&plain) {
            example = plain;
        }
        let mut example = minimised(example, &is_shown);
        let (snapshot, view) = (self.side.snapshot, self.side.view);
        let renamed = named_shortly(&example, snapshot, view, &self.named);
        if is_shown(&renamed) {
            example = renamed;
        }
        self.note_repository(&mut example);
        Outcome::Broken(Box::new(example))
    }

    /// A test case is asked with the entities of the repository, which a proof does
    /// not know.
    fn note_repository(&self, example: &mut Counterexample) {
        let (snapshot, view) = (self.side.snapshot, self.side.view);
        if let Some(note) = kept_besides(example, snapshot, view) {
            example.notes.push(note);
        }
        let alone = self.judge.decide(example);
        let there = decision(snapshot, view, example);
        example.decided = there.as_ref().ok().map(Decision::is_allow);
        if let Ok(alone) = &alone {
            example.notes.push(made_by(alone));
        }
        match (alone, there) {
            (Ok(alone), Ok(there)) if alone.is_allow() == there.is_allow() => {}
            (_, Ok(there)) => example.notes.push(format!(
                "with the entities and links that the repository has now it is {}",
                made_by(&there)
            )),
            (_, Err(reason)) => example.notes.push(format!(
                "with the entities that the repository has now it cannot be asked: {reason}"
            )),
        }
    }
}

/// That entities of a case are stored with more than it says of them, which a test
/// case does not take away.
fn kept_besides(example: &Counterexample, snapshot: &Snapshot, view: &View) -> Option<String> {
    let names: Vec<String> = mentioned(example)
        .into_iter()
        .filter(|uid| {
            let printed = example.entities.iter().find(|entity| entity.uid == *uid);
            let stored = view.get(Probe::new(uid));
            stored.is_some_and(|stored| keeps_more(stored, printed, snapshot))
        })
        .map(|uid| format!("`{uid}`"))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "pasted as it is, it may ask something else: a test keeps the parents and attributes that the repository has of {}",
            names.join(", ")
        )
    })
}

/// Whether a stored entity has parents, attributes or tags that what is printed of it
/// does not name.
fn keeps_more(stored: &Stored, printed: Option<&Carried>, snapshot: &Snapshot) -> bool {
    let Ok((attributes, tags)) = stored.unpack(snapshot.types()) else {
        return true;
    };
    let Some(printed) = printed else {
        return !(stored.parents.is_empty() && attributes.is_empty() && tags.is_empty());
    };
    let mut parents = stored.parents.iter();
    parents.any(|parent| !printed.parents.contains(parent.uid()))
        || attributes
            .iter()
            .any(|(name, _)| !printed.attributes.contains_key(name.as_str()))
        || tags
            .iter()
            .any(|(name, _)| !printed.tags.contains_key(name.as_str()))
}
