//! The same work for many files, on all processors.
//!
//! Knows numbers of files, not what is done with them. Its one invariant: what comes back stands in the order of the files, and no thread
//! outlives the call or leaves anything on its stack.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::secret::with_clean_stack;

/// From how many files on there is more than one thread.
const FEW: usize = 4;

/// More threads than these wait for memory and the disk more than for a processor.
const MOST_THREADS: usize = 4;

/// Does `work` with each of `items`. `progress` is told by the calling thread how many are done, and of how many.
///
/// The first of them is done before any thread is started: what has to be asked for it, as a passphrase, is asked in peace.
pub fn each_in_threads<T: Send, U: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> U + Sync,
    progress: &mut dyn FnMut(usize, usize),
) -> Vec<U> {
    let count = items.len();
    let done = AtomicUsize::new(0);
    let mut waiting = items.into_iter().enumerate();
    progress(0, count);
    let mut made: Vec<(usize, U)> = waiting.next().map(|(at, item)| (at, work(item))).into_iter().collect();
    let waiting = Mutex::new(waiting);
    let work_on = |progress: &mut dyn FnMut(usize)| {
        let mut made = Vec::new();
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((at, item)) = next else { return made };
            made.push((at, work(item)));
            progress(done.fetch_add(1, Ordering::Relaxed) + 2);
        }
    };
    // Fewer are done before a second thread would have begun.
    let others = if count < FEW { 0 } else { thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS) - 1 };
    thread::scope(|scope| {
        // Where the system gives no thread, those that are there do its work.
        let start = || thread::Builder::new().spawn_scoped(scope, || with_clean_stack(|| work_on(&mut |_| {}))).ok();
        let threads: Vec<_> = (0..others).filter_map(|_| start()).collect();
        made.extend(work_on(&mut |done| progress(done, count)));
        for thread in threads {
            made.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
    made.sort_unstable_by_key(|(at, _)| *at);
    made.into_iter().map(|(_, made)| made).collect()
}

/// The same where one failure is a failure of all: the first one is given back, and what had not begun by then is left.
///
/// # Errors
/// That of the first of `items` that has one.
pub fn all_in_threads<T: Send, U: Send, E: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<U, E> + Sync,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<U>, E> {
    let has_failed = AtomicBool::new(false);
    let until_failure = |item| {
        if has_failed.load(Ordering::Relaxed) {
            return None;
        }
        let made = work(item);
        has_failed.fetch_or(made.is_err(), Ordering::Relaxed);
        Some(made)
    };
    // They are begun in their order, so nothing before the first failure was left.
    each_in_threads(items, until_failure, progress).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_and_they_come_in_order() {
        for count in [0, 1, 2, 1000] {
            let mut told = Vec::new();
            let made = each_in_threads((0..count).collect(), |n: usize| n * 2, &mut |done, of| told.push((done, of)));
            assert!(made.into_iter().eq((0..count).map(|n| n * 2)));
            assert!(told.iter().all(|(done, of)| done <= of && *of == count) && told.is_sorted());
        }
    }

    #[test]
    fn the_first_failure_is_the_one_that_is_told_and_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let work = |n: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            if n % 100 == 99 { Err(n) } else { Ok(n) }
        };
        assert_eq!(all_in_threads((0..10_000).collect(), work, &mut |_, _| {}), Err(99));
        assert!(begun.load(Ordering::Relaxed) < 10_000);
        assert_eq!(all_in_threads((0..50).collect(), work, &mut |_, _| {}), Ok((0..50).collect()));
    }

    #[test]
    fn the_first_item_is_done_before_any_other_is_begun() {
        let is_first_done = AtomicBool::new(false);
        let work = |n: usize| match n {
            0 => {
                thread::yield_now();
                is_first_done.store(true, Ordering::SeqCst);
            }
            _ => assert!(is_first_done.load(Ordering::SeqCst)),
        };
        each_in_threads((0..100).collect(), work, &mut |_, _| {});
    }

    #[test]
    fn a_panic_in_any_thread_is_one_of_the_caller() {
        let outcome =
            std::panic::catch_unwind(|| each_in_threads((0..100).collect(), |n: usize| assert!(n != 57), &mut |_, _| {}));
        assert!(outcome.is_err());
    }
}
