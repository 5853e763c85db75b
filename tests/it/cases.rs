//! The decision cases of `policies/tests/`, and that they leave no policy out.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::EntityUID;
use deodar::directory;
use deodar::engine::Decision;
use deodar::engine::Query;
use deodar::engine::Snapshot;
use deodar::engine::View;
use deodar::engine::compile;
use deodar::engine::decide;
use deodar::source;
use serde::Deserialize;

use super::convert;
use super::served::Served;
use super::support::reference;
use super::support::root;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    #[expect(dead_code, reason = "for the reader of the file")]
    name: String,
    #[expect(dead_code, reason = "for the reader of the file")]
    description: String,
    cases: Vec<Case>,
}

/// One question with its expected answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) principal: String,
    pub(crate) action: String,
    pub(crate) resource: String,
    #[serde(default)]
    pub(crate) context: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    pub(crate) entities: Vec<serde_json::Value>,
    pub(crate) decision: String,
    pub(crate) policies: BTreeSet<String>,
    #[serde(default)]
    pub(crate) errors: BTreeSet<String>,
    pub(crate) cause: Option<String>,
}

/// What a door answered, in the form that all doors share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) allow: bool,
    pub(crate) policies: BTreeSet<String>,
    pub(crate) errors: BTreeSet<String>,
    /// Empty when allowed.
    pub(crate) cause: String,
}

impl Case {
    /// Compares an answer with the expected one; the message names the case.
    pub(crate) fn verify(&self, door: &str, told: &Told) -> Result<(), String> {
        let expected = Told {
            allow: self.decision == "allow",
            policies: self.policies.clone(),
            errors: self.errors.clone(),
            cause: match (
                &self.cause,
                self.decision.as_str(),
                self.policies.is_empty(),
            ) {
                (Some(cause), "deny", _) if cause != "policy" => cause.clone(),
                (_, "deny", false) => "forbidden".to_owned(),
                (_, "deny", true) => "no_permit".to_owned(),
                _ => String::new(),
            },
        };
        if *told == expected {
            Ok(())
        } else {
            Err(format!(
                "{door}: {}\n  expected {expected:?}\n  told     {told:?}",
                self.name
            ))
        }
    }
}

/// All cases, in order of file.
pub(crate) fn all() -> Vec<Case> {
    let folder = root().join("policies/tests");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let file: CaseFile = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        cases.extend(file.cases);
    }
    assert!(cases.len() >= 300, "only {} cases", cases.len());
    cases
}

/// The reference policies and their world.
pub(crate) fn world() -> (Snapshot, View) {
    let files = source::read(&reference(), &source::Limits::default()).unwrap();
    let snapshot = compile(&files).unwrap();
    let view = directory::load(&snapshot, &files).unwrap();
    (snapshot, view)
}

/// The question of a case, for the engine.
pub(crate) fn query(snapshot: &Snapshot, case: &Case) -> Query {
    let uid = |text: &str| {
        let uid = EntityUid::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let uid: &EntityUID = uid.as_ref();
        Arc::new(uid.clone())
    };
    Query::new(
        snapshot,
        uid(&case.principal),
        uid(&case.action),
        uid(&case.resource),
        Arc::new(convert::context(&case.context)),
        case.entities.iter().map(convert::entity).collect(),
    )
    .unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

fn told(decision: &Decision) -> Told {
    Told {
        allow: decision.is_allow(),
        policies: decision
            .policies
            .iter()
            .map(|policy| policy.id.to_string())
            .collect(),
        errors: decision
            .errors
            .iter()
            .map(|error| error.policy.id.to_string())
            .collect(),
        cause: decision
            .cause()
            .map(|cause| cause.as_str().to_owned())
            .unwrap_or_default(),
    }
}

#[test]
fn engine_answers_every_case() {
    let (snapshot, view) = world();
    let mut faults = Vec::new();
    for case in all() {
        let decision = decide(&snapshot, &view, &query(&snapshot, &case)).unwrap();
        faults.extend(case.verify("engine", &told(&decision)).err());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Seen to fail when `find` never hits, and when the seed leaves out links.
#[test]
fn directory_and_cache_answer_every_case() {
    let files = source::read(&reference(), &source::Limits::default()).unwrap();
    let served = Served::new(&files).unwrap();
    let mut faults = Vec::new();
    for case in all() {
        let query = query(served.pdp.pin().unwrap().snapshot(), &case);
        faults.extend(case.verify("cached", &told(&served.decide(&query))).err());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let (hits, _) = served.pdp.counters().cache().hits_and_misses();
    assert!(hits > 250, "{hits} hits");
}

#[test]
fn names_of_cases_are_unique() {
    let mut names = BTreeSet::new();
    for case in all() {
        assert!(names.insert(case.name.clone()), "twice: {}", case.name);
    }
}

/// Every policy and link decides some case, and fails to decide some case
/// although its scope matches, so that neither its scope nor its condition can
/// go unnoticed.
#[test]
fn every_policy_is_permitted_and_denied() {
    let (snapshot, view) = world();
    let mut decided: BTreeMap<String, usize> = BTreeMap::new();
    let mut missed: BTreeMap<String, usize> = BTreeMap::new();
    for case in all() {
        let query = query(&snapshot, &case);
        let decision = decide(&snapshot, &view, &query).unwrap();
        for policy in &decision.policies {
            *decided.entry(policy.id.to_string()).or_default() += 1;
        }
        for policy in snapshot.rules().iter().chain(view.links().iter()) {
            let id = policy.info.id.as_str();
            if !decision.policies.iter().any(|decided| decided.id == id) {
                *missed.entry(id.to_owned()).or_default() += 1;
            }
        }
    }
    for policy in snapshot.rules().iter().chain(view.links().iter()) {
        let id = policy.info.id.as_str();
        assert!(decided.contains_key(id), "`{id}` decides no case");
        assert!(missed.contains_key(id), "`{id}` decides every case");
    }
}

#[test]
fn every_policy_says_what_people_need() {
    let (snapshot, _) = world();
    let mut with_advice = 0;
    let mut with_control = 0;
    let templates = snapshot.templates().map(|template| &template.info);
    let policies = snapshot.rules().iter().map(|policy| &policy.info);
    for info in policies.chain(templates) {
        for name in ["id", "title", "reason"] {
            assert!(
                info.annotation(name).is_some(),
                "`{}` has no @{name}",
                info.id
            );
        }
        with_advice += usize::from(info.annotation("advice").is_some());
        with_control += usize::from(info.annotation("control").is_some());
    }
    assert!(
        with_advice >= 20 && with_control >= 25,
        "{with_advice} {with_control}"
    );
    assert!(snapshot.warnings().is_empty(), "{:?}", snapshot.warnings());
}

#[test]
fn the_world_is_as_large_as_it_says() {
    let (snapshot, view) = world();
    assert!(view.len() >= 60, "{} entities", view.len());
    assert!(snapshot.rules().len() >= 40);
    assert!(!view.links().is_empty());
}
