//! The policy engineer's tools: how long each takes, whole processes.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use deodar::directory;
use deodar::engine::Files;
use deodar::engine::compile;
use deodar::engine::files::Role;
use deodar::source;
use deodar::testing;
use deodar::testing::Case;
use deodar::testing::suite::ExpectedPolicies;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value as Json;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use super::Effort;
use super::process;

/// Cases that are run.
pub(crate) const CASES: usize = 2_000;
/// Policies of each repository that is compared with another.
pub(crate) const COMPARED: usize = 500;
/// Policies that are linted and validated.
pub(crate) const LINTED: usize = 10_000;

/// Seconds that commands took, each time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tools {
    /// `deodar test`, cases in YAML.
    pub(crate) test_yaml: Vec<f64>,
    /// `deodar test`, the same cases as Cedar's command line takes them.
    pub(crate) test_json: Vec<f64>,
    /// `cedar run-tests` of these.
    pub(crate) cedar: Vec<f64>,
    /// Which one that was; empty when there is none.
    pub(crate) cedar_version: String,
    /// How many of the cases it takes for passed.
    pub(crate) cedar_said: String,
    /// `deodar test --coverage` of the reference policies.
    pub(crate) coverage: Vec<f64>,
    /// `deodar test --mutate` of the reference policies.
    pub(crate) mutate: Vec<f64>,
    /// The last line that it printed.
    pub(crate) mutate_said: String,
    /// `deodar diff` of two repositories that differ in ten policies.
    pub(crate) diff: Vec<f64>,
    /// `deodar lint`.
    pub(crate) lint: Vec<f64>,
    /// `deodar validate`.
    pub(crate) validate: Vec<f64>,
    /// `deodar prove` of the reference policies, built-in reports with it.
    pub(crate) prove: Vec<f64>,
}

/// Runs every command several times, in turns.
pub(crate) fn measure(effort: Effort) -> Result<Tools, String> {
    let reference = process::policies()?;
    let tested = TempDir::new().map_err(|error| error.to_string())?;
    let cedar = cases(reference.path(), tested.path())?;
    let compared = [
        compared(reference.path(), 0)?,
        compared(reference.path(), 10)?,
    ];
    let linted = linted(reference.path())?;
    let version = run(Command::new("cedar").arg("--version"), &[0])
        .map(|(_, text)| text.trim().to_owned())
        .unwrap_or_default();
    let mut tools = Tools {
        test_yaml: Vec::new(),
        test_json: Vec::new(),
        cedar: Vec::new(),
        cedar_version: version,
        cedar_said: String::new(),
        coverage: Vec::new(),
        mutate: Vec::new(),
        mutate_said: String::new(),
        diff: Vec::new(),
        lint: Vec::new(),
        validate: Vec::new(),
        prove: Vec::new(),
    };
    for round in 0..effort.repetitions.min(5) {
        let yaml = tested.path().join("yaml");
        let json = tested.path().join("json");
        tools.test_yaml.push(deodar(&["test"], &[&yaml], &[0])?.0);
        // Once: these take long.
        if round == 0 {
            tools.test_json.push(deodar(&["test"], &[&json], &[0])?.0);
        }
        if round == 0 && !tools.cedar_version.is_empty() {
            let (seconds, said) = run(cedar.command().current_dir(tested.path()), &[0, 1])?;
            tools.cedar.push(seconds);
            said.lines()
                .last()
                .unwrap_or_default()
                .clone_into(&mut tools.cedar_said);
        }
        let policies = [reference.path()];
        let coverage = ["test", "--coverage"];
        tools.coverage.push(deodar(&coverage, &policies, &[0])?.0);
        let (seconds, said) = deodar(&["test", "--mutate"], &policies, &[0, 5])?;
        tools.mutate.push(seconds);
        said.lines()
            .last()
            .unwrap_or_default()
            .clone_into(&mut tools.mutate_said);
        let [old, new] = &compared;
        let pair = [old.path(), new.path()];
        tools
            .diff
            .push(deodar(&["diff", "--no-solver"], &pair, &[0])?.0);
        tools
            .lint
            .push(deodar(&["lint"], &[linted.path()], &[0, 6])?.0);
        tools
            .validate
            .push(deodar(&["validate"], &[linted.path()], &[0])?.0);
        // Without a solver it ends at once, which is no measurement.
        let proved = deodar(&["prove"], &policies, &[0, 6]);
        let proved = proved.map_err(|error| format!("is cvc5 missing? {error}"))?;
        tools.prove.push(proved.0);
    }
    Ok(tools)
}

fn deodar(verb: &[&str], paths: &[&Path], expected: &[i32]) -> Result<(f64, String), String> {
    let mut command = Command::new(process::target().join("release/deodar"));
    command.args(verb).args(paths);
    run(&mut command, expected)
}

/// The seconds that a command takes, and what it prints.
fn run(command: &mut Command, expected: &[i32]) -> Result<(f64, String), String> {
    let started = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let seconds = started.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output
        .status
        .code()
        .is_some_and(|code| expected.contains(&code))
    {
        Ok((seconds, text))
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{command:?}: {}\n{text}{said}", output.status))
    }
}

/// What Cedar's command line takes, as files of one directory.
struct Cedar;

impl Cedar {
    fn command(&self) -> Command {
        let mut command = Command::new("cedar");
        command.args([
            "run-tests",
            "--policies",
            "cedar/policies.cedar",
            "--template-linked",
            "cedar/links.json",
            "--schema",
            "cedar/schema.cedarschema",
            "--tests",
            "json/cases.test.json",
        ]);
        command
    }
}

/// The cases of the reference policies that mean the same to Cedar's command line,
/// over and over, in both forms: `yaml/` and `json/` are repositories, `cedar/` is
/// the same policies in one file.
fn cases(reference: &Path, into: &Path) -> Result<Cedar, String> {
    let files = source::read_all(reference, &source::Limits::default())
        .map_err(|error| error.to_string())?;
    let fault = |faults: Vec<deodar::engine::Fault>| format!("{faults:?}");
    let snapshot = compile(&files).map_err(fault)?;
    let view = directory::load(&snapshot, &files).map_err(fault)?;
    let read = testing::read(&files, Some(&snapshot));
    // What carries entities or links, or rests on Deodar's own rules, is another
    // case to Cedar.
    let is_plain = |case: &&Case| {
        let question = &case.question;
        let carries = question
            .entities
            .as_array()
            .is_some_and(|some| !some.is_empty());
        let by_policies = case
            .expected
            .cause
            .is_none_or(|cause| ["no_permit", "forbidden"].contains(&cause.as_str()));
        let known = [&question.principal, &question.resource]
            .into_iter()
            .all(|uid| view.knows(uid));
        case.skip.is_none() && !carries && question.links.is_empty() && by_policies && known
    };
    let suites = read.suites.iter().flat_map(|suite| &suite.cases);
    let plain: Vec<&Case> = suites.filter(is_plain).collect();
    if plain.len() < 100 {
        return Err(format!("only {} plain cases", plain.len()));
    }
    let mut yaml = String::from("name: cases\ncases:\n");
    let mut json = Vec::new();
    for (number, case) in plain.iter().cycle().take(CASES).enumerate() {
        let name = format!("{number} {}", case.name);
        let takes_now = snapshot
            .schema()
            .and_then(|schema| schema.action(&case.question.action));
        let takes_now = takes_now.is_some_and(|action| action.takes_now);
        let (ours, cedars) = forms(&name, case, takes_now);
        // A JSON object is YAML too.
        writeln!(yaml, "  - {ours}").ok();
        json.push(cedars);
    }
    let entities = entities(&files)?;
    let json = serde_json::to_string(&json).map_err(|error| error.to_string())?;
    copy(&files, &into.join("yaml"), |_| true)?;
    copy(&files, &into.join("json"), |role| role != Role::Entities)?;
    write(&into.join("yaml/tests/cases.test.yaml"), &yaml)?;
    write(&into.join("json/cases.test.json"), &json)?;
    write(&into.join("json/entities/all.json"), &entities)?;
    let together = |role| -> String {
        let texts = files.with_role(role);
        texts
            .map(|(_, text)| String::from_utf8_lossy(text) + "\n")
            .collect()
    };
    write(
        &into.join("cedar/policies.cedar"),
        &together(Role::Policies),
    )?;
    write(
        &into.join("cedar/schema.cedarschema"),
        &together(Role::Schema),
    )?;
    write(
        &into.join("cedar/links.json"),
        &arrays(&files, Role::Links)?,
    )?;
    Ok(Cedar)
}

/// A case in our form and in Cedar's, both with the time in the context.
fn forms(name: &str, case: &Case, takes_now: bool) -> (Json, Json) {
    let question = &case.question;
    let mut context = Json::clone(&question.context);
    if let (true, Some(now), Some(fields)) = (takes_now, &question.now, context.as_object_mut()) {
        let text = now.to_string();
        let text = text
            .trim_start_matches("datetime(\"")
            .trim_end_matches("\")");
        let now = json!({ "__extn": { "fn": "datetime", "arg": text } });
        fields.entry("now").or_insert(now);
    }
    let [principal, action, resource] =
        [&question.principal, &question.action, &question.resource].map(ToString::to_string);
    let decision = if case.expected.allow { "allow" } else { "deny" };
    let policies = match &case.expected.policies {
        Some(ExpectedPolicies::Exactly(ids) | ExpectedPolicies::Including(ids)) => json!(ids),
        None => json!([]),
    };
    let mut ours = json!({
        "name": name, "principal": principal, "action": action, "resource": resource,
        "context": context, "decision": decision,
    });
    if case.expected.policies.is_some() {
        ours["policies"] = policies.clone();
    }
    let cedars = json!({
        "name": name,
        "request": {
            "principal": principal, "action": action, "resource": resource,
            "context": context,
        },
        "entities": "entities/all.json", "decision": decision, "reason": policies, "num_errors": 0,
    });
    (ours, cedars)
}

fn entities(files: &Files) -> Result<String, String> {
    arrays(files, Role::Entities)
}

/// The JSON arrays of all files of a role as one.
fn arrays(files: &Files, role: Role) -> Result<String, String> {
    let mut all: Vec<Json> = Vec::new();
    for (path, content) in files.with_role(role) {
        let items: Vec<Json> =
            serde_json::from_slice(content).map_err(|error| format!("{path}: {error}"))?;
        all.extend(items);
    }
    serde_json::to_string(&all).map_err(|error| error.to_string())
}

/// A copy without tests and invariants.
fn copy(files: &Files, into: &Path, is_wanted: fn(Role) -> bool) -> Result<(), String> {
    for (path, content) in files.all() {
        if Role::of(path).is_some_and(|role| role.is_served() && is_wanted(role)) {
            write(&into.join(path), &String::from_utf8_lossy(content))?;
        }
    }
    Ok(())
}

/// The reference repository with more policies, of which some are other ones.
fn compared(reference: &Path, changed: usize) -> Result<TempDir, String> {
    let made = TempDir::new().map_err(|error| error.to_string())?;
    let files = source::read_all(reference, &source::Limits::default())
        .map_err(|error| error.to_string())?;
    for (path, content) in files.all() {
        write(&made.path().join(path), &String::from_utf8_lossy(content))?;
    }
    let mut text = String::new();
    for number in 0..COMPARED - 55 {
        let bound = if number < changed { 30 } else { 20 };
        let people = ["anna", "bert", "eva", "henrik", "farid"];
        writeln!(
            text,
            "@id(\"generated-{number}\") @title(\"Generated {number}\") @reason(\"Made for measuring.\")\n\
             permit (principal == Org::User::\"{}\", action == Iot::Action::\"read\", resource is Iot::Device)\n\
             when {{ resource has posture && resource.posture has firmware && resource.posture.firmware.build > {} }};",
            people[number % people.len()],
            number * 40 + bound,
        )
        .ok();
    }
    write(&made.path().join("policies/generated.cedar"), &text)?;
    Ok(made)
}

/// The schema and entities of the reference repository with 10,000 policies.
fn linted(reference: &Path) -> Result<TempDir, String> {
    let made = TempDir::new().map_err(|error| error.to_string())?;
    let files =
        source::read(reference, &source::Limits::default()).map_err(|error| error.to_string())?;
    copy(&files, made.path(), |_| true)?;
    let mut text = String::new();
    for number in 0..LINTED - 55 {
        writeln!(
            text,
            "@id(\"generated-{number}\") @title(\"Generated {number}\") @reason(\"Made for measuring.\")\n\
             permit (principal == Org::User::\"person-{number}\", action == Iot::Action::\"read\", \
             resource == Iot::Device::\"device-{}\")\n\
             when {{ context has session && context.session has ip && context.session.ip.isInRange(ip(\"10.{}.0.0/16\")) }}\n\
             when {{ context.now > datetime(\"2027-01-01\") }};",
            number % 700,
            number % 250,
        )
        .ok();
    }
    write(&made.path().join("policies/generated.cedar"), &text)?;
    Ok(made)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    let done = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    done.map_err(|error| format!("{}: {error}", path.display()))
}
