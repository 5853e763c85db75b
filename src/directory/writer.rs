//! The one thread that changes the directory.
//!
//! ```text
//! writes -> judge, apply, check on a clone -> one durable append for all that wait
//!        -> mark what changed, publish the view -> acknowledge
//! ```
//!
//! What ends is removed by transactions of the same thread, and new policies are
//! fitted to the state here too, so that policies and data in force always
//! belong together.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::oneshot;

use super::apply;
use super::apply::Application;
use super::apply::judge;
use super::check::Check;
use super::check::EntityLimits;
use super::codec;
use super::dump;
use super::error::WriteError;
use super::error::WriteFault;
use super::fit;
use super::fit::Activation;
use super::fit::Misfits;
use super::fitted;
use super::fitted::Fitted;
use super::log::BODY_BYTES_MAX;
use super::log::Head;
use super::log::Log;
use super::log::LogError;
use super::operation::Draft;
use super::operation::Operation;
use super::operation::Transaction;
use super::replay::catch_up;
use super::revision::Revision;
use super::state::State;
use super::time::Time;
use super::tip::Shared;
use super::tip::Tip;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::footprint::Half;
use crate::engine::scope::Atom;
use crate::telemetry::events;

/// Takes the next view into force. What changed comes with it, and has to be
/// marked first.
pub type Publish = Box<dyn Fn(View, &[(Atom, Half)]) + Send>;

/// So many writes are made durable together at the most.
const GROUP_MAX: usize = 1024;
/// A group is closed when its transactions have so many bytes.
const GROUP_BYTES: usize = 8 << 20;
/// So many endings are made durable together.
const ENDINGS_MAX: usize = 1000;
/// Who removes what ends, in the log.
const CLOCK: &str = "deodar/clock";
/// Who writes the first entities of a new directory, in the log.
const SEED: &str = "deodar/seed";
/// Without anything that ends, the thread looks up so often.
const IDLE: Duration = Duration::from_mins(1);
/// A snapshot that is due while another is being written is tried again so much
/// later.
const SNAPSHOT_RETRY: Duration = Duration::from_millis(50);
/// After a failure to remove what ended, it is tried again so much later.
const RETRY: Duration = Duration::from_secs(1);

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Apply a transaction.
    Write(Draft, oneshot::Sender<Result<Revision, WriteError>>),
    /// Fit new policies to the state and put them in force.
    Activate(Activation, oneshot::Sender<Result<Misfits, Misfits>>),
    /// Look at the time.
    Tick(oneshot::Sender<()>),
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Transactions kept for those who watch.
    pub transactions: u64,
    /// A snapshot is made after so many operations at least, and at least half
    /// as many as there are entities: so that all snapshots together cost a few
    /// times what they keep.
    pub snapshot_every: usize,
}

/// The thread's own.
pub struct Writer {
    log: Arc<dyn Log>,
    shared: Arc<Shared>,
    state: State,
    head: Head,
    snapshot: Option<Arc<Snapshot>>,
    fitted: Fitted,
    limits: EntityLimits,
    operations_max: usize,
    keep: Keep,
    /// Operations since the newest snapshot.
    tail: usize,
    time: Time,
    publish: Publish,
    is_broken: bool,
    /// What ended could not be removed; it is tried again in a while.
    is_late: bool,
}

/// A group of transactions on its way to the log.
struct Group {
    state: State,
    head: Head,
    millis: i64,
    bodies: Vec<Vec<u8>>,
    bytes: usize,
    operations: usize,
    changes: Vec<(Atom, Half)>,
    written: Vec<(oneshot::Sender<Result<Revision, WriteError>>, Revision)>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// What a writer starts with.
pub struct Start {
    /// The log.
    pub log: Arc<dyn Log>,
    /// What readers see.
    pub shared: Arc<Shared>,
    /// The state at the head of the log.
    pub state: State,
    /// Operations in the log since its newest snapshot.
    pub tail: usize,
    /// Limits of entities.
    pub limits: EntityLimits,
    /// Operations of a transaction.
    pub operations_max: usize,
    /// How much is kept.
    pub keep: Keep,
    /// What the time is.
    pub time: Time,
    /// Takes views into force.
    pub publish: Publish,
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start").finish_non_exhaustive()
    }
}

impl Writer {
    /// A writer that has done nothing yet.
    pub fn new(start: Start) -> Self {
        Self {
            head: start.log.head(),
            log: start.log,
            shared: start.shared,
            state: start.state,
            snapshot: None,
            fitted: Fitted::unknown(),
            limits: start.limits,
            operations_max: start.operations_max,
            keep: start.keep,
            tail: start.tail,
            time: start.time,
            publish: start.publish,
            is_broken: false,
            is_late: false,
        }
    }

    /// Works until nobody can ask any more.
    pub fn run(mut self, commands: &Receiver<Command>) {
        loop {
            match commands.recv_timeout(self.until_work()) {
                Ok(command) => self.serve(command, commands),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.remove_ended();
            self.snapshot_if_due();
        }
    }

    fn serve(&mut self, first: Command, commands: &Receiver<Command>) {
        let mut next = Some(first);
        let mut group = self.group();
        while let Some(command) = next.take() {
            match command {
                Command::Write(draft, reply) => self.add(&mut group, draft, reply),
                Command::Activate(activation, reply) => {
                    self.commit(std::mem::replace(&mut group, self.group()));
                    reply.send(self.activate(activation)).ok();
                    group = self.group();
                }
                Command::Tick(reply) => {
                    self.commit(std::mem::replace(&mut group, self.group()));
                    self.remove_ended();
                    reply.send(()).ok();
                    group = self.group();
                }
            }
            if group.bodies.len() < GROUP_MAX && group.bytes < GROUP_BYTES {
                next = commands.try_recv().ok();
            }
        }
        self.commit(group);
    }

    fn group(&self) -> Group {
        Group {
            state: self.state.clone(),
            head: self.head,
            millis: self.time.millis(),
            bodies: Vec::new(),
            bytes: 0,
            operations: 0,
            changes: Vec::new(),
            written: Vec::new(),
        }
    }

    fn add(
        &mut self,
        group: &mut Group,
        draft: Draft,
        reply: oneshot::Sender<Result<Revision, WriteError>>,
    ) {
        if self.is_broken
            && let Err(error) = self.mend(group)
        {
            reply.send(Err(error)).ok();
            return;
        }
        match self.apply(group, draft, Some(self.operations_max)) {
            Ok(revision) => group.written.push((reply, revision)),
            Err(error) => {
                reply.send(Err(error)).ok();
            }
        }
    }

    /// Applies a draft to the group, whole or not at all. What the server itself
    /// writes has no limit on operations.
    fn apply(
        &self,
        group: &mut Group,
        draft: Draft,
        operations_max: Option<usize>,
    ) -> Result<Revision, WriteError> {
        let Some(snapshot) = &self.snapshot else {
            return Err(WriteError::Busy);
        };
        if let Some(max) = operations_max
            && draft.operations.len() > max
        {
            let message = format!("there are more than {max} operations");
            let hint = "write less at once, or raise `directory.operations_max`";
            let fault = apply::Wrong::new(message, hint).at("operations");
            return Err(WriteError::Refused(vec![fault]));
        }
        let broken = broken_preconditions(&group.state, &draft);
        if !broken.is_empty() {
            return Err(WriteError::Precondition(broken));
        }
        let mut trial = group.state.clone();
        let sequence = group.head.sequence + 1;
        let check = Check {
            snapshot,
            limits: &self.limits,
        };
        let (operations, changes) =
            applied(&mut trial, &check, sequence, draft.operations).map_err(WriteError::Refused)?;
        let transaction = Transaction {
            sequence,
            millis: group.millis,
            actor: draft.actor,
            preconditions: draft.preconditions,
            operations,
        };
        let body = codec::encode(&transaction);
        if body.len() > BODY_BYTES_MAX {
            let message = format!("has {} bytes, more than {BODY_BYTES_MAX}", body.len());
            let fault = apply::Wrong::new(message, "write less at once").at("operations");
            return Err(WriteError::Refused(vec![fault]));
        }
        group.head = group.head.after(&body);
        group.bytes += body.len();
        group.operations += transaction.operations.len();
        group.bodies.push(body);
        group.changes.extend(changes);
        group.state = trial;
        Ok(Revision::of(&group.head))
    }

    /// Makes a group durable, puts it in force, and acknowledges it.
    fn commit(&mut self, group: Group) {
        if group.bodies.is_empty() {
            return;
        }
        if let Err(error) = self.append(&group) {
            for (reply, _) in group.written {
                let error = WriteError::Store {
                    message: error.to_string(),
                    hint: error.hint().to_owned(),
                    outcome_unknown: self.is_broken,
                };
                reply.send(Err(error)).ok();
            }
            return;
        }
        self.state = group.state;
        self.head = group.head;
        self.tail += group.operations;
        self.put_in_force(group.millis, &group.changes);
        for (reply, revision) in group.written {
            reply.send(Ok(revision)).ok();
        }
    }

    /// Makes a group durable. When that fails, the log is opened again, and tells
    /// whether the group is there all the same.
    fn append(&mut self, group: &Group) -> Result<(), LogError> {
        let Err(error) = self.log.append(&group.bodies) else {
            return Ok(());
        };
        events::directory_failed(&error.to_string());
        match self.log.recover() {
            Ok(head) if head == group.head => Ok(()),
            recovered => {
                self.is_broken = recovered.is_err();
                Err(error)
            }
        }
    }

    fn put_in_force(&mut self, millis: i64, changes: &[(Atom, Half)]) {
        let revision = Revision::of(&self.head);
        self.name_state();
        (self.publish)(self.state.view.clone(), changes);
        self.shared.advance(Tip {
            revision,
            millis,
            state: self.state.clone(),
            snapshot: self.snapshot.clone(),
        });
    }

    fn name_state(&mut self) {
        let revision = Revision::of(&self.head);
        let next_end = self.state.ends().get_min().map(|(second, _)| *second);
        let view = &mut self.state.view;
        view.reached(revision.sequence, revision.to_string());
        view.ends_next(next_end);
    }

    /// Opens a failed log again, and takes what it has more than was known.
    fn mend(&mut self, group: &mut Group) -> Result<(), WriteError> {
        let store = |message: String, hint: &str| WriteError::Store {
            message,
            hint: hint.to_owned(),
            outcome_unknown: false,
        };
        let recovered = self.log.recover();
        recovered.map_err(|error| store(error.to_string(), error.hint()))?;
        let types = self
            .snapshot
            .as_ref()
            .map(|snapshot| snapshot.types().clone());
        let mut changes = Vec::new();
        // On a copy: a log that fails half way must not leave half of it here.
        let (mut state, mut head) = (self.state.clone(), self.head);
        let caught_up = catch_up(
            &*self.log,
            &mut state,
            &mut head,
            &types.unwrap_or_default(),
            &mut changes,
        );
        self.tail +=
            caught_up.map_err(|message| store(message, "restore the directory from a copy"))?;
        if let Some(snapshot) = &self.snapshot {
            fit::link_all(&mut state, snapshot, &self.limits);
        }
        (self.state, self.head) = (state, head);
        self.is_broken = false;
        let millis = self.time.millis();
        self.put_in_force(millis, &changes);
        *group = self.group();
        Ok(())
    }

    fn activate(&mut self, activation: Activation) -> Result<Misfits, Misfits> {
        let Activation {
            snapshot,
            seed,
            on_conflict,
            publish,
        } = activation;
        // An earlier seed may be there all the same.
        if self.is_broken && self.head.sequence == 0 && !seed.is_empty() {
            let mended = self.mend(&mut self.group());
            mended.map_err(|error| Misfits::of_seed(&error))?;
        }
        let mut state = self.state.clone();
        let rules = fitted::rules(&snapshot, &self.limits);
        let is_known = self.fitted.is_known(&*self.log, rules);
        let misfits = fit::fit(&mut state, &snapshot, &self.limits, is_known);
        if !misfits.may_activate(on_conflict) {
            return Err(misfits);
        }
        // What the log has more than was looked at is known to fit only what was.
        let all_fit = is_known || (misfits.all_entities_fit() && !self.is_broken);
        let rules = rules.filter(|_| all_fit);
        let given_up = self.fitted.give_up_others(&*self.log, rules);
        given_up.map_err(|error| Misfits::of_store(&error))?;
        let before = (self.state.clone(), self.snapshot.clone());
        self.state = state;
        self.snapshot = Some(snapshot);
        if self.head.sequence == 0 && !seed.is_empty() {
            let mut group = self.group();
            let seeded = self.apply(
                &mut group,
                Draft {
                    actor: SmolStr::new_static(SEED),
                    preconditions: Vec::new(),
                    operations: seed,
                },
                None,
            );
            let appended = seeded
                .map_err(|error| Misfits::of_seed(&error))
                .and_then(|_| {
                    let appended = self.append(&group);
                    appended.map_err(|error| Misfits::of_store(&error))
                });
            if let Err(misfits) = appended {
                (self.state, self.snapshot) = before;
                return Err(misfits);
            }
            self.state = group.state;
            self.head = group.head;
        }
        self.fitted.keep(&*self.log, rules);
        self.name_state();
        publish(self.state.view.clone());
        self.shared.advance(Tip {
            revision: Revision::of(&self.head),
            millis: self.time.millis(),
            state: self.state.clone(),
            snapshot: self.snapshot.clone(),
        });
        Ok(misfits)
    }

    /// Removes everything whose time has come.
    fn remove_ended(&mut self) {
        if self.snapshot.is_none() {
            return;
        }
        if self.is_broken {
            let mut group = self.group();
            self.is_late = self.mend(&mut group).is_err();
            if self.is_late {
                return;
            }
        }
        loop {
            let now = self.time.millis().div_euclid(1000);
            let due: Vec<_> = self
                .state
                .ends()
                .iter()
                .take_while(|(second, _)| *second <= now)
                .take(ENDINGS_MAX)
                .map(|(_, ending)| ending.clone())
                .collect();
            if due.is_empty() {
                return;
            }
            let mut group = self.group();
            // One by one: what ends can be gone already, with what it was part of.
            for ending in &due {
                let draft = Draft {
                    actor: SmolStr::new_static(CLOCK),
                    preconditions: Vec::new(),
                    operations: vec![apply::removal(ending)],
                };
                self.apply(&mut group, draft, None).ok();
            }
            let before = self.head.sequence;
            self.commit(group);
            self.is_late = self.head.sequence == before;
            if self.is_late {
                return;
            }
        }
    }

    /// When there is something to do without being asked.
    fn until_work(&self) -> Duration {
        if self.is_snapshot_due() {
            // Another one is being written.
            return SNAPSHOT_RETRY.min(self.until_ending());
        }
        self.until_ending()
    }

    fn until_ending(&self) -> Duration {
        let next = self.state.ends().get_min().map(|(second, _)| *second);
        let Some(next) = next.filter(|_| self.snapshot.is_some()) else {
            return IDLE;
        };
        if self.is_late {
            return RETRY;
        }
        let millis = next.saturating_mul(1000).saturating_sub(self.time.millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0)).min(IDLE)
    }

    fn is_snapshot_due(&self) -> bool {
        self.tail >= self.keep.snapshot_every.max(self.state.view.len() / 2)
    }

    /// Snapshots are written by a thread of their own, from a state that no
    /// longer changes.
    fn snapshot_if_due(&mut self) {
        if !self.is_snapshot_due() || self.is_broken || !self.shared.begin_snapshot() {
            return;
        }
        self.tail = 0;
        let (log, shared) = (Arc::clone(&self.log), Arc::clone(&self.shared));
        let (state, head, keep) = (self.state.clone(), self.head, self.keep);
        std::thread::spawn(move || {
            let kept = log
                .put_snapshot(head, &mut dump::dump(&state))
                .and_then(|()| log.trim(head.sequence.saturating_sub(keep.transactions)));
            match kept {
                Ok(()) => events::directory_snapshot(head.sequence),
                Err(error) => events::directory_snapshot_failed(&error.to_string()),
            }
            shared.end_snapshot();
        });
    }
}

fn broken_preconditions(state: &State, draft: &Draft) -> Vec<WriteFault> {
    let preconditions = draft.preconditions.iter().enumerate();
    preconditions
        .filter_map(|(at, precondition)| {
            let wrong = judge(state, precondition).err()?;
            Some(wrong.at(format!("preconditions[{at}]")))
        })
        .collect()
}

/// What was applied, deletions with everything that follows from them.
type Applied = (Vec<Operation>, Vec<(Atom, Half)>);

/// Applies operations to a state that is thrown away when one fails. All that
/// can be told to be wrong is told.
fn applied(
    state: &mut State,
    check: &Check<'_>,
    sequence: u64,
    operations: Vec<Operation>,
) -> Result<Applied, Vec<WriteFault>> {
    let mut faults = Vec::new();
    let mut done = Vec::with_capacity(operations.len());
    let mut changes = Vec::new();
    for (at, operation) in operations.into_iter().enumerate() {
        let mut steps = match &operation {
            Operation::Delete {
                uid,
                detach_members,
            } => apply::consequences(state, uid, *detach_members),
            _ => Vec::new(),
        };
        steps.push(operation);
        for step in steps {
            let mut application = Application {
                state,
                types: check.snapshot.types(),
                sequence,
                changes: Vec::new(),
            };
            let outcome = application.apply(&step);
            changes.append(&mut application.changes);
            match outcome.and_then(|()| check.after(state, &step)) {
                Ok(()) => done.push(step),
                Err(wrong) => faults.push(wrong.at(format!("operations[{at}]"))),
            }
        }
    }
    if faults.is_empty() {
        Ok((done, changes))
    } else {
        Err(faults)
    }
}
