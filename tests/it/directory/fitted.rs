//! What is known to fit the schema is not looked at again, and nothing is known
//! that is not so.

use std::sync::Arc;

use deodar::directory::Directory;
use deodar::directory::Options;
use deodar::directory::fit::Activation;
use deodar::directory::fit::Misfits;
use deodar::directory::fit::OnConflict;
use deodar::directory::log::Embedded;
use deodar::directory::log::Log;
use deodar::directory::log::Memory;
use deodar::directory::operation::Operation;
use deodar::engine::Files;
use deodar::engine::Snapshot;
use deodar::engine::compile;
use serde_json::json;
use tokio::runtime::Runtime;

use super::faulty::Fault;
use super::faulty::Faulty;
use super::site::draft;
use super::site::fresh;
use super::site::put;
use super::site::wait_until_let_go;

/// Levels are numbers.
const NUMBERS: &str = "entity User = { level?: Long, name?: String };";
/// Names are required, levels are no longer.
const NAMED: &str = "entity User = { name: String };";
/// Takes what either of the others takes.
const WIDER: &str = "entity User = { level?: Long, name?: String, spare?: Long };";

fn snapshot(schema: &str) -> Arc<Snapshot> {
    let files = [
        ("manifest.toml", "name = \"site\"\n".to_owned()),
        (
            "site.cedarschema",
            format!("{schema} action a appliesTo {{ principal: User, resource: User }};"),
        ),
        (
            "site.cedar",
            "@id(\"p\") permit (principal, action, resource);".to_owned(),
        ),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.into_bytes()));
    Arc::new(compile(&Files::new(files)).unwrap_or_else(|faults| panic!("{faults:#?}")))
}

/// A process that runs on a log, until it is dropped.
struct Run {
    directory: Directory,
    runtime: Runtime,
}

impl Run {
    fn start(log: &Arc<impl Log + 'static>, options: Options) -> Self {
        let log = Arc::clone(log) as Arc<dyn Log>;
        Self {
            directory: Directory::on(log, options, Box::new(|_, _| {})).unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
        }
    }

    fn activate(&self, schema: &str, on_conflict: OnConflict) -> Result<Misfits, Misfits> {
        self.directory.activate(Activation {
            snapshot: snapshot(schema),
            seed: Vec::new(),
            on_conflict,
            publish: Box::new(|_| {}),
        })
    }

    fn write(&self, operation: Operation) {
        let written = self.directory.write(draft(vec![operation]));
        self.runtime.block_on(written).unwrap();
    }
}

/// How many entities a start with this schema looks at, and how many do not fit.
fn start(log: &Arc<impl Log + 'static>, schema: &str, on_conflict: OnConflict) -> (usize, usize) {
    let run = Run::start(log, Options::default());
    let misfits = run.activate(schema, on_conflict);
    let misfits = misfits.unwrap_or_else(|misfits| misfits);
    drop(run);
    wait_until_let_go(&Arc::downgrade(log), 1);
    (misfits.checked, misfits.count)
}

/// Two users with levels, written under the schema that has them, and the end of
/// the process.
fn fill(log: &Arc<impl Log + 'static>) {
    let run = Run::start(log, Options::default());
    run.activate(NUMBERS, OnConflict::Reject).unwrap();
    run.write(put("User::ann", &json!({ "level": 1 }), &[]));
    run.write(put("User::bo", &json!({ "level": 2, "name": "Bo" }), &[]));
    drop(run);
    wait_until_let_go(&Arc::downgrade(log), 1);
}

/// Seen to fail when the mark is never set, and when it does not tell schemas
/// apart.
#[test]
fn a_start_with_the_same_schema_looks_at_nothing() {
    use OnConflict::Reject;
    let folder = fresh();
    let log = Arc::new(Embedded::open(folder.path()).unwrap());
    fill(&log);
    assert_eq!(start(&log, NUMBERS, Reject), (0, 0));
    drop(log);
    let log = Arc::new(Embedded::open(folder.path()).unwrap());
    assert_eq!(start(&log, NUMBERS, Reject), (0, 0));
    assert_eq!(start(&log, WIDER, Reject), (2, 0));
    assert_eq!(start(&log, WIDER, Reject), (0, 0));
    assert_eq!(start(&log, NUMBERS, Reject), (2, 0));
    // Policies that are rejected change nothing of what is known.
    assert_eq!(start(&log, NAMED, Reject), (2, 2));
    assert_eq!(start(&log, NUMBERS, Reject), (0, 0));
}

#[test]
fn a_reload_with_the_same_schema_looks_at_nothing() {
    let log = Arc::new(Memory::default());
    fill(&log);
    let run = Run::start(&log, Options::default());
    let checked = |schema| run.activate(schema, OnConflict::Reject).unwrap().checked;
    let schemas = [NUMBERS, NUMBERS, WIDER, WIDER, NUMBERS, NUMBERS];
    assert_eq!(schemas.map(checked), [0, 0, 2, 0, 2, 0]);
}

#[test]
fn other_limits_are_other_rules() {
    let log = Arc::new(Memory::default());
    fill(&log);
    let mut options = Options::default();
    options.limits.attributes_max = 1;
    for _ in 0..2 {
        let run = Run::start(&log, options.clone());
        let misfits = run.activate(NUMBERS, OnConflict::Reject).unwrap_err();
        assert_eq!((misfits.checked, misfits.count), (2, 1));
    }
}

/// Seen to fail when the mark is set whatever was found.
#[test]
fn while_something_does_not_fit_everything_is_looked_at() {
    let log = Arc::new(Memory::default());
    fill(&log);
    for _ in 0..2 {
        assert_eq!(start(&log, NAMED, OnConflict::Activate), (2, 2));
    }
    // Nor is it known any more what the old schema took.
    let run = Run::start(&log, Options::default());
    run.activate(NAMED, OnConflict::Activate).unwrap();
    for _ in 0..2 {
        let again = run.activate(NAMED, OnConflict::Activate).unwrap();
        assert_eq!((again.checked, again.count), (2, 2));
    }
    run.write(put("User::ann", &json!({ "name": "Ann" }), &[]));
    run.write(put("User::bo", &json!({ "name": "Bo" }), &[]));
    drop(run);
    wait_until_let_go(&Arc::downgrade(&log), 1);
    assert_eq!(start(&log, NAMED, OnConflict::Activate), (2, 0));
    assert_eq!(start(&log, NAMED, OnConflict::Activate), (0, 0));
}

/// The log fails when it is told of the new schema, at each step, before or after
/// it has noted it; then the process dies. Seen to fail when the old mark is not
/// taken back first, and when a failure to take it back is passed over.
#[test]
fn no_failure_leaves_what_is_not_so() {
    for (marks, is_applied) in [0, 1, 2].map(|n| [(n, false), (n, true)]).concat() {
        let what = format!("after {marks}, applied: {is_applied}");
        let log = Arc::new(Faulty::default());
        fill(&log);
        let run = Run::start(&log, Options::default());
        run.activate(NUMBERS, OnConflict::Reject).unwrap();
        log.fail(Fault {
            marks: Some(marks),
            is_applied,
            ..Fault::default()
        });
        let is_wider = run.activate(WIDER, OnConflict::Reject).is_ok();
        assert_eq!(is_wider, marks > 0, "{what}");
        if is_wider {
            run.write(put("User::cy", &json!({ "spare": 1 }), &[]));
        }
        log.heal();
        drop(run);
        wait_until_let_go(&Arc::downgrade(&log), 1);
        // Of three, the last fits only the wider schema.
        let (_, misfits) = start(&log, NUMBERS, OnConflict::Reject);
        assert_eq!(misfits, usize::from(is_wider), "{what}");
        let (_, misfits) = start(&log, WIDER, OnConflict::Reject);
        assert_eq!(misfits, 0, "{what}");
        assert_eq!(start(&log, WIDER, OnConflict::Reject), (0, 0), "{what}");
    }
}

/// What a failed log turns out to have was written under the old schema.
#[test]
fn what_the_log_has_more_than_was_looked_at_is_not_known_to_fit() {
    for recoveries in 0..6 {
        let log = Arc::new(Faulty::default());
        fill(&log);
        let run = Run::start(&log, Options::default());
        run.activate(WIDER, OnConflict::Reject).unwrap();
        log.fail(Fault {
            appends: Some(0),
            is_applied: true,
            recoveries,
            ..Fault::default()
        });
        let spare = draft(vec![put("User::cy", &json!({ "spare": 1 }), &[])]);
        run.runtime.block_on(run.directory.write(spare)).ok();
        for _ in 0..2 {
            run.activate(NUMBERS, OnConflict::Reject).ok();
        }
        log.heal();
        drop(run);
        wait_until_let_go(&Arc::downgrade(&log), 1);
        log.recover().unwrap();
        let (checked, misfits) = start(&log, NUMBERS, OnConflict::Reject);
        assert_eq!((checked, misfits), (3, 1), "{recoveries}");
    }
}
