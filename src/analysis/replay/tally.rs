//! What came of all records, the same in whatever order they were judged.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use memchr::memchr_iter;

use super::judge::Judge;
use super::judge::LeftOut;
use super::judge::Outcome;
use super::log::Chunk;
use super::log::FaultKind;
use super::log::Log;
use super::log::LogFault;
use crate::analysis::flip::Answer;
use crate::analysis::flip::Groups;
use crate::audit::line;
use crate::audit::line::Head;

/// Faults of logs that are kept; the others are counted.
const FAULTS_MAX: usize = 100;

/// A flip, as an example of its group. In order of the logs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Example {
    /// The number of the file,
    pub file: usize,
    /// and the line in it, from 1.
    pub line: u64,
    /// The number of the record.
    pub seq: u64,
    /// When it was asked, in milliseconds since 1970.
    pub millis: i64,
    /// Who,
    pub principal: String,
    /// what,
    pub action: String,
    /// to what.
    pub resource: String,
    /// The answer before,
    pub before: Answer,
    /// and after.
    pub after: Answer,
}

/// A line and the number of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Numbered {
    file: usize,
    line: u64,
    seq: u64,
}

impl Numbered {
    /// What is wrong if this is the next line after `before` that can be read. A line
    /// between them that cannot be is told already.
    fn after(self, before: Self) -> Option<LogFault> {
        let lines = if self.file == before.file {
            self.line.saturating_sub(before.line)
        } else {
            1
        };
        let expected = before.seq.saturating_add(lines);
        (self.seq != expected).then(|| LogFault {
            file: self.file,
            line: self.line,
            kind: FaultKind::OutOfOrder,
            what: format!("record {} is where {expected} should be", self.seq),
        })
    }
}

/// What came of all records.
#[derive(Debug)]
pub struct Tally {
    /// The files, by number.
    pub files: Vec<String>,
    /// Lines that are records, of whatever kind.
    pub records: u64,
    /// Decisions among them that were asked for.
    pub decisions: u64,
    /// Decided as before, for the same reason.
    pub same: u64,
    /// Decided as before for another reason, by what differs.
    pub changed: BTreeMap<&'static str, u64>,
    /// Decided the other way.
    pub flips: Groups<Example>,
    /// Not decided again, by why.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// `gap` records: each tells of decisions that were never recorded.
    pub gaps: u64,
    /// What is wrong with the logs, the first of it,
    pub faults: BTreeSet<LogFault>,
    /// and how much more.
    pub faults_more: u64,
    /// The first and the last record of each chunk: between them was looked already.
    chunks: Vec<(Numbered, Numbered)>,
}

impl Tally {
    /// Nothing yet, of these files.
    pub fn new(files: &[String], examples: usize) -> Self {
        Self {
            files: files.to_vec(),
            records: 0,
            decisions: 0,
            same: 0,
            changed: BTreeMap::new(),
            flips: Groups::new(examples),
            left_out: BTreeMap::new(),
            gaps: 0,
            faults: BTreeSet::new(),
            faults_more: 0,
            chunks: Vec::new(),
        }
    }

    /// Decisions that were decided again.
    pub fn replayed(&self) -> u64 {
        self.decisions - self.left_out.values().sum::<u64>()
    }

    /// Whether something in the logs could not be read.
    pub fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Judges the lines of a chunk; tells how many there were.
    pub fn chunk(&mut self, chunk: &Chunk, judge: &mut Judge<'_>) -> u64 {
        // Behind the last line end there is nothing.
        let text = chunk.text.strip_suffix(b"\n").unwrap_or(&chunk.text);
        let mut count = 0;
        let mut ends: Option<(Numbered, Numbered)> = None;
        let ends_at = memchr_iter(b'\n', text).chain([text.len()]);
        let mut begin = 0;
        for (number, end) in (chunk.line..).zip(ends_at) {
            let text = text.get(begin..end).unwrap_or_default();
            begin = end + 1;
            count += 1;
            let judged = head(text).and_then(|(head, text)| {
                let this = Numbered {
                    file: chunk.file,
                    line: number,
                    seq: head.seq,
                };
                let (_, last) = ends.get_or_insert((this, this));
                if *last != this {
                    let hole = this.after(*last);
                    *last = this;
                    if let Some(hole) = hole {
                        self.fault(hole);
                    }
                }
                self.line(this, &head, text, judge)
            });
            if let Err(what) = judged {
                self.fault(LogFault {
                    file: chunk.file,
                    line: number,
                    kind: FaultKind::Unreadable,
                    what,
                });
            }
        }
        self.chunks.extend(ends);
        count
    }

    fn line(
        &mut self,
        Numbered { file, line, .. }: Numbered,
        head: &Head<'_>,
        text: &str,
        judge: &mut Judge<'_>,
    ) -> Result<(), String> {
        self.records += 1;
        if head.kind() == "gap" {
            self.gaps += 1;
        }
        if head.kind() != "decision" || !judge.is_meant(head, text) {
            return Ok(());
        }
        match judge.judge(text) {
            Outcome::NotJson => return Err("the line is not JSON".to_owned()),
            Outcome::Same => self.same += 1,
            Outcome::Changed(what) => *self.changed.entry(what).or_default() += 1,
            Outcome::Left(why) => *self.left_out.entry(why).or_default() += 1,
            Outcome::Flipped(flip) => {
                let example = Example {
                    file,
                    line,
                    seq: head.seq,
                    millis: head.millis,
                    principal: flip.principal.clone(),
                    action: flip.action.clone(),
                    resource: flip.resource.clone(),
                    before: flip.before.clone(),
                    after: flip.after.clone(),
                };
                self.flips.add(&flip.key, example);
            }
        }
        self.decisions += 1;
        Ok(())
    }

    /// Notes that something is wrong.
    pub fn fault(&mut self, fault: LogFault) {
        self.faults.insert(fault);
        if self.faults.len() > FAULTS_MAX {
            self.faults.pop_last();
            self.faults_more += 1;
        }
    }

    /// Adds what another thread found.
    pub fn merge(&mut self, other: Self) {
        self.records += other.records;
        self.decisions += other.decisions;
        self.same += other.same;
        self.gaps += other.gaps;
        self.faults_more += other.faults_more;
        self.flips.merge(other.flips);
        self.chunks.extend(other.chunks);
        for (what, count) in other.changed {
            *self.changed.entry(what).or_default() += count;
        }
        for (why, count) in other.left_out {
            *self.left_out.entry(why).or_default() += count;
        }
        for fault in other.faults {
            self.fault(fault);
        }
    }

    /// Where records are missing between two that should follow each other, and no
    /// line that cannot be read is in their place.
    pub fn look_for_holes(&mut self, log: &Log) {
        let mut chunks = std::mem::take(&mut self.chunks);
        chunks.sort_unstable();
        for pair in chunks.windows(2) {
            let [(_, before), (after, _)] = pair else {
                continue;
            };
            let hole = after.after(*before);
            if let Some(hole) = hole.filter(|_| log.follows(before.file, after.file)) {
                self.fault(hole);
            }
        }
    }
}

/// The head of a line, and the line as text.
fn head(line: &[u8]) -> Result<(Head<'_>, &str), String> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?;
    match line::parse_text(text) {
        Ok(head) => Ok((head, text)),
        Err(line::LATER) => Err(match line::later(text) {
            Some(version) => format!(
                "the line is of version {version} of the format, and this release reads version \
                 {}: replay it with the release that wrote it",
                line::VERSION
            ),
            None => "the line has a `v` that is no version".to_owned(),
        }),
        Err(what) => Err(format!("the line {what}")),
    }
}
