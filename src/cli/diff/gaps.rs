//! What a comparison has not asked, so that nobody takes silence for an answer.

use super::FailOn;
use super::Told;
use super::symbolic::Symbolic;
use crate::analysis::diff::policies::Change;
use crate::analysis::diff::policies::Kind;
use crate::analysis::replay::judge::LeftOut;
use crate::analysis::replay::tally::Tally;
use crate::cli::ExitCode;
use crate::cli::output::count;
use crate::cli::repository::Repository;
use crate::engine::access::Root;
use crate::engine::manifest::Validation;

/// Why something was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Who compares chose so.
    Chosen,
    /// There is no solver, or it did not answer.
    NoSolver,
    /// It could not be, or was cut or left out.
    Missing,
}

/// Something that was not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What, for people.
    pub what: String,
    /// Why.
    pub why: Why,
    /// What there may be of it.
    pub hides: FailOn,
}

impl Gap {
    fn new(why: Why, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why,
            hides: FailOn::Any,
        }
    }

    /// Whether what is looked for may be there.
    pub fn may_hide(&self, wanted: FailOn) -> bool {
        self.hides == FailOn::Any || wanted == FailOn::Any || self.hides == wanted
    }
}

impl Why {
    /// How a search ends that found nothing for this reason.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Chosen => ExitCode::Yes,
            Self::NoSolver => ExitCode::NoSolver,
            Self::Missing => ExitCode::Failed,
        }
    }
}

/// For people, on one line.
pub fn listed(gaps: &[Gap]) -> String {
    let what: Vec<&str> = gaps.iter().map(|gap| gap.what.as_str()).collect();
    what.join("; ")
}

/// All that was not asked.
pub fn gaps(told: &Told) -> Vec<Gap> {
    let mut gaps = unread(told);
    if told.diff.decides() {
        if told.tests.skipped > 0 {
            gaps.push(Gap::new(Why::Chosen, skipped(told.tests.skipped)));
        }
        if !is_proven(told) {
            gaps.extend(undecided(told));
        }
        gaps.extend(unlinked(told));
        gaps.extend(unproven(told));
    }
    gaps
}

/// What is told of test cases with `skip`.
pub fn skipped(number: usize) -> String {
    count(number, "skipped test case", "skipped test cases")
}

/// What could not be read, or decided though it was to be.
fn unread(told: &Told) -> Vec<Gap> {
    let missing = |what: String| Gap::new(Why::Missing, what);
    let mut gaps = Vec::new();
    for side in [&told.before, &told.after] {
        match &side.served {
            Some(served) if served.is_of_other_side => {
                let what = "the entities and links of the server";
                gaps.push(Gap::new(Why::Chosen, what));
            }
            Some(_) => {
                let what = "the schema, manifest, entities and links of the server";
                gaps.push(missing(what.to_owned()));
            }
            None if side.notes.is_empty() => {}
            None => gaps.push(missing(format!("the submodules of `{}`", side.name))),
        }
    }
    let decides = told.diff.decides();
    if decides && told.tests.faults > 0 {
        let faults = count(told.tests.faults, "fault", "faults");
        gaps.push(missing(format!("tests with {faults}")));
    }
    let (cases, triples) = (&told.diff.cases, &told.diff.triples);
    for (number, side, hides) in [
        (cases.may_gain, "after", FailOn::Gained),
        (cases.may_lose, "before", FailOn::Lost),
    ] {
        if decides && number > 0 {
            let cases = count(number, "test case", "test cases");
            let what = format!("{cases} allowed {side} that the other side does not take");
            gaps.push(Gap {
                hides,
                ..missing(what)
            });
        }
    }
    if triples.failed > 0 {
        gaps.push(missing(format!("{} refused decisions", triples.failed)));
    }
    if let Some(tally) = &told.audit {
        gaps.extend(of_audit(tally));
    }
    gaps
}

fn of_audit(tally: &Tally) -> Vec<Gap> {
    let missing = |what: &str| vec![Gap::new(Why::Missing, what)];
    if tally.is_faulty() {
        return missing("what of the audit log cannot be read");
    }
    if tally.decisions == 0 {
        return missing("recorded questions, of which the audit log has none");
    }
    let redacted = tally.left_out.get(&LeftOut::Redacted).copied();
    let redacted = redacted.unwrap_or_default();
    let others = tally.decisions - tally.replayed() - redacted;
    // Who redacts has chosen that it cannot be decided again.
    let mut gaps = Vec::new();
    for (number, why, what) in [
        (others, Why::Missing, "not decided again"),
        (redacted, Why::Chosen, "left out, being redacted"),
    ] {
        if number > 0 {
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            let questions = count(number, "recorded question", "recorded questions");
            gaps.push(Gap::new(why, format!("{questions} {what}")));
        }
    }
    gaps
}

/// Whether a solver speaks for all entities and contexts: nothing but policies and links
/// differs, every entity that is decided about fits the schema, it has answered all, and
/// what it takes for granted is so.
fn is_proven(told: &Told) -> bool {
    let diff = &told.diff;
    let mut sides = [&told.before, &told.after].into_iter();
    told.symbolic.is_whole()
        && diff.manifest.is_empty()
        && diff.schema.is_empty()
        && diff.entities.is_empty()
        && sides.all(|side| {
            let manifest = side.repository.snapshot.manifest();
            manifest.validate == Validation::Strict && !reads_on(&side.repository)
        })
}

/// Whether a policy may read what belongs to an entity that the request or another
/// entity only names. A solver takes it to exist, and where it does not, the policy
/// fails. Records count, too: their types are not looked at.
fn reads_on(repository: &Repository) -> bool {
    let rules = repository.snapshot.rules().iter();
    let mut policies = rules.chain(repository.view.links().iter());
    policies.any(|policy| {
        let mut roots = policy.access.roots();
        roots.any(|(root, reads)| match root {
            Root::Action => false,
            Root::Entity(_) => reads.needs_entity(),
            _ => reads.leads_on(),
        })
    })
}

/// Of all entities.
fn undecided(told: &Told) -> Vec<Gap> {
    let triples = &told.diff.triples;
    let contexts = triples.contexts;
    let mut gaps = Vec::new();
    let mut add = |why, what| gaps.push(Gap::new(why, what));
    if triples.decided < triples.touched {
        let cut = triples.touched - triples.decided;
        add(Why::Missing, format!("{cut} triples that were cut"));
    }
    if !triples.not_asked.is_empty() {
        let actions = count(triples.not_asked.len(), "action", "actions");
        add(Why::Missing, format!("{actions} for want of a context"));
    }
    // Contexts are samples however many there are, and a solver sees all: that there
    // is none, or did not answer, is a gap of its own.
    if contexts.made_up > 0 {
        let actions = count(contexts.made_up, "action", "actions");
        let what = format!("{actions} in any context but the least, for want of a test case");
        add(Why::Chosen, what);
    }
    if contexts.left_out > 0 {
        let contexts = count(contexts.left_out, "context", "contexts");
        add(Why::Chosen, format!("{contexts} of test cases"));
    }
    gaps
}

/// Links are made where a server runs: what is in the repository is not all.
fn unlinked(told: &Told) -> Option<Gap> {
    let changes = told.diff.policies.iter();
    // Of a template that is new nobody has a link.
    let templates = changes.filter(|change| {
        change.kind == Kind::Template
            && change.change != Change::Added
            && (change.decides || change.change == Change::Renamed)
    });
    let ids: Vec<String> = templates.map(|change| format!("`{}`", change.id)).collect();
    let what = match ids.as_slice() {
        [] => return None,
        [id] => format!("links of {id} that only a server has"),
        ids => format!("links of {} templates that only a server has", ids.len()),
    };
    Some(Gap::new(Why::Missing, what))
}

/// Of every possible request.
fn unproven(told: &Told) -> Vec<Gap> {
    let comparison = match &told.symbolic {
        Symbolic::Unwanted => {
            return vec![Gap::new(
                Why::Chosen,
                "every possible request (`--no-solver`)",
            )];
        }
        Symbolic::Unasked(_) => {
            let what = "every possible request, for want of a solver that can be asked";
            return vec![Gap::new(Why::NoSolver, what)];
        }
        Symbolic::Asked(comparison) => comparison,
    };
    let mut gaps = Vec::new();
    let (gained, lost) = told.symbolic.unknown();
    for (unknown, way, hides) in [
        (gained, "gained", FailOn::Gained),
        (lost, "lost", FailOn::Lost),
    ] {
        if unknown > 0 {
            let environments = count(unknown, "environment", "environments");
            let what =
                format!("requests in {environments} where the solver does not know what is {way}");
            let gap = Gap::new(Why::NoSolver, what);
            gaps.push(Gap { hides, ..gap });
        }
    }
    for (environments, side, hides) in [
        (&comparison.only_before, "before", FailOn::Lost),
        (&comparison.only_after, "after", FailOn::Gained),
    ] {
        if !environments.is_empty() {
            let number = count(environments.len(), "environment", "environments");
            let what = format!("every request in {number} that there is only {side}");
            let gap = Gap::new(Why::Missing, what);
            gaps.push(Gap { hides, ..gap });
        }
    }
    let mut manifest = told.diff.manifest.iter();
    let is_about_unknown = manifest.any(|change| {
        let part = change.part.as_deref().unwrap_or_default();
        part == "unknown" || part.starts_with("implicit type ")
    });
    if is_about_unknown {
        let what = "every request of or about whom nobody knows, which the manifests treat \
                    differently";
        gaps.push(Gap::new(Why::Missing, what));
    }
    gaps
}
