//! What the selected records of a log add up to.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use super::error::ReadError;
use super::facts::Facts;
use super::filter::Filter;
use super::folder;
use super::query;
use super::read::Line;

/// Different names that are counted by themselves; the rest are counted together.
const NAMES_MAX: usize = 1 << 20;

/// What the records add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Segments of the whole log.
    pub segments: usize,
    /// Bytes that these take on the disk.
    pub disk_bytes: u64,
    /// Records that were selected,
    pub records: u64,
    /// and their bytes, uncompressed.
    pub bytes: u64,
    /// The first of them: number and time in milliseconds since 1970.
    pub first: Option<(u64, i64)>,
    /// The last of them.
    pub last: Option<(u64, i64)>,
    /// Records by kind.
    pub kinds: BTreeMap<String, u64>,
    /// Decisions to allow,
    pub allowed: u64,
    /// and to deny.
    pub denied: u64,
    /// Denials by cause.
    pub causes: BTreeMap<String, u64>,
    /// Decisions by policy.
    pub policies: Counts,
    /// Decisions in which a policy failed, by policy.
    pub failed: Counts,
    /// Denials by principal.
    pub denied_principals: Counts,
    /// Denials by resource.
    pub denied_resources: Counts,
    /// Decisions by caller.
    pub callers: Counts,
    /// Decisions by revision of the policies, in order of the first of each.
    pub revisions: Vec<RevisionStats>,
}

/// Decisions of one revision of the policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionStats {
    /// The revision.
    pub revision: String,
    /// When it decided first, in milliseconds since 1970.
    pub since: i64,
    /// Decisions to allow,
    pub allowed: u64,
    /// and to deny.
    pub denied: u64,
}

/// How often each name came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    names: BTreeMap<String, u64>,
    others: u64,
}

impl Counts {
    fn add(&mut self, name: &str) {
        if let Some(count) = self.names.get_mut(name) {
            *count += 1;
        } else if self.names.len() < NAMES_MAX {
            self.names.insert(name.to_owned(), 1);
        } else {
            self.others += 1;
        }
    }

    /// The names that came most often, and how often the others came together.
    pub fn top(&self, most: usize) -> (Vec<(&str, u64)>, u64) {
        let mut names: Vec<_> = self
            .names
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        names.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let rest: u64 = names.iter().skip(most).map(|(_, count)| count).sum();
        names.truncate(most);
        (names, rest + self.others)
    }
}

/// Adds up the records that a filter selects.
///
/// # Errors
/// If there is no log, if it cannot be read, or if it is damaged.
pub fn stats(directory: &Path, filter: &Filter) -> Result<Stats, ReadError> {
    let segments = folder::segments(directory).map_err(ReadError::io(directory))?;
    let mut stats = Stats {
        segments: segments.len(),
        disk_bytes: segments.iter().map(|found| found.bytes(directory)).sum(),
        ..Stats::default()
    };
    query::each(directory, filter, None, |line| {
        stats.add(&line);
        ControlFlow::Continue(())
    })?;
    Ok(stats)
}

impl Stats {
    fn add(&mut self, line: &Line) {
        let place = (line.seq, line.millis);
        self.records += 1;
        self.bytes += line.text.len() as u64 + 1;
        self.first.get_or_insert(place);
        self.last = Some(place);
        count(&mut self.kinds, &line.kind);
        if line.kind == "decision"
            && let Some(facts) = Facts::read(&line.text)
        {
            self.decision(&facts, line.millis);
        }
    }

    fn decision(&mut self, facts: &Facts<'_>, millis: i64) {
        let is_allowed = facts.decision.as_deref() == Some("allow");
        if is_allowed {
            self.allowed += 1;
        } else {
            self.denied += 1;
            if let Some(cause) = &facts.cause {
                count(&mut self.causes, cause);
            }
            for (counts, party) in [
                (&mut self.denied_principals, &facts.principal),
                (&mut self.denied_resources, &facts.resource),
            ] {
                if let Some(party) = party {
                    counts.add(&party.to_string());
                }
            }
        }
        for (counts, names) in [
            (&mut self.policies, &facts.policies),
            (&mut self.failed, &facts.failed),
        ] {
            for name in names {
                counts.add(name);
            }
        }
        if let Some(caller) = &facts.caller {
            self.callers.add(caller);
        }
        if let Some(revision) = &facts.policies_revision {
            let found = self
                .revisions
                .iter()
                .rposition(|known| known.revision == **revision);
            let at = found.unwrap_or_else(|| {
                self.revisions.push(RevisionStats {
                    revision: revision.to_string(),
                    since: millis,
                    allowed: 0,
                    denied: 0,
                });
                self.revisions.len() - 1
            });
            if let Some(known) = self.revisions.get_mut(at) {
                known.allowed += u64::from(is_allowed);
                known.denied += u64::from(!is_allowed);
            }
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}
