//! Names of the closed catalogue that nothing answers to: asked wrongly, wherever they are asked for.
//!
//! What the books have never seen is another matter (`filters.rs`).

use crate::failure::{Failure, Result};
use gallerist_pricing::Offer;
use gallerist_routing::name_book::PLAIN;
use gallerist_routing::{Target, UnknownModel, target};
use jiff::Timestamp;

/// What a command fails with that names a model which there is not.
pub fn unknown_model(unknown: &UnknownModel) -> Failure {
    let led = unknown
        .migrated_to
        .as_ref()
        .map_or_else(String::new, |to| format!(", and none {to:?}, to which [migrations] leads"));
    let partly = unknown.partly.as_ref().map_or_else(String::new, |partly| format!(": {partly}"));
    Failure::usage(format!("there is no model {:?}{led}{partly}", unknown.name))
        .advise(format!("{}; `gallerist prices list` shows all", unknown.nearest.join(", ")))
}

/// A name of the catalogue alone: no route is one.
///
/// # Errors
/// A route, or a name to which no offer answers, with the nearest names.
pub fn of_catalogue<'a>(name: &'a str, offers: &[Offer], at: Timestamp) -> Result<Target<'a>> {
    match target(name, &PLAIN, offers, at).map(|named| named.target) {
        Ok(found) if !found.is_route() => Ok(found),
        Ok(_) => {
            Err(Failure::usage(format!("{name} is a route, not a model")).advise("`gallerist prices list`"))
        }
        Err(_) if name.trim().is_empty() => {
            Err(Failure::usage("a model must be named").advise("`gallerist prices list` shows all"))
        }
        Err(mut unknown) => {
            unknown.nearest.retain(|near| PLAIN.route(near).is_none());
            Err(unknown_model(&unknown))
        }
    }
}
