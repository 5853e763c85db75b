//! Files with flipped bits, and files that are cut off: the right data or an
//! error, whatever the place.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use proptest::prelude::ProptestConfig;

use super::append;
use super::put_snapshot;
use crate::directory::log::Embedded;
use crate::directory::log::Entry;
use crate::directory::log::Head;
use crate::directory::log::Log as _;
use crate::directory::log::LogError;
use crate::directory::log::conformance::bodies;

const NEWEST: &str = "snapshot-00000000000000000060.bin";
const OLDER: &str = "snapshot-00000000000000000040.bin";

/// A log of 80 entries, the first 20 trimmed, with snapshots at 40 and 60.
struct Original {
    directory: tempfile::TempDir,
    head: Head,
    entries: Vec<Entry>,
}

impl Original {
    fn new(is_closed: bool) -> Self {
        let directory = super::fresh();
        let log = Embedded::open(directory.path()).unwrap();
        for batch in 0..8 {
            if batch == 5 {
                let mut bodies = bodies(batch * 10, 9);
                bodies.push(vec![5; 20_000]);
                log.append(&bodies).unwrap();
            } else {
                append(&log, batch * 10, 10);
            }
            if batch == 3 || batch == 5 {
                put_snapshot(&log);
            }
        }
        log.trim(20).unwrap();
        let entries = log.read(20, 100, usize::MAX).unwrap();
        assert_eq!(entries.len(), 60);
        let head = log.head();
        let directory = if is_closed {
            drop(log);
            directory
        } else {
            // As a process leaves it that is killed.
            copy(directory.path())
        };
        Self {
            directory,
            head,
            entries,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Opens a copy with one file changed, and checks what it says.
    fn check(&self, name: &str, what: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let directory = copy(self.path());
        let file = directory.path().join(name);
        let mut bytes = fs::read(&file).unwrap();
        change(&mut bytes);
        fs::write(&file, bytes).unwrap();
        let result = catch_unwind(|| self.is_sound(directory.path(), what));
        result.unwrap_or_else(|_| panic!("{what}: wrong, or a panic"))
    }

    /// Whether all is there; anything but that and an error is a failed test.
    fn is_sound(&self, directory: &Path, what: &str) -> bool {
        let Ok(log) = Embedded::open(directory) else {
            return false;
        };
        assert_eq!(log.head(), self.head, "{what}: another head");
        assert_eq!(log.oldest(), 21, "{what}");
        let mut is_sound = true;
        let mut after = 20;
        while after < 80 {
            let Ok(read) = log.read(after, 9, usize::MAX) else {
                is_sound = false;
                break;
            };
            let skip = usize::try_from(after - 20).unwrap();
            assert_eq!(read, self.entries[skip..skip + read.len()], "{what}");
            after += read.len() as u64;
        }
        for entry in &self.entries {
            match log.hash_at(entry.sequence) {
                Ok(hash) => assert_eq!(hash, Some(entry.hash), "{what}"),
                Err(_) => is_sound = false,
            }
        }
        match log.snapshot() {
            Err(_) => is_sound = false,
            Ok(snapshot) => {
                let snapshot = snapshot.unwrap();
                let text = snapshot.at.sequence.to_string().into_bytes();
                let chunks: Vec<_> = snapshot.chunks.map(Result::unwrap).collect();
                assert_eq!(chunks, [text.clone(), vec![1; 500], text], "{what}");
            }
        }
        // It goes on from here, or says that it cannot.
        if let Ok(head) = log.append(&[b"next".to_vec()]) {
            assert_eq!(head, self.head.after(b"next"), "{what}");
        }
        is_sound
    }
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = super::fresh();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn flip_bits(original: &Original, name: &str, places: impl Iterator<Item = (usize, usize)>) {
    let (mut sound, mut faulty) = (0, 0);
    for (offset, bit) in places {
        let what = format!("{name}, bit {bit} at {offset}");
        let is_sound = original.check(name, &what, |bytes| bytes[offset] ^= 1 << bit);
        if is_sound {
            sound += 1;
        } else {
            faulty += 1;
        }
    }
    assert!(faulty > 0, "{name}: {sound} flips, and none was noticed");
}

fn cut(original: &Original, name: &str, lengths: impl Iterator<Item = usize>) {
    for length in lengths {
        let what = format!("{name}, cut off at {length}");
        original.check(name, &what, |bytes| bytes.truncate(length));
    }
}

/// Places all over the file: in the header of the first page, and in what is not
/// empty of the rest, as many as there are cases of a property.
fn places(file: &Path) -> Vec<(usize, usize)> {
    let count = (ProptestConfig::default().cases as usize / 2).max(1);
    let bytes = fs::read(file).unwrap();
    let used: Vec<_> = (320..bytes.len()).filter(|i| bytes[*i] != 0).collect();
    let step = (used.len() / count).max(1);
    // The ninth byte says which of two states is the last one.
    let choice = (0..8).map(|bit| (9, bit));
    let header = (0..320).step_by((320 / count).max(1));
    let rest = header.chain(used.into_iter().step_by(step));
    choice
        .chain(rest.map(|offset| (offset, offset % 8)))
        .collect()
}

#[test]
fn damage_to_a_closed_log_is_noticed() {
    let original = Original::new(true);
    let places = places(&original.path().join("log.redb"));
    flip_bits(&original, "log.redb", places.into_iter());
}

#[test]
fn damage_to_the_log_of_a_killed_process_is_noticed() {
    let original = Original::new(false);
    let places = places(&original.path().join("log.redb"));
    flip_bits(&original, "log.redb", places.into_iter());
}

#[test]
fn a_log_that_is_cut_off_is_noticed() {
    for is_closed in [true, false] {
        let original = Original::new(is_closed);
        let length = fs::metadata(original.path().join("log.redb"))
            .unwrap()
            .len();
        let length = usize::try_from(length).unwrap();
        let lengths = (0..400)
            .step_by(40)
            .chain((400..length).step_by(length / 40))
            .chain([length - 1]);
        cut(&original, "log.redb", lengths);
    }
}

#[test]
fn a_damaged_snapshot_gives_way_to_the_older_one() {
    let original = Original::new(true);
    let length = fs::metadata(original.path().join(NEWEST)).unwrap().len();
    let length = usize::try_from(length).unwrap();
    let places = (0..length).step_by(3).map(|offset| (offset, 0));
    for (offset, bit) in places {
        let what = format!("bit {bit} at {offset}");
        let flip = |bytes: &mut Vec<u8>| bytes[offset] ^= 1 << bit;
        assert!(original.check(NEWEST, &what, flip), "{what}");
    }
    cut(&original, NEWEST, (0..length).step_by(7));
    let changes: [fn(&mut Vec<u8>); 2] = [|bytes| bytes[200] ^= 1, |bytes| bytes.push(0)];
    for change in changes {
        assert!(original.check(NEWEST, "changed", change));
        let directory = copy(original.path());
        let file = directory.path().join(NEWEST);
        let mut bytes = fs::read(&file).unwrap();
        change(&mut bytes);
        fs::write(&file, &bytes).unwrap();
        let log = Embedded::open(directory.path()).unwrap();
        assert_eq!(log.snapshot().unwrap().unwrap().at.sequence, 40);
        // What the older one does not cover stays.
        let error = log.trim(50).unwrap_err();
        assert!(matches!(error, LogError::Uncovered { .. }), "{error}");
        assert_eq!(log.oldest(), 21);
    }
}

#[test]
fn a_damaged_snapshot_that_is_needed_is_an_error() {
    let original = Original::new(true);
    let log = Embedded::open(original.path()).unwrap();
    log.trim(50).unwrap();
    drop(log);
    let length = fs::metadata(original.path().join(NEWEST)).unwrap().len();
    for offset in (0..usize::try_from(length).unwrap()).step_by(3) {
        let directory = copy(original.path());
        let file = directory.path().join(NEWEST);
        let mut bytes = fs::read(&file).unwrap();
        bytes[offset] ^= 4;
        fs::write(&file, &bytes).unwrap();
        let log = Embedded::open(directory.path()).unwrap();
        log.snapshot().unwrap_err().hint();
    }
    let directory = copy(original.path());
    fs::remove_file(directory.path().join(NEWEST)).unwrap();
    fs::remove_file(directory.path().join(OLDER)).unwrap();
    let log = Embedded::open(directory.path()).unwrap();
    let error = log.snapshot().unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}
