//! The fields of one entry, read as leniently as sops reads them.
//!
//! Knows which values may stand for a text, and that names match whatever their case. Knows no kind of key. Its one invariant: what it
//! does not know is written back as it was found.

use crate::keys::Kind;
use crate::secret::SecretBytes;
use crate::tree::{Element, Item, Key, Mapping, Scalar, Value};

/// How long a wrapped data key may be in bytes. A real one has less than two thousand.
pub const MAX_WRAPPED_LENGTH: usize = 64 * 1024;

/// An entry taken apart: texts and maps of texts under known names, everything else as it is.
pub(super) struct Fields {
    kind: Kind,
    texts: Vec<(&'static str, String)>,
    maps: Vec<(&'static str, Vec<(String, String)>)>,
    unknown: Vec<(Key, Value)>,
}

impl Fields {
    /// An entry without fields.
    pub(super) fn empty(kind: Kind) -> Self {
        Self { kind, texts: Vec::new(), maps: Vec::new(), unknown: Vec::new() }
    }

    /// Reads `entry`, taking the names in `texts` for texts and those in `maps` for maps from text to text.
    ///
    /// Source: getsops/sops `stores/stores.go`, which decodes weakly typed: numbers and truth values may stand for texts (a truth
    /// value as `1` or `0`), null is absence, the case of names does not matter.
    pub(super) fn read(kind: Kind, entry: &Mapping, texts: &[&'static str], maps: &[&'static str]) -> Result<Self, EntryError> {
        let mut fields = Self::empty(kind);
        let find = |names: &[&'static str], key: &Key| {
            names.iter().copied().find(|name| key.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
        };
        for (key, value) in entry.entries().filter(|(_, value)| !matches!(value, Value::Null)) {
            if let Some(name) = find(texts, key) {
                fields.refuse_second(name)?;
                fields.texts.push((name, text_of(kind, name, value)?));
            } else if let Some(name) = find(maps, key) {
                fields.refuse_second(name)?;
                fields.maps.push((name, texts_of(kind, name, value)?));
            } else {
                fields.unknown.push((key.clone(), copy_of(value)));
            }
        }
        if fields.text("enc").len() > MAX_WRAPPED_LENGTH {
            return Err(EntryError::WrappedTooLong { kind });
        }
        Ok(fields)
    }

    /// The text under a known name; empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.texts.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
    }

    /// The pairs under a known name, in file order.
    pub(super) fn map(&self, name: &str) -> &[(String, String)] {
        self.maps.iter().find(|(known, _)| *known == name).map_or(&[], |(_, pairs)| pairs)
    }

    /// Puts `text` under a known name.
    pub(super) fn set_text(&mut self, name: &'static str, text: String) {
        match self.texts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = text,
            None => self.texts.push((name, text)),
        }
    }

    /// The whole entry, keys in ascending byte order.
    pub(super) fn to_mapping(&self) -> Mapping {
        let mut entries: Vec<(Key, Value)> = Vec::new();
        entries.extend(self.texts.iter().map(|(name, text)| (Key::from(*name), Value::text(text.as_bytes()))));
        entries.extend(self.maps.iter().map(|(name, pairs)| {
            let mut map = Mapping::default();
            for (key, text) in pairs {
                map.push(key, Value::text(text.as_bytes()));
            }
            (Key::from(*name), Value::Mapping(map))
        }));
        entries.extend(self.unknown.iter().map(|(key, value)| (key.clone(), copy_of(value))));
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        Mapping { items: entries.into_iter().map(|(key, value)| Item::Entry(key, value)).collect() }
    }

    fn refuse_second(&self, name: &'static str) -> Result<(), EntryError> {
        let known = self.texts.iter().map(|(known, _)| *known).chain(self.maps.iter().map(|(known, _)| *known));
        match known.into_iter().any(|known| known == name) {
            true => Err(EntryError::Twice { kind: self.kind, field: name }),
            false => Ok(()),
        }
    }
}

fn text_of(kind: Kind, field: &'static str, value: &Value) -> Result<String, EntryError> {
    match value {
        Value::Scalar(Scalar::Text(text)) => match std::str::from_utf8(text.expose()) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(EntryError::NotUtf8 { kind, field }),
        },
        Value::Scalar(Scalar::Int(number)) => Ok(number.to_string()),
        Value::Scalar(Scalar::Float(number)) => Ok(number.to_string()),
        Value::Scalar(Scalar::Bool(truth)) => Ok(if *truth { "1" } else { "0" }.to_owned()),
        Value::Null => Ok(String::new()),
        Value::Scalar(Scalar::Time(_)) | Value::Mapping(_) | Value::List(_) => {
            Err(EntryError::WrongType { kind, field, expected: "a text" })
        }
    }
}

fn texts_of(kind: Kind, field: &'static str, value: &Value) -> Result<Vec<(String, String)>, EntryError> {
    let Value::Mapping(map) = value else {
        return Err(EntryError::WrongType { kind, field, expected: "a mapping of texts" });
    };
    map.entries()
        .map(|(key, value)| {
            let key = key.as_str().ok_or(EntryError::NotUtf8 { kind, field })?;
            Ok((key.to_owned(), text_of(kind, field, value)?))
        })
        .collect()
}

/// A deep copy without comments, which sops drops from metadata too. Metadata is public; the tree types are not `Clone` for the sake of
/// the data they hold otherwise.
fn copy_of(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Scalar(scalar) => Value::Scalar(match scalar {
            Scalar::Text(text) => Scalar::Text(SecretBytes::copy_of(text.expose())),
            Scalar::Int(number) => Scalar::Int(*number),
            Scalar::Float(number) => Scalar::Float(*number),
            Scalar::Bool(truth) => Scalar::Bool(*truth),
            Scalar::Time(moment) => Scalar::Time(moment.clone()),
        }),
        Value::Mapping(map) => {
            let items = map.entries().map(|(key, value)| Item::Entry(key.clone(), copy_of(value))).collect();
            Value::Mapping(Mapping { items })
        }
        Value::List(elements) => {
            let copies = elements.iter().filter_map(|element| match element {
                Element::Value(value) => Some(Element::Value(copy_of(value))),
                Element::Comment(_) => None,
            });
            Value::List(copies.collect())
        }
    }
}

/// Why an entry of a key list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// A field holds something else than it should.
    #[error("field `{field}` of an entry of `{}` is not {expected}", .kind.field())]
    WrongType {
        /// The list.
        kind: Kind,
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A field is no UTF-8.
    #[error("field `{field}` of an entry of `{}` is not UTF-8", .kind.field())]
    NotUtf8 {
        /// The list.
        kind: Kind,
        /// The field.
        field: &'static str,
    },
    /// A field stands there twice, perhaps in another case.
    #[error("field `{field}` of an entry of `{}` appears twice", .kind.field())]
    Twice {
        /// The list.
        kind: Kind,
        /// The field.
        field: &'static str,
    },
    /// `created_at` is missing or no RFC 3339 time.
    #[error("field `created_at` of an entry of `{}` is not an RFC 3339 time", .kind.field())]
    CreatedAt {
        /// The list.
        kind: Kind,
    },
    /// `enc` is longer than any wrapped data key.
    #[error("field `enc` of an entry of `{}` is longer than {MAX_WRAPPED_LENGTH} bytes", .kind.field())]
    WrappedTooLong {
        /// The list.
        kind: Kind,
    },
}
