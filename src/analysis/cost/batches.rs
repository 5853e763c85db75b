//! Timing: batches of many tasks in turns, so that what else the machine does
//! falls on all of them alike.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// How long all batches together take, about.
const BUDGET: Duration = Duration::from_secs(4);
/// A batch is no shorter, so that the clock can tell; and no longer.
const BATCH_MIN: Duration = Duration::from_micros(20);
const BATCH_MAX: Duration = Duration::from_millis(1);
/// A batch has at most so many rounds.
const ROUNDS_MAX: u32 = 1 << 20;
/// What makes a median absolute deviation a standard deviation, if the noise were
/// normal.
const NORMAL: f64 = 1.4826;

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Batches of each task.
    pub samples: usize,
    /// The clock: nanoseconds since any moment.
    pub clock: fn() -> u64,
}

/// Something that is done again and again.
pub struct Task<'a> {
    /// Does it once: a round.
    pub round: Box<dyn FnMut() + 'a>,
    /// How many things a round does, of which each has the cost.
    pub items: usize,
}

impl std::fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Task of {} items", self.items)
    }
}

/// What one thing costs, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The median of the batches.
    pub median: f64,
    /// The fastest batch.
    pub min: f64,
    /// The median absolute deviation of the batches.
    pub deviation: f64,
}

impl Cost {
    /// Of batches.
    pub fn of(mut batches: Vec<f64>) -> Self {
        let median = median(&mut batches);
        let min = batches.first().copied().unwrap_or(0.0);
        let mut deviations: Vec<f64> = batches.iter().map(|cost| (cost - median).abs()).collect();
        Self {
            median,
            min,
            deviation: self::median(&mut deviations),
        }
    }

    /// The standard deviation as part of the median.
    pub fn spread(&self) -> f64 {
        if self.median > 0.0 {
            NORMAL * self.deviation / self.median
        } else {
            0.0
        }
    }
}

/// The median; sorts.
fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let upper = numbers.get(numbers.len() / 2).copied().unwrap_or(0.0);
    let lower = numbers.get(numbers.len().saturating_sub(1) / 2);
    f64::midpoint(upper, lower.copied().unwrap_or(upper))
}

/// The cost of each task, in their order.
pub fn timed(tasks: &mut [Task<'_>], plan: &Plan) -> Vec<Cost> {
    let batches = tasks.len().saturating_mul(plan.samples).max(1);
    let length = BUDGET / u32::try_from(batches).unwrap_or(u32::MAX);
    let length = length.clamp(BATCH_MIN, BATCH_MAX).as_nanos();
    // This is the warming up as well.
    let rounds: Vec<u32> = tasks
        .iter_mut()
        .map(|task| enough(task, length, plan.clock))
        .collect();
    let mut costs = vec![Vec::with_capacity(plan.samples); tasks.len()];
    for _ in 0..plan.samples {
        for ((task, rounds), costs) in tasks.iter_mut().zip(&rounds).zip(&mut costs) {
            let things = f64::from(*rounds) * real(task.items.max(1));
            let nanos = Duration::from_nanos(batch(task, *rounds, plan.clock));
            costs.push(nanos.as_secs_f64() * 1e9 / things);
        }
    }
    costs.into_iter().map(Cost::of).collect()
}

/// A number of things; there are never more than this can tell.
pub(super) fn real(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// As many rounds as a batch takes.
fn enough(task: &mut Task<'_>, length: u128, clock: fn() -> u64) -> u32 {
    let mut rounds = 1;
    while rounds < ROUNDS_MAX && u128::from(batch(task, rounds, clock)) < length {
        rounds *= 2;
    }
    rounds
}

/// The nanoseconds of a batch.
fn batch(task: &mut Task<'_>, rounds: u32, clock: fn() -> u64) -> u64 {
    let start = clock();
    for _ in 0..rounds {
        (task.round)();
    }
    clock().saturating_sub(start)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::Cost;
    use super::Plan;
    use super::Task;
    use super::timed;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    fn pass(nanos: u64) {
        NOW.set(NOW.get() + nanos);
    }

    #[test]
    fn a_thing_costs_what_a_round_takes_by_its_items() {
        let plan = Plan {
            samples: 5,
            clock: || NOW.get(),
        };
        let task = |nanos, items| Task {
            round: Box::new(move || pass(nanos)),
            items,
        };
        let costs = timed(&mut [task(600, 3), task(50, 1), task(7, 0)], &plan);
        for (cost, expected) in costs.iter().zip([200.0, 50.0, 7.0]) {
            assert!((cost.median - expected).abs() < 1e-6, "{cost:?}");
            assert!(cost.deviation < 1e-6, "{cost:?}");
        }
        assert_eq!(costs.len(), 3);
    }

    #[test]
    fn one_slow_batch_moves_neither_median_nor_deviation() {
        let cost = Cost::of(vec![10.0, 12.0, 11.0, 10.0, 900.0]);
        let expected = Cost {
            median: 11.0,
            min: 10.0,
            deviation: 1.0,
        };
        assert_eq!(cost, expected);
        assert!((cost.spread() - 0.1348).abs() < 0.001);
        let even = Cost::of(vec![1.0, 2.0, 3.0, 4.0]);
        let expected = Cost {
            median: 2.5,
            min: 1.0,
            deviation: 1.0,
        };
        assert_eq!(even, expected);
        assert!(Cost::of(Vec::new()).spread().abs() < f64::EPSILON);
    }
}
