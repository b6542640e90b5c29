//! Takes a variable that holds a key out of this process's environment, without leaving a copy behind.
//!
//! The only place below `cli` that touches the environment, and only on `cli`'s word: which variables hold keys is decided
//! there. Its one invariant: after [`take_secret_variable`] the value is in the returned buffer alone.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;

use zeroize::Zeroize;

use crate::secret::SecretBytes;

/// Copies the variable `name`, overwrites its bytes where the system put them, and removes it; `None` if it is not set.
///
/// Removing alone would leave it readable in `/proc/self/environ` for the process's whole life. Of several variables of that
/// name the first counts, as for `getenv`; all of them are overwritten.
///
/// Call it from `main` before there are threads. Where another thread could be reading the environment, the value is copied and
/// nothing else is done.
pub fn take_secret_variable(name: &OsStr) -> Option<SecretBytes> {
    take(name, is_single_threaded())
}

#[allow(unsafe_code)]
fn take(name: &OsStr, alone: bool) -> Option<SecretBytes> {
    if name.is_empty() || name.as_bytes().iter().any(|byte| matches!(byte, b'=' | 0)) {
        return None;
    }
    let mut taken = None;
    // SAFETY: `environ` is an array of NUL-terminated strings that ends with a null pointer. No other thread changes it meanwhile:
    // there is none, or, where that could not be told, the caller promised so. The strings of the initial block and those made
    // by `setenv` are writable memory. Only bytes before the NUL are written, so each stays a string of the same length.
    unsafe {
        let mut entry = environment_block();
        while let Some(text) = entry.as_ref().and_then(|text| text.as_mut()) {
            let text: *mut c_char = text;
            let bytes = std::slice::from_raw_parts_mut(text.cast::<u8>(), CStr::from_ptr(text).count_bytes());
            if let Some(value) = value_of(bytes, name.as_bytes()) {
                taken.get_or_insert_with(|| SecretBytes::copy_of(value));
                if alone {
                    value.zeroize();
                }
            }
            entry = entry.add(1);
        }
        if alone && taken.is_some() {
            std::env::remove_var(name);
        }
    }
    taken
}

/// The bytes after `name=` in one entry of the environment.
fn value_of<'a>(entry: &'a mut [u8], name: &[u8]) -> Option<&'a mut [u8]> {
    let (found, rest) = entry.split_at_mut_checked(name.len())?;
    match rest {
        [b'=', value @ ..] if found == name => Some(value),
        _ => None,
    }
}

#[cfg(target_os = "linux")]
fn is_single_threaded() -> bool {
    // Without /proc there is the caller's promise.
    std::fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() <= 1)
}

#[cfg(not(target_os = "linux"))]
fn is_single_threaded() -> bool {
    true
}

#[cfg(not(target_vendor = "apple"))]
#[allow(unsafe_code)]
fn environment_block() -> *const *mut c_char {
    unsafe extern "C" {
        static environ: *const *mut c_char;
    }
    // SAFETY: POSIX defines this variable with this type; it is read by value.
    unsafe { environ }
}

#[cfg(target_vendor = "apple")]
#[allow(unsafe_code)]
fn environment_block() -> *const *mut c_char {
    unsafe extern "C" {
        fn _NSGetEnviron() -> *mut *const *mut c_char;
    }
    // SAFETY: it returns the address of the process's `environ`, which always exists.
    unsafe { *_NSGetEnviron() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::own_process;
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_taken_variable_is_gone_from_the_original_block() {
        let test = "sys::environment::tests::a_taken_variable_is_gone_from_the_original_block";
        let output = own_process(test, |command| {
            command.env("DOTSOPS_TEST_TAKEN", "canary-3141").env("DOTSOPS_TEST_TAKEN_NOT", "canary-2718");
        });
        let Some(output) = output else {
            let block = || std::fs::read("/proc/self/environ").unwrap();
            let holds = |canary: &[u8]| block().windows(canary.len()).any(|window| window == canary);
            assert!(holds(b"canary-3141"));
            let name = OsStr::new("DOTSOPS_TEST_TAKEN");
            // A test has a thread of its own beside the main one, which only waits.
            assert!(!is_single_threaded());
            assert!(take_secret_variable(name).unwrap().ct_eq(b"canary-3141"));
            assert!(holds(b"canary-3141"));
            assert!(take(name, true).unwrap().ct_eq(b"canary-3141"));
            assert!(!holds(b"canary-3141"));
            assert!(holds(b"canary-2718"));
            assert!(std::env::var_os("DOTSOPS_TEST_TAKEN").is_none());
            assert!(take(name, true).is_none());
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let mut entry = *b"KEY=a=b";
        assert_eq!(value_of(&mut entry, b"KEY"), Some(b"a=b".to_vec().as_mut_slice()));
        assert!(value_of(&mut entry, b"KE").is_none());
        assert!(value_of(&mut entry, b"KEY=a").is_none_or(|value| value == b"b"));
        assert!(value_of(&mut b"KEY".to_owned(), b"KEY").is_none());
        assert!(take_secret_variable(OsStr::new("")).is_none());
        assert!(take_secret_variable(OsStr::new("A=B")).is_none());
    }
}
