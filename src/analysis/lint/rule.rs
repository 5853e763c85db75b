//! What a rule is: its page in `docs/lints.md`, its examples and its check.

use serde::Serialize;

use super::annotations;
use super::conditions;
use super::evaluation;
use super::exceptions;
use super::finding::Found;
use super::grants;
use super::literals;
use super::names;
use super::overlaps;
use super::policy::Policy;
use super::repository;
use super::subject::Subject;
use super::wording;

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The policy does not do what it says.
    Correctness,
    /// The policy gives more than was probably meant, or stops less.
    Security,
    /// The policy could be easier to read, explain or maintain.
    Style,
}

impl Group {
    /// Every group, in the order of the page.
    pub const ALL: [Self; 3] = [Self::Correctness, Self::Security, Self::Style];

    /// The name that people write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Correctness => "correctness",
            Self::Security => "security",
            Self::Style => "style",
        }
    }
}

/// How much a finding counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing; never fails a run.
    Info,
    /// Fails a run with `--deny warnings`.
    Warning,
    /// Fails a run.
    Error,
}

impl Level {
    /// The name that people write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a rule looks at.
#[derive(Clone, Copy)]
pub enum Check {
    /// One policy at a time.
    Each(fn(&Subject<'_>, &Policy, &mut Found)),
    /// All of the repository.
    All(fn(&Subject<'_>, &mut Found)),
    /// What other rules found: see [`exceptions`].
    Last,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Each(_) => "Each",
            Self::All(_) => "All",
            Self::Last => "Last",
        })
    }
}

/// What a rule cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The text of the policies.
    Text,
    /// Every policy, each as it should be: what one file lacks another may have.
    Compiled,
    /// A schema that compiles.
    Schema,
    /// A schema that compiles, where there are files of one.
    SchemaIfAny,
    /// A schema that the policies fit.
    Types,
    /// Entities and links that fit.
    Data,
    /// The ids of the policies that tests name.
    Tests,
}

/// Policies, set in the world of [`example`](super::example), and files besides.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The policies, as Cedar.
    pub policies: &'static str,
    /// Files that are added, or stand in for those of the world: path and text.
    pub besides: &'static [(&'static str, &'static str)],
}

impl Example {
    /// Policies in the world as it is.
    pub const fn new(policies: &'static str) -> Self {
        Self {
            policies,
            besides: &[],
        }
    }

    /// Policies with other files.
    pub const fn with(
        policies: &'static str,
        besides: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { policies, besides }
    }
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name, in kebab case.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// How much its findings count, unless the manifest says otherwise.
    pub level: Level,
    /// What it finds, in one line.
    pub summary: &'static str,
    /// Why that matters, and what to do.
    pub why: &'static str,
    /// Policies in which it finds something.
    pub bad: Example,
    /// The same, as they should be.
    pub good: Example,
    /// Whether `--fix` mends what it finds.
    pub is_fixable: bool,
    /// What it cannot do without.
    pub needs: Needs,
    /// How it finds it.
    pub check: Check,
}

/// Every rule, by group and in the order of the page.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let tables = [
        conditions::RULES,
        overlaps::RULES,
        evaluation::RULES,
        names::RULES,
        repository::RULES,
        literals::RULES,
        grants::RULES,
        annotations::RULES,
        wording::RULES,
        exceptions::RULES,
    ];
    Group::ALL.into_iter().flat_map(move |group| {
        tables
            .into_iter()
            .flatten()
            .filter(move |rule| rule.group == group)
    })
}

/// The rule of this id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id == id)
}
