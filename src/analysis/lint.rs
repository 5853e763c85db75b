//! Policies that are legal, but probably not what was meant.
//!
//! ```text
//! files --Texts, compile--> Subject --run--> Report of Findings --cli/lint--> human, json, sarif, github
//!                              |               \--fix--> files, mended
//!                              |  policies with places, scopes, types, entities, links, time
//! ```
//!
//! A rule is a row of a table (`RULES` of each file): what it finds, why that matters,
//! a bad and a good example, and a function. docs/lints.md is written from these, and
//! a test lints every example. Reading order: [`mod@rule`], [`subject`], [`policy`], then
//! any file of rules: [`conditions`], [`overlaps`], [`evaluation`], [`names`],
//! [`repository`], [`literals`], [`grants`], [`annotations`], [`wording`].

pub mod absence;
pub mod annotations;
pub mod conditions;
pub mod evaluation;
pub mod example;
pub mod exceptions;
pub mod finding;
pub mod fix;
pub mod grants;
pub mod letters;
pub mod literals;
pub mod moment;
pub mod names;
pub mod network;
pub mod overlaps;
pub mod pairs;
pub mod policy;
pub mod repository;
pub mod rule;
pub mod scopes;
pub mod source;
pub mod subject;
pub mod tested;
pub mod text_edits;
pub mod truth;
pub mod types;
pub mod walk;
pub mod wording;

use cedar_policy_core::ast::Value;

pub use finding::Finding;
pub use rule::Group;
pub use rule::Level;
pub use rule::Rule;
pub use rule::rule;
pub use rule::rules;
pub use subject::Subject;
pub use subject::Texts;

use crate::directory;
use crate::engine::Fault;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::compile;
use crate::engine::files::Role;
use crate::engine::manifest::LintSettings;
use crate::engine::nesting;
use crate::parallel::both;
use crate::parallel::in_parallel;
use finding::Found;
use rule::Check;
use subject::Compiled;

/// What to look for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only these rules; all when empty.
    pub only: Vec<&'static str>,
    /// The time that dates are compared with, as a `datetime`.
    pub now: Value,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// In order of file and place.
    pub findings: Vec<Finding>,
    /// What keeps the repository from being used.
    pub faults: Vec<Fault>,
    /// The rules that could not be run, and why.
    pub skipped: Vec<(&'static Rule, &'static str)>,
    /// How many policies and templates were looked at.
    pub policies: usize,
}

impl Report {
    /// How many findings are of this level.
    pub fn count(&self, level: Level) -> usize {
        let of_level = |finding: &&Finding| finding.level == level;
        self.findings.iter().filter(of_level).count()
    }
}

/// Lints a repository. Where it does not compile, the rules that need only text are
/// run all the same, and the faults are in the report.
pub fn lint(files: &Files, options: &Options) -> Report {
    let texts = || stacker::grow(nesting::STACK_BYTES, || Texts::new(files));
    let (texts, compiled) = both(texts, || compile(files));
    let mut faults = Vec::new();
    let snapshot = compiled.map_err(|found| faults.extend(found)).ok();
    let view = snapshot.as_ref().and_then(|snapshot| {
        directory::load(snapshot, files)
            .map_err(|found| faults.extend(found))
            .ok()
    });
    // A policy with a fault says nothing against the schema.
    let of_schema = snapshot.is_none().then(|| compile(&schema_of(files)).ok());
    let of_schema = of_schema.flatten();
    let compiled = Compiled {
        snapshot: snapshot.as_ref(),
        schema: snapshot
            .as_ref()
            .or(of_schema.as_ref())
            .and_then(Snapshot::schema),
        view: view.as_ref(),
    };
    let now = options.now.clone();
    stacker::grow(nesting::STACK_BYTES, || {
        let subject = Subject::new(files, texts, compiled, now);
        Report {
            faults,
            ..run(&subject, options)
        }
    })
}

/// The schema of a repository, and nothing else of it: without a file of policies there is
/// no repository, so it has an empty one.
fn schema_of(files: &Files) -> Files {
    let schema = files.with_role(Role::Schema);
    let schema = schema.map(|(file, content)| (file.to_owned(), content.to_vec()));
    Files::new(schema.chain([("none.cedar".to_owned(), Vec::new())]))
}

/// Runs the rules over a subject.
pub fn run(subject: &Subject<'_>, options: &Options) -> Report {
    let settings = &subject.manifest.lint;
    let mut run: Vec<(&'static Rule, Level)> = Vec::new();
    let mut skipped = Vec::new();
    let wanted = rules()
        .filter(|rule| options.only.is_empty() || options.only.contains(&rule.id))
        .filter_map(|rule| Some((rule, level(rule, settings)?)));
    for (rule, level) in wanted {
        match subject.lacks(rule.needs) {
            Some(why) => skipped.push((rule, why)),
            None => run.push((rule, level)),
        }
    }
    let findings = in_parallel(&run, |(rule, level)| {
        stacker::grow(nesting::STACK_BYTES, || found_by(rule, *level, subject))
    });
    let mut findings: Vec<Finding> = findings.into_iter().flatten().collect();
    for finding in &mut findings {
        finding.keep_comments();
    }
    let (mut findings, used) = exceptions::without_allowed(findings, &subject.policies);
    if let Some((rule, level)) = run.iter().find(|(rule, _)| rule.id == exceptions::UNUSED) {
        let ran = run.iter().map(|(rule, _)| rule.id).collect();
        let mut found = Found::new(rule, *level);
        exceptions::unused(&subject.policies, &ran, &used, &mut found);
        for finding in &mut found.findings {
            finding.keep_comments();
        }
        findings.extend(exceptions::without_allowed(found.findings, &subject.policies).0);
    }
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| (finding.span.start, finding.rule.id);
        (&a.source.file, key(a)).cmp(&(&b.source.file, key(b)))
    });
    Report {
        findings,
        faults: Vec::new(),
        skipped,
        policies: subject.policies.len(),
    }
}

fn found_by(rule: &'static Rule, level: Level, subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Found::new(rule, level);
    match rule.check {
        Check::Each(check) => {
            for (at, policy) in subject.policies.iter().enumerate() {
                found.of = Some(at);
                check(subject, policy, &mut found);
            }
        }
        Check::All(check) => check(subject, &mut found),
        Check::Last => {}
    }
    found.findings
}

/// The level of a rule here; `None` when it is switched off.
fn level(rule: &Rule, settings: &LintSettings) -> Option<Level> {
    let is_in = |names: &[String]| names.iter().any(|name| name == rule.id);
    if is_in(&settings.deny) {
        Some(Level::Error)
    } else if is_in(&settings.warn) {
        Some(Level::Warning)
    } else if is_in(&settings.allow) {
        None
    } else {
        Some(rule.level)
    }
}
