//! Costs that left their usual range: today of each model and project against the days before.

use crate::shared::Shared;
use gallerist_domain::{AlertFact, NewAlert, ProjectId};
use gallerist_pricing::watch::anomaly::{DayFigures, anomalies};
use gallerist_store::{ModelDay, StoreError};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Days before today that a usual range is made of.
const DAYS: i64 = 28;

/// The days before one day: they change no more, so they are read once.
pub(super) struct History {
    day: Date,
    days: BTreeMap<(ProjectId, String), Vec<DayFigures>>,
}

pub(super) async fn look(
    history: &mut Option<History>,
    shared: &Shared,
    now: Timestamp,
) -> Result<Vec<NewAlert>, StoreError> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let Ok(midnight) = today.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()) else {
        return Ok(Vec::new());
    };
    if history.as_ref().is_none_or(|history| history.day != today) {
        let since = midnight - SignedDuration::from_hours(24 * DAYS);
        let mut days: BTreeMap<_, Vec<DayFigures>> = BTreeMap::new();
        for day in shared.store.model_days(since, midnight).await? {
            let figures = figures(&day);
            days.entry((day.project, day.model)).or_default().push(figures);
        }
        *history = Some(History { day: today, days });
    }
    let Some(History { days, .. }) = history else { return Ok(Vec::new()) };
    let until = midnight + SignedDuration::from_hours(24);
    let mut alerts = Vec::new();
    for now_day in shared.store.model_days(midnight, until).await? {
        let current = figures(&now_day);
        let key = (now_day.project, now_day.model);
        let Some(past) = days.get(&key) else { continue };
        let (project, model) = key;
        for anomaly in anomalies(&model, today, past, &current) {
            alerts.push(NewAlert {
                once: format!("anomaly:{}:{project}:{model}:{today}", anomaly.figure.as_str()),
                at: now,
                project: Some(project.clone()),
                fact: AlertFact::CostAnomaly(anomaly),
            });
        }
    }
    Ok(alerts)
}

fn figures(day: &ModelDay) -> DayFigures {
    DayFigures { charged: day.charged, doubtful: day.doubtful, images: day.images, attempts: day.attempts }
}
