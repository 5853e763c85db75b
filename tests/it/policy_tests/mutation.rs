//! Mutation where the survivors are known by hand, and against compiling anew.

use std::collections::BTreeSet;

use deodar::directory;
use deodar::engine::Files;
use deodar::engine::compile;
use deodar::engine::decide;
use deodar::testing::mutation::Mutation;
use deodar::testing::mutation::explained::Idle;
use deodar::testing::mutation::explained::annotation;
use deodar::testing::mutation::mutants::Mutants;
use deodar::testing::mutation::mutants::validator;
use deodar::testing::mutation::operator::Operator;
use deodar::testing::subject::Subject;
use deodar::testing::subject::subjects;

use super::ENTITIES;
use super::SCHEMA;
use super::World;
use super::coverage;

fn run(world: &World) -> Mutation {
    Mutation::run(&world.snapshot, &world.view, &world.suites)
}

fn shown(mutation: &Mutation) -> Vec<String> {
    let survivors = mutation.survivors.iter();
    survivors
        .map(|survivor| {
            let mutant = &survivor.mutant;
            let explained = if survivor.explained.is_some() {
                " (explained)"
            } else {
                ""
            };
            format!(
                "{}:{} {}: {} -> {}{explained}",
                survivor.info.file,
                mutant.line,
                mutant.operator.name(),
                mutant.before.join(" "),
                mutant.after.join(" "),
            )
        })
        .collect()
}

const LEVEL: &str = r#"
@id("level")
permit (principal, action == Action::"read", resource)
when { principal.level > 2 };
"#;

fn level(policy: &str, cases: &[(&str, &str, &str)]) -> World {
    let mut tests = "now: 2026-11-22T12:00:00Z\ncases:\n".to_owned();
    for (principal, level, decision) in cases {
        tests.push_str(&format!(
            "  - name: {principal} of level {level}\n    principal: 'User::\"{principal}\"'\n    action: 'Action::\"read\"'\n    resource: 'Doc::\"plan\"'\n    entities: [{{ uid: 'User::\"{principal}\"', attrs: {{ level: {level} }} }}]\n    decision: {decision}\n",
        ));
    }
    World::of(&[
        ("schema.cedarschema", SCHEMA),
        ("docs.cedar", policy),
        ("entities/all.json", ENTITIES),
        ("docs.test.yaml", &tests),
    ])
}

/// `> 2` is told from `>= 2` and `> 1` by who has 2, from `> 3` by who has 3. That
/// the action is not looked at, nobody asks. Seen to fail when only the first case
/// is asked.
#[test]
fn survivors_are_as_found_by_hand() {
    let world = level(LEVEL, &[("ann", "5", "allow"), ("bob", "1", "deny")]);
    let mutation = run(&world);
    assert_eq!(
        shown(&mutation),
        [
            "docs.cedar:3 scope: permit (principal, action == Action::\"read\", resource) -> permit (principal, action, resource)",
            "docs.cedar:4 compare: when { principal.level > 2 }; -> when { principal.level >= 2 };",
            "docs.cedar:4 integer: when { principal.level > 2 }; -> when { principal.level > 3 };",
            "docs.cedar:4 integer: when { principal.level > 2 }; -> when { principal.level > 1 };",
        ]
    );
    assert_eq!((mutation.cases, mutation.cases_failing), (2, 0));
    // effect, remove, scope, drop and negate the condition, compare twice, two
    // numbers.
    assert_eq!((mutation.total, mutation.killed), (9, 5));

    let sharper = level(
        LEVEL,
        &[
            ("ann", "3", "allow"),
            ("bob", "2", "deny"),
            ("bob", "0", "allow"),
        ],
    );
    let mutation = run(&sharper);
    assert_eq!(mutation.survivors.len(), 1, "{:#?}", shown(&mutation));
    assert_eq!(mutation.cases_failing, 1);
    assert_eq!(
        mutation.survivors[0].needs,
        "ask something that lies just outside the scope of this policy"
    );
}

/// An explanation is for one mutant: neither for another of its operator, nor for
/// the same change of another line. Seen to fail when no reason is a reason.
#[test]
fn survivors_may_be_explained() {
    let policy = LEVEL.replace(
        "@id",
        "@survives(\"compare `when {  principal.level > 2\n};` -> `when { principal.level >= 2 };`: levels; are rare;
            integer `when { principal.level > 2 };` -> `when { principal.level > 3 };`: ..;
            integer `when { principal.level > 9 };` -> `when { principal.level > 1 };`: no;
            scope: there is only one; sums `a` -> `b`: no\")\n@id",
    );
    let world = level(&policy, &[("ann", "5", "allow"), ("bob", "1", "deny")]);
    let mutation = run(&world);
    let unexplained: Vec<&str> = mutation
        .unexplained()
        .map(|survivor| survivor.mutant.operator.name())
        .collect();
    assert_eq!(unexplained, ["scope", "integer", "integer"]);
    let stale: Vec<_> = mutation
        .stale
        .iter()
        .map(|stale| (stale.name.as_str(), stale.why))
        .collect();
    assert_eq!(
        stale,
        [
            ("are rare", Idle::Operator),
            (
                "integer `when { principal.level > 2 };` -> `when { principal.level > 3 };`",
                Idle::Reason
            ),
            (
                "integer `when { principal.level > 9 };` -> `when { principal.level > 1 };`",
                Idle::Survivor
            ),
            ("scope", Idle::Change),
            ("sums `a` -> `b`", Idle::Operator),
        ]
    );
}

/// What a report proposes explains that survivor, whatever is in its lines, and
/// keeps what was explained before.
#[test]
fn what_is_proposed_explains() {
    let policy = "@id(\"level\")\npermit (principal, action == Action::\"read\", resource)\nwhen { principal.level > 2 && \"a\\\"\\\\`: b;\" == \"a\\\"\\\\`: b;\" };\n";
    let cases = [("ann", "5", "allow"), ("bob", "1", "deny")];
    let mut policy = policy.to_owned();
    let mut before = run(&level(&policy, &cases)).unexplained().count();
    assert!(before > 4, "{before}");
    while before > 0 {
        let mutation = run(&level(&policy, &cases));
        let survivor = mutation.unexplained().next().unwrap();
        let annotation = annotation(&survivor.info, &survivor.name).replace(": ..", ": it is so");
        let (_, rest) = policy.split_once("@id").unwrap();
        policy = format!("{annotation}\n@id{rest}");
        let after = run(&level(&policy, &cases));
        assert_eq!(after.unexplained().count(), before - 1, "{annotation}");
        assert!(after.stale.is_empty(), "{:?}", after.stale);
        before -= 1;
    }
}

/// What a case does not look at cannot kill, and the survivor names that case.
#[test]
fn a_case_that_does_not_look_is_named() {
    let policies = "@id(\"a\") permit (principal, action == Action::\"read\", resource);\n@id(\"b\") permit (principal, action == Action::\"read\", resource);\n";
    let world = level(policies, &[("ann", "5", "allow")]);
    let mutation = run(&world);
    let survivor = mutation
        .survivors
        .iter()
        .find(|survivor| survivor.mutant.operator == Operator::Remove)
        .unwrap();
    assert_eq!(
        survivor.needs,
        "say in `ann of level 5` (docs.test.yaml:3) which policies decide: with this change they are others"
    );
}

/// Each operator, on a text of its own: every mutant that is made of it.
#[test]
fn operators_change_what_they_say() {
    let table: [(Operator, &str, &[&str]); 19] = [
        (
            Operator::Effect,
            "permit (principal, action, resource);",
            &["forbid (principal, action, resource);"],
        ),
        (
            Operator::Remove,
            "permit (principal, action, resource);",
            &[""],
        ),
        (
            Operator::Scope,
            "permit (principal is User in Group::\"a\", action == Action::\"read\", resource == Doc::\"d\");",
            &[
                "permit (principal, action == Action::\"read\", resource == Doc::\"d\");",
                "permit (principal is User, action == Action::\"read\", resource == Doc::\"d\");",
                "permit (principal is User in Group::\"a\", action, resource == Doc::\"d\");",
                "permit (principal is User in Group::\"a\", action == Action::\"read\", resource);",
            ],
        ),
        (
            Operator::ActionList,
            "permit (principal, action in [Action::\"read\", Action::\"write\"], resource);",
            &[
                "permit (principal, action in [Action::\"write\"], resource);",
                "permit (principal, action in [Action::\"read\"], resource);",
            ],
        ),
        (
            Operator::DropCondition,
            "permit (principal, action, resource) when { resource.secret } unless { principal.level == 1 };",
            &[
                "permit (principal, action, resource)  unless { principal.level == 1 };",
                "permit (principal, action, resource) when { resource.secret } ;",
            ],
        ),
        (
            Operator::NegateCondition,
            "permit (principal, action, resource) when { resource.secret } unless { principal.level == 1 };",
            &[
                "permit (principal, action, resource) unless { resource.secret } unless { principal.level == 1 };",
                "permit (principal, action, resource) when { resource.secret } when { principal.level == 1 };",
            ],
        ),
        (
            Operator::DropClause,
            "permit (principal, action, resource) when { resource.secret && (principal.level == 1 || principal in Group::\"a\") && !resource.secret };",
            &[
                "permit (principal, action, resource) when { true && (principal.level == 1 || principal in Group::\"a\") && !resource.secret };",
                "permit (principal, action, resource) when { resource.secret && (true) && !resource.secret };",
                "permit (principal, action, resource) when { resource.secret && (false || principal in Group::\"a\") && !resource.secret };",
                "permit (principal, action, resource) when { resource.secret && (principal.level == 1 || false) && !resource.secret };",
                "permit (principal, action, resource) when { resource.secret && (principal.level == 1 || principal in Group::\"a\") && true };",
            ],
        ),
        (
            Operator::Negate,
            "permit (principal, action, resource) when { resource.secret && principal.level == 1 };",
            &[
                "permit (principal, action, resource) when { !(resource.secret) && principal.level == 1 };",
            ],
        ),
        (
            Operator::Connective,
            "permit (principal, action, resource) when { resource.secret && principal.level == 1 };",
            &[
                "permit (principal, action, resource) when { resource.secret || principal.level == 1 };",
            ],
        ),
        (
            Operator::Compare,
            "permit (principal, action, resource) when { principal.level <= 1 && principal.level != 3 };",
            &[
                "permit (principal, action, resource) when { principal.level < 1 && principal.level != 3 };",
                "permit (principal, action, resource) when { principal.level > 1 && principal.level != 3 };",
                "permit (principal, action, resource) when { principal.level <= 1 && principal.level == 3 };",
            ],
        ),
        (
            Operator::Integer,
            "permit (principal, action, resource) when { principal.level == 7 };",
            &[
                "permit (principal, action, resource) when { principal.level == 8 };",
                "permit (principal, action, resource) when { principal.level == 6 };",
            ],
        ),
        (
            Operator::Constant,
            "permit (principal, action, resource) when { context has ip && context.ip.isInRange(ip(\"10.0.0.0/8\")) };",
            &[
                "permit (principal, action, resource) when { context has ip && context.ip.isInRange(ip(\"11.0.0.0/8\")) };",
            ],
        ),
        (
            Operator::Text,
            "permit (principal, action, resource) when { \"a\" == \"b\" || [\"c\"].contains(\"d\") };",
            &[
                "permit (principal, action, resource) when { \"a_\" == \"b\" || [\"c\"].contains(\"d\") };",
                "permit (principal, action, resource) when { \"a\" == \"b_\" || [\"c\"].contains(\"d\") };",
                "permit (principal, action, resource) when { \"a\" == \"b\" || [\"c_\"].contains(\"d\") };",
                "permit (principal, action, resource) when { \"a\" == \"b\" || [\"c\"].contains(\"d_\") };",
            ],
        ),
        (
            Operator::Text,
            "permit (principal, action, resource) when { \"a\\\"\" == \"\" };",
            &[
                "permit (principal, action, resource) when { \"a\\\"_\" == \"\" };",
                "permit (principal, action, resource) when { \"a\\\"\" == \"_\" };",
            ],
        ),
        (
            Operator::Bool,
            "permit (principal, action, resource) when { resource.secret == true };",
            &["permit (principal, action, resource) when { resource.secret == false };"],
        ),
        (
            Operator::Set,
            "permit (principal, action, resource) when { [1, 2].contains(principal.level) };",
            &[
                "permit (principal, action, resource) when { [2].contains(principal.level) };",
                "permit (principal, action, resource) when { [1].contains(principal.level) };",
            ],
        ),
        (
            Operator::Contains,
            "permit (principal, action, resource) when { [1, 2].containsAll([principal.level]) };",
            &[
                "permit (principal, action, resource) when { [1, 2].containsAny([principal.level]) };",
            ],
        ),
        (
            Operator::Like,
            "permit (principal, action, resource) when { \"ab\" like \"a*\" };",
            &["permit (principal, action, resource) when { \"ab\" like \"*\" };"],
        ),
        (
            Operator::Branches,
            "permit (principal, action, resource) when { if resource.secret then principal.level == 1 else principal.level == 2 };",
            &[
                "permit (principal, action, resource) when { if resource.secret then principal.level == 2 else principal.level == 1 };",
            ],
        ),
    ];
    for (operator, policy, wanted) in table {
        let world = level(policy, &[("ann", "5", "allow")]);
        let validator = validator(&world.snapshot).unwrap();
        let subject = subjects(&world.snapshot).remove(0);
        let mutants = Mutants::of(&subject, &world.snapshot, Some(&validator));
        let made: Vec<&str> = mutants
            .made
            .iter()
            .filter(|mutant| mutant.operator == operator)
            .map(|mutant| mutant.text.as_deref().unwrap_or_default())
            .collect();
        assert_eq!(made, wanted, "{}", operator.name());
    }
}

/// A mutant that the validator refuses is no mutant. Seen to fail without it.
#[test]
fn mutants_fit_the_schema() {
    let policy =
        "permit (principal, action, resource) when { context has ip && context.ip.isLoopback() };";
    let world = level(policy, &[("ann", "5", "allow")]);
    let subject = subjects(&world.snapshot).remove(0);
    let strict = validator(&world.snapshot);
    let checked = Mutants::of(&subject, &world.snapshot, strict.as_ref());
    let unchecked = Mutants::of(&subject, &world.snapshot, None);
    assert!(checked.invalid >= 3, "{checked:#?}");
    assert_eq!(unchecked.made.len(), checked.made.len() + checked.invalid);
    assert!(!checked.made.iter().any(|mutant| {
        mutant
            .text
            .as_deref()
            .is_some_and(|text| text.contains("true &&"))
    }));
}

/// Replacing one policy kills the same mutants as compiling the whole repository
/// with its text. Seen to fail when only cases are asked whose scope matched before.
#[test]
fn killing_is_as_good_as_compiling() {
    let world = coverage::world_with(coverage::STRANGER);
    // Whoever of the threads is first.
    assert_eq!(shown(&run(&world)), shown(&run(&world)));
    let compared = assert_kills_as_compiling(&world);
    assert!(compared > 35, "{compared}");
}

/// Tries every mutant both ways, and returns how many there were.
pub(super) fn assert_kills_as_compiling(world: &World) -> usize {
    let strict = validator(&world.snapshot);
    let mutation = run(world);
    let survivors: BTreeSet<(String, Option<String>)> = mutation
        .survivors
        .iter()
        .map(|survivor| (survivor.info.id.to_string(), survivor.mutant.text.clone()))
        .collect();
    let mut compared = 0;
    for subject in subjects(&world.snapshot) {
        for mutant in Mutants::of(&subject, &world.snapshot, strict.as_ref()).made {
            let text = mutant.text.clone().unwrap_or_default();
            // The templates that the cases link cannot be taken away whole, nor be none.
            if subject.is_template && !text.contains('?') {
                continue;
            }
            let survives = !killed_by_compiling(world, &subject, &text);
            let key = (subject.info.id.to_string(), mutant.text.clone());
            assert_eq!(survivors.contains(&key), survives, "{mutant:#?}");
            compared += 1;
        }
    }
    compared
}

fn killed_by_compiling(world: &World, subject: &Subject<'_>, to: &str) -> bool {
    let from = &*subject.info.text;
    let changed = world.files.all().map(|(path, content)| {
        let text = std::str::from_utf8(content).unwrap();
        let text = if path == "docs.cedar" {
            text.replacen(from, to, 1)
        } else {
            text.to_owned()
        };
        (path.to_owned(), text.into_bytes())
    });
    let files = Files::new(changed);
    let snapshot = compile(&files).unwrap_or_else(|faults| panic!("{to}: {faults:#?}"));
    let view = directory::load(&snapshot, &files).unwrap();
    let mut cases = world.suites.iter().flat_map(|suite| &suite.cases);
    cases.any(|case| {
        let passed = {
            let asked = case.asked(&world.snapshot, &world.view).unwrap();
            let decision = decide(&world.snapshot, &asked.view, &asked.query).unwrap();
            case.expected.compare(&decision).is_empty()
        };
        let mut fitting = case.clone();
        let links = fitting.question.links.iter_mut();
        for link in links.filter(|link| link.template == subject.info.id) {
            link.principal = link.principal.take().filter(|_| to.contains("?principal"));
            link.resource = link.resource.take().filter(|_| to.contains("?resource"));
        }
        let asked = fitting.asked(&snapshot, &view).unwrap();
        let decision = decide(&snapshot, &asked.view, &asked.query).unwrap();
        case.skip.is_none() && passed && !case.expected.compare(&decision).is_empty()
    })
}

#[test]
fn the_reference_tests_kill() {
    let world = World::reference();
    let mutation = run(&world);
    let unexplained: Vec<&str> = mutation
        .unexplained()
        .map(|survivor| survivor.name.as_str())
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert!(mutation.stale.is_empty(), "{:#?}", mutation.stale);
    assert_eq!(mutation.cases_failing, 0);
    assert!(mutation.killed * 100 > mutation.total * 97);
}

/// What the schema says anyway is not left out: users are all that may read, and
/// nothing but a user can be in a group. Seen to fail when scopes are compared as
/// they are written.
#[test]
fn what_the_schema_says_anyway_is_no_mutant() {
    let policy = "permit (principal is User in Group::\"staff\", action in [Action::\"read\", Action::\"write\"], resource is Doc);";
    let world = level(policy, &[("ann", "5", "deny")]);
    let subject = subjects(&world.snapshot).remove(0);
    let strict = validator(&world.snapshot);
    let mutants = Mutants::of(&subject, &world.snapshot, strict.as_ref());
    let scopes: Vec<&str> = mutants
        .made
        .iter()
        .filter(|mutant| mutant.operator == Operator::Scope)
        .map(|mutant| mutant.text.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(
        scopes,
        [
            "permit (principal, action in [Action::\"read\", Action::\"write\"], resource is Doc);",
            "permit (principal is User, action in [Action::\"read\", Action::\"write\"], resource is Doc);",
        ]
    );
    assert_eq!(mutants.equivalent, 3);
}

/// What a slot says of a scope goes unnoticed unless somebody else asks. Seen to fail
/// when a mutant has to have every slot.
#[test]
fn slots_of_templates_are_left_out() {
    let lent = |principal: &str, resource: &str, cases: &str| {
        let policy = format!(
            "@id(\"lend\") permit (principal{principal}, action == Action::\"read\", resource{resource});"
        );
        let slot = |part: &str, uid: &str, written: &str| {
            if written.is_empty() {
                String::new()
            } else {
                format!("{part}: '{uid}', ")
            }
        };
        let link = format!(
            "{{ id: lend-ann, template: lend, {}{} }}",
            slot("principal", "User::\"ann\"", principal),
            slot("resource", "Doc::\"plan\"", resource)
        );
        let case = |(at, line): (usize, &str)| {
            let (who, what, decision) = match line {
                "bob" => ("bob", "plan", "deny"),
                "key" => ("ann", "key", "deny"),
                _ => ("ann", "plan", "allow"),
            };
            format!(
                "  - {{ name: c{at}, principal: 'User::\"{who}\"', action: 'Action::\"read\"', resource: 'Doc::\"{what}\"', links: [{link}], decision: {decision} }}\n"
            )
        };
        let cases: String = cases.split_whitespace().enumerate().map(case).collect();
        World::of(&[
            ("schema.cedarschema", SCHEMA),
            ("docs.cedar", &policy),
            ("entities/all.json", ENTITIES),
            (
                "docs.test.yaml",
                &format!("now: 2026-11-22T12:00:00Z\ncases:\n{cases}"),
            ),
        ])
    };
    let widened = |world: &World| -> Vec<String> {
        let mutation = run(world);
        assert_eq!(mutation.cases_failing, 0);
        let survivors = mutation.survivors.iter();
        let texts = survivors.filter_map(|survivor| survivor.mutant.text.clone());
        texts
            .filter(|text| {
                text.matches('?').count()
                    < subjects(&world.snapshot)[0].info.text.matches('?').count()
            })
            .collect()
    };
    let both = (" == ?principal", " == ?resource");
    assert_eq!(
        widened(&lent(both.0, both.1, "ann")),
        [
            "@id(\"lend\") permit (principal, action == Action::\"read\", resource == ?resource);",
            "@id(\"lend\") permit (principal == ?principal, action == Action::\"read\", resource);",
        ]
    );
    assert_eq!(widened(&lent(both.0, both.1, "ann bob")).len(), 1);
    assert!(widened(&lent(both.0, both.1, "ann bob key")).is_empty());
    // Without its last slot it is no template any more.
    assert_eq!(widened(&lent(both.0, "", "ann")).len(), 1);
    assert!(widened(&lent(both.0, "", "ann bob")).is_empty());
}

/// Seen to fail when all changes are tried.
#[test]
fn changes_of_one_policy_are_bounded() {
    let clauses: Vec<String> = (0..130)
        .map(|number| format!("context.n != {number}"))
        .collect();
    let policy = format!(
        "permit (principal, action, resource) when {{ {} }};",
        clauses.join(" && ")
    );
    let world = World::of(&[("docs.cedar", &policy)]);
    let subject = subjects(&world.snapshot).remove(0);
    let mutants = Mutants::of(&subject, &world.snapshot, None);
    let tried = mutants.made.len() + mutants.invalid + mutants.equivalent;
    assert_eq!(tried, 500);
    assert!(mutants.left_out > 0);
    let last = mutants
        .made
        .iter()
        .rev()
        .find_map(|mutant| mutant.text.as_ref());
    assert!(last.is_some_and(
        |text| !text.contains("context.n != 129") || !text.contains("context.n != 128")
    ));
}
