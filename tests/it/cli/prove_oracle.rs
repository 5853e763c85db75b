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
action read, write appliesTo { principal: User, resource: Doc, context: { n: Long } };
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
        let demands = invariants::read(&files, &snapshot, &[]).unwrap();
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

#[test]
fn what_is_pasted_is_what_was_shown() {
    let Some(options) = options() else { return };
    let invariant = "invariants:\n  - name: it's closed\n    never: |\n      permit (principal, action, resource) when { principal has mate && principal.mate.level > 1 };\n";
    let files = files(
        "permit (principal in Group::\"a\", action, resource) when { context.n == 7 };",
        invariant,
    );
    let snapshot = compile(&files).unwrap();
    let demands = invariants::read(&files, &snapshot, &[]).unwrap();
    let view = View::empty("none");
    let side = Side {
        snapshot: &snapshot,
        view: &view,
    };
    let proofs = symbolic::prove(side, &demands.invariants, &options, &|| ()).unwrap();
    let (_, example) = proofs[0].broken().next().unwrap();
    let text = example.test_case("it's closed", &[], symbolic::counterexample::Wanted::Deny);
    let pasted: Vec<Case> = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(pasted[0].name, "it's closed");
    assert_eq!(pasted[0].decision, "deny");
    let read = pasted[0].question();
    assert!(decided(&snapshot, &read).is_allow(), "{text}");
    same(&read, example);
}

fn same(read: &Question, example: &Counterexample) {
    let shown = example.question();
    assert_eq!(read.principal, shown.principal);
    assert_eq!(read.context, shown.context);
    assert_eq!(read.entities, shown.entities);
}

/// A case of a test file, as far as counterexamples use it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    principal: String,
    action: String,
    resource: String,
    #[serde(default)]
    context: serde_json::Map<String, serde_json::Value>,
    entities: Vec<Entity>,
    decision: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entity {
    uid: String,
    #[serde(default)]
    parents: Vec<String>,
    #[serde(default)]
    attrs: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    tags: serde_json::Map<String, serde_json::Value>,
}

impl Case {
    fn question(&self) -> Question {
        let uid = |text: &str| {
            let uid: cedar_policy::EntityUid = text.parse().unwrap();
            std::sync::Arc::new(uid.as_ref().clone())
        };
        let json = |text: &String| {
            let uid = uid(text);
            let id: &str = uid.eid().as_ref();
            json!({"type": uid.entity_type().to_string(), "id": id})
        };
        let entities = self.entities.iter().map(|entity| {
            json!({
                "uid": json(&entity.uid),
                "parents": entity.parents.iter().map(json).collect::<Vec<_>>(),
                "attrs": entity.attrs,
                "tags": entity.tags,
            })
        });
        Question {
            principal: uid(&self.principal),
            action: uid(&self.action),
            resource: uid(&self.resource),
            context: serde_json::Value::Object(self.context.clone()).into(),
            is_alone: false,
            entities: entities.collect(),
            links: Vec::new(),
            now: None,
        }
    }
}
