//! `stores`: how files of other syntaxes are laid out.
//!
//! Knows numbers, not what they do. One invariant: what sops would refuse is refused, also by a version that needs none of it, because
//! sops reads this for whatever it does.
//!
//! Source: getsops/sops `config/config.go`, `StoresConfig`; tried against sops 3.13.3.

use super::field::{self, Fault, Problem};
use crate::yaml::{Node, Typed};

/// The `stores` of a config; `None` where sops's default counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stores {
    /// How many blanks JSON is indented by; sops's default is a tab.
    pub json_indent: Option<i64>,
    /// The same for the JSON that holds a binary file.
    pub json_binary_indent: Option<i64>,
    /// How many blanks YAML is indented by; sops's default is 4.
    pub yaml_indent: Option<i64>,
}

/// Reads the mapping `stores`.
pub(super) fn read(stores: Option<&Node>) -> Result<Stores, Fault> {
    field::optional_mapping(stores, "stores")?;
    let store = |name: &'static str| -> Result<Option<&Node>, Fault> {
        let store = stores.and_then(|stores| stores.get(name));
        Ok(field::optional_mapping(store, name)?.and(store))
    };
    let indent = |name| store(name)?.and_then(|store| store.get("indent")).map_or(Ok(None), whole_number);
    store("dotenv")?;
    store("ini")?;
    Ok(Stores { json_indent: indent("json")?, json_binary_indent: indent("json_binary")?, yaml_indent: indent("yaml")? })
}

fn whole_number(node: &Node) -> Result<Option<i64>, Fault> {
    match node.typed() {
        Some(Typed::Null) => Ok(None),
        Some(Typed::Int(value)) => Ok(Some(value)),
        Some(Typed::Float(value)) if value.fract() == 0.0 && value.abs() <= f64::from(u32::MAX) => Ok(Some(value as i64)),
        _ => Err(Fault::at(node, Problem::Expected { field: "indent".to_owned(), expected: "a whole number" })),
    }
}
