//! The books as a store of this process, in the form of the admin API.
//!
//! The names are those that the gateway's resources have; a test compares both ways.

use super::RequestQuestion;
use crate::config::Config;
use crate::failure::{Failure, Result};
use gallerist_server::{RESOLVED_BY_PERSON, usage};
use gallerist_store::{Actor, RequestDetail, RequestFilter, RequestRecord, Resolution, Store, StoreError};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::str::FromStr;
use tokio::runtime::Runtime;

pub struct Here {
    store: Store,
    config: Config,
    runtime: Runtime,
}

impl Here {
    pub fn new(store: Store, config: Config) -> Result<Here> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::because("the run-time cannot start", &error))?;
        let here = Here { store: store.on_behalf_of(Actor::CommandLine), config, runtime };
        // What is over is lost, whether or not a gateway ran at that moment.
        here.runtime.block_on(here.store.expire_lots(Timestamp::now()))?;
        Ok(here)
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(super) fn wait<T>(
        &self,
        work: impl Future<Output = std::result::Result<T, StoreError>>,
    ) -> Result<T> {
        Ok(self.runtime.block_on(work)?)
    }

    pub fn requests(&self, question: RequestQuestion<'_>) -> Result<Value> {
        let tag = question.tag.map(|tag| {
            let (name, value) = tag.split_once('=').ok_or_else(|| Failure::usage("a tag is NAME=VALUE"))?;
            Ok::<_, Failure>((name.to_owned(), value.to_owned()))
        });
        let filter = RequestFilter {
            project: question.project.map(parsed).transpose()?,
            end_user: question.end_user.map(str::to_owned),
            tag: tag.transpose()?,
            after: question.after.map(parsed).transpose()?,
            limit: question.limit,
        };
        let page = self.runtime.block_on(self.store.requests(filter))?;
        let rows = page.requests.iter().map(|request| Value::Object(summary(request))).collect();
        Ok(list(rows, page.has_more))
    }

    pub fn request(&self, id: &str) -> Result<Value> {
        let id = parsed(id)?;
        let detail = self.runtime.block_on(self.store.request(id))?;
        detail.as_ref().map(whole).ok_or_else(|| gallerist_store::StoreError::UnknownRequest(id).into())
    }

    pub fn picture(&self, id: &str, index: u32) -> Result<Vec<u8>> {
        let kept = self.runtime.block_on(self.store.picture(parsed(id)?, index, Timestamp::now()))?;
        let kept = kept.map(|picture| picture.data.to_vec());
        kept.ok_or_else(|| Failure::failed("There is no such picture, or its time is over."))
    }

    pub fn resolve(&self, id: &str, number: u32, charged_usd: &str) -> Result<Value> {
        let request = parsed(id)?;
        let charge = parsed(charged_usd)?;
        let detail = self.runtime.block_on(self.store.request(request))?;
        let detail = detail.ok_or(StoreError::UnknownRequest(request))?;
        let attempt = detail.attempts.iter().find(|attempt| attempt.number == number);
        let attempt = attempt.ok_or_else(|| Failure::failed("The request has no such attempt."))?;
        let resolution = Resolution::of_bill(attempt.id, charge, RESOLVED_BY_PERSON, Timestamp::now());
        match self.runtime.block_on(self.store.resolve_dispute(resolution)) {
            Err(StoreError::NotDisputed { status, .. }) => Err(Failure::failed(format!(
                "Attempt {number} is {status}, not disputed: there is nothing to resolve."
            ))),
            Err(StoreError::Invalid(message)) => Err(Failure::usage(message)),
            Err(error) => Err(error.into()),
            Ok(()) => self.request(id),
        }
    }

    pub fn usage(&self, asked: &[(&str, Option<&str>)]) -> Result<Value> {
        self.usage_as(asked, |printed| serde_json::to_value(printed).expect("a report is plain data"))
    }

    pub fn usage_csv(&self, asked: &[(&str, Option<&str>)]) -> Result<Vec<u8>> {
        self.usage_as(asked, |printed| printed.csv())
    }

    fn usage_as<T>(
        &self,
        asked: &[(&str, Option<&str>)],
        print: impl FnOnce(&usage::Printed<'_>) -> T,
    ) -> Result<T> {
        let said = |name: &str| asked.iter().find(|(one, _)| *one == name).and_then(|(_, text)| *text);
        let query = usage::query(said).map_err(|(_, message)| Failure::usage(message))?;
        let group_by = query.group_by.clone();
        let report = self.runtime.block_on(self.store.usage(query))?;
        Ok(print(&usage::Printed { group_by: &group_by, report: &report }))
    }
}

/// A kind of alert that there is, or a group of them.
pub(super) fn alert_kind(text: &str) -> Result<String> {
    gallerist_server::alerts::asked_kind(text).map_err(|why| Failure::usage(format!("kind: {why}")))
}

pub(super) fn parsed<T: FromStr>(text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| Failure::usage(format!("{text:?}: {error}")))
}

pub(super) fn list(data: Vec<Value>, has_more: bool) -> Value {
    json!({"object": "list", "data": data, "has_more": has_more})
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn summary(request: &RequestRecord) -> Map<String, Value> {
    object(json!({
        "id": request.id,
        "object": "request",
        "status": request.status.as_str(),
        "created_at": request.created_at,
        "finished_at": request.finished_at,
        "project": request.project,
        "key": request.key_id,
        "operation": request.operation.as_str(),
        "model": request.model,
        "n": request.n,
        "images": request.images_delivered,
        "http_status": request.http_status,
        "error_code": request.error_code,
        "charged_usd": request.charged,
        "doubtful_usd": request.doubtful,
        "held_usd": request.held,
        "disputed_usd": request.disputed,
        "list_usd": request.list,
        "list_confidence": request.list_confidence,
        "list_as_of": request.list_as_of,
        "saved_usd": request.saved,
        "end_user": request.end_user,
        "tags": request.tags,
    }))
}

fn whole(detail: &RequestDetail) -> Value {
    // JSON that the store kept as text; null where it is none.
    let kept = |text: &Option<String>| -> Value {
        text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
    };
    let attempts: Vec<Value> = detail
        .attempts
        .iter()
        .map(|attempt| {
            json!({
                "id": attempt.id,
                "number": attempt.number,
                "offer": attempt.offer,
                "status": attempt.status.as_str(),
                "basis": attempt.basis,
                "reserved_usd": attempt.reserved,
                "charged_usd": attempt.charged,
                "images": attempt.images,
                "fault": kept(&attempt.fault_json),
                "charge": kept(&attempt.charge_json),
                "dispute_reason": attempt.dispute_reason,
                "provider_request_id": attempt.provider_request_id,
                "catalogue_digest": attempt.catalogue_digest,
                "created_at": attempt.created_at,
                "ended_at": attempt.ended_at,
            })
        })
        .collect();
    let entries: Vec<Value> = detail
        .entries
        .iter()
        .map(|entry| {
            json!({
                "account": entry.account,
                "amount_usd": entry.amount,
                "at": entry.at,
                "kind": entry.kind.as_str(),
                "attempt": entry.attempt,
            })
        })
        .collect();
    let mut request = summary(&detail.request);
    let plan = serde_json::from_str(&detail.request.plan_json)
        .unwrap_or_else(|_| json!({"offers": [], "excluded": []}));
    if let Some(prompt) = &detail.request.prompt {
        request.insert("prompt".to_owned(), prompt.as_str().into());
    }
    request.insert("asked".to_owned(), kept(&detail.request.asked_json));
    request.insert("plan".to_owned(), plan);
    request.insert("attempts".to_owned(), attempts.into());
    request.insert("entries".to_owned(), entries.into());
    request.into()
}
