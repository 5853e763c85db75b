//! Many that want something of the one thread that writes: none keeps the others
//! from what they are due.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use deodar::directory::Directory;
use deodar::directory::Options;
use deodar::directory::error::WriteError;
use deodar::directory::fit::Activation;
use deodar::directory::fit::OnConflict;
use deodar::directory::log::Log;
use deodar::directory::log::Memory;
use deodar::directory::operation::Draft;
use deodar::directory::operation::Operation;
use deodar::directory::revision::Revision;
use deodar::directory::time::Time;
use deodar::directory::writer::Publish;
use deodar::engine::View;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::faulty::Fault;
use super::faulty::Faulty;
use super::site::POLICIES;
use super::site::START;
use super::site::draft;
use super::site::put;
use super::site::snapshot;
use super::site::uid;

/// Long enough for a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

type Writing<'a> = Pin<Box<dyn Future<Output = Result<Revision, WriteError>> + 'a>>;

fn open(log: Arc<dyn Log>, options: Options, publish: Publish) -> Directory {
    let directory = Directory::on(log, options, publish).unwrap();
    let activation = Activation {
        snapshot: Arc::new(snapshot(POLICIES, "")),
        seed: Vec::new(),
        on_conflict: OnConflict::Reject,
        publish: Box::new(|_| {}),
    };
    directory.activate(activation).unwrap();
    directory
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// A directory whose thread is held up when it puts something in force.
struct Held {
    directory: Directory,
    /// What was put in force.
    published: Receiver<u64>,
    /// Once this is dropped, the thread goes on.
    hold: Sender<()>,
}

impl Held {
    /// With one transaction, at whose publication the thread is held up.
    fn new() -> Self {
        let (tell, published) = channel();
        let (hold, held) = channel();
        let publish = move |view: View, _: &[_]| {
            tell.send(view.sequence()).ok();
            held.recv().ok();
        };
        let options = Options::default();
        let directory = open(Arc::new(Memory::default()), options, Box::new(publish));
        let first = queued(directory.write(draft(vec![user("first")])));
        assert_eq!(published.recv_timeout(LIMIT), Ok(1));
        drop(first);
        Self {
            directory,
            published,
            hold,
        }
    }
}

/// A write that is on its way to the thread.
fn queued<'a>(write: impl Future<Output = Result<Revision, WriteError>> + 'a) -> Writing<'a> {
    let mut write: Writing<'a> = Box::pin(write);
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(write.as_mut().poll(&mut context), Poll::Pending));
    write
}

fn sent(directory: &Directory, draft: Draft) -> Writing<'_> {
    queued(directory.write(draft))
}

fn user(id: &str) -> Operation {
    put(&format!("User::{id}"), &json!({}), &[])
}

/// Refused, however often it is tried.
fn refused(operations: usize) -> Draft {
    draft(vec![
        Operation::RemoveLink { id: "none".into() };
        operations
    ])
}

/// Found: refused writes, which nothing counted, kept accepted ones from the log
/// for as long as they came. Seen to fail when the commands of a group are not
/// counted, and when their operations are not.
#[test]
fn refused_writes_do_not_hold_up_accepted_ones() {
    let runtime = runtime();
    for (writes, operations) in [(1100, 1), (3, 9_000)] {
        let Held {
            directory,
            published,
            hold,
        } = Held::new();
        let before = sent(&directory, draft(vec![user("before")]));
        let refused: Vec<_> = (0..writes)
            .map(|_| sent(&directory, refused(operations)))
            .collect();
        let after = sent(&directory, draft(vec![user("after")]));
        drop(hold);
        for write in refused {
            let outcome = runtime.block_on(write);
            assert!(matches!(outcome, Err(WriteError::Refused(_))));
        }
        for write in [before, after] {
            runtime.block_on(write).unwrap();
        }
        // The first did not wait until all the others had been looked at.
        let published: Vec<u64> = published.try_iter().collect();
        assert_eq!(published, [2, 3], "{writes} of {operations}");
    }
}

/// Found: a call that was given up gave back the memory that its write still had.
/// Seen to fail when the room is not in the command.
#[test]
fn a_write_that_waits_takes_its_room_when_its_caller_has_gone() {
    let runtime = runtime();
    let Held {
        directory,
        published: _published,
        hold,
    } = Held::new();
    let room = Arc::new(Semaphore::new(1));
    let place = Arc::clone(&room).try_acquire_owned().unwrap();
    let write = directory.write_in(draft(vec![user("gone")]), Some(place));
    drop(queued(write));
    assert_eq!(room.available_permits(), 0);
    drop(hold);
    drop(runtime.block_on(room.acquire()).unwrap());
}

/// Seen to fail when the writer does not look whether somebody waits.
#[test]
fn a_write_whose_caller_has_gone_is_not_begun() {
    let runtime = runtime();
    let Held {
        directory,
        published: _published,
        hold,
    } = Held::new();
    drop(sent(&directory, draft(vec![user("gone")])));
    let next = sent(&directory, draft(vec![user("next")]));
    drop(hold);
    assert_eq!(runtime.block_on(next).unwrap().sequence, 2);
    let tip = directory.tip();
    assert_eq!(tip.entity(&uid("User::gone")), None);
    assert!(tip.entity(&uid("User::next")).is_some());
}

/// Found: after a step of the clock, or a sleep of the machine, what had ended was
/// removed up to a minute late, and nothing was decided meanwhile. Seen to fail
/// when the thread waits as long as it was until the ending.
#[test]
fn a_step_of_the_clock_is_seen_soon() {
    let time = Arc::new(AtomicI64::new(START * 1000));
    let options = Options {
        time: Time::Set(Arc::clone(&time)),
        ..Options::default()
    };
    let log = Arc::new(Memory::default());
    let directory = open(log, options, Box::new(|_, _| {}));
    let mut guest = user("guest");
    if let Operation::Put(put) = &mut guest {
        put.expires = Some(START + 3600);
    }
    let runtime = runtime();
    runtime
        .block_on(directory.write(draft(vec![guest])))
        .unwrap();
    time.store((START + 3600) * 1000, Ordering::Relaxed);
    let mut heads = directory.heads();
    let removed = async {
        let removed = heads.wait_for(|head| head.sequence == 2);
        tokio::time::timeout(LIMIT, removed).await.unwrap().unwrap();
    };
    runtime.block_on(removed);
    assert_eq!(directory.tip().entity(&uid("User::guest")), None);
}

/// Found: a thread that panicked was taken to write its snapshot for ever. Seen to
/// fail when the turn is given back after the work instead of when it is dropped.
#[test]
fn a_snapshot_that_panics_is_not_the_last() {
    let log = Arc::new(Faulty::default());
    let mut options = Options::default();
    options.keep.snapshot_every = 1;
    let directory = open(Arc::clone(&log) as Arc<_>, options, Box::new(|_, _| {}));
    log.fail(Fault {
        panics: 1,
        ..Fault::default()
    });
    let runtime = runtime();
    for name in ["a", "b"] {
        let write = directory.write(draft(vec![user(name)]));
        runtime.block_on(write).unwrap();
    }
    let kept = async {
        while log.snapshot().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(LIMIT, kept).await })
        .unwrap();
}
