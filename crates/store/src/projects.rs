//! Projects: who pays, their caps and their running totals.

use gallerist_domain::{BudgetUnit, ProjectId, RateLimits, Ticks};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::audit::{self, Act};
use crate::keys::LimitsChange;
use crate::sql::{Row, Sql, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// A project with what it has spent and may spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRecord {
    pub id: ProjectId,
    pub created_at: Timestamp,
    /// `settled + held + disputed` never passes it; absent: no limit.
    pub cap: Option<Ticks>,
    /// Charged for certain.
    pub settled: Ticks,
    /// Maxima of the attempts under way.
    pub held: Ticks,
    /// Maxima of the attempts of which nobody knows the charge.
    pub disputed: Ticks,
    /// The part of what is settled that rests on prices below official, or read long before.
    pub doubtful: Ticks,
    /// Over all its keys.
    pub limits: RateLimits,
}

/// What may be changed of a project; what is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProjectChange {
    /// `Some(None)` removes the cap.
    pub cap: Option<Option<Ticks>>,
    pub limits: LimitsChange,
}

/// What a project does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProjectUsage {
    /// Requests that were accepted in the last minute and came as far as a reservation.
    pub requests_last_minute: u64,
    /// Pictures that they asked for.
    pub images_last_minute: u64,
    /// Requests that still run.
    pub requests_running: u64,
    /// Keys that are neither revoked nor expired.
    pub keys: u64,
}

/// A project's cap in words: `100 USD in all for project shop`.
pub fn cap_words(cap: Ticks, project: &ProjectId) -> String {
    format!("{} {}", BudgetUnit::Usd.words(cap.get()), cap_reach_words(project))
}

/// What a project's cap limits, in words: `in all for project shop`.
pub(crate) fn cap_reach_words(project: &ProjectId) -> String {
    format!("in all for project {project}")
}

impl ProjectRecord {
    /// What a new reservation may hold at most; `None` without a cap, zero after an overrun.
    pub fn left(&self) -> Option<Ticks> {
        self.cap.map(|cap| (cap - self.settled - self.held - self.disputed).max(Ticks::ZERO))
    }
}

statements! {
    ACCOUNT_INSERT = "INSERT INTO accounts (name) VALUES (?1)";
    PROJECT_INSERT = "INSERT INTO projects (name, created_at, cap, available_account, held_account,
        disputed_account) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    PROJECT_EXISTS = "SELECT 1 FROM projects WHERE name = ?1";
    PROJECT_CHANGE = "UPDATE projects SET cap = ?2, requests_per_minute = ?3, images_per_minute = ?4,
        images_at_once = ?5 WHERE name = ?1";
    PROJECTS = "SELECT name, created_at, cap, settled, held, disputed, requests_per_minute, images_per_minute,
        images_at_once, doubtful FROM projects ORDER BY name";
    PROJECT = "SELECT name, created_at, cap, settled, held, disputed, requests_per_minute, images_per_minute,
        images_at_once, doubtful FROM projects WHERE name = ?1";
    LAST_MINUTE = "SELECT count(*), coalesce(sum(r.n), 0) FROM requests r
        JOIN projects p ON p.number = r.project WHERE p.name = ?1 AND r.created_at > ?2";
    RUNNING_OF = "SELECT count(*) FROM requests r JOIN projects p ON p.number = r.project
        WHERE p.name = ?1 AND r.status = 'running' /* OPEN r */";
    KEYS_OF = "SELECT count(*) FROM keys k JOIN projects p ON p.number = k.project
        WHERE p.name = ?1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?2)";
}

impl Store {
    /// Refused with [`StoreError::Exists`] if the name is taken. A cap is not negative.
    pub async fn create_project(
        &self,
        project: ProjectId,
        cap: Option<Ticks>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.create_limited_project(project, cap, RateLimits::NONE, now).await
    }

    /// As [`Store::create_project`], with limits from its first moment on.
    pub async fn create_limited_project(
        &self,
        project: ProjectId,
        cap: Option<Ticks>,
        limits: RateLimits,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        check_cap(cap)?;
        limits.check().map_err(|(_, message)| StoreError::Invalid(message))?;
        let actor = self.actor.clone();
        self.write(move |writing| {
            let connection = writing.connection;
            if connection.exists(PROJECT_EXISTS, params![project.as_str()])? {
                return Err(StoreError::Exists(format!("project {project}")));
            }
            insert(connection, &project, cap, now)?;
            if !limits.is_none() {
                set(connection, &project, cap, limits)?;
            }
            let after = found(connection, &project)?;
            let subject = project.as_str();
            let (before, after) = (None, Some(shown(&after)));
            let (actor, action) = (&actor, "project.create");
            audit::write(
                connection,
                &Act { actor, action, subject, project: Some(subject), before, after, at: now },
            )
        })
        .await
    }

    /// Sets or (with `None`) removes the cap. One below what is spent already stops new reservations.
    pub async fn set_cap(
        &self,
        project: ProjectId,
        cap: Option<Ticks>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change_project(project, ProjectChange { cap: Some(cap), ..ProjectChange::default() }, now).await
    }

    /// Changes cap and limits. What changes nothing leaves no trace.
    ///
    /// # Errors
    /// [`StoreError::UnknownProject`], or [`StoreError::Invalid`] with the field.
    pub async fn change_project(
        &self,
        project: ProjectId,
        change: ProjectChange,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        check_cap(change.cap.flatten())?;
        let limits = change.limits.over(RateLimits::NONE);
        limits.check().map_err(|(_, message)| StoreError::Invalid(message))?;
        let actor = self.actor.clone();
        self.write(move |writing| {
            let connection = writing.connection;
            let before = found(connection, &project)?;
            let cap = change.cap.unwrap_or(before.cap);
            let limits = change.limits.over(before.limits);
            if (cap, limits) == (before.cap, before.limits) {
                return Ok(());
            }
            set(connection, &project, cap, limits)?;
            // The limits of a project are kept with its keys.
            writing.changed.keys |= limits != before.limits;
            let after = found(connection, &project)?;
            let subject = project.as_str();
            let (before, after) = (Some(shown(&before)), Some(shown(&after)));
            let (actor, action) = (&actor, "project.change");
            audit::write(
                connection,
                &Act { actor, action, subject, project: Some(subject), before, after, at: now },
            )
        })
        .await
    }

    /// What a project does at `now`.
    pub async fn project_usage(
        &self,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<ProjectUsage, StoreError> {
        self.read(move |connection| {
            let name = project.as_str();
            let since = now.checked_sub(SignedDuration::from_secs(60)).unwrap_or(Timestamp::MIN);
            let count = |row: &Row<'_>, column| Ok::<_, StoreError>(row.get::<i64>(column)?.unsigned_abs());
            let (requests_last_minute, images_last_minute) =
                connection.query_row(LAST_MINUTE, params![name, micros(since)], |row| {
                    Ok((count(row, 0)?, count(row, 1)?))
                })?;
            Ok(ProjectUsage {
                requests_last_minute,
                images_last_minute,
                requests_running: connection.query_row(RUNNING_OF, params![name], |row| count(row, 0))?,
                keys: connection.query_row(KEYS_OF, params![name, micros(now)], |row| count(row, 0))?,
            })
        })
        .await
    }

    pub async fn list_projects(&self) -> Result<Vec<ProjectRecord>, StoreError> {
        self.read(|connection| connection.query_all(PROJECTS, params![], record)).await
    }

    pub async fn project(&self, project: ProjectId) -> Result<Option<ProjectRecord>, StoreError> {
        self.read(move |connection| connection.query_opt(PROJECT, params![project.as_str()], record)).await
    }
}

fn check_cap(cap: Option<Ticks>) -> Result<(), StoreError> {
    match cap {
        Some(cap) if cap.is_negative() => Err(StoreError::Invalid(format!("a cap of {cap} is negative"))),
        _ => Ok(()),
    }
}

fn record(row: &Row<'_>) -> Result<ProjectRecord, StoreError> {
    Ok(ProjectRecord {
        id: words::project(row, 0)?,
        created_at: words::timestamp(row, 1)?,
        cap: words::ticks_opt(row, 2)?,
        settled: words::ticks(row, 3)?,
        held: words::ticks(row, 4)?,
        disputed: words::ticks(row, 5)?,
        limits: words::rate_limits(row, 6)?,
        doubtful: words::ticks(row, 9)?,
    })
}

fn set(
    connection: &dyn Sql,
    project: &ProjectId,
    cap: Option<Ticks>,
    limits: RateLimits,
) -> Result<(), StoreError> {
    connection.change_one(
        PROJECT_CHANGE,
        params![
            project.as_str(),
            cap.map(Ticks::get),
            limits.requests_per_minute,
            limits.images_per_minute,
            limits.images_at_once
        ],
    )
}

fn found(connection: &dyn Sql, project: &ProjectId) -> Result<ProjectRecord, StoreError> {
    let found = connection.query_opt(PROJECT, params![project.as_str()], record)?;
    found.ok_or_else(|| StoreError::UnknownProject(project.clone()))
}

/// What of a project may change.
fn shown(project: &ProjectRecord) -> Value {
    json!({"cap_usd": project.cap, "limits": project.limits})
}

/// Writes the project and its three accounts.
pub(crate) fn insert(
    connection: &dyn Sql,
    project: &ProjectId,
    cap: Option<Ticks>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let account = |part: &str| -> Result<i64, StoreError> {
        connection.insert(ACCOUNT_INSERT, params![format!("project:{project}:{part}")])
    };
    let (available, held, disputed) = (account("available")?, account("held")?, account("disputed")?);
    connection.change_one(
        PROJECT_INSERT,
        params![project.as_str(), micros(now), cap.map(Ticks::get), available, held, disputed],
    )?;
    Ok(())
}
