//! Every rule is what its page says: it finds something in its bad example, nothing
//! in its good one, and no other rule finds anything in either.
//!
//! `DEODAR_REWRITE=1 cargo test lint_rules` writes docs/lints.md anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use deodar::analysis::lint::Group;
use deodar::analysis::lint::Options;
use deodar::analysis::lint::Report;
use deodar::analysis::lint::Rule;
use deodar::analysis::lint::example;
use deodar::analysis::lint::fix::fix;
use deodar::analysis::lint::lint;
use deodar::analysis::lint::rule::Example;
use deodar::analysis::lint::rules;
use deodar::engine::Files;
use deodar::engine::value::Extension;
use deodar::source;
use deodar::source::Limits;

use crate::support::reference;
use crate::support::root;

const PAGE: &str = "docs/lints.md";

/// Examples leave out what these ask for, to be short.
const OF_ANNOTATIONS: &[&str] = &[
    "missing-id",
    "missing-reason",
    "missing-title",
    "missing-advice",
];

fn options() -> Options {
    Options {
        only: Vec::new(),
        now: Extension::Datetime.parse("2026-11-22T03:12:00Z").unwrap(),
    }
}

/// What is found in an example, but for annotations that are another rule's matter.
fn found(of: &Rule, example: &Example) -> (Report, BTreeSet<&'static str>) {
    let report = lint(&example.files(), &options());
    let ids = report.findings.iter().map(|finding| finding.rule.id);
    let ids = ids
        .filter(|id| *id == of.id || !OF_ANNOTATIONS.contains(id))
        .collect();
    (report, ids)
}

#[test]
fn each_rule_finds_its_bad_example_and_nothing_else_does() {
    for rule in rules() {
        let (report, ids) = found(rule, &rule.bad);
        let faults = &report.faults;
        let name = format!("bad example of `{}`: {faults:#?}", rule.id);
        assert_eq!(ids, BTreeSet::from([rule.id]), "{name}");
        for finding in report.findings {
            let text = finding.source.slice(&finding.span);
            assert!(!text.is_empty(), "{name}: {}", finding.place());
            for said in [&finding.message, &finding.hint] {
                let is_in_style = !said.ends_with('.') && !said.starts_with(char::is_uppercase);
                assert!(is_in_style && !said.is_empty(), "{name}: {said}");
            }
            let is_mended = !finding.edits.is_empty();
            let is_ours = finding.rule.id == rule.id;
            assert!(!is_ours || is_mended == rule.is_fixable, "{name}");
        }
    }
}

#[test]
fn no_rule_finds_anything_in_a_good_example() {
    for rule in rules() {
        let (report, ids) = found(rule, &rule.good);
        assert_eq!(ids, BTreeSet::new(), "good example of `{}`", rule.id);
        assert!(
            report.faults.is_empty(),
            "good example of `{}`: {:#?}",
            rule.id,
            report.faults
        );
        let skipped = report.skipped.iter().find(|(other, _)| other.id == rule.id);
        assert!(
            skipped.is_none(),
            "`{}` is not run over its good example: {skipped:?}",
            rule.id
        );
    }
}

#[test]
fn rules_are_described() {
    let mut ids = BTreeSet::new();
    for rule in rules() {
        assert!(ids.insert(rule.id), "two rules are called `{}`", rule.id);
        assert!(
            rule.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
            "{}",
            rule.id
        );
        assert!(!rule.summary.ends_with('.'), "{}", rule.id);
        assert!(rule.why.ends_with('.'), "{}", rule.id);
    }
    assert!(ids.len() >= 40, "{}", ids.len());
}

#[test]
fn what_is_called_fixable_is_fixed() {
    for rule in rules().filter(|rule| rule.is_fixable) {
        let only = vec![rule.id];
        let fixed = fix(&rule.bad.files(), &Options { only, ..options() });
        assert!(
            fixed.report.findings.is_empty(),
            "`{}`: {:?}",
            rule.id,
            fixed.refused
        );
        assert!(fixed.report.faults.is_empty(), "`{}`", rule.id);
    }
}

/// The reference policies come out clean.
#[test]
fn reference_policies_are_clean() {
    let files = source::read_all(&reference(), &Limits::default()).unwrap();
    let report = lint(&files, &options());
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    let found: Vec<String> = report
        .findings
        .iter()
        .map(|finding| {
            format!(
                "{} {}: {}",
                finding.place(),
                finding.rule.id,
                finding.message
            )
        })
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// A policy is tested where a case that is asked expects it to decide: not where a
/// comment, a name, `errors` or a skipped case has its id.
#[test]
fn what_counts_as_tested() {
    let policies = r#"
@id("a") permit (principal, action, resource);
@id("t") permit (principal == ?principal, action, resource);
"#;
    let case = |rest: &str| {
        format!(
            "# a t\ncases:\n  - name: a t\n    principal: User::\"u\"\n    action: Action::\"read\"\n    resource: Doc::\"d\"\n    decision: allow\n{rest}"
        )
    };
    let link = "    links:\n      - {id: mine, template: t, principal: 'User::\"u\"'}\n";
    let untested = |test: &str| -> Vec<String> {
        let files = Files::new([
            ("p.cedar".to_owned(), policies.as_bytes().to_vec()),
            ("x.test.yaml".to_owned(), test.as_bytes().to_vec()),
        ]);
        let only = vec!["untested-policy"];
        let report = lint(&files, &Options { only, ..options() });
        let messages = report.findings.into_iter().map(|finding| finding.message);
        messages.collect()
    };
    let (a, t) = ("no test names `a`", "no test names `t`");
    assert_eq!(untested(&case("")), [a, t]);
    assert_eq!(untested(&case("    errors: [a]\n")), [a, t]);
    assert_eq!(untested(&case("    policies: [a]\n")), [t]);
    assert_eq!(
        untested(&case("    policies: [a]\n    skip: later\n")),
        [a, t]
    );
    assert_eq!(untested(&case(link)), [a, t]);
    assert_eq!(
        untested(&case(&format!("{link}    policies: [mine]\n"))),
        [a]
    );
    // Nobody knows what a file with a fault expects.
    assert_eq!(untested(&case("    polices: [a]\n")), Vec::<String>::new());
}

#[test]
fn a_broken_repository_is_linted_as_far_as_it_goes() {
    let files = Files::new([
        ("broken.cedar".to_owned(), b"permit (principal".to_vec()),
        (
            "whole.cedar".to_owned(),
            b"permit (principal, action, resource) when { true };".to_vec(),
        ),
    ]);
    let report = lint(&files, &options());
    assert_eq!(report.faults.len(), 1);
    let ids: BTreeSet<&str> = report.findings.iter().map(|found| found.rule.id).collect();
    assert!(ids.is_superset(&BTreeSet::from(["when-true", "broad-permit", "missing-id"])));
    let skipped: BTreeSet<&str> = report.skipped.iter().map(|(rule, _)| rule.id).collect();
    assert!(skipped.contains("forbid-can-error"));
}

#[test]
fn the_page_is_what_the_rules_say() {
    let page = page();
    let path = root().join(PAGE);
    if std::env::var_os("DEODAR_REWRITE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "`{PAGE}` is stale: run `DEODAR_REWRITE=1 cargo test lint_rules`"
    );
}

fn page() -> String {
    let mut page = "\
# Lints

What `deodar lint` looks for: what is legal, but probably not meant. Written from the rules by a test; change the rules in
`src/analysis/lint`, then run `DEODAR_REWRITE=1 cargo test lint_rules`. The same test lints every example here.

A finding is an *error* (the run fails), a *warning* (it fails with `--deny warnings`) or *info* (it never fails). Rules that
are marked *fix* are mended by `deodar lint --fix`, but for what would take a comment away; every policy still says the same afterwards.

Switch a rule off for one policy with an annotation, and say in a comment why:

```cedar
// Auditors see everything: that is their task.
@id(\"auditors-read\")
@allow(\"permit-without-resource\")
permit (principal in Role::\"auditor\", action == Action::\"read\", resource);
```

or set levels for the repository in `manifest.toml`; `deny` wins over `warn`, and `warn` over `allow`:

```toml
[lint]
allow = [\"missing-title\"]
warn = [\"named-principal\"]
deny = [\"shadowed-policy\"]
```

"
    .to_owned();
    for group in Group::ALL {
        let of_group = || rules().filter(|rule| rule.group == group);
        writeln!(page, "## {}\n", title(group)).unwrap();
        page.push_str("| rule | level | fix | what it finds |\n| --- | --- | --- | --- |\n");
        for rule in of_group() {
            let fix = if rule.is_fixable { "fix" } else { "" };
            let (id, level, summary) = (rule.id, rule.level.as_str(), rule.summary);
            let summary = summary.replace('|', "\\|");
            writeln!(page, "| [`{id}`](#{id}) | {level} | {fix} | {summary} |").unwrap();
        }
        page.push('\n');
        for rule in of_group() {
            one(&mut page, rule);
        }
    }
    page.push_str("## The world of the examples\n\nThe schema:\n\n");
    writeln!(
        page,
        "```cedarschema\n{}```\n\nThe entities:\n",
        example::SCHEMA
    )
    .unwrap();
    writeln!(page, "```json\n{}```", example::ENTITIES).unwrap();
    page
}

fn title(group: Group) -> &'static str {
    match group {
        Group::Correctness => "Correctness: the policy does not do what it says",
        Group::Security => "Security: it gives more than was meant, or stops less",
        Group::Style => "Style: it could be easier to read, explain or maintain",
    }
}

fn one(page: &mut String, rule: &Rule) {
    let mut first = rule.summary.chars();
    let capital = first.next().unwrap().to_uppercase();
    let fix = if rule.is_fixable { ", fix" } else { "" };
    writeln!(
        page,
        "### {}\n\n{capital}{} ({}{fix}).\n\n{}\n",
        rule.id,
        first.as_str(),
        rule.level.as_str(),
        rule.why
    )
    .unwrap();
    for (name, example) in [("Bad", &rule.bad), ("Good", &rule.good)] {
        writeln!(page, "{name}:\n").unwrap();
        for (path, text) in example.besides {
            let language = path.rsplit('.').next().unwrap();
            writeln!(
                page,
                "`{path}`\n\n```{language}\n{}\n```\n",
                text.trim_end()
            )
            .unwrap();
        }
        writeln!(page, "```cedar\n{}\n```\n", example.policies).unwrap();
    }
}
