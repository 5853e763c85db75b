//! What of the policies the cases reach: which policies matched, and which of
//! their clauses came out true and false.
//!
//! What can be covered is counted in units. A clause has two, true and false;
//! constants have none. A policy without clauses has one: that it matched. A link
//! counts towards its template, so a template that nothing links has 0 of its
//! units. A clause that only fails covers neither. The percentage is that of all
//! units of the repository, so a long policy weighs more than a short one.

pub mod lcov;
pub mod listing;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde::Serializer;
use smol_str::SmolStr;

use super::Suite;
use super::subject::counted_as;
use super::subject::subjects;
use super::suite::Case;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::examine;
use crate::engine::examine::Clause;
use crate::engine::examine::Examination;
use crate::engine::examine::Verdict;
use crate::engine::examine::clauses;
use crate::engine::policy::PolicyInfo;
use crate::parallel::in_parallel;

/// What the cases reached of each policy and template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// In order of file and line.
    pub policies: Vec<PolicyCoverage>,
    /// How many cases were asked.
    pub cases: usize,
    /// How many could not be asked, because they do not fit the policies.
    pub failed_cases: usize,
}

/// What the cases reached of one policy, or of a template with all its links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCoverage {
    /// The policy.
    pub info: Arc<PolicyInfo>,
    /// Whether it decides through links only.
    pub is_template: bool,
    /// How often its scope matched, and what became of it.
    pub counts: Counts,
    /// Its clauses, in the order in which they are written.
    pub clauses: Vec<ClauseCoverage>,
    /// How often the scope of each link matched; those that the repository has,
    /// and those that cases bring.
    pub links: BTreeMap<SmolStr, usize>,
}

/// How often the scope of a policy matched, and what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The scope matched.
    pub matched: usize,
    /// The condition held, or there is none.
    pub satisfied: usize,
    /// The condition did not hold.
    pub unsatisfied: usize,
    /// The condition failed to evaluate.
    pub errored: usize,
}

/// How often a clause came to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseCoverage {
    /// The clause.
    pub clause: Clause,
    /// It was true.
    pub seen_true: usize,
    /// It was false.
    pub seen_false: usize,
    /// It failed to evaluate.
    pub errored: usize,
}

/// Some of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Those that are covered.
    pub covered: usize,
    /// All that can be.
    pub total: usize,
}

/// Something that no case reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its line, from 1.
    pub line: usize,
    /// The clause, as written; null when it is the policy as a whole.
    pub clause: Option<String>,
    /// What is missing.
    pub what: Gap,
}

/// What is missing of a clause or policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// A template that nothing links.
    NeverLinked,
    /// A policy whose scope never matches.
    NeverMatched,
    /// A clause that is never evaluated.
    NeverReached,
    /// A clause that always fails.
    OnlyErrored,
    /// A clause that is never true.
    NeverTrue,
    /// A clause that is never false.
    NeverFalse,
}

impl Gap {
    /// For people, to be read after the clause.
    pub fn words(self) -> &'static str {
        match self {
            Self::NeverLinked => "never linked",
            Self::NeverMatched => "never matched",
            Self::NeverReached => "never reached",
            Self::OnlyErrored => "never without an error",
            Self::NeverTrue => "never true",
            Self::NeverFalse => "never false",
        }
    }
}

impl Share {
    /// Of a hundred; 100 of nothing.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 units")]
    pub fn percent(self) -> f64 {
        if self.total == 0 {
            return 100.0;
        }
        self.covered as f64 * 100.0 / self.total as f64
    }

    /// The percentage with one digit, rounded down: only all is `100.0%`.
    pub fn shown(self) -> String {
        let tenths = (self.covered * 1000)
            .checked_div(self.total)
            .unwrap_or(1000);
        format!("{}.{}%", tenths / 10, tenths % 10)
    }

    /// Whether all of it is covered.
    pub fn is_whole(self) -> bool {
        self.covered == self.total
    }
}

impl ClauseCoverage {
    /// How often it was evaluated.
    pub fn reached(&self) -> usize {
        self.seen_true + self.seen_false + self.errored
    }

    /// What is missing, if it can be otherwise at all.
    pub fn gap(&self) -> Option<Gap> {
        if self.clause.is_constant {
            return None;
        }
        match (self.seen_true, self.seen_false, self.errored) {
            (0, 0, 0) => Some(Gap::NeverReached),
            (0, 0, _) => Some(Gap::OnlyErrored),
            (0, ..) => Some(Gap::NeverTrue),
            (_, 0, _) => Some(Gap::NeverFalse),
            _ => None,
        }
    }
}

impl PolicyCoverage {
    /// The units of this policy.
    pub fn share(&self) -> Share {
        let clauses = self.clauses.iter();
        let share = clauses.filter(|clause| !clause.clause.is_constant).fold(
            Share::default(),
            |share, clause| Share {
                covered: share.covered
                    + usize::from(clause.seen_true > 0)
                    + usize::from(clause.seen_false > 0),
                total: share.total + 2,
            },
        );
        if share.total > 0 {
            return share;
        }
        Share {
            covered: usize::from(self.counts.matched > 0),
            total: 1,
        }
    }

    /// What no case reached, in the order in which it is written.
    pub fn missing(&self) -> Vec<Missing> {
        if self.counts.matched == 0 {
            let is_unlinked = self.is_template && self.links.is_empty();
            return vec![Missing {
                line: self.info.line,
                clause: None,
                what: if is_unlinked {
                    Gap::NeverLinked
                } else {
                    Gap::NeverMatched
                },
            }];
        }
        let clauses = self.clauses.iter();
        clauses
            .filter_map(|clause| {
                Some(Missing {
                    what: clause.gap()?,
                    line: clause.clause.line,
                    clause: Some(clause.clause.text.clone()),
                })
            })
            .collect()
    }

    fn note(&mut self, examined: &examine::Examined) {
        self.counts.matched += 1;
        match examined.verdict {
            Verdict::Satisfied => self.counts.satisfied += 1,
            Verdict::Unsatisfied => self.counts.unsatisfied += 1,
            Verdict::Failed(_) => self.counts.errored += 1,
        }
        if examined.policy.template.is_some() {
            *self.links.entry(examined.policy.id.clone()).or_default() += 1;
        }
        for seen in &examined.seen {
            let Some(clause) = self.clauses.get_mut(seen.clause) else {
                continue;
            };
            match seen.value {
                Ok(true) => clause.seen_true += 1,
                Ok(false) => clause.seen_false += 1,
                Err(_) => clause.errored += 1,
            }
        }
    }
}

impl Coverage {
    /// Asks every case that is not skipped, and notes what it reaches.
    pub fn measure(snapshot: &Snapshot, view: &View, suites: &[Suite]) -> Self {
        let cases: Vec<&Case> = suites
            .iter()
            .flat_map(|suite| &suite.cases)
            .filter(|case| case.skip.is_none())
            .collect();
        let examined = in_parallel(&cases, |case| examine_case(case, snapshot, view));
        let mut coverage = Self::nothing(snapshot, view);
        let places: HashMap<String, usize> = coverage
            .policies
            .iter()
            .enumerate()
            .map(|(place, policy)| (policy.info.id.to_string(), place))
            .collect();
        for examination in examined {
            let Some(examination) = examination else {
                coverage.failed_cases += 1;
                continue;
            };
            coverage.cases += 1;
            for examined in &examination.policies {
                let place = places.get(counted_as(&examined.policy));
                if let Some(policy) = place.and_then(|place| coverage.policies.get_mut(*place)) {
                    policy.note(examined);
                }
            }
        }
        coverage
    }

    /// The units of all policies.
    pub fn share(&self) -> Share {
        let policies = self.policies.iter().map(PolicyCoverage::share);
        policies.fold(Share::default(), |all, share| Share {
            covered: all.covered + share.covered,
            total: all.total + share.total,
        })
    }

    fn nothing(snapshot: &Snapshot, view: &View) -> Self {
        let mut links: BTreeMap<SmolStr, BTreeMap<SmolStr, usize>> = BTreeMap::new();
        for link in view.links().iter() {
            if let Some(template) = &link.info.template {
                let links = links.entry(template.clone()).or_default();
                links.insert(link.info.id.clone(), 0);
            }
        }
        let policies = subjects(snapshot).into_iter().map(|subject| {
            let clauses = clauses(subject.cedar, &subject.info).into_iter();
            PolicyCoverage {
                counts: Counts::default(),
                clauses: clauses
                    .map(|clause| ClauseCoverage {
                        clause,
                        seen_true: 0,
                        seen_false: 0,
                        errored: 0,
                    })
                    .collect(),
                links: links.remove(&subject.info.id).unwrap_or_default(),
                is_template: subject.is_template,
                info: subject.info,
            }
        });
        Self {
            policies: policies.collect(),
            cases: 0,
            failed_cases: 0,
        }
    }
}

/// `None` for a case that cannot be asked: running the tests reports it.
fn examine_case(case: &Case, snapshot: &Snapshot, view: &View) -> Option<Examination> {
    let asked = case.asked(snapshot, view).ok()?;
    examine(snapshot, &asked.view, &asked.query, false).ok()
}

impl Serialize for Share {
    /// `{"covered", "total", "percent"}`
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written {
            covered: usize,
            total: usize,
            percent: f64,
        }
        let written = Written {
            covered: self.covered,
            total: self.total,
            percent: self.percent(),
        };
        written.serialize(serializer)
    }
}
