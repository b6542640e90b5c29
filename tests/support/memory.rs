//! What a process holds in its memory.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A region of a process: its name in the map, and its bytes.
pub struct Region {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Every region that `process` can write; `None` if it ends meanwhile.
pub fn memory(process: u32) -> Option<Vec<Region>> {
    let folder = Path::new("/proc").join(process.to_string());
    let maps = fs::read_to_string(folder.join("maps")).ok()?;
    let mut memory = File::open(folder.join("mem")).ok()?;
    let mut regions = Vec::new();
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name = fields.get(5).copied().unwrap_or_default();
        let (from, to) = fields[0].split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        if !fields[1].starts_with("rw") || name.starts_with("[v") {
            continue;
        }
        let mut bytes = vec![0; (to - from) as usize];
        memory.seek(SeekFrom::Start(from)).unwrap();
        memory.read_exact(&mut bytes).ok()?;
        regions.push(Region { name: name.to_owned(), bytes });
    }
    // With nothing mapped it is a process that has ended.
    (!regions.is_empty()).then_some(regions)
}

/// The memory of a process that waits; what it let go of while it was looked at is looked at again.
pub fn memory_of_waiting(process: u32) -> Vec<Region> {
    let tries = (0..100).find_map(|_| {
        let regions = memory(process);
        if regions.is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        regions
    });
    tries.unwrap_or_else(|| panic!("{process} has ended"))
}

/// The names of the regions that hold `what`, one for each time that it is there.
pub fn places(regions: &[Region], what: &[u8]) -> Vec<String> {
    let finder =
        regex::bytes::Regex::new(&what.iter().fold("(?-u)".to_owned(), |pattern, byte| format!("{pattern}\\x{byte:02x}")))
            .unwrap();
    let count = |region: &Region| finder.find_iter(&region.bytes).count();
    regions.iter().flat_map(|region| vec![region.name.clone(); count(region)]).collect()
}

/// Where the program stopped to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is about to end, its last destructor run.
    End,
    /// It is about to become another program, and holds the value for it.
    Exec,
}

/// Runs `command` under `strace` and gives what is in its memory when it is about to end, or to become another program with `value`.
pub fn memory_at_end(strace: &Path, command: &Command, input: &Path, value: &[u8]) -> (Stop, Vec<Region>) {
    let mut patience = Duration::from_millis(80);
    loop {
        if let Some(found) = memory_within(strace, command, input, value, patience) {
            return found;
        }
        // A busy machine: its end was over before it was looked at.
        patience *= 4;
        assert!(patience < Duration::from_secs(60), "the end of {command:?} was never seen");
    }
}

fn memory_within(
    strace: &Path,
    command: &Command,
    input: &Path,
    value: &[u8],
    patience: Duration,
) -> Option<(Stop, Vec<Region>)> {
    let mut traced = Command::new(strace);
    // The tracer is the child's child, so that the child is the program itself.
    traced.args(["-D", "-qq", "-o", "/dev/null", "-e", "trace=exit_group,execve"]);
    for call in ["exit_group", "execve"] {
        traced.args(["-e", &format!("inject={call}:delay_enter={}", patience.as_micros())]);
    }
    traced.arg("--").arg(command.get_program()).args(command.get_args()).current_dir(command.get_current_dir().unwrap());
    traced.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced.stdin(File::open(input).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
    super::pty::without_terminal(&mut traced);
    let mut child = traced.spawn().unwrap();
    let folder = Path::new("/proc").join(child.id().to_string());
    let start = Instant::now();
    let mut found = None;
    while found.is_none() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < super::exec_pty::DEADLINE, "{command:?} does not end");
        std::thread::sleep(Duration::from_millis(2));
        // Neither strace before, nor the other program afterwards.
        if fs::read_link(folder.join("exe")).is_ok_and(|program| program == Path::new(command.get_program())) {
            let call = fs::read_to_string(folder.join("syscall")).unwrap_or_default();
            let holds_value = |regions: &Vec<Region>| !places(regions, value).is_empty();
            found = match call.split_once(' ') {
                Some((EXIT_GROUP, _)) => memory(child.id()).map(|regions| (Stop::End, regions)),
                Some((EXECVE, _)) => memory(child.id()).filter(holds_value).map(|regions| (Stop::Exec, regions)),
                _ => None,
            };
        }
    }
    let _ = child.kill();
    child.wait().unwrap();
    found
}

// The numbers of system calls, as `/proc/PID/syscall` prints them.
const EXIT_GROUP: &str = if cfg!(target_arch = "x86_64") { "231" } else { "94" };
const EXECVE: &str = if cfg!(target_arch = "x86_64") { "59" } else { "221" };
