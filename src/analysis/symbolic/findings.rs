//! What can be said of policies without being asked: which can never apply, which
//! are overridden or superfluous, which can fail.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use cedar_policy_core::ast;
use cedar_policy_core::ast::Effect;
use cedar_policy_symcc::CompiledPolicy;
use cedar_policy_symcc::CompiledPolicySet;
use cedar_policy_symcc::always_denies_asserts;
use cedar_policy_symcc::disjoint_asserts;
use cedar_policy_symcc::implies_asserts;
use cedar_policy_symcc::matches_implies_asserts;
use cedar_policy_symcc::never_errors_asserts;
use cedar_policy_symcc::never_matches_asserts;

use serde::Deserialize;

use super::Counterexample;
use super::Environment;
use super::Options;
use super::Outcome;
use super::Side;
use super::check::Polish;
use super::check::STOPPED;
use super::confirm::Demand;
use super::confirm::Judge;
use super::environment::Compiler;
use super::environment::Within;
use super::policies::LinkScope;
use super::policies::Origin;
use super::policies::Unit;
use super::policies::Units;
use super::policies::as_forbid;
use super::solver::Solver;
use super::workers::for_each;
use crate::engine::manifest::OnError;

/// More policies of one effect than this in one environment are not compared with
/// each other: the work grows with the square.
const COMPARED_MAX: usize = 100;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// In order of kind, then of id.
    pub found: Vec<Finding>,
    /// What is not known: the policy, the environment, the reason.
    pub unknown: Vec<(String, Environment, String)>,
    /// Environments with too many policies to look for superfluous ones, and how
    /// many those are.
    pub left_out: Vec<(Environment, usize)>,
}

/// One policy that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    /// What is wrong with it.
    pub kind: Kind,
    /// The policy, link or template.
    pub unit: Unit,
    /// The policies that make it superfluous, as far as single ones do.
    pub because_of: Vec<String>,
    /// A request that shows it, where one does.
    pub example: Option<(Environment, Box<Counterexample>)>,
}

/// What can be wrong with a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It matches no request at all.
    NeverApplies,
    /// It permits, and whatever it matches is forbidden.
    Overridden,
    /// Whatever it matches, others of its effect match too.
    Redundant,
    /// There are requests for which it cannot be evaluated.
    CanFail,
}

impl Kind {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverApplies => "never_applies",
            Self::Overridden => "overridden",
            Self::Redundant => "redundant",
            Self::CanFail => "can_fail",
        }
    }

    /// For people, to be read after the policy.
    pub fn words(self) -> &'static str {
        match self {
            Self::NeverApplies => "can never apply",
            Self::Overridden => "permits nothing: all that it matches is forbidden",
            Self::Redundant => "changes nothing: all that it matches is matched by others",
            Self::CanFail => "can fail to evaluate",
        }
    }
}

/// What is known of one unit. It is enough that one environment shows it: then the
/// others need not be asked.
#[derive(Debug, Default)]
struct Facts {
    /// Some request is matched.
    matches: AtomicBool,
    /// Some request is matched and not forbidden.
    is_open: AtomicBool,
    /// Some request is matched by no other of its effect.
    is_needed: AtomicBool,
}

/// What one environment shows of one unit.
#[derive(Debug, Default)]
struct Seen {
    /// Some request makes it fail.
    fails: bool,
    /// A single other one that matches whatever this matches.
    covered_by: Option<String>,
    /// Why it is not known whether it fails.
    unknown_failure: Option<String>,
    /// Why something else is not known.
    unknown: Option<String>,
}

/// Looks at every policy, link and template. `done` is told after each environment,
/// from any thread.
///
/// # Errors
/// When there is no schema, or one that formulas have no word for.
pub fn findings(
    side: Side<'_>,
    options: &Options,
    done: &(dyn Fn() + Sync),
) -> Result<Findings, String> {
    let schema = side
        .snapshot
        .schema()
        .ok_or("without a schema nothing can be said of every request")?;
    let units = Units::of(side);
    let all: Vec<&Unit> = units.iter().collect();
    let search = Search {
        side,
        units: &units,
        facts: all.iter().map(|_| Facts::default()).collect(),
        all: &all,
        compiler: Compiler::new(schema)?,
    };
    let environments = Environment::all(schema);
    let seen = for_each(&environments, options, done, |solver, environment| {
        search.look(solver, environment)
    });
    let mut findings = Findings::default();
    let mut by_unit: Vec<Vec<(&Environment, Seen)>> = all.iter().map(|_| Vec::new()).collect();
    for (environment, looked) in environments.iter().zip(seen) {
        let Some(looked) = looked else {
            let all = "all policies".to_owned();
            let stopped = (all, environment.clone(), STOPPED.to_owned());
            findings.unknown.push(stopped);
            continue;
        };
        if let Some(count) = looked.left_out {
            findings.left_out.push((environment.clone(), count));
        }
        for (at, seen) in looked.seen {
            if let Some(list) = by_unit.get_mut(at) {
                list.push((environment, seen));
            }
        }
    }
    let mut solver = Solver::new(options);
    for ((unit, facts), seen) in all.iter().zip(&search.facts).zip(by_unit) {
        search.conclude(&mut solver, (unit, facts), &seen, &mut findings);
    }
    findings
        .found
        .sort_by(|a, b| (a.kind, a.unit.id()).cmp(&(b.kind, b.unit.id())));
    findings.found = without_reasons(findings.found);
    Ok(findings)
}

/// Of policies that make each other superfluous, one has to stay: what makes an
/// earlier one superfluous is not said to be so itself.
fn without_reasons(found: Vec<Finding>) -> Vec<Finding> {
    let mut needed = BTreeSet::new();
    let mut kept = Vec::new();
    for finding in found {
        if finding.kind == Kind::Redundant && needed.contains(finding.unit.id()) {
            continue;
        }
        needed.extend(finding.because_of.iter().cloned());
        kept.push(finding);
    }
    kept
}

struct Search<'a> {
    side: Side<'a>,
    units: &'a Units,
    all: &'a [&'a Unit],
    facts: Vec<Facts>,
    compiler: Compiler<'a>,
}

/// What one environment shows.
struct Looked {
    /// By number of unit.
    seen: Vec<(usize, Seen)>,
    /// How many policies were too many to be compared.
    left_out: Option<usize>,
}

impl Search<'_> {
    fn look(&self, solver: &mut Solver, environment: &Environment) -> Looked {
        let within = self.compiler.within(environment);
        let concerned: Vec<(usize, (&Unit, &Facts))> = (self.all.iter().copied())
            .zip(&self.facts)
            .enumerate()
            .filter(|(_, (unit, _))| within.concerns(&unit.policy))
            .collect();
        let place = Place {
            units: self.units,
            unforbidden: self.unforbidden(&within),
            is_crowded: concerned.len() > COMPARED_MAX,
            failing_denies: self.failing_denies(),
            within,
        };
        let left_out = place.is_crowded.then_some(concerned.len());
        let seen = concerned
            .into_iter()
            .map(|(at, (unit, facts))| (at, place.look_at(solver, unit, facts)));
        Looked {
            seen: seen.collect(),
            left_out,
        }
    }

    /// Whether a forbid that fails denies.
    fn failing_denies(&self) -> bool {
        self.side.snapshot.manifest().errors == OnError::Deny
    }

    /// The formula of what nothing forbids.
    fn unforbidden(&self, within: &Within<'_>) -> Result<CompiledPolicySet, String> {
        let everything = ast::Policy::from_when_clause(
            Effect::Permit,
            ast::Expr::val(true),
            ast::PolicyID::from_string("everything"),
            None,
        );
        let forbids = self
            .units
            .in_force()
            .filter(|unit| unit.effect() == Effect::Forbid && within.concerns(&unit.policy));
        let forbids = forbids.map(|unit| &unit.policy);
        within.set(std::iter::once(&everything).chain(forbids))
    }

    /// What all environments together say of a unit.
    fn conclude(
        &self,
        solver: &mut Solver,
        (unit, facts): (&Unit, &Facts),
        seen: &[(&Environment, Seen)],
        findings: &mut Findings,
    ) {
        let is_open = facts.is_open.load(Ordering::Relaxed) || unit.effect() == Effect::Forbid;
        let is_needed = facts.is_needed.load(Ordering::Relaxed) || unit.origin == Origin::Template;
        let is_known = is_open && is_needed && facts.matches.load(Ordering::Relaxed);
        let mut is_unknown = false;
        for (environment, seen) in seen {
            let other = seen.unknown.as_ref().filter(|_| !is_known);
            is_unknown |= other.is_some();
            let failure = seen.unknown_failure.as_ref();
            let reasons = failure
                .into_iter()
                .chain(other.filter(|_| failure != other));
            findings.unknown.extend(
                reasons
                    .map(|reason| (unit.id().to_owned(), (*environment).clone(), reason.clone())),
            );
        }
        self.tell_failure(solver, unit, seen, findings);
        if is_unknown || is_known {
            return;
        }
        // A forbid that fails denies, also where it would not match.
        let denies_otherwise = seen
            .iter()
            .any(|(_, seen)| seen.fails || seen.unknown_failure.is_some());
        if unit.effect() == Effect::Forbid && self.failing_denies() && denies_otherwise {
            return;
        }
        let kind = if !facts.matches.load(Ordering::Relaxed) {
            Kind::NeverApplies
        } else if !is_open {
            Kind::Overridden
        } else {
            Kind::Redundant
        };
        let because_of: BTreeSet<&String> = seen
            .iter()
            .filter_map(|(_, seen)| seen.covered_by.as_ref())
            .filter(|_| kind == Kind::Redundant)
            .collect();
        findings.found.push(Finding {
            kind,
            unit: unit.clone(),
            because_of: because_of.into_iter().cloned().collect(),
            example: None,
        });
    }

    /// Tells that a unit can fail, if it can. Of a link, that is told of its template.
    fn tell_failure(
        &self,
        solver: &mut Solver,
        unit: &Unit,
        seen: &[(&Environment, Seen)],
        findings: &mut Findings,
    ) {
        let failing = seen.iter().find(|(_, seen)| seen.fails);
        let Some((environment, _)) = failing.filter(|_| unit.origin != Origin::Link) else {
            return;
        };
        match self.failure(solver, unit, environment) {
            Ok(finding) => findings.found.extend(finding),
            Err(reason) => {
                let unknown = (unit.id().to_owned(), (*environment).clone(), reason);
                findings.unknown.push(unknown);
            }
        }
    }

    /// A request that makes a unit fail; `None` if after all there is none.
    fn failure(
        &self,
        solver: &mut Solver,
        unit: &Unit,
        environment: &Environment,
    ) -> Result<Option<Finding>, String> {
        let within = self.compiler.within(environment);
        let compiled = within.policy(&unit.policy)?;
        let polish = Polish {
            side: self.side,
            judge: Judge::new(self.side, LinkScope::Repository),
            demand: Demand::Fails(&unit.policy),
            named: self.units.named_entities(),
            link_open: unit.open_effect(),
        };
        match polish.outcome(solver.ask(&never_errors_asserts(&compiled))) {
            Outcome::Holds => Ok(None),
            Outcome::Unknown(reason) => Err(reason),
            Outcome::Broken(example) => Ok(Some(Finding {
                kind: Kind::CanFail,
                unit: unit.clone(),
                because_of: Vec::new(),
                example: Some((environment.clone(), example)),
            })),
        }
    }
}

/// One environment, with what all units in it are held against.
struct Place<'a> {
    units: &'a Units,
    within: Within<'a>,
    unforbidden: Result<CompiledPolicySet, String>,
    is_crowded: bool,
    failing_denies: bool,
}

impl Place<'_> {
    fn look_at(&self, solver: &mut Solver, unit: &Unit, facts: &Facts) -> Seen {
        let mut seen = Seen::default();
        let compiled = match self.within.policy(&unit.as_permit()) {
            Ok(compiled) => compiled,
            Err(reason) => {
                seen.unknown = Some(reason);
                return seen;
            }
        };
        // A template with open slots fails where any link of it does.
        let denies = self.failing_denies && unit.effect() == Effect::Forbid;
        if unit.origin != Origin::Link || denies {
            match solver.is_unsatisfiable(&never_errors_asserts(&compiled)) {
                Ok(never) => seen.fails = !never,
                Err(reason) => seen.unknown_failure = Some(reason),
            }
        }
        let learnt = self.learn(solver, (unit, &compiled), facts, &mut seen.covered_by);
        seen.unknown = learnt.err();
        seen
    }

    /// Adds to what is known of a unit.
    fn learn(
        &self,
        solver: &mut Solver,
        (unit, compiled): (&Unit, &CompiledPolicy),
        facts: &Facts,
        covered_by: &mut Option<String>,
    ) -> Result<(), String> {
        let knows = |fact: &AtomicBool| fact.load(Ordering::Relaxed);
        let note = |fact: &AtomicBool| fact.store(true, Ordering::Relaxed);
        let others = self.others(unit);
        let is_new = !knows(&facts.is_open) && !knows(&facts.is_needed);
        if unit.effect() == Effect::Permit
            && unit.origin != Origin::Template
            && is_new
            && self.decides_alone(solver, unit, &others) == Ok(true)
        {
            for fact in [&facts.matches, &facts.is_open, &facts.is_needed] {
                note(fact);
            }
            return Ok(());
        }
        if unit.effect() == Effect::Permit && !knows(&facts.is_open) {
            let unforbidden = self.unforbidden.as_ref().map_err(Clone::clone)?;
            let matched = compiled.clone().into_compiled_policyset();
            if !solver.is_unsatisfiable(&disjoint_asserts(&matched, unforbidden))? {
                note(&facts.is_open);
                note(&facts.matches);
            }
        }
        if unit.origin != Origin::Template && !knows(&facts.is_needed) {
            if self.is_needed(solver, compiled, &others)? {
                note(&facts.is_needed);
                note(&facts.matches);
                return Ok(());
            }
            if solver.is_unsatisfiable(&never_matches_asserts(compiled))? {
                return Ok(());
            }
            note(&facts.matches);
            *covered_by = self.alone(solver, compiled, &others)?;
        } else if !knows(&facts.matches)
            && !solver.is_unsatisfiable(&never_matches_asserts(compiled))?
        {
            note(&facts.matches);
        }
        Ok(())
    }

    /// The others of the effect of a unit that bring its obligations, as permits. A
    /// policy is compared with policies, a link with policies and links.
    fn others(&self, unit: &Unit) -> Vec<ast::Policy> {
        if self.is_crowded {
            return Vec::new();
        }
        let others = self.units.in_force().filter(|other| {
            other.id() != unit.id()
                && other.effect() == unit.effect()
                && other.brings_obligations_of(unit)
                && (other.origin == Origin::Static || unit.origin == Origin::Link)
                && self.within.concerns(&other.policy)
        });
        others.map(Unit::as_permit).collect()
    }

    /// Whether some request is matched by this permit, by none of the others, and is
    /// not forbidden: of a good permit, that is all there is to know, in one question.
    fn decides_alone(
        &self,
        solver: &mut Solver,
        unit: &Unit,
        others: &[ast::Policy],
    ) -> Result<bool, String> {
        let forbids = self.units.in_force().filter(|other| {
            other.effect() == Effect::Forbid && self.within.concerns(&other.policy)
        });
        let against = others.iter().map(as_forbid);
        let all: Vec<ast::Policy> = std::iter::once(unit.as_permit())
            .chain(against)
            .chain(forbids.map(|other| other.policy.clone()))
            .collect();
        let set = self.within.set(&all)?;
        let never = solver.is_unsatisfiable(&always_denies_asserts(&set))?;
        Ok(!never)
    }

    /// Whether some request is matched by this and by none of the others.
    fn is_needed(
        &self,
        solver: &mut Solver,
        compiled: &CompiledPolicy,
        others: &[ast::Policy],
    ) -> Result<bool, String> {
        let never = if others.is_empty() {
            solver.is_unsatisfiable(&never_matches_asserts(compiled))?
        } else {
            let together = self.within.set(others)?;
            let matched = compiled.clone().into_compiled_policyset();
            solver.is_unsatisfiable(&implies_asserts(&matched, &together))?
        };
        Ok(!never)
    }

    /// The first of the others that alone matches whatever this matches.
    fn alone(
        &self,
        solver: &mut Solver,
        compiled: &CompiledPolicy,
        others: &[ast::Policy],
    ) -> Result<Option<String>, String> {
        for other in others {
            let formula = self.within.policy(other)?;
            if solver.is_unsatisfiable(&matches_implies_asserts(compiled, &formula))? {
                return Ok(Some(other.id().to_string()));
            }
        }
        Ok(None)
    }
}
