//! What models can be asked for, from its written form: a shape, and what differs when the model does something
//! else than usual.
//!
//! `[shapes.NAME.by_operation.edit]` holds only the keys that an edit takes differently; the others are those of
//! the shape. What is read here is whole again for each operation, so that nobody has to merge it later.

use super::check;
use super::entries::{Table, Value};
use super::read::Reader;
use gallerist_domain::{Capabilities, Operation};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

impl Reader<'_> {
    pub(super) fn shapes(&mut self, table: &mut Table<'_>) -> BTreeMap<String, Arc<Capabilities>> {
        let entries = self.entries(table, "shapes");
        entries
            .into_iter()
            .filter_map(|(name, value)| {
                let shape = self.shape(&name, value)?;
                Some((name, Arc::new(shape)))
            })
            .collect()
    }

    fn shape(&mut self, name: &str, value: Value<'_>) -> Option<Capabilities> {
        let span = value.span();
        let DeValue::Table(mut usual) = value.into_inner() else {
            self.mistake(span, format!("a shape is a table: write [shapes.{name}]"));
            return None;
        };
        let others = self.entries(&mut usual, "by_operation");
        let mut shape: Capabilities = self.deserialize(whole(&span, usual.clone()))?;
        check::capabilities(self, name, span.clone(), &shape);
        for (word, value) in others {
            let place = value.span();
            let operation = Operation::from_word(&word).filter(|known| shape.operations.contains(known));
            let (Some(operation), DeValue::Table(own)) = (operation, value.into_inner()) else {
                let known: Vec<_> = shape.operations.iter().map(|operation| operation.as_str()).collect();
                let message = format!(
                    "shape {name:?}: `by_operation` has a table for one of its operations ({}), not {word:?}",
                    known.join(", ")
                );
                self.mistake(place, message);
                continue;
            };
            let mut merged = usual.clone();
            for (key, value) in own {
                if key.get_ref() == "operations" {
                    self.mistake(key.span(), "`operations` belong to the shape, not to one of them");
                }
                merged.remove(key.get_ref().as_ref());
                merged.insert(key, value);
            }
            let own: Capabilities = self.deserialize(whole(&span, merged))?;
            check::capabilities(self, &format!("{name}.by_operation.{word}"), place, &own);
            shape.by_operation.insert(operation, Arc::new(own));
        }
        Some(shape)
    }
}

/// The value of an entry again, as it stood in the file.
fn whole<'i>(span: &std::ops::Range<usize>, table: Table<'i>) -> Value<'i> {
    Spanned::new(span.clone(), DeValue::Table(table))
}
