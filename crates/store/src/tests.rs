//! The store against its promises: the ledger's model, the cap under concurrency, crashes, the lock, usage.

mod budgets;
mod crash;
mod credits;
mod ledger;
mod model;
mod reading;
mod support;
mod webhooks;
