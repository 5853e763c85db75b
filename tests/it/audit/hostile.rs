//! Files that somebody made to trouble who reads a log.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use deodar::audit::Audit;
use deodar::audit::Options;
use deodar::audit::ReadError;
use deodar::audit::fault::What;
use deodar::audit::filter::Filter;
use deodar::audit::line::LINE_BYTES_MAX;
use deodar::audit::query::Order;
use deodar::audit::query::PageMax;
use deodar::audit::query::Query;
use deodar::audit::query::page;
use deodar::audit::read::Line;
use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::audit::stats::stats;
use deodar::audit::verify::verify;
use tempfile::TempDir;

use super::site::START;
use super::site::close_packed;
use super::site::files;
use super::site::fresh;
use super::site::lines;
use super::site::options;
use super::site::put;
use super::site::sound;

/// A log of some segments, all but the last packed.
fn log() -> TempDir {
    let directory = fresh();
    let audit = Audit::open(Options {
        segment_bytes: 2000,
        ..options(directory.path())
    })
    .unwrap();
    for number in 0..40 {
        put(&audit, number);
    }
    close_packed(audit, directory.path());
    assert!(files(directory.path()).len() > 4);
    directory
}

/// All records, read from that end.
fn read(directory: &Path, order: Order) -> Result<Vec<Line>, ReadError> {
    let mut query = Query {
        filter: Filter::default(),
        order,
        start: None,
        through: None,
        max: PageMax {
            records: 7,
            bytes: 1 << 20,
            looked_at: 1 << 20,
        },
    };
    let mut all = Vec::new();
    loop {
        let page = page(directory, &query)?;
        all.extend(page.records);
        query.start = page.next;
        if query.start.is_none() {
            return Ok(all);
        }
    }
}

/// What every way to read a log says of it.
fn faults(directory: &Path) -> Vec<What> {
    let verified = verify(directory).unwrap().fault.map(|fault| fault.what);
    let paged = [Order::Oldest, Order::Newest].map(|order| read(directory, order).unwrap_err());
    let added = stats(directory, &Filter::default()).unwrap_err();
    let told = paged.into_iter().chain([added]).map(|error| match error {
        ReadError::Damaged(fault) => fault.what,
        other => panic!("{other}"),
    });
    verified.into_iter().chain(told).collect()
}

/// A file of few bytes that unpacks to many.
#[test]
fn a_line_without_end_is_not_kept() {
    let directory = log();
    let packed = &files(directory.path())[1];
    let good = zstd::decode_all(&*fs::read(packed).unwrap()).unwrap();
    let first = good.split_inclusive(|byte| *byte == b'\n').next().unwrap();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(first).unwrap();
    for _ in 0..64 {
        encoder.write_all(&vec![b'a'; LINE_BYTES_MAX]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < LINE_BYTES_MAX / 8, "{}", bomb.len());
    fs::write(packed, bomb).unwrap();
    assert_eq!(faults(directory.path()), vec![What::TooLong; 4]);
}

/// Read from its end, too, a log with a hole is not a shorter log. Seen to fail when
/// the end of a file is the end of its segment.
#[test]
fn a_segment_that_ends_too_soon_is_told_from_both_ends() {
    for keep_newline in [true, false] {
        let directory = log();
        let packed = &files(directory.path())[2];
        let good = zstd::decode_all(&*fs::read(packed).unwrap()).unwrap();
        let mut lines: Vec<_> = good.split_inclusive(|byte| *byte == b'\n').collect();
        lines.pop();
        let cut = lines.concat();
        let cut = &cut[..cut.len() - usize::from(!keep_newline)];
        fs::write(packed.with_extension(""), cut).unwrap();
        fs::remove_file(packed).unwrap();
        for what in faults(directory.path()) {
            let is_told = match what {
                What::Sealed(_) | What::Seq { .. } => keep_newline,
                What::Partial => !keep_newline,
                _ => false,
            };
            assert!(is_told, "{keep_newline} {what}");
        }
    }
}

/// A packed segment that cannot be unpacked is damage, also to who begins at a time.
#[test]
fn a_time_is_not_looked_for_in_what_cannot_be_unpacked() {
    let directory = log();
    for packed in files(directory.path()) {
        if packed.extension().unwrap() == "zst" {
            fs::write(packed, b"no zstd").unwrap();
        }
    }
    let told = Reader::open(directory.path(), Since::Millis(START)).unwrap_err();
    assert!(
        matches!(&told, ReadError::Damaged(fault) if matches!(fault.what, What::Packed(_))),
        "{told}"
    );
}

/// Numbers that no record has, with nothing before or behind them. Seen to fail, by
/// counting past the end of numbers, when these files are read.
#[test]
fn files_with_impossible_numbers_are_not_segments() {
    let directory = log();
    let good = lines(directory.path());
    let text = fs::read_to_string(files(directory.path()).last().unwrap()).unwrap();
    let first = text.lines().next().unwrap();
    let seq = first.split_once("\"seq\":").unwrap().1;
    let seq = seq.split_once(',').unwrap().0;
    for number in [0, u64::MAX] {
        let from = format!("\"seq\":{seq}");
        let forged = first.replacen(&from, &format!("\"seq\":{number}"), 1);
        let name = directory.path().join(format!("{number:020}.ndjson"));
        fs::write(name, format!("{forged}\n{forged}\n")).unwrap();
    }
    assert_eq!(sound(directory.path()).records, good.len() as u64);
    assert_eq!(read(directory.path(), Order::Oldest).unwrap(), good);
    let newest = read(directory.path(), Order::Newest).unwrap();
    assert!(newest.iter().eq(good.iter().rev()));
}

/// Records that tell of more than there can be. Seen to fail when what they tell is
/// added up.
#[test]
fn numbers_within_records_are_not_trusted() {
    let directory = fresh();
    let audit = Audit::open(options(directory.path())).unwrap();
    for kind in ["gap", "gap", "retention"] {
        let fields = [
            ("lost", serde_json::json!(u64::MAX)),
            ("through", serde_json::json!(u64::MAX)),
        ];
        audit.note(START, deodar::audit::EventRecord::new(kind, fields));
    }
    audit.close();
    assert_eq!(verify(directory.path()).unwrap().lost, u64::MAX);
}

/// A link to a segment elsewhere is read, and a pipe is not waited for.
#[test]
fn only_files_are_read() {
    let directory = log();
    let good = lines(directory.path());
    let elsewhere = fresh();
    let segment = &files(directory.path())[1];
    let moved = elsewhere.path().join("moved");
    fs::rename(segment, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, segment).unwrap();
    sound(directory.path());
    assert_eq!(lines(directory.path()), good);
    fs::remove_file(segment).unwrap();
    let made = Command::new("mkfifo").arg(segment).status().unwrap();
    assert!(made.success());
    let told = verify(directory.path()).unwrap_err().to_string();
    assert!(told.ends_with("is not a file"), "{told}");
    let told = read(directory.path(), Order::Newest).unwrap_err();
    assert!(matches!(told, ReadError::Io { .. }), "{told}");
}
