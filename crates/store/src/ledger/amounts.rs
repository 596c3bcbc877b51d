//! Which amounts the ledger takes.

use gallerist_domain::Ticks;

use super::{AMOUNT_MAX, NewAttempt};
use crate::StoreError;

pub(super) fn check_amount(amount: Ticks) -> Result<(), StoreError> {
    if amount.is_negative() || amount > AMOUNT_MAX {
        return Err(StoreError::Invalid(format!("an amount of {amount} is not between 0 and {AMOUNT_MAX}")));
    }
    Ok(())
}

/// What all attempts of a reservation hold together.
pub(super) fn sum_of_maxima(attempts: &[NewAttempt]) -> Result<Ticks, StoreError> {
    if attempts.is_empty() {
        return Err(StoreError::Invalid("a reservation is for at least one attempt".to_owned()));
    }
    let mut sum = Ticks::ZERO;
    for attempt in attempts {
        check_amount(attempt.maximum)?;
        sum = sum.checked_add(attempt.maximum).filter(|sum| *sum <= AMOUNT_MAX).ok_or_else(|| {
            StoreError::Invalid(
                "the maxima of a reservation are together more than a million dollars".to_owned(),
            )
        })?;
    }
    Ok(sum)
}
