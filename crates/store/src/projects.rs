//! Projects: who pays, their caps and their running totals.

use crate::sql::{Row, Sql, params};
use gallerist_domain::{ProjectId, Ticks};
use jiff::Timestamp;

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
    CAP_SET = "UPDATE projects SET cap = ?2 WHERE name = ?1";
    PROJECTS = "SELECT name, created_at, cap, settled, held, disputed FROM projects ORDER BY name";
    PROJECT = "SELECT name, created_at, cap, settled, held, disputed FROM projects WHERE name = ?1";
}

impl Store {
    /// Refused with [`StoreError::Exists`] if the name is taken. A cap is not negative.
    pub async fn create_project(
        &self,
        project: ProjectId,
        cap: Option<Ticks>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        check_cap(cap)?;
        self.write(move |writing| {
            let connection = writing.connection;
            if connection.exists(PROJECT_EXISTS, params![project.as_str()])? {
                return Err(StoreError::Exists(format!("project {project}")));
            }
            insert(connection, &project, cap, now)
        })
        .await
    }

    /// Sets or (with `None`) removes the cap. One below what is spent already stops new reservations.
    pub async fn set_cap(&self, project: ProjectId, cap: Option<Ticks>) -> Result<(), StoreError> {
        check_cap(cap)?;
        self.write(move |writing| {
            let changed =
                writing.connection.execute(CAP_SET, params![project.as_str(), cap.map(Ticks::get)])?;
            if changed == 1 { Ok(()) } else { Err(StoreError::UnknownProject(project.clone())) }
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
    })
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
