//! The input of an import, in chunks.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use sha2::Digest as _;
use sha2::Sha256;
use tokio::sync::mpsc;

use super::line;
use super::resume::BEGIN_ANEW;
use super::split::Element;
use super::split::SplitError;
use super::split::Splitter;
use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::proto::v1;

/// Bytes of the text of one transaction, unless one entity is longer: servers
/// take 1 MiB unless told otherwise.
const CHUNK_BYTES: usize = 512 << 10;

/// What is read, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The input, for people.
    pub name: String,
    /// Whether the input is a file.
    pub is_file: bool,
    /// Whether it holds links.
    pub links: bool,
    /// How many are written at once.
    pub batch: usize,
}

impl Plan {
    /// One and many of what is read.
    pub fn what(&self) -> (&'static str, &'static str) {
        if self.links {
            ("link", "links")
        } else {
            ("entity", "entities")
        }
    }

    /// A fault of one entity or link, by its place.
    pub fn bad(&self, number: u64, line: u64, what: &str) -> String {
        format!(
            "{}, line {line}, {} {number}: {what}",
            self.name,
            self.what().0
        )
    }

    /// What to do when the import ends early.
    pub fn how_to_go_on(&self) -> &'static str {
        if self.is_file {
            "mend it, and go on with `--resume`"
        } else {
            "mend it, and import again"
        }
    }

    fn unsplit(&self, error: &SplitError) -> Failure {
        let message = format!("{}: {error}", self.name);
        match error {
            SplitError::Read(_) => Failure::Failed(Message::new(message, "")),
            SplitError::Malformed { .. } | SplitError::TooLong { .. } => {
                let hint = "write a JSON array of objects, or one object a line";
                Failure::Usage(Message::new(message, hint))
            }
        }
    }
}

/// The input, being split.
#[expect(missing_debug_implementations, reason = "a reader has none")]
pub struct Reading {
    splitter: Splitter<Box<dyn Read + Send>>,
    /// How long it is, if that is known.
    pub bytes: Option<u64>,
}

impl Reading {
    /// Opens it.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn new(plan: &Plan, path: &Path) -> Result<Self, Failure> {
        let (input, bytes): (Box<dyn Read + Send>, _) = if path.as_os_str() == "-" {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).map_err(|error| {
                let message = format!("cannot read {}: {error}", plan.name);
                Failure::Failed(Message::new(
                    message,
                    "check that the file exists and may be read",
                ))
            })?;
            let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file);
            (Box::new(file), bytes.map(|metadata| metadata.len()))
        };
        Ok(Self {
            splitter: Splitter::new(input),
            bytes,
        })
    }
}

/// Entities or links that are written at once.
#[derive(Debug)]
pub struct Chunk {
    /// How many come before it.
    pub before: u64,
    /// The line of each.
    pub lines: Vec<u64>,
    /// What stores each.
    pub operations: Vec<v1::Operation>,
    /// How many bytes of the input were read with its last.
    pub bytes: u64,
    /// The hash of all up to its last.
    pub head: String,
}

impl Chunk {
    fn after(before: u64) -> Self {
        Self {
            before,
            lines: Vec::new(),
            operations: Vec::new(),
            bytes: 0,
            head: String::new(),
        }
    }
}

/// Splits the input into chunks, behind those that are done.
pub fn chunks(
    plan: &Plan,
    mut reading: Reading,
    (skip, head): (u64, &str),
    into: &mpsc::Sender<Result<Chunk, Failure>>,
) {
    let mut hash = Sha256::new();
    if let Err(failure) = skip_done(plan, &mut reading, &mut hash, skip, head) {
        into.blocking_send(Err(failure)).ok();
        return;
    }
    let mut chunk = Chunk::after(skip);
    let mut length = 0;
    loop {
        let next = match reading.splitter.next_element() {
            Ok(None) => None,
            Ok(Some(element)) => Some(operation(plan, &element).map(|done| (element, done))),
            Err(error) => Some(Err(plan.unsplit(&error))),
        };
        let next_length = match &next {
            Some(Ok((element, _))) => element.text.len(),
            // What was sound before the end or a fault is imported.
            _ => CHUNK_BYTES,
        };
        let is_full = chunk.lines.len() >= plan.batch || length + next_length > CHUNK_BYTES;
        let is_end = !matches!(next, Some(Ok(_)));
        if (is_full || is_end) && !chunk.lines.is_empty() {
            let before = chunk.before + chunk.lines.len() as u64;
            let mut full = std::mem::replace(&mut chunk, Chunk::after(before));
            full.head = hexadecimal(&hash);
            length = 0;
            if into.blocking_send(Ok(full)).is_err() {
                return;
            }
        }
        match next {
            None => return,
            Some(Ok((element, operation))) => {
                hash.update(&element.text);
                length += next_length;
                chunk.lines.push(element.line);
                chunk.operations.push(operation);
                chunk.bytes = reading.splitter.bytes();
            }
            Some(Err(failure)) => {
                into.blocking_send(Err(failure)).ok();
                return;
            }
        }
    }
}

/// Reads what an earlier import did, which has to be what it was.
fn skip_done(
    plan: &Plan,
    reading: &mut Reading,
    hash: &mut Sha256,
    skip: u64,
    head: &str,
) -> Result<(), Failure> {
    for _ in 0..skip {
        let element = reading.splitter.next_element();
        if let Some(element) = element.map_err(|error| plan.unsplit(&error))? {
            hash.update(&element.text);
        }
    }
    if skip > 0 && hexadecimal(hash) != head {
        let (name, many) = (&plan.name, plan.what().1);
        let message = format!("{name} is not what it was: its first {skip} {many} have changed");
        return Err(Failure::Failed(Message::new(message, BEGIN_ANEW)));
    }
    Ok(())
}

fn hexadecimal(hash: &Sha256) -> String {
    let hash: [u8; 32] = hash.clone().finalize().into();
    hash.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn operation(plan: &Plan, element: &Element) -> Result<v1::Operation, Failure> {
    let kind = if plan.links {
        line::link(&element.text)
    } else {
        line::entity(&element.text)
    };
    let kind = kind.map_err(|what| {
        let message = plan.bad(element.number, element.line, &what);
        Failure::Usage(Message::new(message, plan.how_to_go_on()))
    })?;
    Ok(v1::Operation { kind: Some(kind) })
}

/// Reads all, and tells how many there are.
///
/// # Errors
/// The first that cannot be read.
pub fn check(plan: &Plan, mut reading: Reading) -> Result<usize, Failure> {
    let mut number: usize = 0;
    while let Some(element) = reading
        .splitter
        .next_element()
        .map_err(|error| plan.unsplit(&error))?
    {
        let checked = if plan.links {
            line::link(&element.text).map(|_| ())
        } else {
            line::check_entity(&element.text)
        };
        checked.map_err(|what| {
            let message = plan.bad(element.number, element.line, &what);
            Failure::Usage(Message::new(message, "nothing was imported"))
        })?;
        number += 1;
    }
    Ok(number)
}
