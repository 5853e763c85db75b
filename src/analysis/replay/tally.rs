//! What came of all records, the same in whatever order they were judged.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::judge::Judge;
use super::judge::LeftOut;
use super::judge::Outcome;
use super::log::Chunk;
use super::log::Log;
use super::log::LogFault;
use crate::analysis::flip::Answer;
use crate::analysis::flip::Groups;
use crate::audit::line;

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

/// Records of one chunk that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    file: usize,
    line: u64,
    first: u64,
    last: u64,
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
    spans: Vec<Span>,
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
            spans: Vec::new(),
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
        for (number, text) in (chunk.line..).zip(text.split(|byte| *byte == b'\n')) {
            count += 1;
            if let Err(what) = self.line((chunk.file, number), text, judge) {
                self.fault(LogFault {
                    file: chunk.file,
                    line: number,
                    what,
                });
            }
        }
        count
    }

    fn line(
        &mut self,
        (file, number): (usize, u64),
        text: &[u8],
        judge: &mut Judge<'_>,
    ) -> Result<(), String> {
        let head = line::parse(text).map_err(|what| format!("the line {what}"))?;
        self.records += 1;
        self.seen(file, number, head.seq);
        if head.kind() == "gap" {
            self.gaps += 1;
        }
        // It was UTF-8 for who read its head.
        let text = std::str::from_utf8(text).unwrap_or_default();
        if head.kind() != "decision" || !judge.is_meant(&head, text) {
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
                    line: number,
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

    fn seen(&mut self, file: usize, line: u64, seq: u64) {
        if let Some(span) = self.spans.last_mut()
            && span.file == file
            && span.last.checked_add(1) == Some(seq)
            && span.line + (span.last - span.first) + 1 == line
        {
            span.last = seq;
            return;
        }
        self.spans.push(Span {
            file,
            line,
            first: seq,
            last: seq,
        });
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
        self.spans.extend(other.spans);
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
        let mut spans = std::mem::take(&mut self.spans);
        spans.sort_unstable();
        for pair in spans.windows(2) {
            let [before, after] = pair else { continue };
            let same_file = before.file == after.file;
            let expected = if same_file {
                // A line between that cannot be read is told already.
                let lines = after.line - before.line - (before.last - before.first);
                before.last.saturating_add(lines)
            } else {
                before.last.saturating_add(1)
            };
            if log.follows(before.file, after.file) && after.first != expected {
                self.fault(LogFault {
                    file: after.file,
                    line: after.line,
                    what: format!("record {} is where {expected} should be", after.first),
                });
            }
        }
    }
}
