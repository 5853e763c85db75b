//! What a solver says of every request: whether the policies after are more
//! permissive than those before, with a request that shows it.

use std::fmt::Write as _;

use anstyle::Style;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use crate::analysis::symbolic;
use crate::analysis::symbolic::Compared;
use crate::analysis::symbolic::Environment;
use crate::analysis::symbolic::Options;
use crate::analysis::symbolic::Outcome;
use crate::analysis::symbolic::Side;
use crate::analysis::symbolic::compare::Comparison;
use crate::analysis::symbolic::compare::Verdict;
use crate::analysis::symbolic::counterexample::Wanted;
use crate::analysis::world::World;
use crate::cli::markdown::block;
use crate::cli::markdown::code;
use crate::cli::markdown::details;
use crate::cli::markdown::prose;
use crate::cli::output::BAD;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::WARN;
use crate::cli::output::paint;
use crate::cli::prove::solver;

/// What is told of one that nobody wanted to ask.
const UNWANTED: &str = "not looked at, as asked for";
/// What a solver's answers are about.
const ABOUT: &str = "by the policies alone with the same entities on both sides";

/// What a solver says of every request.
#[derive(Debug)]
pub enum Symbolic {
    /// Nobody wanted to ask one.
    Unwanted,
    /// None could be asked, and why.
    Unasked(String),
    /// What it says.
    Asked(Comparison),
}

/// Asks a solver, if there is one.
pub fn compare(before: World<'_>, after: World<'_>, is_unwanted: bool) -> Symbolic {
    if is_unwanted {
        return Symbolic::Unwanted;
    }
    let program = match solver::find() {
        Ok(program) => program,
        Err(missing) => {
            let why = format!("not looked at: {missing}; {}", missing.hint());
            return Symbolic::Unasked(why);
        }
    };
    let options = Options::new(program);
    let compared = symbolic::compare(side_of(before), side_of(after), &options, &|| ());
    match compared {
        Ok(comparison) => Symbolic::Asked(comparison),
        Err(reason) => Symbolic::Unasked(format!("not looked at: {reason}")),
    }
}

fn side_of(world: World<'_>) -> Side<'_> {
    Side {
        snapshot: world.snapshot,
        view: world.view,
    }
}

/// The word of a verdict, and how it is painted.
fn word(verdict: Verdict) -> (&'static str, Style) {
    match verdict {
        Verdict::Equivalent => ("the same", GOOD),
        Verdict::MorePermissive => ("more permissive", WARN),
        Verdict::LessPermissive => ("less permissive", BAD),
        Verdict::Both => ("both more and less permissive", BAD),
        Verdict::Unknown => ("not known", WARN),
    }
}

const VERDICTS: [Verdict; 5] = [
    Verdict::Equivalent,
    Verdict::MorePermissive,
    Verdict::LessPermissive,
    Verdict::Both,
    Verdict::Unknown,
];

/// The environments that are not the same on both sides.
fn differing(comparison: &Comparison) -> Vec<&Compared> {
    let all = comparison.environments.iter();
    all.filter(|compared| compared.verdict() != Verdict::Equivalent)
        .collect()
}

fn summary(comparison: &Comparison) -> String {
    let counts = VERDICTS.into_iter().filter_map(|verdict| {
        let all = comparison.environments.iter();
        let count = all.filter(|compared| compared.verdict() == verdict).count();
        (count > 0).then(|| format!("{} in {count}", word(verdict).0))
    });
    let counts: Vec<String> = counts.collect();
    format!(
        "{} of {} environments",
        counts.join(", "),
        comparison.environments.len()
    )
}

/// Whether nothing is gained by any request, by the policies alone: entities are the
/// same on both sides, whatever they are.
fn is_no_more_permissive(comparison: &Comparison) -> bool {
    let mut all = comparison.environments.iter();
    comparison.only_after.is_empty()
        && all.all(|compared| matches!(compared.gained, Outcome::Holds))
}

fn verdict(comparison: &Comparison) -> &'static str {
    if is_no_more_permissive(comparison) {
        "no request is allowed that was denied"
    } else if gains(comparison) > 0 {
        "some request is allowed that was denied"
    } else {
        "it is not known whether a request is allowed that was denied"
    }
}

fn gains(comparison: &Comparison) -> u64 {
    let all = comparison.environments.iter();
    all.filter(|compared| matches!(compared.gained, Outcome::Broken(_)))
        .count() as u64
}

fn losses(comparison: &Comparison) -> u64 {
    let all = comparison.environments.iter();
    all.filter(|compared| matches!(compared.lost, Outcome::Broken(_)))
        .count() as u64
}

/// What shows each direction: what it is called, and a test case or a reason.
fn shown(compared: &Compared) -> Vec<(&'static str, Result<String, &str>)> {
    let ways = [
        ("gained", &compared.gained, Wanted::Allow),
        ("lost", &compared.lost, Wanted::Deny),
    ];
    let shown = ways
        .into_iter()
        .filter_map(|(way, outcome, wanted)| match outcome {
            Outcome::Holds => None,
            Outcome::Broken(example) => {
                let name = format!("{way}: {}", compared.environment);
                Some((way, Ok(example.test_case(&name, &[], wanted))))
            }
            Outcome::Unknown(reason) => Some((way, Err(reason.as_str()))),
        });
    shown.collect()
}

fn names(environments: &[Environment]) -> Vec<String> {
    environments.iter().map(ToString::to_string).collect()
}

impl Symbolic {
    /// In how many environments something is gained, and lost.
    pub fn flips(&self) -> (u64, u64) {
        match self {
            Self::Unwanted | Self::Unasked(_) => (0, 0),
            Self::Asked(comparison) => (gains(comparison), losses(comparison)),
        }
    }

    /// In how many environments a solver was asked and does not know whether something
    /// is gained, and lost.
    pub fn unknown(&self) -> (usize, usize) {
        let Self::Asked(comparison) = self else {
            return (0, 0);
        };
        let all = &comparison.environments;
        let count = |outcome: fn(&Compared) -> &Outcome| {
            let unknown = |compared: &&Compared| matches!(outcome(compared), Outcome::Unknown(_));
            all.iter().filter(unknown).count()
        };
        (count(|found| &found.gained), count(|found| &found.lost))
    }

    /// Whether a solver has answered for every request of either side, and takes nothing
    /// for granted of them.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Asked(comparison)
            if comparison.only_before.is_empty()
                && comparison.only_after.is_empty()
                && comparison.assumed.is_empty())
            && self.unknown() == (0, 0)
    }

    /// For people; so many environments.
    pub fn text(&self, top: usize) -> String {
        let head = paint(HEAD, "every request");
        let comparison = match self {
            Self::Unwanted => return format!("\n{head}: {UNWANTED}\n"),
            Self::Unasked(why) => return format!("\n{head}: {why}\n"),
            Self::Asked(comparison) => comparison,
        };
        let mut text = format!(
            "\n{head}, {ABOUT}: {}; {}\n",
            verdict(comparison),
            summary(comparison)
        );
        for assumed in &comparison.assumed {
            writeln!(text, "  {} {assumed}", paint(WARN, "assumed:")).ok();
        }
        let differing = differing(comparison);
        for compared in differing.iter().take(top) {
            let (word, style) = word(compared.verdict());
            let environment = compared.environment.to_string();
            writeln!(
                text,
                "  {} {}",
                paint(style, word),
                paint(NAME, &environment)
            )
            .ok();
            for (way, shown) in shown(compared) {
                match shown {
                    Ok(case) => {
                        let lines = case.lines().map(|line| format!("      {line}\n"));
                        text.extend(lines);
                    }
                    Err(reason) => {
                        writeln!(text, "      not known what is {way}: {reason}").ok();
                    }
                }
            }
        }
        if differing.len() > top {
            let more = differing.len() - top;
            writeln!(text, "  (and {more} more environments: see `--top`)").ok();
        }
        for (environments, told) in [
            (
                &comparison.only_before,
                "only before, so whatever was allowed is lost",
            ),
            (
                &comparison.only_after,
                "only after, so whatever is allowed is gained",
            ),
        ] {
            for environment in names(environments).iter().take(top) {
                writeln!(text, "  {} {told}", paint(NAME, environment)).ok();
            }
            if environments.len() > top {
                let more = environments.len() - top;
                writeln!(text, "  (and {more} more: see `--top`)").ok();
            }
        }
        text
    }

    /// For a comment on a pull request; so many environments.
    pub fn markdown(&self, top: usize) -> String {
        let comparison = match self {
            Self::Unwanted => return format!("Every request: {UNWANTED}.\n\n"),
            Self::Unasked(why) => return format!("Every request: {}.\n\n", prose(why)),
            Self::Asked(comparison) => comparison,
        };
        let mut text = format!(
            "**Every request**, {ABOUT}, as a solver says: {}; {}.\n\n",
            verdict(comparison),
            summary(comparison)
        );
        for assumed in &comparison.assumed {
            writeln!(text, "* assumed: {assumed}").ok();
        }
        for (environments, told) in [
            (
                &comparison.only_before,
                "only before, whatever was allowed is lost",
            ),
            (
                &comparison.only_after,
                "only after, whatever is allowed is gained",
            ),
        ] {
            for environment in names(environments).iter().take(top) {
                writeln!(text, "* {}: {told}", code(environment)).ok();
            }
            if environments.len() > top {
                writeln!(text, "* and {} more", environments.len() - top).ok();
            }
        }
        let differing = differing(comparison);
        let mut inner = String::new();
        for compared in differing.iter().take(top) {
            let (word, _) = word(compared.verdict());
            writeln!(
                inner,
                "**{word}**: {}\n",
                code(&compared.environment.to_string())
            )
            .ok();
            for (way, shown) in shown(compared) {
                match shown {
                    Ok(case) => inner.push_str(&block("yaml", &case)),
                    Err(reason) => {
                        writeln!(inner, "not known what is {way}: {}", prose(reason)).ok();
                    }
                }
            }
            inner.push('\n');
        }
        if differing.len() > top {
            writeln!(inner, "_and {} more_", differing.len() - top).ok();
        }
        if !inner.is_empty() {
            text.push_str(&details("Requests that show it, as test cases", &inner));
        }
        text
    }

    /// For programs; so many environments.
    pub fn json(&self, top: usize) -> Json {
        let comparison = match self {
            Self::Unwanted => return json!({"asked": false, "why": UNWANTED}),
            Self::Unasked(why) => return json!({"asked": false, "why": why}),
            Self::Asked(comparison) => comparison,
        };
        let differing = differing(comparison);
        let items = differing.iter().take(top).map(|compared| {
            let shown: Map<String, Json> = shown(compared)
                .into_iter()
                .map(|(way, shown)| match shown {
                    Ok(case) => (way.to_owned(), json!({"test_case": case})),
                    Err(reason) => (way.to_owned(), json!({"unknown": reason})),
                })
                .collect();
            json!({
                "environment": compared.environment.to_string(),
                "verdict": word(compared.verdict()).0,
                "shown": shown,
            })
        });
        json!({
            "asked": true,
            "environments": comparison.environments.len(),
            "assumed": comparison.assumed,
            "is_no_more_permissive": is_no_more_permissive(comparison),
            "gained": gains(comparison),
            "lost": losses(comparison),
            "differing": {"count": differing.len(), "items": items.collect::<Vec<_>>()},
            "only_before": names(&comparison.only_before),
            "only_after": names(&comparison.only_after),
        })
    }
}
