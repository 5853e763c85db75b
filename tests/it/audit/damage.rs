//! Whatever is done to the files of a log is found, and where.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use deodar::audit::Audit;
use deodar::audit::OpenError;
use deodar::audit::Options;
use deodar::audit::fault::Fault;
use deodar::audit::fault::What;
use deodar::audit::line::Hash;
use deodar::audit::verify::verify;
use proptest::prelude::*;
use tempfile::TempDir;

use super::site::START;
use super::site::close_packed;
use super::site::copy;
use super::site::files;
use super::site::fresh;
use super::site::numbers;
use super::site::of_kind;
use super::site::options;
use super::site::put;
use super::site::record;
use super::site::sound;
use crate::engine_oracle::cases;

/// A log of some segments, none packed, made once.
fn original() -> &'static Path {
    static ORIGINAL: OnceLock<TempDir> = OnceLock::new();
    let made = ORIGINAL.get_or_init(|| {
        let directory = fresh();
        let audit = Audit::open(Options {
            segment_bytes: 2000,
            ..options(directory.path())
        })
        .unwrap();
        for number in 0..40 {
            put(&audit, number);
        }
        audit.close();
        for path in files(directory.path()) {
            if path.extension().unwrap() == "zst" {
                let text = zstd::decode_all(&*fs::read(&path).unwrap()).unwrap();
                fs::write(path.with_extension(""), text).unwrap();
                fs::remove_file(path).unwrap();
            }
        }
        sound(directory.path());
        directory
    });
    made.path()
}

/// A file, and its lines.
type Segment = (PathBuf, Vec<Vec<u8>>);

/// A copy of it, with the lines of each segment.
fn segments() -> (TempDir, Vec<Segment>) {
    let directory = fresh();
    copy(original(), directory.path());
    let segments = files(directory.path()).into_iter().map(|path| {
        let text = fs::read(&path).unwrap();
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        (path, lines.map(<[u8]>::to_vec).collect())
    });
    let segments = segments.collect();
    (directory, segments)
}

/// Every line of a log, without its newline.
fn lines_of(directory: &Path) -> Vec<Vec<u8>> {
    let files = files(directory).into_iter();
    let text: Vec<u8> = files.flat_map(|path| fs::read(path).unwrap()).collect();
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| line[..line.len() - 1].to_vec()).collect()
}

fn fault(directory: &Path) -> Fault {
    verify(directory).unwrap().fault.expect("a fault")
}

/// A line of the log: which segment, which line in it, and which record.
#[derive(Debug, Clone, Copy)]
struct Place {
    segment: usize,
    line: usize,
    seq: u64,
}

fn place(segments: &[Segment], seq: usize) -> Place {
    let mut left = seq;
    for (segment, (_, lines)) in segments.iter().enumerate() {
        if left < lines.len() {
            return Place {
                segment,
                line: left,
                seq: seq as u64 + 1,
            };
        }
        left -= lines.len();
    }
    panic!("no such line");
}

fn write(segment: &Segment) {
    fs::write(&segment.0, segment.1.concat()).unwrap();
}

proptest! {
    #![proptest_config(cases(300))]

    /// Any bit of any line but the last, for which nobody vouches yet.
    #[test]
    fn a_flipped_bit_is_found(at: prop::sample::Index, byte: prop::sample::Index, bit in 0_u8..8) {
        let (directory, mut segments) = segments();
        let count: usize = segments.iter().map(|(_, lines)| lines.len()).sum();
        let place = place(&segments, at.index(count - 1));
        let line = &mut segments[place.segment].1[place.line];
        let byte = byte.index(line.len());
        line[byte] ^= 1 << bit;
        write(&segments[place.segment]);
        let report = verify(directory.path()).unwrap();
        let fault = report.fault.expect("a fault");
        // What is told to be good is as it was written. Seen to fail when the line
        // that was changed is the last good one.
        let head = report.head.map_or(0, |(seq, _)| seq);
        prop_assert!(head < place.seq, "{place:?} {head}");
        prop_assert_eq!(report.records, head);
        if let Some((seq, hash)) = report.head {
            let good = lines_of(original());
            let seq = usize::try_from(seq).unwrap();
            prop_assert_eq!(hash, Hash::of(&good[seq - 1]));
            let bytes: usize = good[..seq].iter().map(|line| line.len() + 1).sum();
            prop_assert_eq!(report.bytes, bytes as u64);
        }
        // Where `prev` was changed, the line before is as likely.
        prop_assert!((place.seq - 1..=place.seq).contains(&fault.seq), "{place:?} {fault}");
        let file = &segments[place.segment].0;
        prop_assert!(fault.seq < place.seq || file.ends_with(&fault.file), "{place:?} {fault}");
    }

    /// Lines that are taken away, doubled, or swapped with the next one.
    #[test]
    fn lines_are_missed(at: prop::sample::Index, kind in 0..3) {
        let (directory, mut segments) = segments();
        let count: usize = segments.iter().map(|(_, lines)| lines.len()).sum();
        let place = place(&segments, at.index(count - 1));
        let lines = &mut segments[place.segment].1;
        let line = lines[place.line].clone();
        match kind {
            0 => { lines.remove(place.line); }
            1 => lines.insert(place.line, line),
            _ if place.line + 1 < lines.len() => lines.swap(place.line, place.line + 1),
            _ => return Ok(()),
        }
        write(&segments[place.segment]);
        let fault = fault(directory.path());
        let found = fault.seq;
        prop_assert!((place.seq - 1..=place.seq + 1).contains(&found), "{kind} {place:?} {fault}");
    }

    /// A segment that ends too soon, in a line or between two. Seen to fail when it is
    /// not compared with what the next one states.
    #[test]
    fn a_cut_is_found(at: prop::sample::Index, to: prop::sample::Index) {
        let (directory, mut segments) = segments();
        let cut = at.index(segments.len() - 1);
        let (path, lines) = &mut segments[cut];
        let length = to.index(lines.concat().len());
        let text = &lines.concat()[..length];
        fs::write(&path, text).unwrap();
        let fault = fault(directory.path());
        prop_assert!(path.ends_with(&fault.file), "{length} {fault}");
        prop_assert!(fault.offset <= length as u64, "{length} {fault}");
        let whole = text.split(|byte| *byte == b'\n').count() as u64 - 1;
        prop_assert!((whole..=whole + 1).contains(&fault.line), "{length} {fault}");
    }
}

#[test]
fn segments_that_are_swapped_or_missing_are_found() {
    for changed in 1..3 {
        let (directory, segments) = segments();
        let (one, two) = (&segments[changed].0, &segments[changed + 1].0);
        let name = one.file_name().unwrap().to_str().unwrap();
        let (first, second) = (fs::read(one).unwrap(), fs::read(two).unwrap());
        fs::write(one, &second).unwrap();
        fs::write(two, first).unwrap();
        let found = fault(directory.path());
        assert_eq!(
            (&*found.file, found.line, found.what),
            (name, 1, What::NotASegment)
        );
        fs::remove_file(one).unwrap();
        fs::write(two, second).unwrap();
        let found = fault(directory.path());
        assert!(two.ends_with(&found.file) && found.line == 1, "{found}");
        assert_eq!(found.what, What::Missing(name.to_owned()));
    }
    // From the beginning on.
    let (directory, segments) = segments();
    fs::remove_file(&segments[0].0).unwrap();
    let found = fault(directory.path());
    assert!(segments[1].0.ends_with(&found.file));
    assert_eq!(found.what, What::Beheaded);
}

/// A segment of another log does not fit in.
#[test]
fn a_segment_of_another_log_is_found() {
    let (directory, segments) = segments();
    let other = fresh();
    let audit = Audit::open(Options {
        segment_bytes: 2000,
        ..options(other.path())
    })
    .unwrap();
    for number in 0..40 {
        put(&audit, number);
    }
    close_packed(audit, other.path());
    let theirs = &files(other.path())[2];
    let ours = &segments[2].0;
    assert!(
        theirs
            .to_str()
            .unwrap()
            .contains(ours.file_name().unwrap().to_str().unwrap())
    );
    let text = zstd::decode_all(&*fs::read(theirs).unwrap()).unwrap();
    fs::write(ours, text).unwrap();
    let found = fault(directory.path());
    assert!(ours.ends_with(&found.file), "{found}");
    assert_eq!((found.line, found.what), (1, What::Foreign));
}

#[test]
fn a_damaged_packed_segment_is_found() {
    let directory = fresh();
    let open = || {
        Audit::open(Options {
            segment_bytes: 2000,
            ..options(directory.path())
        })
        .unwrap()
    };
    let audit = open();
    for number in 0..40 {
        put(&audit, number);
    }
    close_packed(audit, directory.path());
    let packed = &files(directory.path())[1];
    let good = fs::read(packed).unwrap();
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        fs::write(packed, &bytes).unwrap();
        let found = fault(directory.path());
        assert!(packed.ends_with(&found.file), "{found}");
        fs::write(packed, &good[..at]).unwrap();
        let found = fault(directory.path());
        assert!(packed.ends_with(&found.file), "{found}");
    }
    // What is closed is not looked at by a start.
    open().close();
}

/// Opens a log whose last segment was changed.
fn reopened(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> (TempDir, Result<Audit, OpenError>) {
    let (directory, mut segments) = segments();
    let last = segments.last_mut().unwrap();
    change(&mut last.1);
    write(last);
    let opened = Audit::open(options(directory.path()));
    (directory, opened)
}

/// Each byte of a line may be where a crash ended it.
#[test]
fn a_torn_tail_is_cut_off_kept_and_told() {
    let (_, segments) = segments();
    let last = segments.last().unwrap().1.last().unwrap().clone();
    let mut torn: Vec<Vec<u8>> = (1..last.len())
        .map(|length| last[..length].to_vec())
        .collect();
    torn.extend([
        vec![0; 5000],
        b"garbage\nmore of it\n".to_vec(),
        // The first page was not written, the second one was.
        [vec![0; 100], b"\n".to_vec(), last].concat(),
    ]);
    for torn in torn {
        let (directory, opened) = reopened(|lines| {
            lines.pop();
            lines.push(torn.clone());
        });
        let audit = opened.unwrap();
        put(&audit, 40);
        audit.close();
        sound(directory.path());
        let [repair] = &of_kind(directory.path(), "repair")[..] else {
            panic!("one repair");
        };
        let kept = repair["torn"][0]["kept_in"].as_str().unwrap();
        assert_eq!(repair["torn"][0]["bytes"], torn.len());
        assert_eq!(fs::read(directory.path().join(kept)).unwrap(), torn);
        let seq = repair["seq"].as_u64().unwrap();
        assert_eq!(kept, format!("torn-{seq:020}"));
        let expected = (0..39).chain([40]).collect::<Vec<_>>();
        assert_eq!(numbers(directory.path(), 0), expected);
        // Once is enough.
        Audit::open(options(directory.path())).unwrap().close();
        assert_eq!(of_kind(directory.path(), "repair").len(), 1);
    }
}

#[test]
fn damage_within_the_last_segment_keeps_it_closed() {
    let changes: [fn(&mut Vec<Vec<u8>>); 4] = [
        |lines| drop(lines.remove(2)),
        |lines| lines[2][30] ^= 1,
        |lines| lines[2].truncate(50),
        |lines| {
            let at = lines[2].len() - 10;
            lines[2][at] ^= 1;
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (directory, opened) = reopened(change);
        let before = fs::read(files(directory.path()).last().unwrap()).unwrap();
        let Err(OpenError::Damaged { fault, .. }) = opened else {
            panic!("{number}: {opened:?}");
        };
        assert!((3..=4).contains(&fault.line), "{number}: {fault}");
        assert!(before == fs::read(files(directory.path()).last().unwrap()).unwrap());
    }
}

#[test]
fn a_later_release_is_not_cut_off() {
    let (_, opened) = reopened(|lines| {
        let last = lines.last_mut().unwrap();
        *last = b"{\"v\":2,\"seq\":1,\"kind\":\"new\"}\n".to_vec();
    });
    assert!(
        matches!(opened, Err(OpenError::Damaged { .. })),
        "{opened:?}"
    );
}

#[test]
fn two_at_once_are_refused() {
    let directory = fresh();
    let audit = Audit::open(options(directory.path())).unwrap();
    let error = Audit::open(options(directory.path())).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.hint().contains("one writer"));
    assert!(matches!(
        audit.submit(START, record(0, 0, 0)),
        deodar::audit::Submitted::Taken
    ));
    drop(audit);
    Audit::open(options(directory.path())).unwrap();
}
