//! What can be said of policies without being asked: which can never apply, which
//! are overridden or superfluous, which can fail.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use cedar_policy_core::ast;
use cedar_policy_core::ast::Effect;
use cedar_policy_symcc::CompiledPolicySet;
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
use super::solver::Solver;
use super::workers::for_each;

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

/// What one environment shows of one unit.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four questions, each with yes or no"
)]
struct Seen {
    /// Some request is matched.
    matches: bool,
    /// Some request is matched and not forbidden.
    is_open: bool,
    /// Some request is matched by no other of its effect; `None` if not asked.
    is_needed: bool,
    /// Some request makes it fail.
    fails: bool,
    /// A single other one that matches whatever this matches.
    covered_by: Option<String>,
    unknown: Vec<String>,
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
        all: &all,
        needed: all.iter().map(|_| AtomicBool::new(false)).collect(),
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
    for (unit, seen) in all.iter().zip(by_unit) {
        search.conclude(&mut solver, unit, &seen, &mut findings);
    }
    findings
        .found
        .sort_by(|a, b| (a.kind, a.unit.id()).cmp(&(b.kind, b.unit.id())));
    Ok(findings)
}

struct Search<'a> {
    side: Side<'a>,
    units: &'a Units,
    all: &'a [&'a Unit],
    /// Units that are known to be needed somewhere: saves asking elsewhere.
    needed: Vec<AtomicBool>,
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
        let concerned: Vec<(usize, &Unit)> = self
            .all
            .iter()
            .enumerate()
            .filter(|(_, unit)| within.concerns(&unit.policy))
            .map(|(at, unit)| (at, *unit))
            .collect();
        let unforbidden = self.unforbidden(&within);
        let is_crowded = concerned.len() > COMPARED_MAX;
        let seen = concerned.iter().map(|(at, unit)| {
            let mut seen = Seen::default();
            let looked = look_at(solver, &within, unit, &unforbidden, &mut seen);
            if let Err(reason) = looked {
                seen.unknown.push(reason);
            } else if seen.matches && unit.origin != Origin::Template {
                let is_needed = is_crowded
                    || self.is_known_needed(*at)
                    || self.is_needed(solver, &within, unit, &mut seen);
                seen.is_needed = is_needed;
                if is_needed && let Some(known) = self.needed.get(*at) {
                    known.store(true, Ordering::Relaxed);
                }
            }
            (*at, seen)
        });
        Looked {
            seen: seen.collect(),
            left_out: is_crowded.then_some(concerned.len()),
        }
    }

    fn is_known_needed(&self, at: usize) -> bool {
        let known = self.needed.get(at);
        known.is_some_and(|known| known.load(Ordering::Relaxed))
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

    /// Whether some request is matched by no other unit of this effect. A policy is
    /// compared with policies, a link with policies and links.
    fn is_needed(
        &self,
        solver: &mut Solver,
        within: &Within<'_>,
        unit: &Unit,
        seen: &mut Seen,
    ) -> bool {
        let others: Vec<&Unit> = self
            .units
            .in_force()
            .filter(|other| {
                other.id() != unit.id()
                    && other.effect() == unit.effect()
                    && (other.origin == Origin::Static || unit.origin == Origin::Link)
                    && within.concerns(&other.policy)
            })
            .collect();
        if others.is_empty() {
            return true;
        }
        match is_covered(solver, within, unit, &others) {
            Ok(None) => true,
            Ok(Some(by)) => {
                seen.covered_by = by;
                false
            }
            Err(reason) => {
                seen.unknown.push(reason);
                true
            }
        }
    }

    /// What all environments together say of a unit.
    fn conclude(
        &self,
        solver: &mut Solver,
        unit: &Unit,
        seen: &[(&Environment, Seen)],
        findings: &mut Findings,
    ) {
        for (environment, seen) in seen {
            findings.unknown.extend(
                seen.unknown
                    .iter()
                    .map(|reason| (unit.id().to_owned(), (*environment).clone(), reason.clone())),
            );
        }
        if let Some((environment, _)) = seen.iter().find(|(_, seen)| seen.fails) {
            let finding = self.failure(solver, unit, environment);
            match finding {
                Ok(finding) => findings.found.extend(finding),
                Err(reason) => {
                    let unknown = (unit.id().to_owned(), (*environment).clone(), reason);
                    findings.unknown.push(unknown);
                }
            }
        }
        if seen.iter().any(|(_, seen)| !seen.unknown.is_empty()) {
            return;
        }
        let matching: Vec<&Seen> = seen
            .iter()
            .map(|(_, seen)| seen)
            .filter(|seen| seen.matches)
            .collect();
        let is_permit = unit.effect() == Effect::Permit;
        let kind = if matching.is_empty() {
            Kind::NeverApplies
        } else if is_permit && !matching.iter().any(|seen| seen.is_open) {
            Kind::Overridden
        } else if unit.origin != Origin::Template && !matching.iter().any(|seen| seen.is_needed) {
            Kind::Redundant
        } else {
            return;
        };
        let mut because_of: Vec<String> = matching
            .iter()
            .filter_map(|seen| seen.covered_by.clone())
            .collect();
        because_of.sort();
        because_of.dedup();
        findings.found.push(Finding {
            kind,
            unit: unit.clone(),
            because_of,
            example: None,
        });
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
            link_open: None,
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

/// Asks of one policy whether it fails, matches and is not forbidden.
fn look_at(
    solver: &mut Solver,
    within: &Within<'_>,
    unit: &Unit,
    unforbidden: &Result<CompiledPolicySet, String>,
    seen: &mut Seen,
) -> Result<(), String> {
    let compiled = within.policy(&unit.policy)?;
    // A template with open slots fails where any link of it does.
    if unit.origin != Origin::Link {
        seen.fails = !solver.is_unsatisfiable(&never_errors_asserts(&compiled))?;
    }
    if unit.effect() == Effect::Permit {
        let unforbidden = unforbidden.as_ref().map_err(Clone::clone)?;
        let matched = within.policy(&unit.policy)?.into_compiled_policyset();
        seen.is_open = !solver.is_unsatisfiable(&disjoint_asserts(&matched, unforbidden))?;
    }
    seen.matches = seen.is_open || !solver.is_unsatisfiable(&never_matches_asserts(&compiled))?;
    Ok(())
}

/// Whether others match whatever a unit matches, and which one alone does.
#[expect(
    clippy::option_option,
    reason = "covered or not, then by one or by several"
)]
fn is_covered(
    solver: &mut Solver,
    within: &Within<'_>,
    unit: &Unit,
    others: &[&Unit],
) -> Result<Option<Option<String>>, String> {
    let permits: Vec<ast::Policy> = others.iter().map(|other| other.as_permit()).collect();
    let one = within.policy(&unit.as_permit())?;
    let together = within.set(&permits)?;
    let matched = one.clone().into_compiled_policyset();
    if !solver.is_unsatisfiable(&implies_asserts(&matched, &together))? {
        return Ok(None);
    }
    for (other, permit) in others.iter().zip(&permits) {
        let other_formula = within.policy(permit)?;
        if solver.is_unsatisfiable(&matches_implies_asserts(&one, &other_formula))? {
            return Ok(Some(Some(other.id().to_owned())));
        }
    }
    Ok(Some(None))
}
