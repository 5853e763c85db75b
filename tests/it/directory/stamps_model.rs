//! The stamps of the decision cache, in every order in which threads can run
//! and memory can be seen.
//!
//! One thread writes two transactions, of which the first changes what is asked
//! about. One pins, decides and keeps; another pins and takes what is kept if it
//! is good. It must be what the other would have decided itself.

#[path = "../../../src/pdp/stamps.rs"]
mod stamps;

mod atomic {
    pub use loom::sync::atomic::AtomicU64;
    pub use loom::sync::atomic::Ordering;
}

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering as Counting;

use atomic::AtomicU64;
use atomic::Ordering;
use loom::sync::Arc;
use loom::sync::Mutex;
use loom::thread;
use stamps::Slot;
use stamps::Stamps;

/// How a writer and its readers go about it.
#[derive(Clone, Copy)]
struct Protocol {
    publish: Ordering,
    pin: Ordering,
    touches_first: bool,
    /// Since when nothing may have changed, given what is pinned and the entry's.
    since: fn(u64, u64) -> u64,
}

const OURS: Protocol = Protocol {
    publish: Ordering::Release,
    pin: Ordering::Acquire,
    touches_first: true,
    since: |pinned, entry| if pinned < entry { pinned } else { entry },
};

struct Shared {
    stamps: Stamps,
    /// What is asked about, and something else: both halves of an entity.
    asked: Slot,
    elsewhere: Slot,
    /// The view in force; views never change, so their number says all.
    view: AtomicU64,
    kept: Mutex<Option<(u64, u64)>>,
}

/// The decision on a view: how often what is asked about had changed.
fn decision(view: u64) -> u64 {
    view.min(1)
}

impl Shared {
    fn write(&self, protocol: Protocol) {
        for (sequence, slot) in [(1, self.asked), (2, self.elsewhere)] {
            if protocol.touches_first {
                self.stamps.touch(slot, sequence);
            }
            self.view.store(sequence, protocol.publish);
            if !protocol.touches_first {
                self.stamps.touch(slot, sequence);
            }
        }
    }

    fn decide_and_keep(&self, protocol: Protocol) {
        let pinned = self.view.load(protocol.pin);
        *self.kept.lock().unwrap() = Some((pinned, decision(pinned)));
    }

    /// Whether something was kept, and whether it was good.
    fn take(&self, protocol: Protocol) -> Option<bool> {
        let pinned = self.view.load(protocol.pin);
        let (entry, kept) = (*self.kept.lock().unwrap())?;
        let since = (protocol.since)(pinned, entry);
        let is_good = self.stamps.unchanged_since(since, &[self.asked]);
        if is_good {
            assert_eq!(kept, decision(pinned), "made at {entry}, given at {pinned}");
        }
        Some(is_good)
    }
}

/// How often an entry was given, and refused, in all orders together.
fn explore(protocol: Protocol) -> (usize, usize) {
    let counts: std::sync::Arc<[AtomicUsize; 2]> = std::sync::Arc::default();
    let counted = std::sync::Arc::clone(&counts);
    loom::model(move || {
        let stamps = Stamps::new(2);
        let shared = Arc::new(Shared {
            asked: stamps.slot(0, 0),
            elsewhere: stamps.slot(0, 1),
            stamps,
            view: AtomicU64::new(0),
            kept: Mutex::new(None),
        });
        assert_ne!(shared.asked, shared.elsewhere);
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.write(protocol))
        };
        let keeper = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.decide_and_keep(protocol))
        };
        if let Some(is_good) = shared.take(protocol) {
            counted[usize::from(is_good)].fetch_add(1, Counting::Relaxed);
        }
        writer.join().unwrap();
        keeper.join().unwrap();
    });
    let [refused, given] = [&counts[0], &counts[1]].map(|count| count.load(Counting::Relaxed));
    (given, refused)
}

#[test]
fn what_is_kept_is_what_would_be_decided() {
    let (given, refused) = explore(OURS);
    assert!(given > 0 && refused > 0, "{given} given, {refused} refused");
}

#[test]
#[should_panic(expected = "given at")]
fn a_view_published_before_its_changes_are_marked_is_stale() {
    explore(Protocol {
        touches_first: false,
        ..OURS
    });
}

#[test]
#[should_panic(expected = "given at")]
fn a_view_published_without_release_is_stale() {
    explore(Protocol {
        publish: Ordering::Relaxed,
        ..OURS
    });
}

#[test]
#[should_panic(expected = "given at")]
fn a_view_pinned_without_acquire_is_stale() {
    explore(Protocol {
        pin: Ordering::Relaxed,
        ..OURS
    });
}

/// Who holds an old view would get what was decided after it.
#[test]
#[should_panic(expected = "given at")]
fn only_the_age_of_the_entry_is_not_enough() {
    explore(Protocol {
        since: |_, entry| entry,
        ..OURS
    });
}

#[test]
#[should_panic(expected = "given at")]
fn only_the_age_of_the_view_is_not_enough() {
    explore(Protocol {
        since: |pinned, _| pinned,
        ..OURS
    });
}
