//! Stores that cannot be opened, or not be trusted: a clear error with a hint,
//! never a wrong answer.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::path::Path;

use deodar::directory::Directory;
use deodar::directory::Options;
use deodar::directory::fit::Activation;
use deodar::directory::fit::OnConflict;
use deodar::directory::log::Embedded;
use deodar::directory::revision::Revision;
use deodar::directory::writer::Keep;
use redb::Database;
use redb::TableDefinition;
use serde_json::json;
use smol_str::SmolStr;
use std::sync::Arc;

use super::site::POLICIES;
use super::site::Plan;
use super::site::Site;
use super::site::draft;
use super::site::fresh;
use super::site::put;
use super::site::snapshot;
use super::site::wait_until_let_go;
use crate::kills::child;

const HOLD: &str = "DEODAR_TEST_HOLD";

/// The error, with the folder's name taken out, and its hint.
fn refusal(folder: &Path) -> [String; 2] {
    let options = Options {
        path: Some(folder.to_owned()),
        ..Options::default()
    };
    let error = Directory::open(options, Box::new(|_, _| {})).unwrap_err();
    let shown = |text: &str| text.replace(&folder.display().to_string(), "FOLDER");
    [shown(&error.to_string()), shown(error.hint())]
}

/// Not a test of its own: the process that has the directory open.
#[test]
fn child_that_holds() {
    let Ok(folder) = std::env::var(HOLD) else {
        return;
    };
    let log = Embedded::open(Path::new(&folder)).unwrap();
    let site = Site::on(Arc::new(log), Plan::default()).unwrap();
    site.write([put("User::ann", &json!({}), &[])]);
    std::io::stdout().write_all(b"open\n").unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_directory_is_open_in_one_process() {
    let folder = fresh();
    let mut holder = child("directory::store::child_that_holds", HOLD, folder.path());
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with("open")));
    let told = refusal(folder.path());
    // The end of its input ends it.
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert_eq!(
        told,
        [
            "the directory cannot be opened: the store `FOLDER` is in use",
            "stop the other server, or give each its own directory; a log has one writer",
        ]
    );
    let log = Embedded::open(folder.path()).unwrap();
    let site = Site::on(Arc::new(log), Plan::default()).unwrap();
    assert_eq!(site.directory.tip().revision.sequence, 1);
}

#[test]
fn a_newer_version_is_refused() {
    const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    let folder = fresh();
    drop(Embedded::open(folder.path()).unwrap());
    let database = Database::open(folder.path().join("log.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert("format", 7_u64.to_be_bytes().as_slice())
            .unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    assert_eq!(
        refusal(folder.path()),
        [
            "the directory cannot be opened: `FOLDER/log.redb` has format 7, and this release knows up to 2",
            "run the release that wrote it, or a later one",
        ]
    );
}

/// Where nobody may write, root neither.
#[test]
fn a_place_that_may_not_be_written_is_refused() {
    assert_eq!(
        refusal(Path::new("/sys/deodar")),
        [
            "the directory cannot be opened: `FOLDER` may not be written",
            "check owner and mode of the directory, and that its file system is not mounted read-only",
        ]
    );
}

#[test]
fn an_empty_file_is_refused() {
    let folder = fresh();
    fs::write(folder.path().join("log.redb"), "").unwrap();
    assert_eq!(
        refusal(folder.path()),
        [
            "the directory cannot be opened: the store is damaged: `FOLDER/log.redb` is empty",
            "keep a copy of the directory, check the disk, and restore the whole directory from a backup",
        ]
    );
}

/// A log of 45 transactions with snapshots at 30 and 40, the first ones trimmed.
fn original() -> (tempfile::TempDir, Revision, SmolStr) {
    let folder = fresh();
    let log: Arc<dyn deodar::directory::log::Log> =
        Arc::new(Embedded::open(folder.path()).unwrap());
    let mut plan = Plan::default();
    plan.options.keep = Keep {
        transactions: 10,
        snapshot_every: usize::MAX,
    };
    let site = Site::on(Arc::clone(&log), plan).unwrap();
    for number in 0..45 {
        let name = format!("User::{}", number % 7);
        let level = json!({"level": number});
        let marked = json!({"level": number, "name": format!("mark-{number}")});
        site.write([
            put(&name, &marked, &["Group::readers"]),
            put("Doc::d", &level, &[]),
        ]);
        if number % 10 == 9 {
            site.directory.keep_snapshot().unwrap();
        }
    }
    let tip = site.directory.tip();
    let weak = Arc::downgrade(&log);
    drop((site, log));
    wait_until_let_go(&weak, 0);
    (folder, tip.revision, tip.digest())
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = fresh();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

/// Opens a damaged copy: as it was, or not at all.
fn is_right_or_refused(folder: &Path, was: (Revision, &SmolStr), damage: &str) -> bool {
    let options = Options {
        path: Some(folder.to_owned()),
        ..Options::default()
    };
    let directory = match Directory::open(options, Box::new(|_, _| {})) {
        Ok(directory) => directory,
        Err(error) => {
            let message = error.to_string();
            assert!(
                message.starts_with("the directory cannot be opened: "),
                "{damage}: {message}"
            );
            assert!(!error.hint().is_empty(), "{damage}: {message}");
            return false;
        }
    };
    let tip = directory.tip();
    assert_eq!((tip.revision, &tip.digest()), was, "{damage}");
    let activated = directory.activate(Activation {
        snapshot: Arc::new(snapshot(POLICIES, "")),
        seed: Vec::new(),
        on_conflict: OnConflict::Reject,
        publish: Box::new(|_| {}),
    });
    activated.unwrap_or_else(|misfits| panic!("{damage}: {misfits:?}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let write = directory.write(draft(vec![put("User::new", &json!({}), &[])]));
    // What is damaged may show only now.
    if let Ok(revision) = runtime.block_on(write) {
        assert_eq!(revision.sequence, was.0.sequence + 1, "{damage}");
    }
    true
}

/// Seen to fail when `Embedded` does not verify hashes, and when snapshots are
/// not verified.
#[test]
fn damaged_files_are_refused_or_right() {
    let (folder, revision, digest) = original();
    let was = (revision, &digest);
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(
        names
            .iter()
            .filter(|name| name.starts_with("snapshot"))
            .count()
            == 2,
        "{names:?}"
    );
    let (mut opened, mut refused) = (0, 0);
    for name in names.iter().filter(|name| *name != "lock") {
        let whole = fs::read(folder.path().join(name)).unwrap();
        let steps = 12;
        let cuts = (0..steps).map(|at| (whole.len() * at / steps, None));
        let flips = (0..steps).map(|at| {
            let place = (whole.len() * (2 * at + 1) / (2 * steps)).min(whole.len() - 1);
            (place, Some(1_u8 << (at % 8)))
        });
        // In a transaction after the last snapshot, which starts are made of.
        let mark = whole.windows(7).enumerate();
        let marks = mark.filter(|(_, found)| *found == b"mark-44");
        let marked: Vec<_> = marks.map(|(at, _)| (at, Some(1))).collect();
        assert!(name != "log.redb" || !marked.is_empty());
        for (place, flip) in cuts.chain(flips).chain(marked) {
            let mut bytes = whole.clone();
            match flip {
                None => bytes.truncate(place),
                Some(bit) => bytes[place] ^= bit,
            }
            let damaged = copy(folder.path());
            fs::write(damaged.path().join(name), bytes).unwrap();
            let damage = format!("{name} at {place} {flip:?}");
            if is_right_or_refused(damaged.path(), was, &damage) {
                opened += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(
        opened > 10 && refused > 10,
        "{opened} opened, {refused} refused"
    );
}

/// Without the newest snapshot, the older one and the entries after it do.
#[test]
fn without_a_file_the_rest_is_refused_or_right() {
    let (folder, revision, digest) = original();
    let was = (revision, &digest);
    for name in fs::read_dir(folder.path()).unwrap() {
        let name = name.unwrap().file_name();
        let damaged = copy(folder.path());
        fs::remove_file(damaged.path().join(&name)).unwrap();
        let damage = format!("{} is gone", name.display());
        let is_open = is_right_or_refused(damaged.path(), was, &damage);
        assert_eq!(is_open, name != "log.redb", "{damage}");
    }
}
