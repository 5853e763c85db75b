//! Cedar's integration corpus, through the engine and through `Authorizer`.
//!
//! Every request of every case must get the decision, the reasons and the
//! errors that the case expects, from both; and from the engine once more behind
//! the decision cache and over a directory, the second time as a hit. The corpus is the folder that
//! `DEODAR_CEDAR_CORPUS` names: flattened, or laid out as
//! `cedar-integration-tests` is. Without the variable, the archive beside the
//! project is unpacked; without that, the test says so and passes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::disallowed_methods,
    reason = "a failed test may panic, and a test may read its environment"
)]

#[path = "it/served.rs"]
#[expect(clippy::redundant_pub_crate, reason = "shared with the other tests")]
mod served;

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use cedar_policy::AuthorizationError;
use cedar_policy::Authorizer;
use cedar_policy::Context;
use cedar_policy::Entities;
use cedar_policy::EntityUid;
use cedar_policy::PolicySet;
use cedar_policy::Request;
use cedar_policy::Schema;
use cedar_policy_core::ast;
use deodar::engine::Decision;
use deodar::engine::Files;
use deodar::engine::Query;
use deodar::engine::decide;
use serde_json::Value as Json;
use served::Served;

const MANIFEST: &str = "errors = \"cedar\"\nunknown = \"cedar\"\nvalidate = \"off\"\n";
/// At most so many mismatches are shown.
const SHOWN_MAX: usize = 10;

#[test]
fn cedar_corpus() {
    let unpacked;
    let root = if let Ok(folder) = std::env::var("DEODAR_CEDAR_CORPUS") {
        PathBuf::from(folder)
    } else {
        let archive =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cedar-corpus.tar.gz");
        if !archive.is_file() {
            eprintln!(
                "skipped: no {} and no DEODAR_CEDAR_CORPUS",
                archive.display()
            );
            return;
        }
        unpacked = unpack(&archive);
        unpacked.path().to_owned()
    };
    let cases = cases(&root);
    assert!(!cases.is_empty(), "no case in {}", root.display());
    let tally = run_all(&root, &cases);
    eprintln!(
        "{} cases, {} requests: {} allow, {} deny, {} with errors, {} skipped",
        cases.len(),
        tally.requests,
        tally.allows,
        tally.requests - tally.allows,
        tally.with_errors,
        tally.skipped.len()
    );
    for skipped in tally.skipped.iter().take(SHOWN_MAX) {
        eprintln!("skipped: {skipped}");
    }
    let shown = tally
        .mismatches
        .iter()
        .take(SHOWN_MAX)
        .cloned()
        .collect::<Vec<_>>();
    assert!(
        shown.is_empty(),
        "{} mismatches:\n{}",
        tally.mismatches.len(),
        shown.join("\n")
    );
    assert!(tally.requests > 0, "no request in {} cases", cases.len());
    assert!(
        tally.skipped.len() * 100 <= tally.requests,
        "more than a hundredth skipped: {} of {}",
        tally.skipped.len(),
        tally.requests
    );
}

fn unpack(archive: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("tar")
        .arg("xzf")
        .arg(archive)
        .arg("-C")
        .arg(folder.path())
        .status()
        .expect("the `tar` program");
    assert!(status.success(), "tar: {status}");
    folder
}

/// The case files below a folder: JSON with `requests` in it.
fn cases(root: &Path) -> Vec<PathBuf> {
    let mut open = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path);
            } else if is_case_name(&name)
                && parse(&path).is_some_and(|case| case["requests"].is_array())
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn is_case_name(name: &str) -> bool {
    let other = [".entities.json", ".validation.json", ".cedarschema.json"];
    name.ends_with(".json") && !other.iter().any(|end| name.ends_with(end))
}

fn parse(path: &Path) -> Option<Json> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

#[derive(Default)]
struct Tally {
    requests: usize,
    allows: usize,
    with_errors: usize,
    skipped: Vec<String>,
    mismatches: Vec<String>,
}

/// Runs the cases on as many threads as there are processors.
fn run_all(root: &Path, cases: &[PathBuf]) -> Tally {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut tally = Tally::default();
        while let Some(path) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            run(root, path, &mut tally);
        }
        tally
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Tally::default();
        for tally in running.into_iter().map(|thread| thread.join().unwrap()) {
            all.requests += tally.requests;
            all.allows += tally.allows;
            all.with_errors += tally.with_errors;
            all.skipped.extend(tally.skipped);
            all.mismatches.extend(tally.mismatches);
        }
        all
    })
}

/// One case, loaded by Cedar and by the engine.
struct Case {
    json: Json,
    schema: Schema,
    policies: PolicySet,
    entities: Entities,
    served: Served,
}

impl Case {
    fn load(root: &Path, path: &Path) -> Result<Self, String> {
        let json = parse(path).ok_or("not JSON")?;
        let text = |key: &str| read(root, path, json[key].as_str().unwrap_or_default());
        let (policies, schema, entities) = (text("policies")?, text("schema")?, text("entities")?);
        let files = Files::new([
            ("manifest.toml".to_owned(), MANIFEST.into()),
            ("p.cedar".to_owned(), policies.clone().into_bytes()),
            ("s.cedarschema".to_owned(), schema.clone().into_bytes()),
            ("entities/e.json".to_owned(), entities.clone().into_bytes()),
        ]);
        let policies: PolicySet = policies.parse().map_err(show)?;
        let (schema, _) = Schema::from_cedarschema_str(&schema).map_err(show)?;
        let entities = Entities::from_json_str(&entities, Some(&schema)).map_err(show)?;
        // What Cedar loads, the engine must load: from here on nothing is skipped.
        let served =
            Served::new(&files).unwrap_or_else(|faults| panic!("{}: {faults:?}", path.display()));
        Ok(Self {
            json,
            schema,
            policies,
            entities,
            served,
        })
    }
}

/// A file that a case names: below the root, or beside the case by its name.
fn read(root: &Path, case: &Path, named: &str) -> Result<String, String> {
    let beside = || Some(case.parent()?.join(Path::new(named).file_name()?));
    std::fs::read_to_string(root.join(named))
        .or_else(|error| match beside() {
            Some(beside) => std::fs::read_to_string(beside),
            None => Err(error),
        })
        .map_err(|error| format!("{named}: {error}"))
}

fn show(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn run(root: &Path, path: &Path, tally: &mut Tally) {
    let case = match Case::load(root, path) {
        Ok(case) => case,
        Err(error) => {
            tally.skipped.push(format!("{}: {error}", path.display()));
            return;
        }
    };
    for request in case.json["requests"].as_array().unwrap() {
        match Asked::new(&case, request) {
            Ok(asked) => {
                let (expected, cedar) = (expected(request), asked.cedar(&case));
                let pinned = case.served.pdp.pin().unwrap();
                let made = decide(pinned.snapshot(), pinned.view(), &asked.query);
                let ours = answer(&made.unwrap());
                let cached = answer(&case.served.decide(&asked.query));
                tally.requests += 1;
                tally.allows += usize::from(ours.allow);
                tally.with_errors += usize::from(!ours.errors.is_empty());
                if [&ours, &cedar, &cached] != [&expected; 3] {
                    tally.mismatches.push(format!(
                        "{}: {}: expected {expected:?}, Cedar {cedar:?}, the engine {ours:?}, cached {cached:?}",
                        path.display(),
                        request["description"]
                    ));
                }
            }
            Err(error) => tally.skipped.push(format!(
                "{}: {}: {error}",
                path.display(),
                request["description"]
            )),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    allow: bool,
    reasons: BTreeSet<String>,
    errors: BTreeSet<String>,
}

fn expected(request: &Json) -> Answer {
    let ids = |key: &str| {
        let ids = request[key].as_array().unwrap().iter();
        ids.map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    Answer {
        allow: request["decision"] == "allow",
        reasons: ids("reason"),
        errors: ids("errors"),
    }
}

struct Asked {
    request: Request,
    query: Query,
}

impl Asked {
    fn new(case: &Case, json: &Json) -> Result<Self, String> {
        let uid = |key: &str| EntityUid::from_json(json[key].clone()).map_err(show);
        let (principal, action, resource) = (uid("principal")?, uid("action")?, uid("resource")?);
        let context =
            Context::from_json_value(json["context"].clone(), Some((&case.schema, &action)))
                .map_err(show)?;
        let core = |uid: &EntityUid| -> Arc<ast::EntityUID> { Arc::new(uid.as_ref().clone()) };
        let values = match context.as_ref() {
            ast::Context::Value(values) => Arc::clone(values),
            ast::Context::RestrictedResidual(_) => return Err("a partial context".to_owned()),
        };
        let is_checked = json
            .get("validateRequest")
            .and_then(Json::as_bool)
            .unwrap_or(true);
        let query = Query {
            principal: core(&principal),
            action: core(&action),
            resource: core(&resource),
            context: values,
            overlay: Arc::new([]),
        };
        let schema = is_checked.then_some(&case.schema);
        let request = Request::new(principal, action, resource, context, schema).map_err(show)?;
        if is_checked {
            // What fits the schema by Cedar fits it by the engine.
            let Query {
                principal,
                action,
                resource,
                context,
                overlay,
            } = query.clone();
            Query::new(
                case.served.pdp.pin().unwrap().snapshot(),
                principal,
                action,
                resource,
                context,
                overlay,
            )
            .unwrap_or_else(|error| panic!("{json}: {error}"));
        }
        Ok(Self { request, query })
    }

    fn cedar(&self, case: &Case) -> Answer {
        let response =
            Authorizer::new().is_authorized(&self.request, &case.policies, &case.entities);
        Answer {
            allow: response.decision() == cedar_policy::Decision::Allow,
            reasons: response
                .diagnostics()
                .reason()
                .map(ToString::to_string)
                .collect(),
            errors: response
                .diagnostics()
                .errors()
                .map(|error| match error {
                    AuthorizationError::PolicyEvaluationError(error) => {
                        error.policy_id().to_string()
                    }
                })
                .collect(),
        }
    }
}

fn answer(decision: &Decision) -> Answer {
    // Ours are `p.cedar#3` where Cedar's are `policy3`.
    let id = |id: &str| id.replacen("p.cedar#", "policy", 1);
    Answer {
        allow: decision.is_allow(),
        reasons: decision
            .policies
            .iter()
            .map(|policy| id(&policy.id))
            .collect(),
        errors: decision
            .errors
            .iter()
            .map(|error| id(&error.policy.id))
            .collect(),
    }
}
