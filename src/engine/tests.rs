//! Decisions and explanations on a small repository of their own.

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;

use super::Cause;
use super::Decision;
use super::Files;
use super::Query;
use super::Snapshot;
use super::View;
use super::compile;
use super::decide;
use super::digest::Digest;
use super::examine::Verdict;
use super::examine::clauses;
use super::examine::examine;
use super::examine::with_candidates;
use super::explain;
use super::explain::Explanation;
use super::query::Context;
use super::view::closed;

const SCHEMA: &str = "
entity User { level: Long, badge?: String };
entity Lock;
entity Topic;
action open, close appliesTo { principal: [User], resource: [Lock, Topic], context: { night?: Bool } };
";

const POLICIES: &str = r#"
@id("staff")
@obligation("log, , step-up")
permit(principal, action == Action::"open", resource)
when { principal.level > 0 }
when {
  principal.badge == "gold" &&
  principal.level >= 5
};

@id("curfew")
@obligation("alarm")
forbid(principal, action, resource)
unless { !context.night };
"#;

const MANIFEST: &str = "implicit_types = [\"Topic\"]\n";

struct World {
    snapshot: Snapshot,
    view: View,
}

fn world_of(manifest: &str, policies: &str) -> World {
    let files = [
        ("manifest.toml", manifest),
        ("s.cedarschema", SCHEMA),
        ("p.cedar", policies),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    let snapshot = compile(&Files::new(files)).unwrap();
    let user = |id: &str, attrs: &str| {
        let json = format!(
            r#"{{"uid": {{"type": "User", "id": "{id}"}}, "attrs": {attrs}, "parents": []}}"#
        );
        let entity = cedar_policy::Entity::from_json_str(&json, None).unwrap();
        let core: &cedar_policy_core::ast::Entity = entity.as_ref();
        Arc::new(core.clone())
    };
    let lock = cedar_policy_core::ast::Entity::with_uid(uid("Lock", "l"));
    let entities = [
        user("gold", r#"{"level": 5, "badge": "gold"}"#),
        user("low", r#"{"level": 3, "badge": "gold"}"#),
        user("bare", r#"{"level": 5}"#),
        Arc::new(lock),
    ];
    let view = View::new(
        &snapshot,
        Digest::of_files([]),
        closed(entities).unwrap(),
        &[],
    )
    .unwrap();
    World { snapshot, view }
}

fn uid(kind: &str, id: &str) -> EntityUID {
    EntityUID::with_eid_and_type(kind, id).unwrap()
}

impl World {
    fn query(&self, user: &str, action: &str, resource: EntityUID, context: Context) -> Query {
        let principal = Arc::new(uid("User", user));
        let action = Arc::new(uid("Action", action));
        Query::new(
            &self.snapshot,
            principal,
            action,
            Arc::new(resource),
            Arc::new(context),
            Arc::new([]),
        )
        .unwrap()
    }

    fn opens(&self, user: &str) -> Query {
        self.query(user, "open", uid("Lock", "l"), Context::new())
    }

    fn decide(&self, query: &Query) -> Decision {
        decide(&self.snapshot, &self.view, query).unwrap()
    }

    fn explain(&self, query: &Query) -> Explanation {
        explain(&self.snapshot, &self.view, query).unwrap()
    }
}

#[test]
fn a_near_miss_names_the_condition_its_line_and_what_it_read() {
    let world = loose(MANIFEST);
    let explanation = world.explain(&world.opens("low"));
    let [miss] = explanation.near_misses.as_slice() else {
        panic!("{explanation:?}");
    };
    assert_eq!(
        (&*miss.policy.id, &*miss.condition, miss.line),
        ("staff", "principal.level >= 5", 8)
    );
    assert_eq!(miss.error, None);
    let values: Vec<_> = miss
        .values
        .iter()
        .map(|read| format!("{} = {}", read.expression, read.value))
        .collect();
    assert_eq!(values.concat(), "principal.level = 3");
    assert!(world.explain(&world.opens("gold")).near_misses.is_empty());
}

#[test]
fn a_near_miss_that_failed_says_how() {
    let unsafe_policies = POLICIES.replace("unless { !context.night }", "when { context.night }");
    let world = world_of("validate = \"off\"\n", &unsafe_policies);
    let explanation = world.explain(&world.opens("bare"));
    let miss = &explanation.near_misses[0];
    assert_eq!(
        (&*miss.condition, miss.line),
        ("principal.badge == \"gold\"", 7)
    );
    assert!(miss.error.as_ref().unwrap().contains("badge"), "{miss:?}");
    assert!(miss.values[0].value.starts_with('('), "{miss:?}");
}

#[test]
fn obligations_come_from_whatever_decided() {
    let world = loose(MANIFEST);
    let names = |decision: &Decision| -> Vec<String> {
        decision
            .obligations()
            .map(|(name, policy)| format!("{name} of {}", policy.id))
            .collect()
    };
    let allowed = world.decide(&world.opens("gold"));
    assert!(allowed.is_allow());
    assert_eq!(names(&allowed), ["log of staff", "step-up of staff"]);
    let night = Context::from([("night".into(), true.into())]);
    let forbidden = world.decide(&world.query("gold", "open", uid("Lock", "l"), night));
    assert_eq!(forbidden.cause(), Some(Cause::Forbidden));
    assert_eq!(names(&forbidden), ["alarm of curfew"]);
}

fn loose(manifest: &str) -> World {
    let policies = POLICIES.replace(
        "unless { !context.night }",
        "when { context has night && context.night }",
    );
    world_of(&format!("{manifest}validate = \"off\"\n"), &policies)
}

#[test]
fn a_forbid_that_fails_denies_unless_cedar_rules() {
    let policies = POLICIES.replace("unless { !context.night }", "when { context.night }");
    let cause = |manifest: &str| {
        let world = world_of(&format!("{manifest}validate = \"off\"\n"), &policies);
        let decision = world.decide(&world.opens("gold"));
        assert_eq!(decision.errors.len(), 1);
        assert_eq!(decision.errors[0].policy.id, "curfew");
        decision.cause()
    };
    assert_eq!(cause(""), Some(Cause::ForbidFailed));
    assert_eq!(cause("errors = \"cedar\"\n"), None);
}

#[test]
fn what_nobody_knows_is_denied() {
    let world = loose(MANIFEST);
    let cause = |user: &str, action: &str, resource: EntityUID| {
        let query = world.query(user, action, resource, Context::new());
        assert!(world.explain(&query).left_out == 0);
        world.decide(&query).cause()
    };
    assert_eq!(cause("gold", "open", uid("Lock", "l")), None);
    assert_eq!(
        cause("gold", "close", uid("Lock", "l")),
        Some(Cause::NoPermit)
    );
    assert_eq!(
        cause("nobody", "open", uid("Lock", "l")),
        Some(Cause::UnknownPrincipal)
    );
    assert_eq!(
        cause("gold", "open", uid("Lock", "other")),
        Some(Cause::UnknownResource)
    );
    assert_eq!(
        cause("gold", "break", uid("Lock", "l")),
        Some(Cause::UnknownAction)
    );
    assert_eq!(
        cause("gold", "open", uid("User", "low")),
        Some(Cause::NotApplicable)
    );
    // Topics exist without being stored.
    assert_eq!(cause("gold", "open", uid("Topic", "a/b")), None);
    let cedar = loose("unknown = \"cedar\"\n");
    let asked = cedar.query("gold", "open", uid("Lock", "other"), Context::new());
    assert!(cedar.decide(&asked).is_allow());
}

/// Its scope reads the action's groups, which no slice has for it.
#[test]
fn a_forbid_whose_condition_is_no_boolean_fails_with_carried_entities_too() {
    let policies =
        "@id(\"odd\") forbid(principal, action in Action::\"all\", resource) when { {a: 1} };
        permit(principal, action, resource);";
    let schema = SCHEMA.replace(
        "action open, close",
        "action all;\naction open, close in all",
    );
    let files = [
        ("manifest.toml", "validate = \"off\""),
        ("s.cedarschema", &schema),
        ("p.cedar", policies),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    let snapshot = compile(&Files::new(files)).unwrap();
    let view = View::new(&snapshot, Digest::of_files([]), closed([]).unwrap(), &[]).unwrap();
    let mut world = World { snapshot, view };
    let json = r#"{"uid": {"type": "User", "id": "gold"}, "attrs": {"level": 1}, "parents": []}"#;
    let user = cedar_policy::Entity::from_json_str(json, None).unwrap();
    let core: &cedar_policy_core::ast::Entity = user.as_ref();
    let lock = cedar_policy_core::ast::Entity::with_uid(uid("Lock", "l"));
    let mut query = world.opens("gold");
    query.overlay = Arc::new([core.clone(), lock.clone()]);
    let carried = world.decide(&query);
    assert_eq!(carried.cause(), Some(Cause::ForbidFailed));
    assert_eq!(
        carried.errors[0].message,
        "type error: expected bool, got record"
    );

    let stored = closed([Arc::new(core.clone()), Arc::new(lock)]).unwrap();
    world.view = View::new(&world.snapshot, Digest::of_files([]), stored, &[]).unwrap();
    assert_eq!(
        world.decide(&world.opens("gold")).cause(),
        Some(Cause::ForbidFailed)
    );
}

/// Conditions of nearly as many levels as a text may have; all hold of `gold`.
fn deep_conditions() -> [String; 4] {
    let long = |part: &str, with: &str| vec![part; 980].join(with);
    [
        format!(
            "{} || principal.level == 5",
            long("principal.level == 1", " || ")
        ),
        long("principal.level == 5", " && "),
        format!("0 < principal.level + {}", long("1", " + ")),
        format!("!({})", long("principal.level == 1", " || ")),
    ]
}

#[test]
fn a_deep_condition_comes_to_the_same_on_any_thread() {
    for condition in deep_conditions() {
        let text =
            format!("@id(\"deep\") permit(principal, action, resource) when {{ {condition} }};");
        let world = world_of(MANIFEST, &text);
        let query = world.opens("gold");
        let asked = || {
            let examination = examine(&world.snapshot, &world.view, &query, true).unwrap();
            let [examined] = examination.policies.as_slice() else {
                panic!("{examination:?}")
            };
            assert_eq!(examined.verdict, Verdict::Satisfied, "{condition}");
            assert!(world.decide(&query).is_allow(), "{condition}");
            let misses = world.explain(&world.opens("low")).near_misses;
            assert!(misses.iter().all(|miss| miss.error.is_none()), "{misses:?}");
            let steps =
                with_candidates(&world.snapshot, &world.view, &query, |found, evaluator| {
                    let [policy] = found else { panic!() };
                    let condition = policy.cedar.non_scope_constraints().unwrap();
                    evaluator.interpret(condition, policy.cedar.env()).is_ok()
                });
            assert_eq!(steps.unwrap(), Ok(true), "{condition}");
        };
        std::thread::scope(|scope| {
            for bytes in [1 << 20, 8 << 20] {
                let thread = std::thread::Builder::new().stack_size(bytes);
                thread.spawn_scoped(scope, asked).unwrap().join().unwrap();
            }
        });
    }
}

#[test]
fn what_is_deeper_than_its_operators_is_refused() {
    let groups = |count: usize| {
        (0..count).fold("principal.level == 5".to_owned(), |text, _| {
            format!("({text}{})", " && principal.level == 5".repeat(300))
        })
    };
    let compiled = |count: usize| {
        let text = format!(
            "permit(principal, action, resource) when {{ {} }};",
            groups(count)
        );
        let files = [("s.cedarschema", SCHEMA), ("p.cedar", &*text)];
        compile(&Files::new(files.map(|(path, text)| {
            (path.to_owned(), text.as_bytes().to_vec())
        })))
    };
    assert!(compiled(3).is_ok());
    let faults = compiled(15).unwrap_err();
    assert_eq!(faults.first().unwrap().message, "nested too deep");
}

#[test]
fn a_test_of_type_and_group_is_one_clause() {
    let text = "permit(principal, action, resource) when { principal is User in User::\"gold\" && principal.level == 5 };";
    let world = world_of(MANIFEST, text);
    let policy = world.snapshot.rules().iter().next().unwrap();
    let clauses = clauses(policy.cedar.template(), &policy.info);
    let texts: Vec<&str> = clauses.iter().map(|clause| &*clause.text).collect();
    assert_eq!(
        texts,
        [
            "principal is User in User::\"gold\"",
            "principal.level == 5"
        ]
    );
    let seen = |user: &str| -> Vec<Result<bool, String>> {
        let query = world.opens(user);
        let examination = examine(&world.snapshot, &world.view, &query, false).unwrap();
        let seen = examination
            .policies
            .into_iter()
            .flat_map(|policy| policy.seen);
        seen.map(|seen| seen.value).collect()
    };
    assert_eq!(seen("gold"), [Ok(true), Ok(true)]);
    assert_eq!(seen("low"), [Ok(false)]);
}
