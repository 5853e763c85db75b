//! The same work on many things, by all cores.

use std::num::NonZero;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use parking_lot::Mutex;

/// Room for Cedar's parser, which recurses.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Does the work on every item; the results are in the order of the items, whoever
/// was first.
pub fn spread<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let take = || {
        while let number = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(number)
        {
            let result = work(item);
            done.lock().push((number, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.min(items.len()) {
            scope.spawn(|| stacker::grow(STACK_BYTES, take));
        }
        stacker::grow(STACK_BYTES, take);
    });
    let mut done = done.into_inner();
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn results_are_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        let doubled = spread(&items, |item| {
            // The first are the slowest.
            (0..(1000 - item)).for_each(|step| {
                std::hint::black_box(step);
            });
            item * 2
        });
        assert_eq!(doubled, (0..2000).step_by(2).collect::<Vec<_>>());
        assert!(spread(&[], |(): &()| ()).is_empty());
    }
}
