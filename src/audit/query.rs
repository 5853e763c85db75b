//! Pages of the records that a filter selects, from either end of the log.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::error::ReadError;
use super::fault::Fault;
use super::fault::What;
use super::filter::Filter;
use super::folder;
use super::folder::Found;
use super::line;
use super::lines::Lines;
use super::lines::Next;
use super::read::Line;
use super::read::Reader;
use super::read::Since;

/// Records are in order of time but for what threads and a clock that is set
/// right make of it: so far past a time, in milliseconds, nothing of before it
/// is expected.
const SLACK: i64 = 60_000;

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The oldest record first.
    #[default]
    Oldest,
    /// The newest record first.
    Newest,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which records.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// The first record to look at; by default the one at that end of the log.
    pub start: Option<u64>,
    /// The newest record to look at.
    pub through: Option<u64>,
    /// How much at most.
    pub max: PageMax,
}

/// How much one page takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageMax {
    /// Records in it.
    pub records: usize,
    /// Bytes of these, if one has not more by itself.
    pub bytes: usize,
    /// Records that are looked at for it. The newest first, that is told only at
    /// the beginning of each segment: they are read from there.
    pub looked_at: u64,
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What was found. May be short, even empty, with more to follow.
    pub records: Vec<Line>,
    /// Where the next page starts; `None` when everything was looked at.
    pub next: Option<u64>,
    /// So many records were looked at.
    pub looked_at: u64,
}

/// Reads a page, whether or not the log is being written.
///
/// Segments outside of the filter's times are not read, nor is what follows once
/// its records are a minute past them.
///
/// # Errors
/// If there is no log, if `start` was dropped, or if it cannot be read. What was
/// found before damage is given first; the next page tells of it.
pub fn page(directory: &Path, query: &Query) -> Result<Page, ReadError> {
    match query.order {
        Order::Oldest => oldest_first(directory, query),
        Order::Newest => newest_first(directory, query),
    }
}

/// Gives every record that a filter selects, the oldest first, until it is told to
/// stop, from the record `start` on if there is one. The log is read once.
///
/// # Errors
/// As [`page`]; what was found before damage was given.
pub fn each(
    directory: &Path,
    filter: &Filter,
    start: Option<u64>,
    mut take: impl FnMut(Line) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    for line in Reader::open(directory, since(filter, start))? {
        let line = line?;
        if is_past(filter, line.millis) {
            break;
        }
        if filter.matches(&line) && take(line).is_break() {
            break;
        }
    }
    Ok(())
}

/// Where to begin. A record may be in the segment before the one that was begun
/// before its time.
fn since(filter: &Filter, start: Option<u64>) -> Since {
    match (start, filter.from) {
        (Some(seq), _) => Since::Seq(seq),
        (None, Some(from)) => Since::Millis(from.saturating_sub(SLACK)),
        (None, None) => Since::Oldest,
    }
}

fn oldest_first(directory: &Path, query: &Query) -> Result<Page, ReadError> {
    let mut reader = Reader::open(directory, since(&query.filter, query.start))?;
    let mut page = Page::default();
    let mut bytes = 0;
    loop {
        let line = match reader.next() {
            None => {
                page.next = None;
                return Ok(page);
            }
            Some(Err(error)) if page.records.is_empty() => return Err(error),
            Some(Err(_)) => return Ok(page),
            Some(Ok(line)) => line,
        };
        if query.through.is_some_and(|through| line.seq > through)
            || is_past(&query.filter, line.millis)
        {
            page.next = None;
            return Ok(page);
        }
        page.looked_at += 1;
        let next = line.seq + 1;
        if query.filter.matches(&line) {
            bytes += line.text.len();
            if bytes > query.max.bytes && !page.records.is_empty() {
                page.next = Some(line.seq);
                return Ok(page);
            }
            page.records.push(line);
        }
        page.next = Some(next);
        if page.records.len() >= query.max.records || page.looked_at >= query.max.looked_at {
            return Ok(page);
        }
    }
}

fn is_past(filter: &Filter, millis: i64) -> bool {
    let until = filter.until;
    until.is_some_and(|until| millis >= until.saturating_add(SLACK))
}

fn newest_first(directory: &Path, query: &Query) -> Result<Page, ReadError> {
    let segments = folder::segments(directory).map_err(ReadError::io(directory))?;
    let Some(oldest) = segments.first().map(|found| found.first) else {
        return Err(ReadError::Absent {
            directory: directory.display().to_string(),
        });
    };
    if query.start.is_some_and(|start| start < oldest) {
        return Err(ReadError::Dropped { oldest });
    }
    let start = query.start.unwrap_or(u64::MAX);
    let mut upper = start.min(query.through.unwrap_or(u64::MAX));
    let mut page = Page::default();
    let mut bytes = 0;
    let entered = segments.partition_point(|found| found.first <= upper);
    for (place, found) in segments.iter().enumerate().take(entered).rev() {
        let mut scan = Scan {
            query,
            upper,
            following: segments.get(place + 1).map(|next| next.first),
            room: query.max.records - page.records.len(),
            bytes: query.max.bytes.saturating_sub(bytes),
            is_first: page.records.is_empty(),
            found: VecDeque::new(),
            found_bytes: 0,
            is_cut: false,
            looked_at: 0,
            begun: i64::MAX,
        };
        match scan.segment(directory, found) {
            Ok(()) => {}
            // It was dropped meanwhile, and those before it, too.
            Err(ReadError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) if page.records.is_empty() => return Err(error),
            Err(_) => {
                page.next = Some(upper);
                return Ok(page);
            }
        }
        page.looked_at += scan.looked_at;
        let (is_cut, begun) = (scan.is_cut, scan.begun);
        bytes += scan.found_bytes;
        page.records.extend(scan.found.into_iter().rev());
        upper = found.first - 1;
        let is_full = is_cut || page.records.len() >= query.max.records;
        if is_full && let Some(last) = page.records.last() {
            upper = last.seq - 1;
        }
        let from = query.filter.from.unwrap_or(i64::MIN);
        let is_done = upper < oldest || (!is_full && begun < from.saturating_sub(SLACK));
        if is_done || is_full || page.looked_at >= query.max.looked_at {
            page.next = (!is_done).then_some(upper);
            return Ok(page);
        }
    }
    Ok(page)
}

/// What one segment has for a page that begins with the newest record.
struct Scan<'a> {
    query: &'a Query,
    /// The newest record to look at.
    upper: u64,
    /// The first record of the segment behind this one.
    following: Option<u64>,
    /// There is room for so many records,
    room: usize,
    /// and so many bytes of them,
    bytes: usize,
    /// but one always fits if the page has none yet.
    is_first: bool,
    /// The newest that were found.
    found: VecDeque<Line>,
    found_bytes: usize,
    /// There was no room for older ones.
    is_cut: bool,
    looked_at: u64,
    /// The time of the first record.
    begun: i64,
}

impl Scan<'_> {
    fn segment(&mut self, directory: &Path, found: &Found) -> Result<(), ReadError> {
        let path = directory.join(found.name());
        let mut lines = found.lines(directory).map_err(ReadError::io(&path))?;
        let mut next = found.first;
        while next <= self.upper {
            let what = match lines.advance() {
                Ok(Next::Line) => match self.line(next, lines.line()) {
                    Ok(true) => {
                        next += 1;
                        continue;
                    }
                    Ok(false) => break,
                    Err(what) => what,
                },
                Ok(Next::End | Next::Partial) if self.following.is_none_or(|seq| seq == next) => {
                    break;
                }
                Ok(Next::Partial) => What::Partial,
                Ok(Next::End) => What::Seq {
                    expected: next,
                    found: self.following.unwrap_or(next),
                },
                Ok(Next::TooLong) => What::TooLong,
                Err(error) if found.is_plain => return Err(ReadError::io(&path)(error)),
                Err(error) => What::Packed(error.to_string()),
            };
            return Err(damaged(found, &lines, next, what));
        }
        Ok(())
    }

    /// Whether to go on behind this line.
    fn line(&mut self, expected: u64, line: &[u8]) -> Result<bool, What> {
        let head = line::parse(line).map_err(What::Unreadable)?;
        if head.seq != expected {
            let found = head.seq;
            return Err(What::Seq { expected, found });
        }
        self.begun = self.begun.min(head.millis);
        self.looked_at += 1;
        if is_past(&self.query.filter, head.millis) {
            return Ok(false);
        }
        let text = str::from_utf8(line).map_err(|_| What::NotJson)?;
        if self.query.filter.selects(head.millis, head.kind(), text) {
            self.take(Line {
                seq: head.seq,
                millis: head.millis,
                kind: head.kind().to_owned(),
                text: text.to_owned(),
            });
        }
        Ok(true)
    }

    /// Takes it, and lets go of the oldest that have no room then.
    fn take(&mut self, line: Line) {
        self.found_bytes += line.text.len();
        self.found.push_back(line);
        let is_over = |scan: &Self| {
            let alone = scan.is_first && scan.found.len() == 1;
            scan.found.len() > scan.room || (scan.found_bytes > scan.bytes && !alone)
        };
        while is_over(self)
            && let Some(oldest) = self.found.pop_front()
        {
            self.found_bytes -= oldest.text.len();
            self.is_cut = true;
        }
    }
}

fn damaged(found: &Found, lines: &Lines, seq: u64, what: What) -> ReadError {
    ReadError::Damaged(Fault {
        file: found.name(),
        line: lines.number,
        seq,
        offset: lines.offset,
        what,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use super::Order;
    use super::Page;
    use super::PageMax;
    use super::Query;
    use super::page;
    use crate::audit::Audit;
    use crate::audit::EventRecord;
    use crate::audit::Options;
    use crate::audit::ReadError;
    use crate::audit::filter::Filter;
    use crate::audit::read::Line;
    use crate::audit::read::Reader;
    use crate::audit::read::Since;
    use crate::directory::time::Time;

    const MINUTE: i64 = 60_000;

    /// A log with several segments and two minutes between records.
    fn log() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicI64::new(0));
        let audit = Audit::open(Options {
            directory: folder.path().to_owned(),
            segment_bytes: 2000,
            segment_age: Duration::from_hours(1000),
            time: Time::Set(Arc::clone(&time)),
            ..Options::default()
        })
        .unwrap();
        for number in 1..=40_i64 {
            time.store(number * 2 * MINUTE, std::sync::atomic::Ordering::Relaxed);
            let id = json!(format!("d{}", number % 3));
            let record = EventRecord::new("decision", [("id", id), ("pad", json!("x".repeat(99)))]);
            drop(audit.submit(number * 2 * MINUTE, record));
            audit.flush_blocking().unwrap();
        }
        audit.close();
        folder
    }

    fn all_pages(folder: &tempfile::TempDir, query: &Query) -> (Vec<Line>, Vec<Page>) {
        let mut query = query.clone();
        let mut pages = Vec::new();
        loop {
            let page = page(folder.path(), &query).unwrap();
            query.start = page.next;
            pages.push(page);
            if query.start.is_none() {
                break;
            }
            assert!(pages.len() < 1000, "it does not end: {query:?}");
        }
        let records = pages.iter().flat_map(|page| page.records.clone()).collect();
        (records, pages)
    }

    thread_local! {
        static LOG: tempfile::TempDir = log();
    }

    proptest! {
        /// Seen to fail when a page that is cut goes on behind the record that it
        /// had no room for, and when the segment before `from` is passed over.
        #[test]
        fn pages_are_the_selected_records_in_order(
            is_newest: bool,
            ids in prop::option::of(0_u8..3),
            from in prop::option::of(0_i64..90),
            until in prop::option::of(0_i64..90),
            through in prop::option::of(1_u64..60),
            records in 1_usize..20,
            bytes in 1_usize..4000,
            looked_at in 1_u64..30,
        ) {
            LOG.with(|folder| {
                let filter = Filter {
                    id: ids.map(|id| format!("d{id}")),
                    from: from.map(|from| from * MINUTE),
                    until: until.map(|until| until * MINUTE),
                    ..Filter::default()
                };
                let mut expected: Vec<Line> = Reader::open(folder.path(), Since::Oldest)
                    .unwrap()
                    .map(Result::unwrap)
                    .filter(|line| through.is_none_or(|through| line.seq <= through))
                    .filter(|line| filter.matches(line))
                    .collect();
                let order = if is_newest { Order::Newest } else { Order::Oldest };
                if is_newest {
                    expected.reverse();
                }
                let max = PageMax { records, bytes, looked_at };
                let query = Query { filter, order, start: None, through, max };
                let (found, pages) = all_pages(folder, &query);
                prop_assert_eq!(found, expected);
                for page in pages {
                    let length: usize = page.records.iter().map(|line| line.text.len()).sum();
                    prop_assert!(page.records.len() <= records);
                    prop_assert!(length <= bytes || page.records.len() == 1);
                    prop_assert!(is_newest || page.looked_at <= looked_at);
                }
                Ok(())
            })?;
        }
    }

    /// Seen to fail when a time is looked for in the segments from the last one on
    /// that was begun before it.
    #[test]
    fn a_clock_that_is_set_back_a_little_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicI64::new(0));
        let audit = Audit::open(Options {
            directory: folder.path().to_owned(),
            segment_bytes: 1,
            time: Time::Set(Arc::clone(&time)),
            ..Options::default()
        })
        .unwrap();
        for number in 10..30_i64 {
            let millis = number * 10_000 + 25_000 * (number % 2);
            time.store(millis, std::sync::atomic::Ordering::Relaxed);
            drop(audit.submit(millis, EventRecord::new("test", [])));
            audit.flush_blocking().unwrap();
        }
        audit.close();
        let all: Vec<Line> = Reader::open(folder.path(), Since::Oldest)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for from in all.iter().map(|line| line.millis) {
            let filter = Filter {
                from: Some(from),
                ..Filter::default()
            };
            let expected: Vec<_> = all.iter().filter(|line| filter.matches(line)).collect();
            let mut found = Vec::new();
            super::each(folder.path(), &filter, None, |line| {
                found.push(line);
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
            assert!(found.iter().eq(expected), "{from}");
        }
    }

    #[test]
    fn times_keep_other_segments_from_being_read() {
        let folder = log();
        let total = Reader::open(folder.path(), Since::Oldest).unwrap().count() as u64;
        for order in [Order::Oldest, Order::Newest] {
            let query = Query {
                filter: Filter {
                    from: Some(40 * MINUTE),
                    until: Some(44 * MINUTE),
                    ..Filter::default()
                },
                order,
                start: None,
                through: None,
                max: PageMax {
                    records: 100,
                    bytes: 1 << 20,
                    looked_at: 1 << 20,
                },
            };
            let found = page(folder.path(), &query).unwrap();
            let decisions = found.records.iter().filter(|line| line.kind == "decision");
            assert_eq!(decisions.count(), 2);
            assert!(
                found.looked_at < total / 2,
                "{order:?}: {} of {total}",
                found.looked_at
            );
        }
    }

    #[test]
    fn what_is_before_damage_is_given_first() {
        let folder = log();
        let mut segments: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .collect();
        segments.retain(|entry| entry.file_name().to_string_lossy().ends_with(".ndjson"));
        segments.sort_by_key(std::fs::DirEntry::file_name);
        let last = segments.last().unwrap().path();
        let text = std::fs::read_to_string(&last).unwrap();
        std::fs::write(&last, text.replacen("\"seq\":", "\"sec\":", 1)).unwrap();
        let mut query = Query {
            filter: Filter::default(),
            order: Order::Oldest,
            start: None,
            through: None,
            max: PageMax {
                records: 1000,
                bytes: 1 << 20,
                looked_at: 1 << 20,
            },
        };
        let first = page(folder.path(), &query).unwrap();
        assert!(first.records.len() > 30);
        query.start = first.next;
        let told = page(folder.path(), &query).unwrap_err();
        assert!(matches!(told, ReadError::Damaged(_)), "{told}");
        query.order = Order::Newest;
        query.start = None;
        let told = page(folder.path(), &query).unwrap_err();
        assert!(matches!(told, ReadError::Damaged(_)), "{told}");
    }
}
