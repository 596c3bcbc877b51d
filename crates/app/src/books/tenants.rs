//! Keys, projects and the audit log in the store of this process, in the form of the admin API.

use super::AuditQuestion;
use super::here::{Here, list, parsed};
use crate::failure::{Failure, Result};
use gallerist_domain::{ProjectId, Ticks};
use gallerist_server::tenants::{
    ChangeShown, KeyShown, KeyWish, KnownNames, LimitsWish, ProjectShown, WishFault, asked_action, grace_end,
};
use gallerist_server::{FreshKey, new_key, new_secret};
use gallerist_store::{AuditFilter, KeyRecord, NewSecret, ProjectChange, StoreError};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;

impl Here {
    pub fn keys(&self) -> Result<Value> {
        let keys = self.wait(self.store().list_keys())?;
        Ok(list(keys.iter().map(|key| value(&KeyShown::of(key, None))).collect(), false))
    }

    pub fn create_key(&self, wish: &KeyWish) -> Result<Value> {
        let fresh = new_key();
        let now = Timestamp::now();
        self.check_names(wish)?;
        let record = wish.record(&fresh, now).map_err(fault)?;
        self.wait(self.store().create_key(record, now))?;
        self.with_secret(&fresh)
    }

    pub fn change_key(&self, id: &str, wish: &KeyWish) -> Result<Value> {
        self.key(id)?;
        let change = wish.change().map_err(fault)?;
        self.check_names(wish)?;
        self.wait(self.store().change_key(id, change, Timestamp::now()))?;
        Ok(value(&KeyShown::of(&self.key(id)?, None)))
    }

    pub fn rotate_key(&self, id: &str, grace_seconds: i64) -> Result<Value> {
        let now = Timestamp::now();
        let previous_until = grace_end(Some(grace_seconds), now).map_err(fault)?;
        let fresh = new_secret(&self.key(id)?.id);
        let secret = NewSecret { sha256: fresh.sha256, prefix: fresh.prefix.clone(), previous_until };
        self.wait(self.store().rotate_key(id, secret, now))?;
        self.with_secret(&fresh)
    }

    pub fn revoke_key(&self, id: &str) -> Result<()> {
        self.wait(self.store().revoke_key(id, Timestamp::now()))
    }

    pub fn projects(&self) -> Result<Value> {
        let projects = self.wait(self.store().list_projects())?;
        let shown = projects.into_iter().map(|project| value(&ProjectShown::of(project, None)));
        Ok(list(shown.collect(), false))
    }

    pub fn project(&self, id: &str) -> Result<Value> {
        self.shown(parsed(id)?)
    }

    pub fn create_project(&self, id: &str, cap: Option<&str>, limits: LimitsWish) -> Result<Value> {
        let id: ProjectId = parsed(id)?;
        let cap = cap.map(parsed::<Ticks>).transpose()?;
        let limits = limits.fresh().map_err(fault)?;
        self.wait(self.store().create_limited_project(id.clone(), cap, limits, Timestamp::now()))?;
        self.shown(id)
    }

    pub fn set_cap(&self, id: &str, cap: Option<&str>) -> Result<Value> {
        let id: ProjectId = parsed(id)?;
        let cap = cap.map(parsed::<Ticks>).transpose()?;
        self.wait(self.store().set_cap(id.clone(), cap, Timestamp::now()))?;
        self.shown(id)
    }

    pub fn set_limits(&self, id: &str, limits: LimitsWish) -> Result<Value> {
        let id: ProjectId = parsed(id)?;
        let change = ProjectChange { cap: None, limits: limits.change().map_err(fault)? };
        self.wait(self.store().change_project(id.clone(), change, Timestamp::now()))?;
        self.shown(id)
    }

    pub fn audit(&self, question: AuditQuestion<'_>) -> Result<Value> {
        let text = |given: Option<&str>| given.map(str::to_owned);
        let filter = AuditFilter {
            action: question.action.map(asked_action).transpose().map_err(Failure::usage)?,
            subject: text(question.subject),
            key_id: text(question.key),
            project: question.project.map(parsed).transpose()?,
            after: question.after.map(parsed).transpose()?,
            limit: question.limit,
        };
        let page = self.wait(self.store().audit(filter))?;
        let changes = page.changes.iter().map(|change| value(&ChangeShown::from(change)));
        Ok(list(changes.collect(), page.has_more))
    }

    /// As the gateway does.
    fn check_names(&self, wish: &KeyWish) -> Result<()> {
        if wish.routes.is_none() && wish.providers.is_none() && wish.models.is_none() {
            return Ok(());
        }
        wish.checked_grants().map_err(fault)?;
        let (catalogue, config) = (self.config().whole_catalogue()?, self.config());
        let providers: Vec<&str> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
        let known = KnownNames { catalogue: &catalogue, providers: &providers, names: &config.names };
        wish.check_names(known).map_err(fault)
    }

    fn key(&self, id: &str) -> Result<KeyRecord> {
        let key = self.wait(self.store().key(id))?;
        key.ok_or_else(|| StoreError::UnknownKey(id.to_owned()).into())
    }

    fn with_secret(&self, fresh: &FreshKey) -> Result<Value> {
        Ok(value(&KeyShown::of(&self.key(&fresh.id)?, Some(fresh.secret.expose_secret()))))
    }

    fn shown(&self, id: ProjectId) -> Result<Value> {
        let record = self.wait(self.store().project(id.clone()))?;
        let record = record.ok_or_else(|| StoreError::UnknownProject(id.clone()))?;
        let usage = self.wait(self.store().project_usage(id, Timestamp::now()))?;
        Ok(value(&ProjectShown::of(record, Some(usage))))
    }
}

fn fault((_, message): WishFault) -> Failure {
    Failure::usage(message)
}

fn value(shown: &impl Serialize) -> Value {
    serde_json::to_value(shown).expect("plain data serialises")
}
