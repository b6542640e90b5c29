//! The leaves of a large file, a thousand at a time, on all processors.
//!
//! Knows numbers of leaves, not what is done with them. Its one invariant: the results come in the order of the leaves, and no thread
//! outlives the call or leaves anything on its stack. A file of usual size never starts a thread.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::secret::with_clean_stack;

/// How many leaves are worked on at a time.
const AT_A_TIME: usize = 1_024;

/// Fewer leaves than these are done before a second thread would have begun.
const FEW: usize = 4 * AT_A_TIME;

/// More threads than these wait for memory more than for a processor.
const MOST_THREADS: usize = 4;

/// Does `work` for ranges that together are `0..count`, and `meanwhile` once. What `work` gave comes in the order of the ranges.
pub(super) fn in_ranges<M, T: Send>(
    count: usize,
    meanwhile: impl FnOnce() -> M,
    work: impl Fn(Range<usize>) -> T + Sync,
) -> (M, Vec<T>) {
    let next = AtomicUsize::new(0);
    let work_on = || {
        let mut done = Vec::new();
        loop {
            let start = next.fetch_add(AT_A_TIME, Ordering::Relaxed);
            if start >= count {
                return done;
            }
            done.push((start, work(start..count.min(start + AT_A_TIME))));
        }
    };
    let others = if count < FEW { 0 } else { thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS) - 1 };
    let (meanwhile, mut done) = thread::scope(|scope| {
        // Where the system gives no thread, those that are there do its work.
        let start = || thread::Builder::new().spawn_scoped(scope, || with_clean_stack(work_on)).ok();
        let threads: Vec<_> = (0..others).filter_map(|_| start()).collect();
        let meanwhile = meanwhile();
        let mut done = work_on();
        for thread in threads {
            done.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        (meanwhile, done)
    });
    done.sort_unstable_by_key(|(start, _)| *start);
    (meanwhile, done.into_iter().map(|(_, made)| made).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_is_worked_on_once_and_in_order() {
        for count in [0, 1, AT_A_TIME, AT_A_TIME + 1, FEW - 1, FEW, 10 * FEW + 7] {
            let (meanwhile, ranges) = in_ranges(count, || "done", |range| range);
            assert_eq!(meanwhile, "done");
            assert!(ranges.into_iter().flatten().eq(0..count), "{count}");
        }
    }

    #[test]
    fn a_panic_in_any_thread_is_one_of_the_caller() {
        for at in [0, 5 * FEW - 1] {
            let work = |range: Range<usize>| assert!(!range.contains(&at), "leaf {at}");
            let outcome = std::panic::catch_unwind(|| in_ranges(5 * FEW, || (), work));
            assert!(outcome.is_err(), "{at}");
        }
    }
}
