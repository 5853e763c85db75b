//! The one thread that changes the directory.
//!
//! ```text
//! writes -> judge, apply, check on a clone -> add the removal of what has ended
//!        -> one durable append for all that wait
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

use super::check::Check;
use super::check::EntityLimits;
use super::dump;
use super::error::WriteError;
use super::fit;
use super::fit::Activation;
use super::fit::Misfits;
use super::fitted;
use super::fitted::Fitted;
use super::group::Group;
use super::group::Waiter;
use super::log::Head;
use super::log::Log;
use super::log::LogError;
use super::operation::Draft;
use super::operation::Operation;
use super::operation::Second;
use super::replay::catch_up;
use super::revision::Revision;
use super::state::State;
use super::time::Time;
use super::tip::Shared;
use super::tip::SnapshotTurn;
use super::tip::Tip;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::footprint::Half;
use crate::engine::scope::Atom;
use crate::telemetry::events;
use crate::telemetry::metrics::directory::DirectoryCounters;

/// Takes the next view into force. What changed comes with it, and has to be
/// marked first.
pub type Publish = Box<dyn Fn(View, &[(Atom, Half)]) + Send>;

/// A group is closed when so many commands were looked at, whatever came of
/// them: what is refused must not keep what is accepted from the log.
const GROUP_MAX: usize = 1024;
/// A group is closed when so many operations and preconditions were looked at:
/// two of the largest writes.
const GROUP_WORK: usize = 20_000;
/// A group is closed when its transactions have so many bytes.
const GROUP_BYTES: usize = 8 << 20;
/// Who writes the first entities of a new directory, in the log.
const SEED: &str = "deodar/seed";
/// Without anything that ends, the thread looks up so often.
const IDLE: Duration = Duration::from_mins(1);
/// With something that ends, it looks at the time so often: the time may go
/// forward at once, by a step or while the machine sleeps, and the thread's own
/// waiting does not.
const LOOK: Duration = Duration::from_secs(1);
/// A snapshot that is due while another is being written is tried again so much
/// later.
const SNAPSHOT_RETRY: Duration = Duration::from_millis(50);
/// After a failure to remove what ended, it is tried again so much later.
const RETRY: Duration = Duration::from_secs(1);

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Apply a transaction, unless nobody waits for it any more by then.
    Write(Draft, Waiter),
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
    counters: Arc<DirectoryCounters>,
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
    /// Where snapshots are counted.
    pub counters: Arc<DirectoryCounters>,
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
            counters: start.counters,
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
        let (mut commands_left, mut work) = (GROUP_MAX, 0);
        while let Some(command) = next.take() {
            match command {
                Command::Write(draft, waiter) => {
                    work += draft.operations.len() + draft.preconditions.len();
                    self.add(&mut group, draft, waiter);
                }
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
            commands_left -= 1;
            if commands_left > 0 && work < GROUP_WORK && group.bytes < GROUP_BYTES {
                next = commands.try_recv().ok();
            }
        }
        self.commit(group);
    }

    /// A group that begins with the removal of what has ended, so that no write is
    /// judged by what is over.
    fn group(&self) -> Group {
        let mut group = Group::new(self.state.clone(), self.head, self.time.millis());
        self.end_due(&mut group);
        group
    }

    fn end_due(&self, group: &mut Group) {
        if let Some(check) = self.check()
            && let Err(error) = group.end_due(&check, self.time.millis())
        {
            events::directory_failed(&error.to_string());
        }
    }

    /// What writes are checked against; there is none before the first policies.
    fn check(&self) -> Option<Check<'_>> {
        Some(Check {
            snapshot: self.snapshot.as_ref()?,
            limits: &self.limits,
        })
    }

    fn add(&mut self, group: &mut Group, draft: Draft, waiter: Waiter) {
        // Nobody was told that it is done, nor will be: a caller whose deadline
        // passed tries again, and who is served late must not make others late.
        if waiter.has_gone() {
            return;
        }
        let mended = if self.is_broken {
            self.mend(group)
        } else {
            Ok(())
        };
        let applied = mended.and_then(|()| {
            let check = self.check().ok_or(WriteError::Busy)?;
            group.apply(&check, draft, Some(self.operations_max))
        });
        match applied {
            Ok(revision) => group.written.push((waiter, revision)),
            Err(error) => waiter.tell(Err(error)),
        }
    }

    /// Makes a group durable, puts it in force, and acknowledges it.
    fn commit(&mut self, mut group: Group) {
        // What was written may have ended before it was, or since.
        self.end_due(&mut group);
        if group.bodies.is_empty() {
            return;
        }
        if let Err(error) = self.append(&group) {
            for (waiter, _) in group.written {
                let error = WriteError::Store {
                    message: error.to_string(),
                    hint: error.hint().to_owned(),
                    outcome_unknown: self.is_broken,
                };
                waiter.tell(Err(error));
            }
            return;
        }
        let written = std::mem::take(&mut group.written);
        let (millis, changes) = (group.millis, std::mem::take(&mut group.changes));
        self.take(group);
        self.put_in_force(millis, &changes);
        for (waiter, revision) in written {
            waiter.tell(Ok(revision));
        }
    }

    /// Goes on from a group that is durable.
    fn take(&mut self, group: Group) {
        self.state = group.state;
        self.head = group.head;
        self.tail += group.operations;
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
                // Anything but the log as it was has to be looked at.
                self.is_broken = recovered.ok() != Some(self.head);
                Err(error)
            }
        }
    }

    fn put_in_force(&mut self, millis: i64, changes: &[(Atom, Half)]) {
        self.name_state();
        (self.publish)(self.state.view.clone(), changes);
        self.shared.advance(self.tip(millis));
    }

    fn tip(&self, millis: i64) -> Tip {
        Tip {
            revision: Revision::of(&self.head),
            millis,
            state: self.state.clone(),
            snapshot: self.snapshot.clone(),
        }
    }

    fn name_state(&mut self) {
        let revision = Revision::of(&self.head);
        let next_end = self.next_end();
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
            changes.append(&mut fit::relinked(&self.state, &state));
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
        let before = (
            std::mem::replace(&mut self.state, state),
            self.snapshot.replace(snapshot),
        );
        if let Err(misfits) = self.begin(seed) {
            (self.state, self.snapshot) = before;
            return Err(misfits);
        }
        self.fitted.keep(&*self.log, rules);
        self.name_state();
        publish(self.state.view.clone());
        self.shared.advance(self.tip(self.time.millis()));
        Ok(misfits)
    }

    /// Writes the seed of a new directory, and removes what has ended meanwhile.
    /// When only the latter fails it is tried again later: decisions stop by then.
    fn begin(&mut self, seed: Vec<Operation>) -> Result<(), Misfits> {
        let mut group = self.group();
        let is_seeded = self.head.sequence == 0 && !seed.is_empty();
        if is_seeded {
            let draft = Draft {
                actor: SmolStr::new_static(SEED),
                preconditions: Vec::new(),
                operations: seed,
            };
            let check = self.check().ok_or(WriteError::Busy);
            let seeded = check.and_then(|check| group.apply(&check, draft, None));
            seeded.map_err(|error| Misfits::of_seed(&error))?;
            self.end_due(&mut group);
        }
        if group.bodies.is_empty() {
            return Ok(());
        }
        match self.append(&group) {
            Ok(()) => self.take(group),
            Err(error) if is_seeded => return Err(Misfits::of_store(&error)),
            Err(_) => self.is_late = true,
        }
        Ok(())
    }

    /// Removes everything whose time has come.
    fn remove_ended(&mut self) {
        if self.snapshot.is_none() {
            return;
        }
        if self.is_broken {
            let mut group = self.group();
            if self.mend(&mut group).is_err() {
                self.is_late = true;
                return;
            }
        }
        self.is_late = false;
        while self.is_ending_due() && !self.is_late {
            let before = self.head.sequence;
            self.commit(self.group());
            self.is_late = self.head.sequence == before;
        }
    }

    fn is_ending_due(&self) -> bool {
        let now = self.time.millis().div_euclid(1000);
        self.next_end().is_some_and(|second| second <= now)
    }

    fn next_end(&self) -> Option<Second> {
        self.state.ends().get_min().map(|(second, _)| *second)
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
        let Some(next) = self.next_end().filter(|_| self.snapshot.is_some()) else {
            return IDLE;
        };
        if self.is_late {
            return RETRY;
        }
        let millis = next.saturating_mul(1000).saturating_sub(self.time.millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0)).min(LOOK)
    }

    fn is_snapshot_due(&self) -> bool {
        self.tail >= self.keep.snapshot_every.max(self.state.view.len() / 2)
    }

    /// Snapshots are written by a thread of their own, from a state that no
    /// longer changes.
    fn snapshot_if_due(&mut self) {
        if !self.is_snapshot_due() || self.is_broken {
            return;
        }
        let Some(turn) = SnapshotTurn::take(&self.shared) else {
            return;
        };
        self.tail = 0;
        let (log, state, head) = (Arc::clone(&self.log), self.state.clone(), self.head);
        let (keep, counters) = (self.keep, Arc::clone(&self.counters));
        let write = move || {
            // Given back whatever happens: a panic must not be the last snapshot.
            let _turn = turn;
            let kept = log
                .put_snapshot(head, &mut dump::dump(&state))
                .and_then(|()| log.trim(head.sequence.saturating_sub(keep.transactions)));
            match kept {
                Ok(()) => events::directory_snapshot(&counters, head.sequence),
                Err(error) => events::directory_snapshot_failed(&counters, &error.to_string()),
            }
        };
        let thread = std::thread::Builder::new().name("snapshot".to_owned());
        if let Err(error) = thread.spawn(write) {
            events::directory_snapshot_failed(&self.counters, &error.to_string());
        }
    }
}
