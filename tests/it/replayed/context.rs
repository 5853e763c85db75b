//! Context that the policies of then could not read, and so is in no record.

use std::sync::Arc;

use deodar::analysis::replay::Baseline;
use deodar::analysis::replay::Options;
use deodar::analysis::replay::judge::Judge;
use deodar::analysis::replay::judge::LeftOut;
use deodar::analysis::replay::judge::Outcome;
use deodar::audit::decision::Content;
use deodar::directory;
use deodar::engine::Files;
use deodar::engine::Snapshot;
use deodar::engine::View;
use deodar::engine::compile;
use deodar::engine::decide;

use super::cases;
use super::compiled;
use super::log;
use super::world;

/// A user and a document.
fn small(schema: &str, policies: &str) -> (Arc<Snapshot>, View) {
    let entities = r#"[{"uid": {"type": "User", "id": "ann"}, "attrs": {}, "parents": []},
        {"uid": {"type": "Doc", "id": "plan"}, "attrs": {}, "parents": []}]"#;
    let schema = format!("entity User; entity Doc; {schema}");
    let files = [
        ("manifest.toml", "name = \"small\"\n"),
        ("schema.cedarschema", &schema),
        ("policies/all.cedar", policies),
        ("entities/all.json", entities),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_owned()));
    let files = Files::new(files);
    let snapshot = compile(&files).unwrap();
    let view = directory::load(&snapshot, &files).unwrap();
    (Arc::new(snapshot), view)
}

/// `ann` does it to the plan, and is allowed by the policy `p`.
fn line(time: &str, action: &str, rest: &str) -> String {
    format!(
        r#"{{"v":1,"seq":2,"time":"{time}","prev":"","durable":"200ms","kind":"decision","principal":{{"type":"User","id":"ann"}},"action":{{"type":"Action","id":"{action}"}},"resource":{{"type":"Doc","id":"plan"}},"decision":"allow","policies":["p"],{rest}}}"#
    )
}

fn judged(judge: &mut Judge<'_>, line: &str) -> Outcome {
    let outcome = judge.judge(line);
    assert_eq!(outcome, judge.slowly(line), "{line}");
    outcome
}

/// Recorded by a few policies and decided by all: what is decided is what the whole
/// question would get, and the rest is left out.
#[test]
fn what_was_not_recorded_is_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let all = compiled(|_, text| text);
    let few = compiled(|name, text| {
        let is_left_out = name.starts_with("policies/") && name != "policies/roles.cedar";
        if is_left_out { String::new() } else { text }
    });
    let lines = log(folder.path(), &few.0, &few.1, Content::default());
    let options = Options::default();
    let mut then = Judge::new(world(&few), Baseline::Recorded, &options);
    let mut now = Judge::new(world(&all), Baseline::Recorded, &options);
    let mut both = [(&all, &few), (&few, &all)].map(|(candidate, baseline)| {
        let baseline = Baseline::Policies(world(baseline));
        Judge::new(world(candidate), baseline, &options)
    });
    let cases = cases::all();
    let (mut left, mut flipped) = (0, 0);
    for (line, case) in lines.iter().zip(cases.iter().flat_map(|case| [case, case])) {
        assert_eq!(judged(&mut then, line), Outcome::Same, "{line}");
        let query = cases::query(&all.0, case);
        let truth = decide(&all.0, &all.1, &query).unwrap().is_allow();
        let outcome = judged(&mut now, line);
        let compared = both.each_mut().map(|judge| judged(judge, line));
        match outcome {
            Outcome::Same | Outcome::Changed(_) => {
                let was = line.contains(r#""decision":"allow""#);
                assert_eq!(was, truth, "{line}");
            }
            Outcome::Flipped(flip) => {
                assert_eq!(flip.after.allow, truth, "{line}");
                flipped += 1;
            }
            Outcome::Left(LeftOut::Unrecorded) => {
                assert_eq!(compared, [(); 2].map(|()| outcome.clone()), "{line}");
                left += 1;
            }
            other => panic!("{other:?}: {line}"),
        }
    }
    assert!(left > 50 && flipped > 10, "{left} {flipped}");
    assert!(left + 50 < lines.len(), "{left} of {}", lines.len());
}

/// The time of a record is `context.now` where the schema of then declared none, and
/// not remembered with the question.
#[test]
fn a_time_that_is_newly_declared_is_that_of_the_record() {
    let action = |context: &str| {
        format!(
            "action read appliesTo {{ principal: User, resource: Doc, context: {{ {context} }} }};"
        )
    };
    let old = small(
        &action("why?: String"),
        r#"@id("p") permit (principal, action, resource);"#,
    );
    let new = small(
        &action("now: datetime, why?: String"),
        r#"@id("p") permit (principal, action, resource)
        when { context.now < datetime("2030-01-01") };"#,
    );
    let options = Options::default();
    let (early, late) = ("2026-01-31T12:00:00.000Z", "2030-01-01T00:00:00.000Z");
    for baseline in [Baseline::Recorded, Baseline::Policies(world(&old))] {
        let mut judge = Judge::new(world(&new), baseline, &options);
        let mut told = |time: &str, rest: &str| judged(&mut judge, &line(time, "read", rest));
        for rest in [
            r#""context":{}"#,
            r#""context":{"why":"x"}"#,
            r#""context":{},"context_left_out":["why"]"#,
        ] {
            let unrecorded = Outcome::Left(LeftOut::Unrecorded);
            assert_eq!(told("yesterday", rest), unrecorded);
            for _ in 0..2 {
                assert_eq!(told(early, rest), Outcome::Same);
                assert!(matches!(told(late, rest), Outcome::Flipped(_)));
            }
            assert_eq!(told("yesterday", rest), unrecorded);
        }
        // What was asked with is what counts, and where that is not known, nothing.
        let given = r#""context":{"now":{"__extn":{"fn":"datetime","arg":"2029-12-31"}}}"#;
        assert_eq!(told(late, given), Outcome::Same);
        let lost = r#""context":{},"context_left_out":["now"]"#;
        assert_eq!(told(early, lost), Outcome::Left(LeftOut::Unrecorded));
    }
}

/// What a text is, is told by the schema for this member of this action.
#[test]
fn the_same_text_is_another_value_elsewhere() {
    let world_of = small(
        "action read appliesTo { principal: User, resource: Doc, context: { a: ipaddr, b: String } };
        action write appliesTo { principal: User, resource: Doc, context: { a: String } };",
        r#"@id("p") permit (principal, action == Action::"read", resource)
        when { context.a.isIpv4() && context.b == "10.0.0.1" };
        @id("q") permit (principal, action == Action::"write", resource)
        when { context.a == "10.0.0.1" };"#,
    );
    let mut judge = Judge::new(world(&world_of), Baseline::Recorded, &Options::default());
    let read = line("", "read", r#""context":{"a":"10.0.0.1","b":"10.0.0.1"}"#);
    let write = line("", "write", r#""context":{"a":"10.0.0.1"}"#);
    for (line, expected) in [
        (&read, Outcome::Same),
        (&write, Outcome::Changed("policies")),
    ] {
        assert_eq!(judged(&mut judge, line), expected, "{line}");
    }
}
