//! The tables of the storage engine, and one function for each thing done to
//! them.

use redb::Database;
use redb::Durability;
use redb::ReadTransaction;
use redb::ReadableDatabase as _;
use redb::ReadableTable;
use redb::ReadableTableMetadata as _;
use redb::TableDefinition;
use redb::WriteTransaction;

use super::fault::Fault;
use super::witness::Acknowledged;
use crate::directory::log::Entry;
use crate::directory::log::Hash;
use crate::directory::log::Head;
use crate::directory::log::LogError;
use crate::directory::log::LogId;
use crate::directory::log::Mark;

/// The format written here. A change that an older release would misread takes
/// the next number. Format 1 had no mark: a release that does not know it would
/// append and leave it be.
pub(super) const FORMAT: u64 = 2;

/// From sequence to hash (32 bytes) and body.
pub(super) const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");

/// `format` (64-bit big-endian), `log` (16 bytes), and two places (sequence,
/// hash): `base` before the first entry that is still there, and `head`. `mark`
/// (32 bytes) is what was noted of them, if anything.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// From where to where the entries go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The place before the first entry.
    pub(super) base: Head,
    /// The place behind the last.
    pub(super) head: Head,
}

impl Bounds {
    pub(super) fn acknowledged(&self) -> Acknowledged {
        Acknowledged {
            log: self.head.log,
            base: self.base.sequence,
            sequence: self.head.sequence,
            hash: self.head.hash,
        }
    }
}

/// Writes an empty log.
pub(super) fn create(database: &Database, log: LogId) -> Result<(), Fault> {
    let head = Head::before_first(log);
    let transaction = begin(database)?;
    transaction.open_table(ENTRIES)?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT.to_be_bytes().as_slice())?;
        meta.insert("log", log.as_bytes().as_slice())?;
        meta.insert("base", place(&head).as_slice())?;
        meta.insert("head", place(&head).as_slice())?;
    }
    Ok(transaction.commit()?)
}

/// Reads the bounds, and checks that they are those of the entries.
pub(super) fn bounds(database: &Database, what: &str) -> Result<Bounds, Fault> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let format = u64::from_be_bytes(get(&meta, "format")?);
    if format > FORMAT {
        return Err(Fault::Log(LogError::Newer {
            what: what.to_owned(),
            found: format,
            supported: FORMAT,
        }));
    }
    let log = LogId::from_bytes(get(&meta, "log")?);
    let base = get_place(&meta, "base", log)?;
    let head = get_place(&meta, "head", log)?;
    if base.sequence == 0 && base != Head::before_first(log) {
        return Err(contradiction("it begins with a wrong hash"));
    }
    let entries = transaction.open_table(ENTRIES)?;
    let (first, last) = match (entries.first()?, entries.last()?) {
        (Some((first, _)), Some((last, value))) => {
            let (hash, _) = split(last.value(), value.value())?;
            (first.value(), (last.value(), hash))
        }
        _ => (base.sequence + 1, (base.sequence, base.hash)),
    };
    let count = head.sequence.checked_sub(base.sequence);
    if first != base.sequence + 1
        || last != (head.sequence, head.hash)
        || count != Some(entries.len()?)
    {
        return Err(contradiction(&format!(
            "it should hold the entries {} to {}, and holds others",
            base.sequence + 1,
            head.sequence
        )));
    }
    Ok(Bounds { base, head })
}

/// Appends behind `head`, durable when it returns.
pub(super) fn append(database: &Database, head: &Head, bodies: &[Vec<u8>]) -> Result<Head, Fault> {
    let transaction = begin(database)?;
    let mut next = *head;
    {
        let mut meta = transaction.open_table(META)?;
        if get_place(&meta, "head", head.log)? != *head {
            return Err(contradiction("its head is not where it was left"));
        }
        let mut entries = transaction.open_table(ENTRIES)?;
        for body in bodies {
            next = next.after(body);
            let value = [next.hash.as_bytes(), body.as_slice()].concat();
            if entries.insert(next.sequence, value.as_slice())?.is_some() {
                let text = format!("there is an entry {} past the head", next.sequence);
                return Err(contradiction(&text));
            }
        }
        meta.insert("head", place(&next).as_slice())?;
    }
    transaction.commit()?;
    Ok(next)
}

/// What to read of a log.
pub(super) struct Wanted {
    /// The sequence before the first wanted.
    pub(super) after: u64,
    /// The last sequence wanted.
    pub(super) through: u64,
    /// How many at the most, but one if there is one.
    pub(super) entries_max: usize,
    /// How many bytes of bodies at the most, but one entry if there is one.
    pub(super) bytes_max: usize,
}

/// Reads entries, and checks that each follows from the one before it.
pub(super) fn read(database: &Database, log: LogId, wanted: &Wanted) -> Result<Vec<Entry>, Fault> {
    if wanted.after >= wanted.through {
        return Ok(Vec::new());
    }
    let transaction = database.begin_read()?;
    let mut previous = start(&transaction, log, wanted.after)?;
    let table = transaction.open_table(ENTRIES)?;
    let mut range = table.range(wanted.after + 1..=wanted.through)?;
    let mut entries = Vec::new();
    let mut bytes = 0_usize;
    while previous.sequence < wanted.through {
        let Some(next) = range.next() else {
            return Err(gap(previous.sequence + 1));
        };
        let (key, value) = next?;
        let (hash, body) = split(key.value(), value.value())?;
        bytes = bytes.saturating_add(body.len());
        let is_enough = entries.len() >= wanted.entries_max || bytes > wanted.bytes_max;
        if is_enough && !entries.is_empty() {
            break;
        }
        if key.value() != previous.sequence + 1 {
            return Err(gap(previous.sequence + 1));
        }
        previous = previous.after(body);
        if previous.hash != hash {
            let text = format!("entry {} is not what was appended", previous.sequence);
            return Err(contradiction(&text));
        }
        entries.push(Entry {
            sequence: previous.sequence,
            hash,
            body: body.to_vec(),
        });
    }
    Ok(entries)
}

/// The hash at a sequence, if it is within the bounds.
pub(super) fn hash_at(
    database: &Database,
    bounds: &Bounds,
    sequence: u64,
) -> Result<Option<Hash>, Fault> {
    let Bounds { base, head } = bounds;
    if sequence < base.sequence || sequence > head.sequence {
        return Ok(None);
    }
    if sequence == base.sequence {
        return Ok(Some(base.hash));
    }
    // The stored hash alone may be damaged; with the entry, that shows.
    let entries = read(
        database,
        head.log,
        &Wanted {
            after: sequence - 1,
            through: sequence,
            entries_max: 1,
            bytes_max: 0,
        },
    )?;
    Ok(entries.first().map(|entry| entry.hash))
}

/// What was noted of the entries.
pub(super) fn mark(database: &Database) -> Result<Option<Mark>, Fault> {
    let meta = database.begin_read()?.open_table(META)?;
    let found = meta.get("mark")?;
    Ok(found.and_then(|value| value.value().try_into().ok()))
}

/// Notes something of the entries, durable when it returns.
pub(super) fn set_mark(database: &Database, mark: Option<Mark>) -> Result<(), Fault> {
    let transaction = begin(database)?;
    {
        let mut meta = transaction.open_table(META)?;
        // The store may be of a release that knew no marks.
        meta.insert("format", FORMAT.to_be_bytes().as_slice())?;
        match mark {
            Some(mark) => meta.insert("mark", mark.as_slice())?,
            None => meta.remove("mark")?,
        };
    }
    Ok(transaction.commit()?)
}

/// Drops the entries up to `through`, which is within the bounds, and returns
/// the new base.
pub(super) fn trim(database: &Database, bounds: &Bounds, through: u64) -> Result<Head, Fault> {
    let Some(hash) = hash_at(database, bounds, through)? else {
        return Err(gap(through));
    };
    let base = Head {
        log: bounds.head.log,
        sequence: through,
        hash,
    };
    let transaction = begin(database)?;
    {
        let mut entries = transaction.open_table(ENTRIES)?;
        entries.retain_in(..=through, |_, _| false)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert("base", place(&base).as_slice())?;
    }
    transaction.commit()?;
    Ok(base)
}

/// A transaction that is durable when its commit returns.
///
/// In two phases: the entries are on the disk before the pointer to them is
/// written. A sync that fails then never leaves entries that can be read but are
/// not on the disk, and no content of an entry can make a commit look whole.
fn begin(database: &Database) -> Result<WriteTransaction, Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

/// The place behind entry `sequence`, which was not trimmed.
fn start(transaction: &ReadTransaction, log: LogId, sequence: u64) -> Result<Head, Fault> {
    let meta = transaction.open_table(META)?;
    let base = get_place(&meta, "base", log)?;
    if sequence < base.sequence {
        let oldest = base.sequence + 1;
        return Err(Fault::Log(LogError::Trimmed { oldest }));
    }
    if sequence == base.sequence {
        return Ok(base);
    }
    let hash = hash_of(&transaction.open_table(ENTRIES)?, sequence)?;
    Ok(Head {
        log,
        sequence,
        hash,
    })
}

fn hash_of(entries: &impl ReadableTable<u64, &'static [u8]>, sequence: u64) -> Result<Hash, Fault> {
    let Some(value) = entries.get(sequence)? else {
        return Err(gap(sequence));
    };
    let (hash, _) = split(sequence, value.value())?;
    Ok(hash)
}

/// A value of the entries: hash and body.
fn split(sequence: u64, value: &[u8]) -> Result<(Hash, &[u8]), Fault> {
    match value.split_first_chunk() {
        Some((hash, body)) => Ok((Hash::from_bytes(*hash), body)),
        None => Err(contradiction(&format!("entry {sequence} is cut off"))),
    }
}

fn get<const N: usize>(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<[u8; N], Fault> {
    meta.get(key)?
        .and_then(|value| value.value().try_into().ok())
        .ok_or_else(|| contradiction(&format!("`{key}` is missing")))
}

fn get_place(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
    log: LogId,
) -> Result<Head, Fault> {
    let bytes: [u8; 40] = get(meta, key)?;
    let (Some((sequence, _)), Some((_, hash))) =
        (bytes.split_first_chunk(), bytes.split_last_chunk())
    else {
        return Err(contradiction(&format!("`{key}` is cut off")));
    };
    Ok(Head {
        log,
        sequence: u64::from_be_bytes(*sequence),
        hash: Hash::from_bytes(*hash),
    })
}

fn place(head: &Head) -> Vec<u8> {
    [
        head.sequence.to_be_bytes().as_slice(),
        head.hash.as_bytes().as_slice(),
    ]
    .concat()
}

fn gap(sequence: u64) -> Fault {
    contradiction(&format!("entry {sequence} is missing"))
}

fn contradiction(text: &str) -> Fault {
    Fault::Contradiction(text.to_owned())
}
