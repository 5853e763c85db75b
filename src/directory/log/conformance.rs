//! What every log has to do, whatever it keeps its entries in.

use std::sync::Barrier;
use std::thread;

use super::BODY_BYTES_MAX;
use super::Entry;
use super::Head;
use super::Log;
use super::LogError;
use super::LogId;

/// Runs all of it; `make` makes an empty log each time.
pub(super) fn suite(make: impl Fn() -> Box<dyn Log>) {
    let parts: &[fn(&dyn Log)] = &[
        an_empty_log,
        entries_are_chained_without_gaps,
        a_batch_is_whole_or_not_there,
        an_empty_append_does_nothing,
        reads_keep_their_limits,
        large_bodies_come_back,
        snapshots_come_back,
        a_snapshot_must_be_of_this_log,
        a_chunk_that_is_too_large_leaves_no_snapshot,
        a_trim_needs_a_snapshot,
        trimmed_entries_are_said_to_be,
        readers_see_whole_batches_while_others_append,
        a_snapshot_does_not_hold_up_appends,
        recovery_of_a_sound_log_changes_nothing,
        a_mark_stays_until_it_is_changed,
    ];
    for part in parts {
        part(&*make());
    }
    logs_have_names_of_their_own(&*make(), &*make());
}

fn a_mark_stays_until_it_is_changed(log: &dyn Log) {
    assert_eq!(log.mark().unwrap(), None);
    log.set_mark(None).unwrap();
    for mark in [Some([1; 32]), Some([2; 32]), None, Some([3; 32])] {
        log.set_mark(mark).unwrap();
        assert_eq!(log.mark().unwrap(), mark);
        let head = log.append(&bodies(log.head().sequence, 2)).unwrap();
        log.put_snapshot(head, &mut std::iter::empty()).unwrap();
        log.trim(head.sequence).unwrap();
        assert_eq!(log.recover().unwrap(), head);
        assert_eq!(log.mark().unwrap(), mark);
    }
}

/// The bodies `from..from + count`, each telling its number.
pub(super) fn bodies(from: u64, count: u64) -> Vec<Vec<u8>> {
    (from..from + count)
        .map(|number| format!("body {number}").into_bytes())
        .collect()
}

/// Everything after a sequence, checked against the chain from `at` on.
pub(super) fn read_all(log: &dyn Log, mut at: Head) -> Vec<Entry> {
    let mut all = Vec::new();
    loop {
        let entries = log.read(at.sequence, 7, 10_000).unwrap();
        if entries.is_empty() {
            return all;
        }
        for entry in entries {
            at = at.after(&entry.body);
            assert_eq!((entry.sequence, entry.hash), (at.sequence, at.hash));
            all.push(entry);
        }
    }
}

fn start(log: &dyn Log) -> Head {
    Head::before_first(log.head().log)
}

fn put(log: &dyn Log, at: Head, chunks: &[&[u8]]) -> Result<(), LogError> {
    log.put_snapshot(at, &mut chunks.iter().map(|chunk| chunk.to_vec()))
}

fn chunks(log: &dyn Log) -> Option<(u64, Vec<Vec<u8>>)> {
    let snapshot = log.snapshot().unwrap()?;
    let chunks = snapshot.chunks.collect::<Result<_, _>>().unwrap();
    Some((snapshot.at.sequence, chunks))
}

fn an_empty_log(log: &dyn Log) {
    let head = log.head();
    assert_eq!(head, start(log));
    assert_eq!(log.oldest(), 1);
    assert_eq!(log.hash_at(0).unwrap(), Some(head.hash));
    assert_eq!(log.hash_at(1).unwrap(), None);
    assert_eq!(log.hash_at(u64::MAX).unwrap(), None);
    assert!(log.read(0, 1, 1).unwrap().is_empty());
    assert!(log.read(u64::MAX, 1, 1).unwrap().is_empty());
    assert!(log.snapshot().unwrap().is_none());
    log.trim(0).unwrap();
}

fn logs_have_names_of_their_own(a: &dyn Log, b: &dyn Log) {
    assert_ne!(a.head().log, b.head().log);
    assert_ne!(a.head().hash, b.head().hash);
}

fn entries_are_chained_without_gaps(log: &dyn Log) {
    let mut expected = start(log);
    for batch in 0..5_u64 {
        let bodies = bodies(batch * 10, batch + 1);
        let head = log.append(&bodies).unwrap();
        expected = bodies.iter().fold(expected, |at, body| at.after(body));
        assert_eq!(head, expected);
        assert_eq!(log.head(), expected);
    }
    let all = read_all(log, start(log));
    assert_eq!(all.len(), 15);
    for entry in &all {
        assert_eq!(log.hash_at(entry.sequence).unwrap(), Some(entry.hash));
    }
    assert_eq!(log.hash_at(16).unwrap(), None);
    assert_eq!(log.oldest(), 1);
}

fn a_batch_is_whole_or_not_there(log: &dyn Log) {
    let head = log.append(&bodies(0, 3)).unwrap();
    let too_large = vec![0; BODY_BYTES_MAX + 1];
    let error = log
        .append(&[b"a".to_vec(), too_large, b"b".to_vec()])
        .unwrap_err();
    assert!(matches!(error, LogError::TooLarge { .. }), "{error}");
    assert_eq!(log.head(), head);
    assert_eq!(read_all(log, start(log)).len(), 3);
    assert_eq!(log.append(&bodies(3, 1)).unwrap().sequence, 4);
}

fn an_empty_append_does_nothing(log: &dyn Log) {
    assert_eq!(log.append(&[]).unwrap(), start(log));
    let head = log.append(&bodies(0, 2)).unwrap();
    assert_eq!(log.append(&[]).unwrap(), head);
    assert_eq!(read_all(log, start(log)).len(), 2);
}

fn reads_keep_their_limits(log: &dyn Log) {
    log.append(&vec![vec![7; 100]; 10]).unwrap();
    let count = |after, entries, bytes| log.read(after, entries, bytes).unwrap().len();
    assert_eq!(count(0, 3, usize::MAX), 3);
    assert_eq!(count(0, usize::MAX, usize::MAX), 10);
    assert_eq!(count(0, usize::MAX, 250), 2);
    assert_eq!(count(0, usize::MAX, 300), 3);
    assert_eq!(count(0, usize::MAX, 0), 1, "one always");
    assert_eq!(count(0, 0, usize::MAX), 1, "one always");
    assert_eq!(count(8, usize::MAX, usize::MAX), 2);
    assert_eq!(count(10, 1, 1), 0);
    assert_eq!(count(11, 1, 1), 0);
    assert_eq!(log.read(4, 1, 1).unwrap().first().unwrap().sequence, 5);
}

fn large_bodies_come_back(log: &dyn Log) {
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let bodies = vec![Vec::new(), large, vec![0], Vec::new()];
    log.append(&bodies).unwrap();
    let read: Vec<_> = read_all(log, start(log))
        .into_iter()
        .map(|entry| entry.body)
        .collect();
    assert_eq!(read, bodies);
}

fn snapshots_come_back(log: &dyn Log) {
    put(log, start(log), &[]).unwrap();
    assert_eq!(chunks(log), Some((0, vec![])));
    let third = log.append(&bodies(0, 3)).unwrap();
    put(log, third, &[b"three", b"", b"!"]).unwrap();
    assert_eq!(
        chunks(log),
        Some((3, vec![b"three".to_vec(), vec![], b"!".to_vec()]))
    );
    let sixth = log.append(&bodies(3, 3)).unwrap();
    put(log, sixth, &[b"six"]).unwrap();
    assert_eq!(chunks(log), Some((6, vec![b"six".to_vec()])));
    // An older one does not take the place of the newest, nor does it again.
    put(log, third, &[b"three again"]).unwrap();
    assert_eq!(chunks(log), Some((6, vec![b"six".to_vec()])));
    put(log, sixth, &[b"six again"]).unwrap();
    assert_eq!(chunks(log), Some((6, vec![b"six again".to_vec()])));
    // What was handed out stays whole, whatever is put later.
    let snapshot = log.snapshot().unwrap().unwrap();
    for number in 7..10 {
        let head = log.append(&bodies(number, 1)).unwrap();
        put(log, head, &[b"later"]).unwrap();
    }
    let held: Vec<_> = snapshot.chunks.map(Result::unwrap).collect();
    assert_eq!(held, [b"six again".to_vec()]);
}

fn a_snapshot_must_be_of_this_log(log: &dyn Log) {
    let head = log.append(&bodies(0, 3)).unwrap();
    let wrong = [
        Head {
            log: LogId::random(),
            ..head
        },
        Head {
            sequence: 2,
            ..head
        },
        head.after(b"never appended"),
        Head::before_first(LogId::random()),
    ];
    for at in wrong {
        let error = put(log, at, &[b"x"]).unwrap_err();
        assert!(matches!(error, LogError::Foreign { .. }), "{error}");
    }
    assert!(log.snapshot().unwrap().is_none());
}

fn a_chunk_that_is_too_large_leaves_no_snapshot(log: &dyn Log) {
    let head = log.append(&bodies(0, 1)).unwrap();
    let error = log
        .put_snapshot(
            head,
            &mut [vec![1], vec![0; BODY_BYTES_MAX + 1]].into_iter(),
        )
        .unwrap_err();
    assert!(matches!(error, LogError::TooLarge { .. }), "{error}");
    assert!(log.snapshot().unwrap().is_none());
}

fn a_trim_needs_a_snapshot(log: &dyn Log) {
    let fifth = log.append(&bodies(0, 5)).unwrap();
    log.append(&bodies(5, 5)).unwrap();
    for through in [1, 5, 10, 11, u64::MAX] {
        let error = log.trim(through).unwrap_err();
        assert!(matches!(error, LogError::Uncovered { .. }), "{error}");
    }
    put(log, fifth, &[b"five"]).unwrap();
    let error = log.trim(6).unwrap_err();
    assert!(matches!(error, LogError::Uncovered { .. }), "{error}");
    assert_eq!(log.oldest(), 1);
    assert_eq!(read_all(log, start(log)).len(), 10);
}

fn trimmed_entries_are_said_to_be(log: &dyn Log) {
    let fifth = log.append(&bodies(0, 5)).unwrap();
    let tenth = log.append(&bodies(5, 5)).unwrap();
    put(log, fifth, &[b"five"]).unwrap();
    log.trim(5).unwrap();
    log.trim(3).unwrap();
    assert_eq!(log.oldest(), 6);
    assert_eq!(log.head(), tenth);
    let error = log.read(4, 1, 1).unwrap_err();
    assert!(
        matches!(error, LogError::Trimmed { oldest: 6 }),
        "{error:?}"
    );
    assert_eq!(read_all(log, fifth).len(), 5);
    assert_eq!(log.hash_at(4).unwrap(), None);
    assert_eq!(log.hash_at(5).unwrap(), Some(fifth.hash));
    let early = start(log).after(b"body 0");
    let error = put(log, early, &[]).unwrap_err();
    assert!(
        matches!(error, LogError::Trimmed { oldest: 6 }),
        "{error:?}"
    );
    // All of it may go, and the log continues where it was.
    put(log, tenth, &[b"ten"]).unwrap();
    log.trim(10).unwrap();
    assert_eq!(log.oldest(), 11);
    assert_eq!(log.head(), tenth);
    assert!(log.read(10, 1, 1).unwrap().is_empty());
    let next = log.append(&bodies(10, 1)).unwrap();
    assert_eq!(next, tenth.after(b"body 10"));
    assert_eq!(read_all(log, tenth).len(), 1);
    assert_eq!(chunks(log), Some((10, vec![b"ten".to_vec()])));
}

fn readers_see_whole_batches_while_others_append(log: &dyn Log) {
    const BATCH: u64 = 5;
    const BATCHES: u64 = 20;
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                barrier.wait();
                for batch in 0..BATCHES / 2 {
                    log.append(&bodies(batch, BATCH)).unwrap();
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                barrier.wait();
                let mut at = start(log);
                while at.sequence < BATCH * BATCHES {
                    let head = log.head();
                    assert_eq!(head.sequence % BATCH, 0, "half a batch");
                    assert_eq!(log.hash_at(head.sequence).unwrap(), Some(head.hash));
                    for entry in log.read(at.sequence, usize::MAX, usize::MAX).unwrap() {
                        at = at.after(&entry.body);
                        assert_eq!(entry.hash, at.hash);
                    }
                    assert_eq!(at.sequence % BATCH, 0, "half a batch");
                    assert!(at.sequence >= head.sequence, "an older state");
                }
            });
        }
    });
    assert_eq!(log.head().sequence, BATCH * BATCHES);
}

fn a_snapshot_does_not_hold_up_appends(log: &dyn Log) {
    let head = log.append(&bodies(0, 1)).unwrap();
    // Would hang if it did, as each chunk waits for an append.
    let mut chunks = (1..4).map(|number| {
        thread::scope(|scope| {
            scope
                .spawn(|| log.append(&bodies(number, 1)).unwrap())
                .join()
                .unwrap();
        });
        log.trim(0).unwrap();
        drop(log.snapshot().unwrap());
        vec![0]
    });
    log.put_snapshot(head, &mut chunks).unwrap();
    assert_eq!(log.head().sequence, 4);
    assert_eq!(log.snapshot().unwrap().unwrap().at, head);
}

fn recovery_of_a_sound_log_changes_nothing(log: &dyn Log) {
    let head = log.append(&bodies(0, 4)).unwrap();
    put(log, head, &[b"four"]).unwrap();
    assert_eq!(log.recover().unwrap(), head);
    log.trim(2).unwrap();
    assert_eq!(log.recover().unwrap(), head);
    assert_eq!(log.oldest(), 3);
    let next = log.append(&bodies(4, 1)).unwrap();
    assert_eq!(next, head.after(b"body 4"));
    assert_eq!(chunks(log), Some((4, vec![b"four".to_vec()])));
}
