//! Two revisions compared for every possible request: who gains, who loses.

use std::collections::BTreeSet;

use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_symcc::WellFormedAsserts;
use cedar_policy_symcc::implies_asserts;

use super::Environment;
use super::Options;
use super::Outcome;
use super::Side;
use super::assumptions;
use super::check::Polish;
use super::confirm::Demand;
use super::confirm::Judge;
use super::environment::Compiler;
use super::environment::Unserved;
use super::environment::Within;
use super::policies::LinkScope;
use super::policies::Unit;
use super::policies::Units;
use super::solver::Solver;
use super::workers::for_each;
use crate::engine::Snapshot;
use crate::engine::manifest::OnUnknown;

/// What two revisions are to each other.
#[derive(Debug)]
pub struct Comparison {
    /// The environments that both have, in order.
    pub environments: Vec<Compared>,
    /// Environments that only the first has: whatever it allowed there is lost.
    pub only_before: Vec<Environment>,
    /// Environments that only the second has, and a permit for: whatever it allows there
    /// is gained.
    pub only_after: Vec<Environment>,
    /// What is taken for granted of either: sentences without full stop.
    pub assumed: Vec<String>,
}

/// What two revisions are to each other in one environment.
#[derive(Debug)]
pub struct Compared {
    /// Where.
    pub environment: Environment,
    /// That nothing is gained: broken by a request that only the second allows.
    pub gained: Outcome,
    /// That nothing is lost: broken by a request that only the first allows.
    pub lost: Outcome,
}

/// The two outcomes of an environment in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They allow the same.
    Equivalent,
    /// The second allows more.
    MorePermissive,
    /// The second allows less.
    LessPermissive,
    /// The second allows some more and some less.
    Both,
    /// At least one direction is not known, and neither is broken.
    Unknown,
}

impl Compared {
    /// In a word. What is broken is told even if the other direction is unknown.
    pub fn verdict(&self) -> Verdict {
        match (&self.gained, &self.lost) {
            (Outcome::Broken(_), Outcome::Broken(_)) => Verdict::Both,
            (Outcome::Broken(_), _) => Verdict::MorePermissive,
            (_, Outcome::Broken(_)) => Verdict::LessPermissive,
            (Outcome::Unknown(_), _) | (_, Outcome::Unknown(_)) => Verdict::Unknown,
            (Outcome::Holds, Outcome::Holds) => Verdict::Equivalent,
        }
    }
}

/// Compares two revisions, each with the links of its repository: for `deodar diff`
/// and whoever else wants to know what a change of policies means.
///
/// ```text
/// let program = cli::solver::find()?;             // or Program::find(..)
/// let options = symbolic::Options::new(program);
/// let comparison = symbolic::compare(before, after, &options, &|| ())?;
/// for compared in &comparison.environments { compared.verdict() .. }
/// ```
///
/// Where the schemas differ, both are read by that of the second; an environment in
/// which the first does not fit it is `Unknown`, with the reason, as is one in which
/// the same policy may mean something else on the two sides: its action is in other
/// groups, or others are let through unknown. Environments with the same policies on
/// both sides cost nothing. `done` is told after each
/// environment, from any thread; there are as many as `comparison.environments`
/// will have. Templates count as far as they are linked.
///
/// # Errors
/// When one of them has no schema, or one that formulas have no word for.
pub fn compare(
    before: Side<'_>,
    after: Side<'_>,
    options: &Options,
    done: &(dyn Fn() + Sync),
) -> Result<Comparison, String> {
    let no_schema = || "without a schema nothing can be said of every request".to_owned();
    let schemas = before.snapshot.schema().zip(after.snapshot.schema());
    let (old_schema, schema) = schemas.ok_or_else(no_schema)?;
    let (old, new) = (Environment::all(old_schema), Environment::all(schema));
    let only_in = |these: &[Environment], those: &[Environment]| -> Vec<Environment> {
        let missing = these.iter().filter(|env| !those.contains(env));
        missing.cloned().collect()
    };
    let (only_before, only_after) = (only_in(&old, &new), only_in(&new, &old));
    let common: Vec<Environment> = new.into_iter().filter(|env| old.contains(env)).collect();
    let sides = Sides {
        before,
        after,
        old: Units::of(before),
        new: Units::of(after),
        compiler: Compiler::new(schema)?,
    };
    let compared = for_each(&common, options, done, |solver, environment| {
        sides.compare(solver, environment)
    });
    // Where no permit can apply, nothing is gained.
    let permits = |environment: &Environment| {
        let within = sides.compiler.within(environment);
        let concerned = concerned(&within, &sides.new);
        concerned.iter().any(|unit| unit.effect() == Effect::Permit)
    };
    let only_after = only_after.into_iter().filter(permits).collect();
    let environments = common
        .into_iter()
        .zip(compared)
        .map(|(environment, compared)| {
            compared.unwrap_or_else(|| unknown(environment, super::check::STOPPED))
        })
        .collect();
    let mut assumed = assumptions(before.snapshot);
    assumed.extend(assumptions(after.snapshot));
    assumed.sort();
    assumed.dedup();
    Ok(Comparison {
        environments,
        only_before,
        only_after,
        assumed,
    })
}

struct Sides<'a> {
    before: Side<'a>,
    after: Side<'a>,
    old: Units,
    new: Units,
    compiler: Compiler<'a>,
}

fn unknown(environment: Environment, reason: &str) -> Compared {
    Compared {
        environment,
        gained: Outcome::Unknown(reason.to_owned()),
        lost: Outcome::Unknown(reason.to_owned()),
    }
}

fn concerned<'u>(within: &Within<'_>, units: &'u Units) -> Vec<&'u Unit> {
    units
        .in_force()
        .filter(|unit| within.concerns(&unit.policy))
        .collect()
}

impl Sides<'_> {
    fn compare(&self, solver: &mut Solver, environment: &Environment) -> Compared {
        if let Some(reason) = self.unlike(environment) {
            return unknown(environment.clone(), &reason);
        }
        let within = self.compiler.within(environment);
        let (old, new) = (concerned(&within, &self.old), concerned(&within, &self.new));
        let texts = |units: &[&Unit]| -> BTreeSet<String> {
            units.iter().map(|unit| unit.meaning()).collect()
        };
        let on_error = |side: Side<'_>| side.snapshot.manifest().errors;
        if texts(&old) == texts(&new) && on_error(self.before) == on_error(self.after) {
            return Compared {
                environment: environment.clone(),
                gained: Outcome::Holds,
                lost: Outcome::Holds,
            };
        }
        let mut formulas =
            |units: &[&Unit], side: Side<'_>| within.served(solver, units, on_error(side));
        let formulas = (formulas(&old, self.before), formulas(&new, self.after));
        let (old_set, new_set) = match formulas {
            (Ok(old), Ok(new)) => (old, new),
            (Err(Unserved::NoFormula(reason)), _) => {
                let reason =
                    format!("the first cannot be read by the schema of the second: {reason}");
                return unknown(environment.clone(), &reason);
            }
            (Err(unserved), _) | (_, Err(unserved)) => {
                return unknown(environment.clone(), &unserved.reason());
            }
        };
        let gained = implies_asserts(&new_set, &old_set);
        let lost = implies_asserts(&old_set, &new_set);
        Compared {
            environment: environment.clone(),
            gained: outcome(solver, &gained, (self.after, &self.new), self.before),
            lost: outcome(solver, &lost, (self.before, &self.old), self.after),
        }
    }
}

impl Sides<'_> {
    /// What makes the same policies mean something else on the two sides, which
    /// formulas by the schema of the second do not tell.
    fn unlike(&self, environment: &Environment) -> Option<String> {
        let (before, after) = (self.before.snapshot, self.after.snapshot);
        if groups(before, environment) != groups(after, environment) {
            return Some(format!(
                "`{}` is in other groups of actions than before, so a policy about a group may mean something else",
                environment.action
            ));
        }
        let (before, after) = (before.manifest(), after.manifest());
        if before.unknown != after.unknown {
            return Some(
                "`unknown` of the manifest is not what it was, so others reach the policies"
                    .to_owned(),
            );
        }
        if before.unknown == OnUnknown::Cedar {
            return None;
        }
        [&environment.principal, &environment.resource]
            .into_iter()
            .find(|party| {
                before.implicit_types.contains(party) != after.implicit_types.contains(party)
            })
            .map(|party| {
                format!(
                    "`{party}` is an implicit type on one side only, so others reach the policies"
                )
            })
    }
}

/// The groups that the action of an environment is in, by the schema of a side.
fn groups(snapshot: &Snapshot, environment: &Environment) -> Option<BTreeSet<EntityUID>> {
    let action = snapshot.schema()?.action(&environment.action)?;
    let groups = action.ancestors.iter();
    Some(groups.map(|group| EntityUID::clone(group.uid())).collect())
}

/// Whether nothing is allowed on one side that is denied on the other.
fn outcome(
    solver: &mut Solver,
    asserts: &WellFormedAsserts<'_>,
    (allows, units): (Side<'_>, &Units),
    denies: Side<'_>,
) -> Outcome {
    let polish = Polish {
        side: allows,
        judge: Judge::new(allows, LinkScope::Repository),
        demand: Demand::AllowedUnlike(denies),
        named: units.named_entities(),
        link_open: None,
    };
    polish.outcome(solver.ask(asserts))
}
