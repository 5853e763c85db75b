//! Any sequence of calls, against a plain vector.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::directory::log::Embedded;
use crate::directory::log::Head;
use crate::directory::log::Log;
use crate::directory::log::LogError;
use crate::directory::log::Memory;
use crate::directory::log::conformance::read_all;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Vec<u8>>),
    Read(u64, usize, usize),
    Snapshot(u64, Vec<Vec<u8>>),
    Trim(u64),
    Reopen,
    Recover,
}

/// What a log should hold: all heads and bodies from the beginning on.
struct Model {
    heads: Vec<Head>,
    bodies: Vec<Vec<u8>>,
    base: u64,
    snapshots: Vec<(u64, Vec<Vec<u8>>)>,
}

impl Model {
    fn new(log: &dyn Log) -> Self {
        Self {
            heads: vec![log.head()],
            bodies: Vec::new(),
            base: 0,
            snapshots: Vec::new(),
        }
    }

    fn head(&self) -> Head {
        *self.heads.last().unwrap()
    }

    fn step(&mut self, log: &dyn Log, step: &Step) {
        match step {
            Step::Append(bodies) => {
                for body in bodies {
                    self.heads.push(self.head().after(body));
                    self.bodies.push(body.clone());
                }
                assert_eq!(log.append(bodies).unwrap(), self.head());
            }
            Step::Read(after, entries_max, bytes_max) => {
                self.read(log, *after, *entries_max, *bytes_max);
            }
            Step::Snapshot(back, chunks) => self.snapshot(log, *back, chunks),
            Step::Trim(through) => {
                let newest = self.snapshots.last().map_or(0, |(sequence, _)| *sequence);
                let result = log.trim(*through);
                if *through > self.base && *through > newest {
                    assert!(matches!(result, Err(LogError::Uncovered { .. })));
                } else {
                    result.unwrap();
                    self.base = self.base.max(*through);
                }
            }
            Step::Recover => assert_eq!(log.recover().unwrap(), self.head()),
            Step::Reopen => {}
        }
        self.check(log);
    }

    fn snapshot(&mut self, log: &dyn Log, back: u64, chunks: &[Vec<u8>]) {
        let sequence = self.head().sequence.saturating_sub(back);
        let at = self.heads[usize::try_from(sequence).unwrap()];
        let result = log.put_snapshot(at, &mut chunks.iter().cloned());
        if sequence < self.base {
            assert!(matches!(result, Err(LogError::Trimmed { .. })));
            return;
        }
        result.unwrap();
        self.snapshots.retain(|(other, _)| *other != sequence);
        self.snapshots.push((sequence, chunks.to_vec()));
        self.snapshots.sort();
        let surplus = self.snapshots.len().saturating_sub(2);
        self.snapshots.drain(..surplus);
    }

    fn read(&self, log: &dyn Log, after: u64, entries_max: usize, bytes_max: usize) {
        let result = log.read(after, entries_max, bytes_max);
        if after < self.base {
            let expected = self.base + 1;
            assert!(matches!(result, Err(LogError::Trimmed { oldest }) if oldest == expected));
            return;
        }
        let mut expected = Vec::new();
        let mut bytes = 0;
        for body in self.bodies.iter().skip(usize::try_from(after).unwrap()) {
            bytes += body.len();
            if !expected.is_empty() && (expected.len() >= entries_max || bytes > bytes_max) {
                break;
            }
            expected.push(body.clone());
        }
        let entries = result.unwrap();
        let read: Vec<_> = entries.into_iter().map(|entry| entry.body).collect();
        assert_eq!(read, expected);
    }

    fn check(&self, log: &dyn Log) {
        assert_eq!(log.head(), self.head());
        assert_eq!(log.oldest(), self.base + 1);
        let skip = usize::try_from(self.base).unwrap();
        for (index, head) in self.heads.iter().enumerate() {
            let expected = (index >= skip).then_some(head.hash);
            assert_eq!(log.hash_at(index as u64).unwrap(), expected);
        }
        let entries = read_all(log, self.heads[skip]);
        let read: Vec<_> = entries.into_iter().map(|entry| entry.body).collect();
        assert_eq!(read, self.bodies[skip..]);
        let found = log.snapshot().unwrap().map(|snapshot| {
            let chunks: Vec<_> = snapshot.chunks.map(Result::unwrap).collect();
            (snapshot.at.sequence, chunks)
        });
        assert_eq!(found.as_ref(), self.snapshots.last());
    }
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..50),
        1 => vec(any::<u8>(), 3_000..9_000),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => vec(body(), 0..5).prop_map(Step::Append),
        2 => (0..30_u64, 0..6_usize, 0..200_usize).prop_map(|(a, e, b)| Step::Read(a, e, b)),
        2 => (0..4_u64, vec(body(), 0..4)).prop_map(|(back, chunks)| Step::Snapshot(back, chunks)),
        2 => (0..30_u64).prop_map(Step::Trim),
        2 => Just(Step::Reopen),
        1 => Just(Step::Recover),
    ]
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: ProptestConfig::default().cases.div_ceil(8),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_embedded_log_is_as_the_model(steps in vec(step(), 1..20)) {
        let directory = super::fresh();
        let mut log = Embedded::open(directory.path()).unwrap();
        let mut model = Model::new(&log);
        for step in &steps {
            if matches!(step, Step::Reopen) {
                drop(log);
                log = Embedded::open(directory.path()).unwrap();
            }
            model.step(&log, step);
        }
    }

    #[test]
    fn a_log_in_memory_is_as_the_model(steps in vec(step(), 1..40)) {
        let log = Memory::default();
        let mut model = Model::new(&log);
        for step in &steps {
            model.step(&log, step);
        }
    }
}
