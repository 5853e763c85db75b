//! A crash at every call to the disk, with and without the power: nothing that
//! was acknowledged is lost, and the next start needs no hand.

use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use deodar::audit::Audit;
use deodar::audit::Mode;
use deodar::audit::Options;
use deodar::audit::Submitted;
use deodar::audit::files::Call;
use deodar::audit::files::Files;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::failing::Gate;
use super::failing::Plan;
use super::site::START;
use super::site::WINDOW;
use super::site::fresh;
use super::site::numbers;
use super::site::of_kind;
use super::site::options;
use super::site::put;
use super::site::record;
use super::site::sound;
use crate::engine_oracle::cases;

/// What the power failure makes of bytes that were not synced.
#[derive(Debug, Clone)]
enum Torn {
    /// Only the process is gone.
    Nothing,
    /// Of so many parts in 256 the rest is gone.
    Cut(u8),
    /// From so many parts in 256 to so many they read as zeros.
    Hole(u8, u8),
}

impl Torn {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |part: u8| bytes.len() * usize::from(part) / 255;
        match *self {
            Self::Nothing => {}
            Self::Cut(part) => bytes.truncate(place(part)),
            Self::Hole(from, to) => {
                let (from, to) = (place(from.min(to)), place(from.max(to)));
                bytes[from..to].fill(0);
            }
        }
    }
}

fn torn() -> impl Strategy<Value = Torn> {
    prop_oneof![
        Just(Torn::Nothing),
        any::<u8>().prop_map(Torn::Cut),
        any::<(u8, u8)>().prop_map(|(from, to)| Torn::Hole(from, to)),
    ]
}

proptest! {
    #![proptest_config(cases(150))]

    /// Three lives of a log, each ended by a crash. Seen to fail when
    /// tickets are answered before the sync, when a hole of zeros is taken for damage,
    /// and when a repair is told in two records, of which the crash takes one.
    #[test]
    fn what_was_acknowledged_survives(
        lives in proptest::collection::vec((0_u64..60, 0_usize..400, torn(), any::<bool>(), any::<bool>()), 3),
        segment_bytes in 300_u64..3000,
    ) {
        let directory = fresh();
        let mut acknowledged = Vec::new();
        let mut number = 0;
        for (calls, written, torn, is_unnamed_gone, is_sync) in lives {
            let gate = Arc::new(Gate::default());
            gate.plan(Plan { calls: Some(calls), written, ..Plan::default() });
            let opened = Audit::open(Options {
                mode: if is_sync { Mode::Sync } else { Mode::Batched { window: WINDOW } },
                files: gate.files(),
                segment_bytes,
                keep_bytes: None,
                ..options(directory.path())
            });
            if let Ok(audit) = opened {
                let audit = Arc::new(audit);
                // It ends when the writer gives up, or after so many.
                let mut flushes = Vec::new();
                for _ in 0..12 {
                    let mut group = Vec::new();
                    for _ in 0..3 {
                        match audit.submit(START, record(0, number, 30)) {
                            Submitted::Pending(ticket) => group.push((number, Some(ticket))),
                            Submitted::Taken => group.push((number, None)),
                            other => prop_assert!(false, "{other:?}"),
                        }
                        number += 1;
                    }
                    let flushed = { let audit = Arc::clone(&audit); std::thread::spawn(move || audit.flush_blocking()) };
                    flushes.push((group, flushed));
                }
                // With a disk that fails for good, closing is what ends the waiting.
                Audit::clone(&audit).close();
                for (group, flushed) in flushes {
                    let is_flushed = flushed.join().unwrap().is_ok();
                    for (number, ticket) in group {
                        let is_durable = ticket.is_some_and(|ticket| ticket.wait().is_ok());
                        if is_flushed || is_durable {
                            acknowledged.push(number);
                        }
                    }
                }
            }
            gate.lose_power(|bytes| torn.apply(bytes), is_unnamed_gone);
        }
        // A start without faults repairs whatever there is, and works.
        let audit = Audit::open(Options { segment_bytes, ..options(directory.path()) }).unwrap();
        put(&audit, number);
        acknowledged.push(number);
        audit.close();
        sound(directory.path());
        let there = numbers(directory.path(), 0);
        prop_assert!(there.windows(2).all(|two| two[0] < two[1]), "{there:?}");
        for number in acknowledged {
            prop_assert!(there.contains(&number), "{number} is not in {there:?}");
        }
        let kept = std::fs::read_dir(directory.path()).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_str().unwrap().starts_with("torn-")
        });
        let told: HashSet<_> = of_kind(directory.path(), "repair")
            .iter()
            .flat_map(|repair| repair["torn"].as_array().unwrap().clone())
            .map(|torn| torn["kept_in"].to_string())
            .collect();
        prop_assert_eq!(kept.count(), told.len());
    }
}

/// Seen to fail when the parents of the directory are not synced.
#[test]
fn the_directory_itself_has_a_durable_name() {
    let folder = fresh();
    let open = |directory: PathBuf| {
        let synced = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&synced);
        let files = Files::behind(Arc::new(move |path: &Path, call| {
            if call == Call::SyncDirectory {
                noted.lock().push(path.to_owned());
            }
            Ok(())
        }));
        let audit = Audit::open(Options {
            files,
            ..options(&directory)
        });
        audit.unwrap().close();
        std::mem::take(&mut *synced.lock())
    };
    let (above, log) = (folder.path().join("a"), folder.path().join("a/b/log"));
    let synced = open(log.clone());
    for parent in [folder.path(), &above, &above.join("b")] {
        assert!(synced.contains(&parent.to_owned()), "{synced:?}");
    }
    // Once: it is there now.
    assert!(open(log.clone()).iter().all(|path| *path == log));
}
