//! Places where the tests make a write fail or end, compiled only under the Cargo feature `faults`.
//!
//! Knows the steps of writes and edits by name, and nothing of what is written. Its one invariant: without the feature a
//! `fault_point!` is nothing at all, and with it nothing happens but what `arm` was told.
//!
//! A point stands before the step that it is named after, so an error there is a failure of that step, and a kill there comes after
//! the step before it.

/// Lets the step named here fail or the process end, if a test asked for that; with `kill` the step is one that cannot fail.
macro_rules! fault_point {
    (kill $step:ident) => {
        #[cfg(feature = "faults")]
        let _ = crate::sys::fault::reached(crate::sys::fault::FaultPoint::$step);
    };
    ($step:ident) => {
        #[cfg(feature = "faults")]
        crate::sys::fault::reached(crate::sys::fault::FaultPoint::$step)?;
    };
}

/// Writes all bytes to a file; a fault at the step finds one half of them written.
macro_rules! write_through {
    ($step:ident, $file:expr, $bytes:expr) => {{
        #[cfg(not(feature = "faults"))]
        let written = std::io::Write::write_all($file, $bytes);
        #[cfg(feature = "faults")]
        let written = crate::sys::fault::write_all(crate::sys::fault::FaultPoint::$step, $file, $bytes);
        written
    }};
}

pub(crate) use {fault_point, write_through};

#[cfg(feature = "faults")]
pub use armed::{ARMED_BY, FaultPoint, LOGGED_TO, arm, reached, write_all};

#[cfg(feature = "faults")]
mod armed {
    use std::ffi::OsString;
    use std::fs::File;
    use std::io::{self, Write};
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::time::{SystemTime, UNIX_EPOCH};

    use rustix::io::Errno;
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, getsid, kill_process, waitid};

    /// The variable that says what is to happen where, as [`arm`] reads it.
    pub const ARMED_BY: &str = "DOTSOPS_CRASH";

    /// The variable that names a file to which every point that is reached is written.
    pub const LOGGED_TO: &str = "DOTSOPS_CRASH_LOG";

    /// Declares the points once: variant, stable name, whether the step can fail.
    macro_rules! points {
        ($($(#[$doc:meta])* $variant:ident $name:literal $can_fail:literal,)*) => {
            /// A step of a write, of an edit, or of a change of many files.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub enum FaultPoint {
                $($(#[$doc])* $variant,)*
            }

            impl FaultPoint {
                /// All of them, in the order in which an edit, and then a change of many files, reaches them.
                pub const ALL: &[Self] = &[$(Self::$variant,)*];

                /// The name in `DOTSOPS_CRASH`, never changed.
                pub fn name(self) -> &'static str {
                    match self { $(Self::$variant => $name,)* }
                }

                /// Whether the step is one that can fail; otherwise the process can only end there.
                pub fn can_fail(self) -> bool {
                    match self { $(Self::$variant => $can_fail,)* }
                }
            }
        };
    }

    points! {
        /// The lock of the file is there to be taken.
        LockTake "lock-take" true,
        /// The lock is taken.
        LockTaken "lock-taken" true,
        /// The session is about to be made.
        SessionMake "session-make" true,
        /// The session is made, and empty.
        SessionMade "session-made" true,
        /// What the session is for is about to be written into it.
        MetaWrite "meta-write" true,
        /// Half of the text is written into the session.
        TextHalf "text-half" true,
        /// The text is written, and the editor about to be started.
        EditorStart "editor-start" true,
        /// The editor runs.
        EditorStarted "editor-started" false,
        /// The editor has ended, and what it left is about to be read.
        TextRead "text-read" true,
        /// The text is read, and no draft kept yet.
        TextTaken "text-taken" false,
        /// The draft is kept, and the text not checked yet.
        DraftKept "draft-kept" false,
        /// The text is checked, and the session about to be wiped.
        SessionWipe "session-wipe" false,
        /// The session is wiped, and the text about to be encrypted.
        SessionWiped "session-wiped" false,
        /// The new content is encrypted and read back.
        ReadBack "read-back" false,
        /// The file is another one than the edit began with, and about to be merged with the text.
        Overtaken "overtaken" false,
        /// Both are merged, and nobody was asked yet.
        Merged "merged" false,
        /// Something a killed process left beside the target is about to be removed.
        LeftoverRemove "leftover-remove" true,
        /// A file without a name is about to be made.
        NewUnnamed "new-unnamed" true,
        /// A file with a temporary name is about to be made, where one without a name cannot be.
        NewNamed "new-named" true,
        /// The new file is made, and its space about to be reserved.
        Reserve "reserve" true,
        /// The space is reserved, and nothing written.
        Reserved "reserved" true,
        /// Half of the bytes are written.
        HalfWritten "half-written" true,
        /// All bytes are written.
        Written "written" true,
        /// The new file has the attributes of the old one.
        AttributesKept "attributes-kept" true,
        /// The new file is synced.
        Synced "synced" true,
        /// The target was looked at for the last time.
        Compared "compared" true,
        /// A file without a name is about to get one.
        Link "link" true,
        /// The new file has a temporary name.
        Named "named" true,
        /// The new file has the target's name.
        Renamed "renamed" true,
        /// The directory is synced.
        DirectorySynced "directory-synced" false,
        /// The file is saved, and the draft about to be dropped.
        DraftDrop "draft-drop" true,
        /// Space is about to be set aside where many files are to be replaced.
        RoomTake "room-take" true,
        /// The log of a change of many files is about to be made.
        LogMake "log-make" true,
        /// Half of what one file is to be is written into the log.
        LogHalf "log-half" true,
        /// The log is written.
        LogWritten "log-written" true,
        /// The log is synced, and about to get the name of a complete one.
        LogSynced "log-synced" true,
        /// The log has that name, and its folder is not synced.
        LogNamed "log-named" true,
        /// The log is complete, and no file replaced.
        LogComplete "log-complete" false,
        /// A file of many is about to be replaced, or put back.
        NextOfMany "next-of-many" true,
        /// All files are replaced, and about to be synced.
        AllReplaced "all-replaced" true,
        /// All files are synced.
        AllSynced "all-synced" false,
        /// The log is about to be dropped.
        LogDrop "log-drop" true,
        /// The log is dropped.
        LogDropped "log-dropped" false,
    }

    /// What happens at a point.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Fault {
        /// The process gets this signal.
        Signal(Signal),
        /// Its companion is killed, and it goes on without.
        CompanionKilled,
        /// Both are killed, the companion first: it would be at work by then.
        BothKilled,
        /// The step fails with this error.
        Error(Errno),
        /// The next write is interrupted, the one after it takes a single byte.
        Short,
    }

    struct Plan {
        /// Where, the how-manieth time there (from 1), and what.
        faults: Vec<(FaultPoint, usize, Fault)>,
        log: Option<OsString>,
        reached: Mutex<Vec<FaultPoint>>,
    }

    static PLAN: OnceLock<Plan> = OnceLock::new();

    /// Tells what is to happen: `faults` is `POINT[#TIME]:KIND`, several separated by commas, where a kind is `kill`, `term`, `hup`,
    /// `stop`, `companion`, `both`, `eio`, `enospc`, `eopnotsupp` or `short`; each point reached is added to the file `log`, with the time
    /// in microseconds.
    ///
    /// # Panics
    /// If `faults` is none of this: a test that asks for nothing must not pass.
    pub fn arm(faults: Option<OsString>, log: Option<OsString>) {
        let faults = faults.map(|faults| faults.into_string().expect("DOTSOPS_CRASH is no text")).unwrap_or_default();
        let faults = faults.split(',').filter(|fault| !fault.is_empty()).map(parse).collect();
        let _ = PLAN.set(Plan { faults, log, reached: Mutex::default() });
    }

    fn parse(fault: &str) -> (FaultPoint, usize, Fault) {
        let (point, kind) = fault.split_once(':').expect("DOTSOPS_CRASH is POINT:KIND");
        let (name, time) = point.split_once('#').unwrap_or((point, "1"));
        let point = FaultPoint::ALL.iter().find(|point| point.name() == name).expect("DOTSOPS_CRASH names no point");
        let kind = match kind {
            "kill" => Fault::Signal(Signal::KILL),
            "term" => Fault::Signal(Signal::TERM),
            "hup" => Fault::Signal(Signal::HUP),
            "stop" => Fault::Signal(Signal::STOP),
            "companion" => Fault::CompanionKilled,
            "both" => Fault::BothKilled,
            "eio" => Fault::Error(Errno::IO),
            "enospc" => Fault::Error(Errno::NOSPC),
            "eopnotsupp" => Fault::Error(Errno::OPNOTSUPP),
            "short" => Fault::Short,
            _ => panic!("DOTSOPS_CRASH names no kind of fault"),
        };
        (*point, time.parse().expect("DOTSOPS_CRASH counts from 1"), kind)
    }

    /// Says that `point` is reached, and lets happen what was asked for.
    ///
    /// # Errors
    /// The one that was asked for.
    pub fn reached(point: FaultPoint) -> io::Result<()> {
        happens(point).map(|_| ())
    }

    /// The same; tells whether a short write was asked for.
    fn happens(point: FaultPoint) -> io::Result<bool> {
        let Some(plan) = PLAN.get() else { return Ok(false) };
        let mut reached = plan.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.push(point);
        let time = reached.iter().filter(|past| **past == point).count();
        drop(reached);
        if let Some(path) = &plan.log {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
            let mut log = File::options().append(true).create(true).open(path)?;
            log.write_all(format!("{} {now}\n", point.name()).as_bytes())?;
        }
        match fault_at(point, time) {
            Some(Fault::Signal(signal)) => {
                let _ = kill_process(getpid(), signal);
                Ok(false)
            }
            Some(Fault::CompanionKilled) => {
                kill_companion();
                Ok(false)
            }
            Some(Fault::BothKilled) => {
                kill_companion();
                let _ = kill_process(getpid(), Signal::KILL);
                Ok(false)
            }
            Some(Fault::Error(error)) if point.can_fail() => Err(error.into()),
            fault => Ok(fault == Some(Fault::Short)),
        }
    }

    /// Kills the companion, and returns when it is dead. Nothing else that we start is in a session of its own.
    fn kill_companion() {
        let children = std::fs::read_to_string("/proc/thread-self/children").expect("no children are listed here");
        let mut children = children.split_whitespace().filter_map(|number| Pid::from_raw(number.parse().ok()?));
        let leads_a_session = |child: &Pid| getsid(Some(*child)).is_ok_and(|session| session == *child);
        let companion = children.find(leads_a_session).expect("there is no companion to kill");
        let _ = kill_process(companion, Signal::KILL);
        // Only until it can be waited for: that is for whoever started it.
        let _ = waitid(WaitId::Pid(companion), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    }

    fn fault_at(point: FaultPoint, time: usize) -> Option<Fault> {
        let faults = &PLAN.get()?.faults;
        faults.iter().find(|(at, when, _)| (*at, *when) == (point, time)).map(|(_, _, fault)| *fault)
    }

    /// Writes all of `bytes`; `point` is reached when one half of them is written.
    ///
    /// # Errors
    /// The system's, or the one that was asked for.
    pub fn write_all(point: FaultPoint, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        match happens(point)? {
            true => Short { file, calls: 0 }.write_all(rest),
            false => file.write_all(rest),
        }
    }

    /// A file whose next writes come short.
    struct Short<'a> {
        file: &'a mut File,
        calls: usize,
    }

    impl Write for Short<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            match self.calls {
                1 => Err(Errno::INTR.into()),
                2 => self.file.write(&bytes[..1]),
                _ => self.file.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }
}
