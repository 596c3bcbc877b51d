//! Alerts and webhooks in the store of this process, in the form of the admin API.

use super::here::Here;
use crate::failure::{Failure, Result};
use gallerist_domain::WebhookId;
use gallerist_engine::webhooks::signature::{new_secret, secret_text};
use gallerist_engine::webhooks::{PREVIOUS_SECRET_HOURS, Sender};
use gallerist_server::alerts::{AlertList, ChangeWish, TestShown, WebhookList, WebhookShown, WebhookWish};
use gallerist_store::AlertFilter;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

impl Here {
    pub fn alerts(&self, filter: AlertFilter) -> Result<Value> {
        let page = self.wait(self.store().alerts(filter))?;
        Ok(value(&AlertList::from(page)))
    }

    pub fn webhooks(&self) -> Result<Value> {
        let webhooks = self.wait(self.store().webhooks())?;
        Ok(value(&WebhookList::from(webhooks)))
    }

    pub fn add_webhook(&self, wish: &Value) -> Result<Value> {
        let wish: WebhookWish = serde_json::from_value(wish.clone())
            .map_err(|error| Failure::usage(format!("the webhook is not what is expected: {error}")))?;
        let private = self.config().limits.webhooks_private;
        let webhook = wish.webhook(private).map_err(|(_, message)| Failure::usage(message))?;
        let (id, shown) = (webhook.id, secret_text(&webhook.secret));
        self.wait(self.store().create_webhook(webhook, Timestamp::now()))?;
        let record = self.wait(self.store().webhook(id))?;
        Ok(value(&WebhookShown::with_secret(record, shown)))
    }

    pub fn change_webhook(&self, id: &str, wish: &Value) -> Result<Value> {
        let id = known(id)?;
        let wish: ChangeWish = serde_json::from_value(wish.clone())
            .map_err(|error| Failure::usage(format!("the change is not what is expected: {error}")))?;
        let private = self.config().limits.webhooks_private;
        let change = wish.change(private).map_err(|(_, message)| Failure::usage(message))?;
        self.wait(self.store().change_webhook(id, change, Timestamp::now()))?;
        Ok(value(&WebhookShown::from(self.wait(self.store().webhook(id))?)))
    }

    pub fn rotate_webhook(&self, id: &str) -> Result<Value> {
        let (id, secret) = (known(id)?, new_secret());
        let shown = secret_text(&secret);
        let now = Timestamp::now();
        let until = now + SignedDuration::from_hours(PREVIOUS_SECRET_HOURS);
        self.wait(self.store().rotate_webhook(id, secret, until, now))?;
        let record = self.wait(self.store().webhook(id))?;
        Ok(value(&WebhookShown::with_secret(record, shown)))
    }

    pub fn test_webhook(&self, id: &str) -> Result<Value> {
        let now = Timestamp::now();
        let limits = &self.config().limits;
        let sender = Sender::new(limits.webhooks_private, limits.webhook_timeout_ms)
            .map_err(|error| Failure::because("nothing can be sent", &error))?;
        let target = self.wait(self.store().webhook_target(known(id)?, now))?;
        let sent = self.wait(async { Ok(sender.test(&target, now).await) })?;
        Ok(value(&TestShown::from(&sent)))
    }

    pub fn remove_webhook(&self, id: &str) -> Result<()> {
        self.wait(self.store().remove_webhook(known(id)?, Timestamp::now()))
    }
}

fn known(id: &str) -> Result<WebhookId> {
    id.parse().map_err(|_| {
        Failure::usage(format!("{id:?} is no id of a webhook"))
            .advise("`gallerist webhooks list` shows the ids")
    })
}

fn value(shown: &impl Serialize) -> Value {
    serde_json::to_value(shown).expect("plain data serialises")
}
