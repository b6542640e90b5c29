//! Open files that are closed beside other work.
//!
//! The last descriptor of a file that has no name any more is what keeps its space taken; where the system tells the disk at once that
//! the space is free, closing it takes milliseconds. Its one invariant: everything is closed when this is dropped.

use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// How many files wait at most, those included that are being closed.
pub const MOST_WAITING: usize = 64;

/// They wait for the disk, not for a processor.
const THREADS: usize = 8;

/// Closes files.
#[derive(Default)]
pub struct LettingGo {
    waiting: Option<SyncSender<File>>,
    threads: Vec<JoinHandle<()>>,
}

impl LettingGo {
    /// One for about `count` files; for a few it closes each at once.
    pub fn of(count: usize) -> Self {
        if count < 2 * THREADS {
            return Self::default();
        }
        let (waiting, files) = sync_channel(MOST_WAITING - THREADS);
        let files = Arc::new(Mutex::new(files));
        let start = || {
            let files = Arc::clone(&files);
            thread::Builder::new().spawn(move || close_all(&files)).ok()
        };
        let threads: Vec<_> = (0..THREADS).filter_map(|_| start()).collect();
        Self { waiting: Some(waiting).filter(|_| !threads.is_empty()), threads }
    }

    /// Closes `file`, sooner or later.
    pub fn let_go(&self, file: File) {
        if let Some(waiting) = &self.waiting {
            // What nobody takes comes back in the error, and is closed with it.
            let _ = waiting.send(file);
        }
    }
}

impl Drop for LettingGo {
    fn drop(&mut self) {
        self.waiting = None;
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn close_all(files: &Mutex<Receiver<File>>) {
    loop {
        let next = files.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(file) => drop(file),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_closed_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        for count in [1, 4 * MOST_WAITING] {
            let letting_go = LettingGo::of(count);
            let pipes: Vec<_> = (0..count)
                .map(|n| {
                    let file = File::create(folder.path().join(n.to_string())).unwrap();
                    let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
                    rustix::fs::flock(&file, lock).unwrap();
                    letting_go.let_go(file);
                    (folder.path().join(n.to_string()), lock)
                })
                .collect();
            drop(letting_go);
            for (path, lock) in pipes {
                rustix::fs::flock(File::open(path).unwrap(), lock).unwrap();
            }
        }
    }
}
