//! Who should make it: from a request and the offers to an ordered plan, with a reason for each offer
//! that was left out.
//!
//! This room owns the reading of model names ([`names`], [`name_book`]), the policies that routes are
//! ([`mod@route`]), the match of a request with a model's limits
//! ([`resolve`]), the order ([`plan`]), what is known of each offer's health ([`health`]) and what the books
//! teach ([`insight`]). All of it
//! is pure: time is an argument. It refuses sockets, clocks and storage.

pub mod exclusion;
pub mod health;
pub mod insight;
pub mod list_price;
pub mod name_book;
pub mod names;
pub mod nearest;
pub mod plan;
pub mod report;
pub mod resolve;
pub mod route;
pub mod unsold;
pub mod warnings;

pub use exclusion::{Exclusion, Reason};
pub use health::{Health, HealthBook, Told, Verdict};
pub use insight::{Insight, LearnedCall};
pub use list_price::ListPrice;
pub use name_book::NameBook;
pub use names::{ModelName, Named, Partly, Target, UnknownModel, target};
pub use nearest::{nearest, slip_of};
pub use plan::{Forbidden, Plan, PlanContext, PlanError, PlannedOffer, plan};
pub use resolve::{Resolved, SentOn, resolve};
pub use route::{Member, Route};

#[cfg(test)]
mod testing;
