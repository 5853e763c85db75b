//! The directory does what the plain model says, through restarts and snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use deodar::directory::Directory;
use deodar::directory::Options;
use deodar::directory::Tip;
use deodar::directory::error::ReadError;
use deodar::directory::error::WriteError;
use deodar::directory::error::WriteFault;
use deodar::directory::fit::Activation;
use deodar::directory::fit::OnConflict;
use deodar::directory::log::Embedded;
use deodar::directory::log::Log;
use deodar::directory::log::Memory;
use deodar::directory::operation::Draft;
use deodar::directory::record::EntityRecord;
use deodar::directory::record::LinkRecord;
use deodar::directory::revision::Revision;
use deodar::directory::revision::RevisionError;
use deodar::directory::time::Time;
use deodar::directory::writer::Keep;
use deodar::engine::Snapshot;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::proptest;
use tokio::runtime::Runtime;

use super::drafts;
use super::facts;
use super::lists;
use super::plain::Ending;
use super::plain::LIMITS;
use super::plain::OPERATIONS_MAX;
use super::plain::Plain;
use super::plain::Thing;
use super::plain::Uid;
use super::plain::Verdict;
use super::plain::key;
use super::site::START;
use super::site::fresh;
use super::site::member;
use super::site::put;
use super::site::snapshot;
use super::site::wait_until_let_go;
use crate::engine_oracle::cases;
use crate::engine_oracle::dice::Dice;

/// Links and a schema, nothing else.
const POLICIES: &str = r#"
@id("readers") permit (principal in Group::"readers", action == Action::"read", resource);
@id("one") permit (principal, action, resource in ?resource);
@id("both") permit (principal in ?principal, action, resource in ?resource);
"#;

static PLAIN: LazyLock<Arc<Snapshot>> = LazyLock::new(|| Arc::new(snapshot(POLICIES, "")));
static INDEXED: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let manifest = "indexed_attributes = [\"level\", \"boss\"]\n";
    Arc::new(snapshot(POLICIES, manifest))
});

/// A directory beside the model, and where its log is kept.
struct Pair {
    place: Place,
    keep: Keep,
    policies: Arc<Snapshot>,
    time: Arc<AtomicI64>,
    runtime: Runtime,
    directory: Option<Directory>,
    plain: Plain,
    seen: Vec<Revision>,
}

enum Place {
    Memory(Arc<Memory>),
    Embedded(tempfile::TempDir),
}

impl Pair {
    fn new(place: Place, keep: Keep, is_indexed: bool) -> Self {
        let policies = if is_indexed { &*INDEXED } else { &*PLAIN };
        let mut pair = Self {
            place,
            keep,
            policies: Arc::clone(policies),
            time: Arc::new(AtomicI64::new(START * 1000)),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            directory: None,
            plain: Plain::default(),
            seen: Vec::new(),
        };
        pair.open();
        pair
    }

    fn open(&mut self) {
        let log: Arc<dyn Log> = match &self.place {
            Place::Memory(log) => Arc::clone(log) as Arc<dyn Log>,
            Place::Embedded(folder) => Arc::new(Embedded::open(folder.path()).unwrap()),
        };
        self.directory = Some(directory(log, self.keep, &self.time, &self.policies));
        self.tick();
    }

    /// Drops the directory, and opens it again once its threads have ended.
    fn restart(&mut self) {
        self.directory = None;
        match &self.place {
            Place::Memory(log) => wait_until_let_go(&Arc::downgrade(log), 1),
            // Until then the lock is held.
            Place::Embedded(folder) => while Embedded::open(folder.path()).is_err() {},
        }
        self.open();
    }

    fn directory(&self) -> &Directory {
        self.directory.as_ref().unwrap()
    }

    fn tip(&self) -> Arc<Tip> {
        self.directory().tip()
    }

    fn tick(&mut self) {
        self.runtime.block_on(self.directory().tick());
        self.plain.pass(self.time.load(Ordering::Relaxed) / 1000);
    }

    fn wait(&mut self, dice: &mut Dice) {
        let millis = 500 * i64::try_from(dice.below(6)).unwrap();
        self.time.fetch_add(millis, Ordering::Relaxed);
        self.tick();
    }

    fn write(&mut self, draft: &Draft) {
        let before = self.tip();
        let told = self.runtime.block_on(self.directory().write(draft.clone()));
        let verdict = self.plain.write(draft);
        let fields = |faults: &[WriteFault]| -> Vec<String> {
            faults.iter().map(|fault| fault.field.clone()).collect()
        };
        match (&told, verdict) {
            (Ok(revision), Verdict::Applied) => {
                assert_eq!(revision.sequence, before.revision.sequence + 1);
                self.seen.push(*revision);
                self.tick();
                return;
            }
            (Err(WriteError::Refused(faults)), Verdict::TooMany) => {
                assert_eq!(fields(faults), ["operations"]);
            }
            (Err(WriteError::Precondition(faults)), Verdict::Precondition(at)) => {
                let expected = at.iter().map(|at| format!("preconditions[{at}]"));
                assert_eq!(fields(faults), expected.collect::<Vec<_>>());
            }
            (Err(WriteError::Refused(faults)), Verdict::Refused(at, trial)) => {
                assert_eq!(faults[0].field, format!("operations[{at}]"), "{faults:?}");
                assert!(!faults[0].hint.is_empty(), "{faults:?}");
                facts::is_a_cycle(&faults[0].message, &trial);
            }
            (told, verdict) => panic!("{draft:#?}\n{told:?}\nthe model says {verdict:?}"),
        }
        assert_eq!(self.tip().revision, before.revision);
        assert_eq!(self.tip().digest(), before.digest());
    }

    fn compare(&self, dice: &mut Dice) {
        let tip = self.tip();
        assert_eq!(tip.revision.sequence, self.plain.sequence);
        let things = self.plain.things.iter();
        let all: Vec<_> = things.map(|(uid, thing)| record(uid, thing)).collect();
        for expected in &all {
            assert_eq!(tip.entity(&expected.uid).as_ref(), Some(expected));
        }
        let links = self.plain.links.values();
        let links: Vec<_> = links
            .map(|(link, version)| LinkRecord {
                link: link.clone(),
                version: *version,
            })
            .collect();
        for expected in &links {
            assert_eq!(tip.link(&expected.link.id).as_ref(), Some(expected));
        }
        assert_eq!(tip.links_len(), links.len());
        let is_indexed = Arc::ptr_eq(&self.policies, &*INDEXED);
        lists::compare(&tip, dice, &all, &links, is_indexed);
        let counts = tip.counts();
        let mut entities = BTreeMap::new();
        for record in &all {
            *entities.entry(key(&record.uid).0).or_insert(0) += 1;
        }
        assert_eq!(counts.entities, entities);
        let mut templates = BTreeMap::new();
        for record in &links {
            *templates.entry(record.link.template.clone()).or_insert(0) += 1;
        }
        assert_eq!(counts.links, templates);
        let endings = self.plain.endings();
        assert_eq!(counts.expiring, endings.len() as u64);
        let next = endings.first().map(|(second, _): &(i64, Ending)| *second);
        assert_eq!(counts.next_expiry, next);
    }

    /// The log adds up to the state: replayed by a directory, and read as facts.
    fn replay(&self) {
        let raw = match &self.place {
            Place::Memory(log) => log.read(0, usize::MAX, usize::MAX),
            Place::Embedded(_) => return self.replay_facts(),
        };
        if let Ok(entries) = raw {
            let bodies: Vec<_> = entries.into_iter().map(|entry| entry.body).collect();
            let log = Memory::default();
            log.append(&bodies).unwrap();
            let again = directory(Arc::new(log), self.keep, &self.time, &self.policies);
            assert_eq!(again.tip().revision.sequence, self.plain.sequence);
            assert_eq!(again.tip().digest(), self.tip().digest());
        }
        self.replay_facts();
    }

    /// Every consequence of an operation is an operation of the log.
    fn replay_facts(&self) {
        let mut facts = Plain::default();
        let mut last = None;
        loop {
            let page = self.directory().transactions(facts.sequence, 7, 1 << 20);
            if let Err(ReadError::Trimmed { after: 0, oldest }) = page {
                assert!(oldest > 1 && self.keep.snapshot_every < 100);
                return;
            }
            let page = page.unwrap();
            if page.is_empty() {
                break;
            }
            for (revision, transaction) in page {
                assert_eq!(revision.sequence, facts.sequence + 1);
                assert_eq!(transaction.sequence, revision.sequence);
                facts.sequence = revision.sequence;
                for operation in &transaction.operations {
                    facts::apply(&mut facts, operation);
                }
                last = Some(revision);
            }
        }
        assert_eq!(facts, self.plain);
        if let Some(last) = last {
            assert_eq!(last, self.tip().revision);
        }
    }

    fn revisions(&self) {
        let head = self.tip().revision;
        let now = tokio::time::Instant::now;
        let wait = |asked| {
            self.runtime
                .block_on(async { self.directory().wait_for(asked, now()).await })
        };
        for revision in &self.seen {
            assert_eq!(wait(*revision), Ok(()));
            assert!(matches!(
                self.directory().has_reached(*revision),
                None | Some(Ok(()))
            ));
        }
        let forked = Revision {
            hash: !head.hash,
            ..head
        };
        assert_eq!(
            wait(forked),
            Err(RevisionError::Forked {
                asked: forked,
                head
            })
        );
        let future = Revision {
            sequence: head.sequence + 1,
            ..head
        };
        assert_eq!(
            wait(future),
            Err(RevisionError::Future {
                asked: future,
                head
            })
        );
        let foreign = Revision {
            log: !head.log,
            ..head
        };
        assert_eq!(
            wait(foreign),
            Err(RevisionError::Foreign {
                asked: foreign,
                head
            })
        );
    }
}

fn directory(
    log: Arc<dyn Log>,
    keep: Keep,
    time: &Arc<AtomicI64>,
    policies: &Arc<Snapshot>,
) -> Directory {
    let options = Options {
        limits: LIMITS,
        operations_max: OPERATIONS_MAX,
        keep,
        time: Time::Set(Arc::clone(time)),
        ..Options::default()
    };
    let directory = Directory::on(log, options, Box::new(|_, _| {})).unwrap();
    let activated = directory.activate(Activation {
        snapshot: Arc::clone(policies),
        seed: Vec::new(),
        on_conflict: OnConflict::Reject,
        publish: Box::new(|_| {}),
    });
    activated.unwrap();
    directory
}

fn record(uid: &Uid, thing: &Thing) -> EntityRecord {
    EntityRecord {
        uid: super::site::uid(&format!("{}::{}", uid.0, uid.1)),
        version: thing.version,
        attributes: thing.attributes.clone(),
        tags: thing.tags.clone(),
        parents: thing
            .parents
            .iter()
            .map(|((kind, id), expires)| member(&format!("{kind}::{id}"), *expires))
            .collect(),
        expires: thing.expires,
    }
}

fn run(pair: &mut Pair, dice: &mut Dice, steps: usize) {
    for draft in drafts::first() {
        pair.write(&draft);
    }
    for _ in 0..steps {
        match dice.below(16) {
            0..=12 => {
                let draft = drafts::draft(dice, &pair.plain);
                pair.write(&draft);
            }
            13 | 14 => pair.wait(dice),
            _ => pair.restart(),
        }
        pair.compare(dice);
    }
    pair.restart();
    pair.compare(dice);
    pair.replay();
    pair.revisions();
}

/// Enough for every step.
fn throws() -> impl Strategy<Value = Dice> {
    vec(any::<u16>(), 4000..5000).prop_map(Dice::new)
}

fn keep(dice: &mut Dice) -> Keep {
    if dice.chance(1, 2) {
        return Keep {
            transactions: 1000,
            snapshot_every: 1000,
        };
    }
    Keep {
        transactions: dice.below(4) as u64,
        snapshot_every: 1 + dice.below(4),
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn a_directory_does_what_the_model_says(mut dice in throws(), is_indexed: bool) {
        let keep = keep(&mut dice);
        let mut pair = Pair::new(Place::Memory(Arc::default()), keep, is_indexed);
        run(&mut pair, &mut dice, 60);
    }
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn a_directory_on_disk_does_what_the_model_says(mut dice in throws(), is_indexed: bool) {
        let keep = keep(&mut dice);
        let mut pair = Pair::new(Place::Embedded(fresh()), keep, is_indexed);
        run(&mut pair, &mut dice, 30);
    }
}

#[test]
fn a_cycle_is_refused_and_shown() {
    let keep = Keep {
        transactions: 10,
        snapshot_every: 10,
    };
    let mut pair = Pair::new(Place::Memory(Arc::default()), keep, false);
    let none = serde_json::json!({});
    let chain = vec![
        put("Group::a", &none, &["Group::b"]),
        put("Group::b", &none, &["Group::c"]),
    ];
    pair.write(&super::site::draft(chain));
    let closing = super::site::draft(vec![put("Group::c", &none, &["Group::d", "Group::a"])]);
    let told = pair
        .runtime
        .block_on(pair.directory().write(closing))
        .unwrap_err();
    let WriteError::Refused(faults) = told else {
        panic!("{told:?}");
    };
    let fault = &faults[0];
    assert_eq!(fault.field, "operations[0]");
    assert_eq!(
        fault.message,
        r#"makes a cycle: Group::"c" in Group::"a" in Group::"b" in Group::"c""#
    );
    assert_eq!(
        fault.hint,
        "no entity may be its own ancestor: leave out one of the parents"
    );
}
