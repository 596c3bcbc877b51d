//! Alerts about single attempts, raised in the transaction that ends them.

use gallerist_domain::{AlertFact, AttemptId, NewAlert, ProjectId, Ticks};
use jiff::Timestamp;

use super::accounts::ProjectAccounts;
use super::apply::FoundAttempt;
use crate::StoreError;
use crate::alerts;
use crate::sql::params;
use crate::words::{self, statements};
use crate::writer::Writing;

statements! {
    PROJECT_NAME = "SELECT name FROM projects WHERE number = ?1";
}

/// Tells of a charge above the published maximum.
pub(super) fn overrun(
    writing: &mut Writing<'_>,
    accounts: ProjectAccounts,
    id: AttemptId,
    attempt: &FoundAttempt,
    charge: Ticks,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (maximum, offer) = (attempt.reserved, attempt.offer.clone());
    if charge <= maximum {
        return Ok(());
    }
    let fact = AlertFact::ChargeOverrun { attempt: id, offer, maximum, charge };
    raise(writing, accounts, format!("overrun:{id}"), at, fact)
}

/// Tells of an attempt of which nobody knows whether it was charged.
pub(super) fn dispute(
    writing: &mut Writing<'_>,
    accounts: ProjectAccounts,
    id: AttemptId,
    attempt: &FoundAttempt,
    reason: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (maximum, offer) = (attempt.reserved, attempt.offer.clone());
    let fact = AlertFact::Disputed { attempt: id, offer, maximum, reason: reason.to_owned() };
    raise(writing, accounts, format!("dispute:{id}"), at, fact)
}

fn raise(
    writing: &mut Writing<'_>,
    accounts: ProjectAccounts,
    once: String,
    at: Timestamp,
    fact: AlertFact,
) -> Result<(), StoreError> {
    let project: ProjectId =
        writing.connection.query_row(PROJECT_NAME, params![accounts.number], |row| words::project(row, 0))?;
    alerts::insert(writing, &NewAlert { once, at, project: Some(project), fact })
}
