//! Transactions that become durable together, and in force together.

use cedar_policy_core::ast::EntityUID;
use smol_str::SmolStr;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;

use super::apply;
use super::apply::Application;
use super::apply::judge;
use super::check::Check;
use super::codec;
use super::error::WriteError;
use super::error::WriteFault;
use super::log::BODY_BYTES_MAX;
use super::log::Head;
use super::operation::Draft;
use super::operation::Operation;
use super::operation::Transaction;
use super::revision::Revision;
use super::state::Ending;
use super::state::State;
use crate::engine::footprint::Half;
use crate::engine::named::Probe;
use crate::engine::scope::Atom;

/// Who removes what ends, in the log.
const CLOCK: &str = "deodar/clock";
/// So many endings join a group; what is left comes with the next one.
const ENDINGS_MAX: usize = 10_000;
/// Operations of a transaction of the clock, so that the end of an entity with a
/// million members is no larger than a transaction may be.
const ENDING_OPERATIONS: usize = 10_000;
/// Bytes of names in a transaction of the clock, unless one operation has more:
/// each member that leaves says the name of what it leaves.
const ENDING_BYTES: usize = 8 << 20;

/// Who waits for a write.
#[derive(Debug)]
pub struct Waiter {
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Revision, WriteError>>,
    /// The memory that the write may take, given back when it is answered: not
    /// when the caller has gone, since the write is here still.
    pub room: Option<OwnedSemaphorePermit>,
}

impl Waiter {
    /// Whether nobody waits any more.
    pub fn has_gone(&self) -> bool {
        self.reply.is_closed()
    }

    /// Answers, if somebody still waits.
    pub fn tell(self, outcome: Result<Revision, WriteError>) {
        // First the room, so that who is told finds it.
        drop(self.room);
        self.reply.send(outcome).ok();
    }
}

/// A group of transactions on its way to the log.
pub struct Group {
    /// The state after them.
    pub state: State,
    /// The head of the log after them.
    pub head: Head,
    /// When they are applied, in milliseconds since 1970.
    pub millis: i64,
    /// The transactions, encoded.
    pub bodies: Vec<Vec<u8>>,
    /// Bytes of all bodies.
    pub bytes: usize,
    /// Operations of all transactions.
    pub operations: usize,
    /// What they change: what the decision cache has to be told.
    pub changes: Vec<(Atom, Half)>,
    /// Who waits for them.
    pub written: Vec<(Waiter, Revision)>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl Group {
    /// No transaction yet.
    pub fn new(state: State, head: Head, millis: i64) -> Self {
        Self {
            state,
            head,
            millis,
            bodies: Vec::new(),
            bytes: 0,
            operations: 0,
            changes: Vec::new(),
            written: Vec::new(),
        }
    }

    /// Applies a draft, whole or not at all. What the server itself writes has no
    /// limit on operations.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn apply(
        &mut self,
        check: &Check<'_>,
        draft: Draft,
        operations_max: Option<usize>,
    ) -> Result<Revision, WriteError> {
        if let Some(max) = operations_max
            && draft.operations.len() > max
        {
            let message = format!("there are more than {max} operations");
            let hint = "write less at once, or raise `directory.operations_max`";
            let fault = apply::Wrong::new(message, hint).at("operations");
            return Err(WriteError::Refused(vec![fault]));
        }
        let broken = broken_preconditions(&self.state, &draft);
        if !broken.is_empty() {
            return Err(WriteError::Precondition(broken));
        }
        let mut trial = self.state.clone();
        let sequence = self.head.sequence + 1;
        let (operations, changes) =
            applied(&mut trial, check, sequence, draft.operations).map_err(WriteError::Refused)?;
        let transaction = Transaction {
            sequence,
            millis: self.millis,
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
        self.head = self.head.after(&body);
        self.bytes += body.len();
        self.operations += transaction.operations.len();
        self.bodies.push(body);
        self.changes.extend(changes);
        self.state = trial;
        Ok(Revision::of(&self.head))
    }

    /// Removes what has ended by a time, by transactions of the clock: so that
    /// nothing is ever put in force that has ended when it is.
    ///
    /// # Errors
    /// When something cannot be removed, which then stays due.
    pub fn end_due(&mut self, check: &Check<'_>, millis: i64) -> Result<(), WriteError> {
        self.millis = self.millis.max(millis);
        for _ in 0..ENDINGS_MAX {
            // One by one: the next can be gone with what the last was part of.
            let Some(ending) = self.due() else {
                break;
            };
            self.end(check, &ending)?;
        }
        Ok(())
    }

    /// What has ended first of what has ended.
    fn due(&self) -> Option<Ending> {
        let (second, ending) = self.state.ends().get_min()?;
        (*second <= self.millis.div_euclid(1000)).then(|| ending.clone())
    }

    fn end(&mut self, check: &Check<'_>, ending: &Ending) -> Result<(), WriteError> {
        let mut steps = match ending {
            Ending::Entity(named) => apply::consequences(&self.state, named.uid(), true),
            Ending::Membership(..) | Ending::Link(_) => Vec::new(),
        };
        steps.push(apply::removal(ending));
        for operations in pieces(steps) {
            let draft = Draft {
                actor: SmolStr::new_static(CLOCK),
                preconditions: Vec::new(),
                operations,
            };
            self.apply(check, draft, None)?;
        }
        Ok(())
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
            match apply_one(state, check, sequence, &step, &mut changes) {
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

fn apply_one(
    state: &mut State,
    check: &Check<'_>,
    sequence: u64,
    step: &Operation,
    changes: &mut Vec<(Atom, Half)>,
) -> Result<(), apply::Wrong> {
    check.before(state, step)?;
    let appears = match step {
        Operation::Put(put) if state.get(Probe::new(&put.uid)).is_none() => Some(&put.uid),
        _ => None,
    };
    let mut application = Application {
        state,
        types: check.snapshot.types(),
        sequence,
        changes: Vec::new(),
    };
    application.apply(step)?;
    changes.append(&mut application.changes);
    check.after(state, step)?;
    if let Some(uid) = appears {
        changes.extend(check.link_again(state, uid));
    }
    Ok(())
}

/// Steps in transactions, each of a size that the log takes.
fn pieces(steps: Vec<Operation>) -> Vec<Vec<Operation>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    let mut bytes = 0;
    for step in steps {
        let length = names_len(&step);
        let is_full = piece.len() >= ENDING_OPERATIONS || bytes + length > ENDING_BYTES;
        if is_full && !piece.is_empty() {
            pieces.push(std::mem::take(&mut piece));
            bytes = 0;
        }
        bytes += length;
        piece.push(step);
    }
    pieces.push(piece);
    pieces
}

/// Bytes of the names in a step that ends something: it says nothing else.
fn names_len(step: &Operation) -> usize {
    let uid = |uid: &EntityUID| {
        let id: &str = uid.eid().as_ref();
        uid.entity_type().to_string().len() + id.len()
    };
    match step {
        Operation::RemoveParent {
            uid: member,
            parent,
        } => uid(member) + uid(parent),
        Operation::Delete { uid: ended, .. } => uid(ended),
        Operation::RemoveLink { id } => id.len(),
        _ => 0,
    }
}
