//! What it costs: the catalogue, quotes before a call and settlements after it.
//!
//! This room owns the grammar of prices ([`sheet`]), the reading of the catalogue ([`catalogue`]), the
//! quote ([`quote`]), what a bundle saves ([`bundle`]), the settlement ([`settle`]), what a call adds
//! where the hardware is paid anyway ([`marginal`]), how sure a figure is ([`trust`]), the forecast of prepaid credits ([`credits`]), what past
//! charges teach ([`learned`]), other people's price lists ([`import`]), polled prices ([`feed`]) and what
//! figures foretell ([`watch`]). All of it is pure: the time of day is an argument,
//! nothing is fetched (reading an override directory apart), and no float exists. It refuses to decide
//! who makes a picture: that is `routing`.
//!
//! Rounding: one per line, half up, in ticks of 10⁻¹⁰ dollar.

#![deny(clippy::float_arithmetic, clippy::disallowed_types)]

pub mod bundle;
pub mod catalogue;
pub mod changes;
pub mod credits;
pub mod facts;
pub mod feed;
pub mod import;
pub mod learned;
pub mod marginal;
pub mod offer;
pub mod quantity;
pub mod quote;
pub mod settle;
pub mod sheet;
pub mod trust;
pub mod watch;

pub use bundle::Comparison;
pub use catalogue::{Catalogue, ModelSheet, ProviderSheet, makes_size};
pub use facts::Facts;
pub use offer::{ConfiguredProvider, Offer, everything, offers, served_offers};
pub use quote::{Bounds, Quote, QuoteLine, Unpriced, bounds, quote};
pub use settle::{Basis, Charge, ChargeLine, Evidence, settle};
pub use trust::Weakest;

#[cfg(test)]
mod testing;
