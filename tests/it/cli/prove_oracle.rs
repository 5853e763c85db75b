//! What the solver says, against the engine: proofs tried with random requests,
//! counterexamples asked again, revisions compared.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use deodar::analysis::invariants;
use deodar::analysis::symbolic;
use deodar::analysis::symbolic::Counterexample;
use deodar::analysis::symbolic::Options;
use deodar::analysis::symbolic::Outcome;
use deodar::analysis::symbolic::Program;
use deodar::analysis::symbolic::Side;
use deodar::analysis::symbolic::compare::Verdict;
use deodar::engine::Decision;
use deodar::engine::Files;
use deodar::engine::Snapshot;
use deodar::engine::View;
use deodar::engine::compile;
use deodar::engine::decide;
use deodar::engine::link::Link;
use deodar::testing::read::read;
use deodar::testing::suite::Case;
use deodar::testing::suite::Question;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::prop_assert;
use proptest::proptest;
use serde_json::json;

use crate::cli::prove::path_of_solver;
use crate::engine_oracle::cases;

const SCHEMA: &str = "
entity Group;
entity User in [Group] { level: Long, mate?: User };
entity Doc in [Group] { open?: Bool };
action read, write appliesTo { principal: User, resource: Doc, context: { n: Long, s?: String } };
";

const CONDITIONS: &[&str] = &[
    "true",
    "principal.level > 3",
    "principal.level + context.n > 0",
    "principal in Group::\"a\"",
    "resource in Group::\"a\"",
    "resource has open && resource.open",
    "principal has mate && principal.mate.level > 1",
    "context.n == 7",
    "context.n * 2 > principal.level",
    "principal has mate && principal.mate == principal",
];

fn options() -> Option<Options> {
    let path = path_of_solver()?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut options = Options::new(Program::find(None, &folders).unwrap());
    options.workers = NonZeroUsize::MIN;
    options.timeout = Duration::from_mins(1);
    Some(options)
}

fn files(policies: &str, invariant: &str) -> Files {
    let text = |text: &str| text.as_bytes().to_vec();
    Files::new([
        ("s.cedarschema".to_owned(), text(SCHEMA)),
        ("p.cedar".to_owned(), text(policies)),
        ("invariants.yaml".to_owned(), text(invariant)),
    ])
}

fn snapshot(policies: &str) -> Snapshot {
    compile(&files(policies, "")).unwrap()
}

fn decided(snapshot: &Snapshot, question: &Question) -> Decision {
    let view = View::empty("none");
    let asked = question.asked(snapshot, &view).unwrap();
    decide(snapshot, &asked.view, &asked.query).unwrap()
}

fn policies(picks: &[(bool, usize, usize)]) -> String {
    let mut text = String::new();
    for (is_permit, when, unless) in picks {
        let effect = if *is_permit { "permit" } else { "forbid" };
        let when = CONDITIONS[when % CONDITIONS.len()];
        let unless = CONDITIONS[unless % CONDITIONS.len()];
        text += &format!(
            "{effect} (principal, action, resource) when {{ {when} }} unless {{ ({unless}) && context.n != 0 }};\n"
        );
    }
    text
}

/// A request whose entities are all there.
fn question(action: bool, level: i64, n: i64, flags: u8) -> Question {
    let bit = |at: u8| flags & (1 << at) != 0;
    let uid = |kind: &str, id: &str| json!({"type": kind, "id": id});
    let group = |is_in: bool| {
        if is_in {
            vec![uid("Group", "a")]
        } else {
            Vec::new()
        }
    };
    let mut user = json!({"level": level});
    if bit(0) {
        let mate = if bit(1) { "u" } else { "m" };
        user["mate"] = json!({"__entity": uid("User", mate)});
    }
    let doc = if bit(2) {
        json!({"open": bit(3)})
    } else {
        json!({})
    };
    let action = if action { "read" } else { "write" };
    let euid = |text: String| {
        let uid: cedar_policy::EntityUid = text.parse().unwrap();
        std::sync::Arc::new(uid.as_ref().clone())
    };
    Question {
        principal: euid("User::\"u\"".to_owned()),
        action: euid(format!("Action::\"{action}\"")),
        resource: euid("Doc::\"d\"".to_owned()),
        context: json!({"n": n}).into(),
        is_alone: false,
        entities: json!([
            {"uid": uid("User", "u"), "attrs": user, "parents": group(bit(4))},
            {"uid": uid("User", "m"), "attrs": {"level": n}, "parents": []},
            {"uid": uid("Doc", "d"), "attrs": doc, "parents": group(bit(5))},
            {"uid": uid("Group", "a"), "attrs": {}, "parents": []},
        ]),
        links: Vec::new(),
        now: None,
    }
}

fn number() -> impl Strategy<Value = i64> {
    proptest::prop_oneof![
        -3..9_i64,
        proptest::strategy::Just(i64::MAX),
        proptest::strategy::Just(i64::MIN),
        proptest::strategy::Just(i64::MAX / 2),
    ]
}

fn some_policies() -> impl Strategy<Value = Vec<(bool, usize, usize)>> {
    prop::collection::vec((any::<bool>(), any::<usize>(), any::<usize>()), 1..4)
}

proptest! {
    #![proptest_config(cases(10))]

    #[test]
    fn what_is_proved_holds_and_what_is_broken_is_shown(
        picks in some_policies(),
        about in 0..CONDITIONS.len(),
        never in any::<bool>(),
        asked in prop::collection::vec((any::<bool>(), number(), number(), any::<u8>()), 150),
    ) {
        let Some(options) = options() else { return Ok(()) };
        let key = if never { "never" } else { "always" };
        let matcher = format!(
            "permit (principal, action, resource) when {{ {} }};",
            CONDITIONS[about]
        );
        let invariant = format!("invariants:\n  - name: x\n    {key}: |\n      {matcher}\n");
        let files = files(&policies(&picks), &invariant);
        let snapshot = compile(&files).unwrap();
        let demands = invariants::read(&files, &snapshot, &[]);
        let view = View::empty("none");
        let side = Side { snapshot: &snapshot, view: &view };
        let proofs = symbolic::prove(side, &demands.invariants, &options, &|| ()).unwrap();
        let about = self::snapshot(&matcher);
        for (environment, outcome) in &proofs[0].outcomes {
            match outcome {
                Outcome::Holds => for (action, level, n, flags) in &asked {
                    let question = question(*action, *level, *n, *flags);
                    if *question.action == environment.action && decided(&about, &question).is_allow() {
                        let allowed = decided(&snapshot, &question).is_allow();
                        prop_assert!(allowed != never, "{} {question:?}", policies(&picks));
                    }
                },
                Outcome::Broken(example) => {
                    let question = example.question();
                    prop_assert!(decided(&about, &question).is_allow());
                    prop_assert!(decided(&snapshot, &question).is_allow() == never);
                }
                Outcome::Unknown(reason) => prop_assert!(false, "{reason}"),
            }
        }
    }

    #[test]
    fn revisions_compare_as_requests_do(
        before in some_policies(),
        after in some_policies(),
        asked in prop::collection::vec((any::<bool>(), number(), number(), any::<u8>()), 150),
    ) {
        let Some(options) = options() else { return Ok(()) };
        let (old, new) = (snapshot(&policies(&before)), snapshot(&policies(&after)));
        let view = View::empty("none");
        let side = |snapshot| Side { snapshot, view: &view };
        let comparison = symbolic::compare(side(&old), side(&new), &options, &|| ()).unwrap();
        for compared in &comparison.environments {
            let shows = |outcome: &Outcome, allows: &Snapshot, denies: &Snapshot| match outcome {
                Outcome::Holds => asked.iter().all(|(action, level, n, flags)| {
                    let question = question(*action, *level, *n, *flags);
                    *question.action != compared.environment.action
                        || !decided(allows, &question).is_allow()
                        || decided(denies, &question).is_allow()
                }),
                Outcome::Broken(example) => {
                    let question = example.question();
                    decided(allows, &question).is_allow() && !decided(denies, &question).is_allow()
                }
                Outcome::Unknown(_) => false,
            };
            prop_assert!(shows(&compared.gained, &new, &old), "{compared:?}");
            prop_assert!(shows(&compared.lost, &old, &new), "{compared:?}");
        }
    }
}

#[test]
fn a_comparison_in_a_word() {
    let Some(options) = options() else { return };
    let verdict = |before: &str, after: &str| {
        let (old, new) = (snapshot(before), snapshot(after));
        let view = View::empty("none");
        let side = |snapshot| Side {
            snapshot,
            view: &view,
        };
        let comparison = symbolic::compare(side(&old), side(&new), &options, &|| ()).unwrap();
        let words = comparison
            .environments
            .iter()
            .map(symbolic::Compared::verdict);
        words.collect::<Vec<Verdict>>()
    };
    let read = "permit (principal, action == Action::\"read\", resource)";
    let (three, four) = (
        format!("{read} when {{ principal.level > 3 }};"),
        format!("{read} when {{ principal.level > 4 }};"),
    );
    let five = format!("{read} when {{ principal.level == 3 }};");
    assert_eq!(
        verdict(&three, &four),
        [Verdict::LessPermissive, Verdict::Equivalent]
    );
    assert_eq!(
        verdict(&four, &three),
        [Verdict::MorePermissive, Verdict::Equivalent]
    );
    assert_eq!(verdict(&three, &five), [Verdict::Both, Verdict::Equivalent]);
    let same = format!("{read} when {{ 3 < principal.level }};");
    assert_eq!(
        verdict(&three, &same),
        [Verdict::Equivalent, Verdict::Equivalent]
    );
}

/// A counterexample as it is printed, read as a test file is: the same question.
fn pasted(snapshot: &Snapshot, example: &Counterexample, name: &str) -> Case {
    let text = example.test_case(name, &[], symbolic::counterexample::Wanted::Deny);
    let text = format!("cases:\n{text}");
    let files = Files::new([("x.test.yaml".to_owned(), text.clone().into_bytes())]);
    let read = read(&files, Some(snapshot));
    assert!(read.faults.is_empty(), "{text}\n{:?}", read.faults);
    let case = read.suites[0].cases[0].clone();
    let (read, shown) = (&case.question, example.question());
    assert_eq!(read.principal, shown.principal, "{text}");
    assert_eq!(read.action, shown.action, "{text}");
    assert_eq!(read.resource, shown.resource, "{text}");
    assert_eq!(read.context, shown.context, "{text}");
    assert_eq!(sorted(&read.entities), sorted(&shown.entities), "{text}");
    let links = |links: &[Link]| -> Vec<String> {
        let uid = |uid: &Option<_>| uid.as_ref().map(ToString::to_string);
        let links = links.iter();
        let links = links.map(|link: &Link| {
            let slots = (uid(&link.principal), uid(&link.resource));
            format!("{} {} {slots:?}", link.id, link.template)
        });
        links.collect()
    };
    assert_eq!(links(&read.links), links(&shown.links), "{text}");
    case
}

/// Entities in order, without what they do not have.
fn sorted(entities: &serde_json::Value) -> Vec<serde_json::Value> {
    let mut sorted: Vec<serde_json::Value> = entities.as_array().unwrap().clone();
    for entity in &mut sorted {
        let entity = entity.as_object_mut().unwrap();
        entity.retain(|_, value| *value != json!({}) && *value != json!([]));
    }
    sorted.sort_by_key(|entity| format!("{:?}", entity["uid"]));
    sorted
}

#[test]
fn what_is_pasted_is_what_was_shown() {
    let Some(options) = options() else { return };
    let odd = r#"it's \"odd\": #\\ {a: b} \u{7f}\u{85}\u{2028}\u{1F600} \t\n- é"#;
    let policies = format!(
        r#"
        @id("odd") permit (principal in Group::"{odd}", action, resource)
        when {{ context.n == 7 && context has s && context.s == "{odd}" }};
        @id("t") permit (principal == ?principal, action, resource in ?resource)
        when {{ context has s && context.s like "*: *" && resource has open && resource.open }};
        "#
    );
    let invariants = r#"invariants:
  - name: "it's: #closed"
    never: |
      permit (principal, action, resource)
      when { principal has mate && principal.mate.level > 1 }
      unless { resource has open };
  - name: no links
    never: |
      permit (principal, action, resource)
      when { resource has open && context.n < 0 };
"#;
    let files = files(&policies, invariants);
    let snapshot = compile(&files).unwrap();
    let demands = invariants::read(&files, &snapshot, &[]);
    let view = View::empty("none");
    let side = Side {
        snapshot: &snapshot,
        view: &view,
    };
    let proofs = symbolic::prove(side, &demands.invariants, &options, &|| ()).unwrap();
    let mut links = 0;
    for proof in &proofs {
        let (_, example) = proof.broken().next().unwrap();
        let case = pasted(&snapshot, example, &proof.invariant.name);
        assert_eq!(case.name, proof.invariant.name);
        assert!(!case.expected.allow);
        assert!(decided(&snapshot, &case.question).is_allow());
        links += case.question.links.len();
    }
    assert_eq!(links, 1);
}

/// Permits and forbids, some of them templates by which `links` are made.
fn with_templates(picks: &[(u8, usize, usize)]) -> String {
    let mut text = String::new();
    for (at, (kind, when, unless)) in picks.iter().enumerate() {
        let scope = match kind % 4 {
            0 => "permit (principal, action, resource)",
            1 => "forbid (principal, action, resource)",
            2 => "permit (principal == ?principal, action, resource)",
            _ => "forbid (principal in ?principal, action, resource)",
        };
        let when = CONDITIONS[when % CONDITIONS.len()];
        let unless = CONDITIONS[unless % CONDITIONS.len()];
        text += &format!(
            "@id(\"p{at}\") {scope} when {{ {when} }} unless {{ ({unless}) && context.n != 0 }};\n"
        );
    }
    text
}

/// Links of the templates among those policies, by two bits each.
fn links(picks: &[(u8, usize, usize)], bits: u8) -> serde_json::Value {
    let templates = picks.iter().enumerate().filter(|(_, pick)| pick.0 % 4 >= 2);
    let links = templates.filter_map(|(at, pick)| {
        let whom = match ((bits >> (2 * at)) & 3, pick.0 % 4) {
            (0, _) => return None,
            (1, 3) => "Group::\"a\"",
            (2, _) => "User::\"m\"",
            _ => "User::\"u\"",
        };
        Some(json!({
            "template_id": format!("p{at}"), "link_id": format!("l{at}"), "args": {"?principal": whom},
        }))
    });
    links.collect()
}

proptest! {
    #![proptest_config(cases(16))]

    /// With templates, links of the repository or any, failing forbids that deny or
    /// are skipped, and, where they deny, entities that are named but not there.
    #[test]
    fn what_is_proved_holds_whatever_is_linked_missing_or_fails(
        picks in prop::collection::vec((any::<u8>(), any::<usize>(), any::<usize>()), 1..4),
        about in 0..CONDITIONS.len(),
        never in any::<bool>(),
        skips_errors in any::<bool>(),
        of_repository in any::<bool>(),
        linked in any::<u8>(),
        asked in prop::collection::vec((any::<bool>(), number(), number(), any::<u8>(), any::<u8>()), 150),
    ) {
        let Some(options) = options() else { return Ok(()) };
        let (key, scope) = (if never { "never" } else { "always" }, if of_repository { "repository" } else { "any" });
        let matcher = format!("permit (principal, action, resource) when {{ {} }};", CONDITIONS[about]);
        let invariant = format!("invariants:\n  - name: x\n    links: {scope}\n    {key}: |\n      {matcher}\n");
        let manifest = if skips_errors { "errors = \"cedar\"\n" } else { "" };
        let text = with_templates(&picks);
        let (bytes, known) = (|text: &str| text.as_bytes().to_vec(), links(&picks, linked).to_string());
        let files = Files::new([
            ("manifest.toml".to_owned(), bytes(manifest)),
            ("s.cedarschema".to_owned(), bytes(SCHEMA)),
            ("p.cedar".to_owned(), bytes(&text)),
            ("links/l.json".to_owned(), bytes(if of_repository { &known } else { "[]" })),
            ("invariants.yaml".to_owned(), bytes(&invariant)),
        ]);
        let snapshot = compile(&files).unwrap();
        let view = deodar::directory::load(&snapshot, &files).unwrap();
        let demands = invariants::read(&files, &snapshot, &[]);
        let side = Side { snapshot: &snapshot, view: &view };
        let proofs = symbolic::prove(side, &demands.invariants, &options, &|| ()).unwrap();
        let about = self::snapshot(&matcher);
        let decided_here = |question: &Question| {
            let asked = question.asked(&snapshot, &view).unwrap();
            decide(&snapshot, &asked.view, &asked.query).unwrap()
        };
        for (environment, outcome) in &proofs[0].outcomes {
            match outcome {
                Outcome::Holds => for (action, level, n, flags, linked) in &asked {
                    let mut question = question(*action, *level, *n, *flags);
                    if never && !skips_errors && flags & (1 << 6) != 0 {
                        question.entities.as_array_mut().unwrap().remove(1);
                    }
                    if !of_repository {
                        let links = links(&picks, *linked).to_string();
                        question.links = Link::parse_file("l.json", &links).unwrap();
                    }
                    let unlinked = Question { links: Vec::new(), ..question.clone() };
                    if *question.action == environment.action && decided(&about, &unlinked).is_allow() {
                        let allowed = decided_here(&question).is_allow();
                        prop_assert!(allowed != never, "{text} {question:?}");
                    }
                },
                Outcome::Broken(example) => {
                    let question = pasted(&snapshot, example, "x").question;
                    prop_assert!(decided_here(&question).is_allow() == never);
                    let unlinked = Question { links: Vec::new(), ..question };
                    prop_assert!(decided(&about, &unlinked).is_allow());
                }
                Outcome::Unknown(reason) => prop_assert!(false, "{text} {matcher} {reason}"),
            }
        }
    }
}
