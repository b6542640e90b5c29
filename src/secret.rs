//! What must not leak: [`DataKey`], [`SecretBytes`], [`SecretString`].
//!
//! Knows nothing of files, keys or formats. Its one invariant: bytes in here are wiped when they are dropped, never left behind
//! by a growing buffer, and reachable only through `expose`. The types have no `Debug`, `Display`, `Clone`, `PartialEq`,
//! `Serialize` or `Deref`, so no type that holds one can derive them either.

use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Bytes that are wiped on drop and never printed or copied by accident.
///
/// ```
/// use dotsops::secret::SecretBytes;
/// let secret = SecretBytes::copy_of(b"hunter2");
/// assert_eq!(secret.expose(), b"hunter2");
/// ```
///
/// It cannot be printed or cloned:
///
/// ```compile_fail
/// println!("{:?}", dotsops::secret::SecretBytes::copy_of(b"hunter2"));
/// ```
/// ```compile_fail
/// let copy = dotsops::secret::SecretBytes::copy_of(b"hunter2").clone();
/// ```
#[derive(Default)]
pub struct SecretBytes(Held);

enum Held {
    /// A buffer of its own.
    Alone(Wiped),
    /// A piece of a buffer, which is wiped when the last of its pieces is dropped. The offsets are half as long as usual, so that a
    /// piece takes no more room than a buffer: a large file is made of very many.
    Piece { whole: Arc<Wiped>, start: u32, end: u32 },
}

impl SecretBytes {
    /// An empty buffer that takes `capacity` bytes without moving.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::from_vec(Vec::with_capacity(capacity))
    }

    /// Copies `bytes` into a buffer of exactly their size.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self::from_vec(bytes.to_vec())
    }

    /// Takes over `bytes` without copying them; they are wiped on drop.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self(Held::Alone(Wiped(bytes)))
    }

    /// The same bytes, in a buffer that [`Self::piece`] does not copy.
    pub fn shared(self) -> Self {
        match self.0 {
            Held::Alone(whole) => match u32::try_from(whole.len()) {
                Ok(end) => Self(Held::Piece { whole: Arc::new(whole), start: 0, end }),
                Err(_) => Self(Held::Alone(whole)),
            },
            piece => Self(piece),
        }
    }

    /// The bytes in `range`: in the same buffer if that is [`Self::shared`], else in a copy.
    pub fn piece(&self, range: Range<usize>) -> Self {
        match &self.0 {
            // Within a buffer that fits, so does every range of it.
            Held::Piece { whole, start, end } if range.start <= range.end && range.end <= (end - start) as usize => {
                let (whole, end) = (Arc::clone(whole), start + range.end as u32);
                Self(Held::Piece { whole, start: start + range.start as u32, end })
            }
            _ => Self::copy_of(&self.expose()[range]),
        }
    }

    /// The bytes themselves. Each use outside `crypto`, `keys`, `format` and `sys` needs a reason.
    pub fn expose(&self) -> &[u8] {
        match &self.0 {
            Held::Alone(bytes) => bytes,
            Held::Piece { whole, start, end } => &whole[*start as usize..*end as usize],
        }
    }

    /// The bytes, to change in place.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        self.alone()
    }

    /// Appends `more`. If the buffer has to move, the place it leaves is wiped.
    pub fn push(&mut self, more: &[u8]) {
        let bytes = self.alone();
        let needed = bytes.len() + more.len();
        if needed > bytes.capacity() {
            let mut larger = Wiped(Vec::with_capacity(needed.max(bytes.capacity() * 2)));
            larger.extend_from_slice(bytes);
            *bytes = larger;
        }
        bytes.extend_from_slice(more);
    }

    /// Cuts the buffer down to its first `length` bytes, wiping the rest.
    pub fn truncate(&mut self, length: usize) {
        let bytes = self.alone();
        if let Some(rest) = bytes.get_mut(length..) {
            rest.zeroize();
        }
        bytes.truncate(length);
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Compares in a time that depends on the lengths alone.
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.expose().ct_eq(other).into()
    }

    /// The same bytes as text.
    ///
    /// # Errors
    /// [`NotUtf8`] with the offset of the first bad byte; the bytes are let go.
    pub fn into_string(self) -> Result<SecretString, NotUtf8> {
        match std::str::from_utf8(self.expose()) {
            Ok(_) => Ok(SecretString(self)),
            Err(error) => Err(NotUtf8 { offset: error.valid_up_to() }),
        }
    }

    /// The buffer, which is of no other bytes then.
    fn alone(&mut self) -> &mut Wiped {
        if let Held::Piece { .. } = self.0 {
            *self = Self::copy_of(self.expose());
        }
        match &mut self.0 {
            Held::Alone(bytes) => bytes,
            Held::Piece { .. } => unreachable!("it was copied above"),
        }
    }
}

impl Default for Held {
    fn default() -> Self {
        Self::Alone(Wiped::default())
    }
}

impl std::io::Write for SecretBytes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A buffer that is wiped on drop: as `Zeroizing` does it byte by byte, but many at a time.
#[derive(Default)]
struct Wiped(Vec<u8>);

impl Deref for Wiped {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
        self.0.spare_capacity_mut().zeroize();
    }
}

/// UTF-8 text that is wiped on drop and never printed or copied by accident.
///
/// ```compile_fail
/// println!("{}", dotsops::secret::SecretString::copy_of("hunter2"));
/// ```
#[derive(Default)]
pub struct SecretString(SecretBytes);

impl SecretString {
    /// An empty text that takes `capacity` bytes without moving.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(SecretBytes::with_capacity(capacity))
    }

    /// Copies `text` into a buffer of exactly its size.
    pub fn copy_of(text: &str) -> Self {
        Self(SecretBytes::copy_of(text.as_bytes()))
    }

    /// Takes over `text` without copying it; it is wiped on drop.
    pub fn from_string(text: String) -> Self {
        Self(SecretBytes::from_vec(text.into_bytes()))
    }

    /// The text itself. Each use outside `crypto`, `keys`, `format` and `sys` needs a reason.
    pub fn expose(&self) -> &str {
        // Every way in takes text or checks it, so the fallback is never reached.
        std::str::from_utf8(self.0.expose()).unwrap_or_default()
    }

    /// Appends `more`. If the buffer has to move, the place it leaves is wiped.
    pub fn push(&mut self, more: &str) {
        self.0.push(more.as_bytes());
    }

    /// Appends one character.
    pub fn push_char(&mut self, more: char) {
        let mut encoded = Zeroizing::new([0u8; 4]);
        let more: &str = more.encode_utf8(&mut encoded[..]);
        self.push(more);
    }

    /// How many bytes of UTF-8 there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in a time that depends on the lengths alone.
    pub fn ct_eq(&self, other: &str) -> bool {
        self.0.ct_eq(other.as_bytes())
    }

    /// The same text, of which [`SecretBytes::piece`] makes no copies.
    pub fn shared(self) -> Self {
        Self(self.0.shared())
    }

    /// The same text as bytes.
    pub fn into_bytes(self) -> SecretBytes {
        self.0
    }

    /// The text as bytes.
    pub fn as_bytes(&self) -> &SecretBytes {
        &self.0
    }
}

/// Bytes that were to be text are no UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not UTF-8 at byte {offset}")]
pub struct NotUtf8 {
    /// How many bytes before the first bad one are good.
    pub offset: usize,
}

/// The 32 random bytes that encrypt one file's values.
///
/// They live in the [`key_arena`], which `sys::hardening` keeps out of swap and core dumps.
///
/// ```compile_fail
/// fn shown(key: dotsops::secret::DataKey) { println!("{:?}", key); }
/// ```
pub struct DataKey(&'static mut [u8]);

impl DataKey {
    /// The length in bytes. Source: getsops/sops `sops.go`, `GenerateDataKey`.
    pub const LENGTH: usize = 32;

    /// A fresh key from the system's random generator.
    ///
    /// # Errors
    /// The system's, if it has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let key = Self(take_slot());
        getrandom::fill(key.0)?;
        Ok(key)
    }

    /// The key in `bytes`, or `None` if they are not 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == Self::LENGTH).then(|| {
            let slot = take_slot();
            slot.copy_from_slice(bytes);
            Self(slot)
        })
    }

    /// A second one, to open another version of the same file with. There is no `Clone`, so that none is made by oversight.
    pub fn copy(&self) -> Self {
        let slot = take_slot();
        slot.copy_from_slice(self.0);
        Self(slot)
    }

    /// The 32 bytes.
    pub fn expose(&self) -> &[u8] {
        self.0
    }
}

impl Drop for DataKey {
    fn drop(&mut self) {
        self.0.zeroize();
        free_slots().push(std::mem::take(&mut self.0));
    }
}

/// Does `work`, and then overwrites the stack that it used, as far as 64 KiB below the caller.
///
/// What moves through registers is spilled there: halves of keys, pieces of texts. Nothing else wipes that.
pub fn with_clean_stack<T>(work: impl FnOnce() -> T) -> T {
    let result = below(work);
    overwrite_stack();
    result
}

/// How much of the stack is overwritten: more than decrypting takes.
const STACK: usize = 64 << 10;

/// A frame of its own, so that nothing of `work` lies in the caller's.
#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn overwrite_stack() {
    let mut stack = [0u8; STACK];
    std::hint::black_box(&mut stack);
}

/// One page's worth of key slots, so that locking it locks nothing else.
#[repr(align(4096))]
struct Arena([[u8; DataKey::LENGTH]; 128]);

/// The free slots. They are handed out as exclusive references, so no two keys ever share one.
static FREE_SLOTS: Mutex<Vec<&'static mut [u8]>> = Mutex::new(Vec::new());

/// Where the arena lies once it exists: address and length in bytes.
static ARENA: OnceLock<(usize, usize)> = OnceLock::new();

/// Makes the arena of data keys if there is none yet, and tells where it lies: address and length in bytes, whole pages.
///
/// `sys::hardening` locks that range; without it keys are stored there all the same.
pub fn key_arena() -> (usize, usize) {
    *ARENA.get_or_init(|| {
        let arena: &'static mut Arena = Box::leak(Box::new(Arena([[0; DataKey::LENGTH]; 128])));
        let range = (std::ptr::from_ref(arena) as usize, size_of::<Arena>());
        free_slots().extend(arena.0.iter_mut().map(<[u8; DataKey::LENGTH]>::as_mut_slice));
        range
    })
}

fn take_slot() -> &'static mut [u8] {
    key_arena();
    // More than 128 keys at once: the rest live on the heap, and join the free slots when they are dropped.
    free_slots().pop().unwrap_or_else(|| Box::leak(Box::new([0; DataKey::LENGTH])))
}

fn free_slots() -> MutexGuard<'static, Vec<&'static mut [u8]>> {
    FREE_SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails to compile if a type has one of the traits: the name then has two meanings.
    macro_rules! lacks {
        ($($secret:ty),+: $($forbidden:path),+) => {
            lacks!(@ [$($secret),+] [$($forbidden),+]);
        };
        (@ [$secret:ty $(, $more:ty)*] [$($forbidden:path),+]) => {
            $(const _: fn() = || {
                trait Ambiguous<A> { fn meaning() {} }
                impl<T: ?Sized> Ambiguous<()> for T {}
                struct HasTrait;
                impl<T: ?Sized + $forbidden> Ambiguous<HasTrait> for T {}
                let _ = <$secret as Ambiguous<_>>::meaning;
            };)+
            lacks!(@ [$($more),*] [$($forbidden),+]);
        };
        (@ [] [$($forbidden:path),+]) => {};
    }

    // `Serialize` cannot be there: the library depends on no crate that defines it.
    lacks!(SecretBytes, SecretString, DataKey: std::fmt::Debug, std::fmt::Display, Clone, Copy, PartialEq, std::hash::Hash, std::ops::Deref);

    #[test]
    fn a_dropped_data_key_is_wiped_and_its_place_used_again() {
        let key = DataKey::from_slice(&[7; 32]).unwrap();
        let address = key.expose().as_ptr() as usize;
        drop(key);
        let slots = free_slots();
        let slot = slots.iter().find(|slot| slot.as_ptr() as usize == address).unwrap();
        assert!(slot.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn more_keys_than_the_arena_holds_are_all_distinct() {
        let keys: Vec<DataKey> = (0..300u16).map(|n| DataKey::from_slice(&[n as u8; 32]).unwrap()).collect();
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(key.expose(), [n as u8; 32]);
        }
    }

    #[test]
    fn a_growing_secret_keeps_its_bytes() {
        let mut secret = SecretBytes::with_capacity(1);
        for chunk in [b"one ".as_slice(), b"two ", b"three"] {
            secret.push(chunk);
        }
        assert_eq!(secret.expose(), b"one two three");
        secret.truncate(3);
        assert_eq!(secret.expose(), b"one");
    }

    #[test]
    fn pieces_share_a_buffer_only_if_it_was_made_for_that() {
        for (whole, is_shared) in
            [(SecretBytes::copy_of(b"A=secret\n"), false), (SecretBytes::copy_of(b"A=secret\n").shared(), true)]
        {
            let piece = whole.piece(2..8);
            let (outer, inner) = (piece.piece(0..6), piece.piece(1..3));
            assert_eq!((piece.expose(), outer.expose(), inner.expose()), (&b"secret"[..], &b"secret"[..], &b"ec"[..]));
            assert_eq!(std::ptr::eq(inner.expose(), &whole.expose()[3..5]), is_shared);
            drop((whole, piece));
            assert_eq!(inner.expose(), b"ec");
        }
    }

    #[test]
    fn a_piece_that_is_changed_leaves_the_others_as_they_are() {
        let whole = SecretBytes::copy_of(b"secret").shared();
        let [mut longer, mut shorter, mut other] = [(); 3].map(|()| whole.piece(0..6));
        longer.push(b"s");
        shorter.truncate(3);
        other.expose_mut()[0] = b'x';
        assert_eq!((longer.expose(), shorter.expose(), other.expose()), (&b"secrets"[..], &b"sec"[..], &b"xecret"[..]));
        assert_eq!(whole.expose(), b"secret");
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn a_piece_never_reaches_beyond_the_piece_it_is_of() {
        SecretBytes::copy_of(b"A=secret").shared().piece(0..2).piece(0..3);
    }

    #[test]
    fn a_piece_takes_no_more_room_than_a_buffer() {
        assert_eq!(size_of::<SecretBytes>(), size_of::<Vec<u8>>());
    }

    #[test]
    fn bytes_that_are_no_text_say_where() {
        let error = SecretBytes::copy_of(b"ab\xff").into_string().err().unwrap();
        assert_eq!(error.offset, 2);
    }
}
