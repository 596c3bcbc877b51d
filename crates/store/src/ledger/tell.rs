//! Alerts about single attempts, raised in the transaction that ends them.

use gallerist_domain::{AlertFact, AttemptId, NewAlert, ProjectId, Ticks};
use jiff::Timestamp;

use super::found::FoundAttempt;
use crate::StoreError;
use crate::alerts;
use crate::sql::params;
use crate::words::{self, statements};
use crate::writer::Writing;

statements! {
    WHERE_AND_WHOSE = "SELECT a.offer, p.name FROM attempts a JOIN requests r ON r.number = a.request
        JOIN projects p ON p.number = r.project WHERE a.row = ?1";
}

/// Tells of a charge above the published maximum: the first one an hour of an offer, project and magnitude. A price
/// list that is wrong is so for every request, and a thousand alerts say no more than one; an overrun that is twice
/// as large is other news.
pub(super) fn overrun(
    writing: &mut Writing<'_>,
    id: AttemptId,
    attempt: &FoundAttempt,
    (charge, doubtful): (Ticks, Ticks),
    at: Timestamp,
) -> Result<(), StoreError> {
    let maximum = attempt.reserved;
    if charge <= maximum {
        return Ok(());
    }
    let (offer, project) = where_and_whose(writing, attempt)?;
    let hour = at.as_second().div_euclid(3_600);
    let magnitude = (charge - maximum).get().ilog2();
    let once = format!("overrun:{offer}:{project}:{hour}:{magnitude}");
    let fact = AlertFact::ChargeOverrun { attempt: id, offer, maximum, charge, doubtful };
    raise(writing, once, project, at, fact)
}

/// Tells of an attempt of which nobody knows whether it was charged.
pub(super) fn dispute(
    writing: &mut Writing<'_>,
    id: AttemptId,
    attempt: &FoundAttempt,
    (doubtful, reason): (Option<Ticks>, &str),
    at: Timestamp,
) -> Result<(), StoreError> {
    let (offer, project) = where_and_whose(writing, attempt)?;
    let (maximum, reason) = (attempt.reserved, reason.to_owned());
    let fact = AlertFact::Disputed { attempt: id, offer, maximum, doubtful, reason };
    raise(writing, format!("dispute:{id}"), project, at, fact)
}

fn where_and_whose(writing: &Writing<'_>, attempt: &FoundAttempt) -> Result<(String, ProjectId), StoreError> {
    writing
        .connection
        .query_row(WHERE_AND_WHOSE, params![attempt.row], |row| Ok((row.get(0)?, words::project(row, 1)?)))
}

fn raise(
    writing: &mut Writing<'_>,
    once: String,
    project: ProjectId,
    at: Timestamp,
    fact: AlertFact,
) -> Result<(), StoreError> {
    alerts::insert(writing, &NewAlert { once, at, project: Some(project), fact })
}
