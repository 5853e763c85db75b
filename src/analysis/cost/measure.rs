//! Measuring: the whole decision, then its parts.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::hint::black_box;

use super::atoms::Atom;
use super::atoms::Atoms;
use super::batches::Cost;
use super::batches::Plan;
use super::batches::Task;
use super::batches::real;
use super::batches::timed;
use super::questions::Questions;
use super::questions::spread;
use super::report::Asked;
use super::report::ConditionCost;
use super::report::Machine;
use super::report::PolicyCost;
use super::report::Report;
use super::report::VERSION;
use crate::engine::Snapshot;
use crate::engine::cost::Evaluation;
use crate::engine::cost::Gathered;
use crate::engine::decide;
use crate::engine::fault::line_and_column;
use crate::engine::policy::Policy;
use crate::engine::query::QueryError;

/// A round decides at most so many questions; of more, every so manieth.
const DECIDED_MAX: usize = 256;
/// A round evaluates a condition for at most so many questions.
const EVALUATED_MAX: usize = 32;
/// The conditions of so many policies are measured one by one.
const TAKEN_APART_MAX: usize = 20;
/// Characters of a condition that are shown.
const SHOWN_MAX: usize = 120;

/// A policy, and the numbers of the questions of which it is a candidate.
struct Candidate<'a> {
    policy: &'a Policy,
    questions: Vec<usize>,
}

/// Measures what the questions cost.
///
/// # Errors
/// As [`decide`](crate::engine::decide()).
pub fn measure(
    snapshot: &Snapshot,
    questions: &Questions<'_>,
    plan: &Plan,
    machine: Machine,
) -> Result<Report, QueryError> {
    let mut gathered = Vec::with_capacity(questions.asked.len());
    for asked in &questions.asked {
        // What is denied at once is a decision too, but no policy is asked.
        gathered.extend(Gathered::new(snapshot, &asked.view, &asked.query)?);
    }
    let evaluations: Vec<_> = gathered.iter().map(Gathered::evaluation).collect();
    let candidates = candidates(&gathered);
    let mut tasks = whole(snapshot, questions);
    tasks.extend(candidates.iter().map(|candidate| {
        let policy = candidate.policy;
        task(&candidate.questions, &evaluations, move |evaluation| {
            evaluation.is_satisfied(policy)
        })
    }));
    let costs = timed(&mut tasks, plan);
    drop(tasks);
    let (whole, costs) = costs.split_at_checked(2).unwrap_or((&costs, &[]));
    let mut found: Vec<(Candidate<'_>, Cost)> =
        candidates.into_iter().zip(costs.iter().copied()).collect();
    let weight =
        |(candidate, cost): &(Candidate<'_>, Cost)| real(candidate.questions.len()) * cost.median;
    found.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    let total: f64 = found.iter().map(weight).sum();
    let taken_apart = found.get(..TAKEN_APART_MAX).unwrap_or(&found);
    let conditions = conditions(taken_apart, &evaluations, plan, total);
    let [decision, gathering] = [0, 1].map(|at| {
        let cost = whole.get(at).copied();
        cost.unwrap_or_else(|| Cost::of(Vec::new()))
    });
    Ok(Report {
        version: VERSION,
        machine,
        policy_revision: snapshot.digest().to_string(),
        samples: plan.samples,
        questions: Asked {
            origin: questions.origin,
            asked: questions.asked.len(),
            left_out: questions.left_out,
            misfits: questions.misfits,
            digest: questions.digest.clone(),
        },
        decision,
        gathering,
        never_asked: never_asked(snapshot, &found),
        policies: found
            .iter()
            .map(|found| policy_cost(found, share(weight(found), total)))
            .collect(),
        conditions,
    })
}

/// Every policy that is a candidate, by id.
fn candidates<'a>(gathered: &[Gathered<'a>]) -> Vec<Candidate<'a>> {
    let mut by_id: BTreeMap<&str, Candidate<'a>> = BTreeMap::new();
    for (number, gathered) in gathered.iter().enumerate() {
        for policy in gathered.candidates().iter().copied() {
            let candidate = by_id.entry(&policy.info.id).or_insert_with(|| Candidate {
                policy,
                questions: Vec::new(),
            });
            candidate.questions.push(number);
        }
    }
    by_id.into_values().collect()
}

/// Deciding, and the part of it that comes before the conditions.
fn whole<'a>(snapshot: &'a Snapshot, questions: &'a Questions<'_>) -> Vec<Task<'a>> {
    let asked = every(&questions.asked, DECIDED_MAX);
    let items = asked.len();
    let decided = asked.clone();
    let decision = move || {
        for asked in &decided {
            black_box(decide(snapshot, &asked.view, &asked.query)).ok();
        }
    };
    let gathering = move || {
        for asked in &asked {
            black_box(Gathered::new(snapshot, &asked.view, &asked.query)).ok();
        }
    };
    vec![
        Task {
            round: Box::new(decision),
            items,
        },
        Task {
            round: Box::new(gathering),
            items,
        },
    ]
}

/// Evaluating something for these questions.
fn task<'a>(
    questions: &[usize],
    evaluations: &'a [Evaluation<'a>],
    evaluate: impl Fn(&Evaluation<'_>) -> Option<bool> + 'a,
) -> Task<'a> {
    let evaluations: Vec<&Evaluation<'_>> = every(questions, EVALUATED_MAX)
        .into_iter()
        .filter_map(|number| evaluations.get(*number))
        .collect();
    let items = evaluations.len();
    let round = move || {
        for evaluation in &evaluations {
            black_box(evaluate(black_box(evaluation)));
        }
    };
    Task {
        round: Box::new(round),
        items,
    }
}

/// At most so many, spread over all.
fn every<T>(all: &[T], count_max: usize) -> Vec<&T> {
    let taken = all.len().min(count_max);
    (0..taken)
        .filter_map(|at| all.get(spread(at, taken, all.len())))
        .collect()
}

/// The atomic conditions of these policies.
fn conditions<'a>(
    policies: &'a [(Candidate<'a>, Cost)],
    evaluations: &'a [Evaluation<'a>],
    plan: &Plan,
    total: f64,
) -> Vec<ConditionCost> {
    let mut atoms: Vec<(&Policy, Atom<'_>, Vec<usize>)> = Vec::new();
    for (candidate, _) in policies {
        let policy = candidate.policy;
        let written = policy.cedar.non_scope_constraints();
        if let (Some(evaluated), Some(written)) = (policy.condition.as_deref(), written) {
            let of_policy = Atoms::of(evaluated, written);
            let reached = reached(candidate, &of_policy, evaluations);
            let list = of_policy.list.into_iter().zip(reached);
            atoms.extend(list.map(|(atom, reached)| (policy, atom, reached)));
        }
    }
    atoms.retain(|(_, _, reached)| !reached.is_empty());
    let mut tasks: Vec<Task<'_>> = atoms
        .iter()
        .map(|(policy, atom, reached)| {
            let (policy, evaluated) = (*policy, atom.evaluated);
            task(reached, evaluations, move |evaluation| {
                evaluation.holds(policy, evaluated)
            })
        })
        .collect();
    let costs = timed(&mut tasks, plan);
    let mut conditions: Vec<ConditionCost> = atoms
        .iter()
        .zip(costs)
        .map(|((policy, atom, reached), cost)| {
            let weight = real(reached.len()) * cost.median;
            condition_cost(policy, atom, reached.len(), cost, share(weight, total))
        })
        .collect();
    conditions.sort_by(|a, b| b.share.total_cmp(&a.share));
    conditions
}

/// For each atom, the numbers of the questions in which it is come to.
fn reached(
    candidate: &Candidate<'_>,
    atoms: &Atoms<'_>,
    evaluations: &[Evaluation<'_>],
) -> Vec<Vec<usize>> {
    let mut reached = vec![Vec::new(); atoms.list.len()];
    for number in &candidate.questions {
        let Some(evaluation) = evaluations.get(*number) else {
            continue;
        };
        let come_to = atoms.reached(|atom| {
            let atom = atoms.list.get(atom)?;
            evaluation.holds(candidate.policy, atom.evaluated)
        });
        for atom in come_to {
            if let Some(questions) = reached.get_mut(atom) {
                questions.push(*number);
            }
        }
    }
    reached
}

fn share(weight: f64, total: f64) -> f64 {
    if total > 0.0 { weight / total } else { 0.0 }
}

fn policy_cost((candidate, cost): &(Candidate<'_>, Cost), share: f64) -> PolicyCost {
    let info = &candidate.policy.info;
    PolicyCost {
        id: info.id.to_string(),
        file: info.file.to_string(),
        line: info.line,
        candidates: candidate.questions.len(),
        cost: *cost,
        share,
    }
}

fn condition_cost(
    policy: &Policy,
    atom: &Atom<'_>,
    reached: usize,
    cost: Cost,
    share: f64,
) -> ConditionCost {
    let place = atom.written.source_loc();
    let (line, column) = place.map_or((policy.info.line, 1), |place| {
        line_and_column(&place.src, place.start())
    });
    let text = place.and_then(|place| place.snippet()).map_or_else(
        || atom.written.to_string(),
        |text| text.split_whitespace().collect::<Vec<_>>().join(" "),
    );
    let mut condition: String = text.chars().take(SHOWN_MAX).collect();
    if condition.len() < text.len() {
        condition.push('…');
    }
    ConditionCost {
        policy: policy.info.id.to_string(),
        condition,
        file: policy.info.file.to_string(),
        line,
        column,
        reached,
        cost,
        share,
    }
}

/// The static policies that are a candidate of no question.
fn never_asked(snapshot: &Snapshot, found: &[(Candidate<'_>, Cost)]) -> Vec<String> {
    let asked: BTreeSet<&str> = found
        .iter()
        .map(|(candidate, _)| candidate.policy.info.id.as_str())
        .collect();
    let ids = snapshot
        .rules()
        .iter()
        .map(|policy| policy.info.id.as_str());
    ids.filter(|id| !asked.contains(id))
        .map(str::to_owned)
        .collect()
}
