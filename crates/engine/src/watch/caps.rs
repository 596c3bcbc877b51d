//! The caps of projects: told of as budgets are, at shares of them and when the pace foretells their end.
//!
//! Looked at from outside, since the ledger sums what a group of commits moves of a project into one update and
//! has no moment at which it knows the project's standing. It refuses to hold anybody to a cap: that is the
//! reserving transaction.

use crate::shared::Shared;
use gallerist_domain::budget::THRESHOLDS_PERCENT;
use gallerist_domain::{AlertFact, BudgetStanding, BudgetUnit, NewAlert, Ticks};
use gallerist_pricing::watch::projection::{Spent, reached_at};
use gallerist_store::{ProjectRecord, StoreError, cap_words};
use jiff::Timestamp;

/// What the caps foretell, and what is reached of them: each with the keys of what would make it old news.
pub(super) struct Found {
    pub(super) projections: Vec<NewAlert>,
    pub(super) thresholds: Vec<(NewAlert, Vec<String>)>,
}

pub(super) async fn look(shared: &Shared, now: Timestamp) -> Result<Found, StoreError> {
    let projects = shared.store.list_projects().await?;
    Ok(Found {
        projections: projects.iter().filter_map(|project| projection(project, now)).collect(),
        thresholds: projects.iter().filter_map(|project| threshold(project, now)).collect(),
    })
}

fn standing(project: &ProjectRecord, cap: Ticks) -> BudgetStanding {
    BudgetStanding {
        budget: None,
        name: String::new(),
        words: cap_words(cap, &project.id),
        subject: String::new(),
        unit: BudgetUnit::Usd,
        limit: cap.get(),
        settled: project.settled.get(),
        held: project.held.get(),
        disputed: project.disputed.get(),
        doubtful: project.doubtful.get(),
        window_start: Some(project.created_at),
        window_end: None,
    }
}

/// The highest share that is reached. Another cap is another question.
fn threshold(project: &ProjectRecord, now: Timestamp) -> Option<(NewAlert, Vec<String>)> {
    let cap = project.cap?;
    let spent = project.settled + project.disputed;
    let key = |percent: u16| format!("cap:{}:{}:{percent}", project.id, cap.get());
    let reached = |percent: &u16| {
        spent > Ticks::ZERO && i128::from(spent.get()) * 100 >= i128::from(cap.get()) * i128::from(*percent)
    };
    let percent = THRESHOLDS_PERCENT.into_iter().rev().find(reached)?;
    let greater = THRESHOLDS_PERCENT.into_iter().filter(|other| *other > percent).map(key);
    let alert = NewAlert {
        once: key(percent),
        at: now,
        project: Some(project.id.clone()),
        fact: AlertFact::BudgetThreshold { threshold_percent: percent, standing: standing(project, cap) },
    };
    Some((alert, greater.collect()))
}

fn projection(project: &ProjectRecord, now: Timestamp) -> Option<NewAlert> {
    let cap = project.cap?;
    let spent = (project.settled + project.disputed).get();
    let spent = Spent { start: project.created_at, end: None, spent, limit: cap.get() };
    let reached_at = reached_at(spent, now)?;
    Some(NewAlert {
        once: format!("projection:cap:{}:{}", project.id, cap.get()),
        at: now,
        project: Some(project.id.clone()),
        fact: AlertFact::BudgetProjection { reached_at, standing: standing(project, cap) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gallerist_domain::RateLimits;

    fn project(cap: Option<&str>, settled: &str, disputed: &str) -> ProjectRecord {
        let usd = |text: &str| text.parse::<Ticks>().unwrap();
        ProjectRecord {
            id: "shop".parse().unwrap(),
            created_at: "2026-11-01T00:00:00Z".parse().unwrap(),
            cap: cap.map(usd),
            settled: usd(settled),
            held: usd("3"),
            disputed: usd(disputed),
            doubtful: Ticks::ZERO,
            limits: RateLimits::NONE,
        }
    }

    fn now() -> Timestamp {
        "2026-11-11T00:00:00Z".parse().unwrap()
    }

    fn reached(project: &ProjectRecord) -> Option<String> {
        threshold(project, now()).map(|(alert, _)| alert.once)
    }

    #[test]
    fn the_highest_share_of_a_cap_that_is_settled_or_disputed_is_told() {
        assert_eq!(reached(&project(None, "90", "0")), None);
        assert_eq!(reached(&project(Some("100"), "49.9999999999", "0")), None, "what is held is not spent");
        let (alert, greater) = threshold(&project(Some("100"), "80", "4"), now()).unwrap();
        assert_eq!(alert.once, "cap:shop:1000000000000:80");
        assert_eq!(greater, ["cap:shop:1000000000000:100"]);
        let expected =
            "80 % of the cap (100.00 USD in all for project shop) is spent: 84.00 USD of 100.00 USD.";
        assert_eq!(alert.fact.message(), expected);
        assert_eq!(reached(&project(Some("200"), "99", "1")).unwrap(), "cap:shop:2000000000000:50");
        assert_eq!(reached(&project(Some("100"), "120", "0")).unwrap(), "cap:shop:1000000000000:100");
        assert_eq!(reached(&project(Some("0"), "0", "0")), None);
    }

    #[test]
    fn a_cap_that_is_reached_within_a_week_is_foretold() {
        // Ten days spent 70, so 100 are reached four days and seven hours from now.
        let told = projection(&project(Some("100"), "70", "0"), now()).unwrap();
        let AlertFact::BudgetProjection { reached_at, .. } = &told.fact else { panic!("a projection") };
        assert_eq!(reached_at.to_string(), "2026-11-15T06:51:25.714286Z");
        assert_eq!(told.once, "projection:cap:shop:1000000000000");
        assert_eq!(projection(&project(Some("1000"), "70", "0"), now()), None, "months away");
        assert_eq!(projection(&project(None, "70", "0"), now()), None);
    }
}
