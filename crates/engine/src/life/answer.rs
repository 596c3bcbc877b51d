//! What a life answers when pictures were made, and what is kept of the answer.

use super::Life;
use crate::answer::{Answer, AnswerMeta, AnsweredList, Cost, CostLines, Missing};
use crate::baseline::{self, Bought};
use crate::outcome;
use crate::unknown;
use gallerist_domain::{ImageRequest, Ticks};
use gallerist_routing::{ListPrice, Named, PlannedOffer};
use gallerist_store::{RequestEnd, RequestStatus};
use std::borrow::Cow;
use std::sync::Arc;

impl Life {
    pub(super) fn answer(
        &self,
        named: &Named<'_>,
        served: &PlannedOffer<'_>,
        list: Option<ListPrice>,
        spent: Ticks,
    ) -> Answer {
        let missing = self.incoming.request.n - u32::try_from(self.images.len()).unwrap_or(0);
        let last_fault = || self.failed.last().map(|failed| failed.fault.detail.clone());
        let reason = self.held_back.clone().or_else(last_fault).unwrap_or_default();
        let first = &self.images[0];
        let meta = AnswerMeta {
            request_id: self.id,
            created: self.incoming.accepted_at.as_second(),
            requested_model: self.incoming.request.model.clone(),
            route: named.target.route().map(|route| route.name.clone()),
            provider: served.offer.id.provider.clone(),
            model: served.offer.id.model.clone(),
            offer: served.offer.id.to_string(),
            size: first.size,
            quality: served.resolved.facts.quality.to_owned(),
            output_format: first.format,
            cost: Cost {
                charged_usd: self.charged,
                basis: outcome::basis(&self.charges),
                lines: CostLines::joined(self.charges.iter().map(|charge| &charge.lines)),
                disputed_usd: (!self.disputed.is_zero()).then_some(self.disputed),
                overrun_usd: (!self.overrun.is_zero()).then_some(self.overrun),
            },
            attempts: self.attempts,
            saved_usd: list.map(|list| list.amount - spent),
            list: list.map(AnsweredList::from),
            cached: false,
            warnings: self.warnings(named, served),
            missing: (missing > 0).then_some(Missing { count: missing, reason }),
            usage: outcome::token_usage(&self.usage),
            revised_prompts: self.images.iter().map(|image| image.revised_prompt.clone()).collect(),
        };
        Answer { images: self.images.clone(), meta: Arc::new(meta) }
    }

    /// What the request would have cost at its baseline.
    pub(super) fn list_price(
        &self,
        request: &ImageRequest,
        named: &Named<'_>,
        served: &PlannedOffer<'_>,
    ) -> Option<ListPrice> {
        let bought = Bought {
            served,
            spent: self.charged + self.disputed,
            at_once: self.failed.is_empty() && self.disputed.is_zero(),
        };
        baseline::of(&self.shared, &self.market, request, named, &bought, self.incoming.accepted_at)
    }

    /// What the offer warns of, what was told on the way to it, and what of the request nobody here knows.
    fn warnings(&self, named: &Named<'_>, served: &PlannedOffer<'_>) -> Vec<String> {
        let mut warnings = gallerist_routing::warnings::of(named, served, self.incoming.accepted_at);
        warnings.extend(self.told.iter().cloned());
        warnings.extend(unknown::warnings(&self.incoming.request, &self.market));
        warnings
    }

    /// Puts the pictures on disk first, where the client wants addresses or a replayable answer.
    pub(super) async fn keep_if_wanted(&mut self, answer: Answer) -> Answer {
        let by_url = self.incoming.request.response_format == gallerist_domain::ResponseFormat::Url;
        let wanted = by_url || self.incoming.idempotency_key.is_some();
        let kept = wanted && self.shared.keep_patiently(&answer, &mut self.patience).await;
        // Where the disk is full the pictures go out in the answer itself: they are paid.
        if by_url && kept { self.shared.with_addresses(answer).await } else { answer }
    }

    pub(super) fn request_end(&self, answer: &Answer, list: Option<ListPrice>) -> RequestEnd {
        let status = match answer.meta.missing {
            Some(_) => RequestStatus::Partial,
            None => RequestStatus::Succeeded,
        };
        RequestEnd {
            status,
            http_status: 200,
            error_code: None,
            answer_json: Some(self.stored_meta(&answer.meta)),
            images_delivered: u32::try_from(answer.images.len()).unwrap_or(u32::MAX),
            list: list.map(stored_list),
            saved: answer.meta.saved_usd,
            free_idempotency_key: false,
        }
    }

    /// JSON text of what is kept of an answer. Prompts are not stored, and a revised one is a prompt: only the
    /// replay that an idempotency key promises has it.
    fn stored_meta(&self, meta: &AnswerMeta) -> String {
        let as_it_is =
            self.incoming.idempotency_key.is_some() || meta.revised_prompts.iter().all(Option::is_none);
        let kept = match as_it_is {
            true => Cow::Borrowed(meta),
            false => {
                let revised_prompts = vec![None; meta.revised_prompts.len()];
                Cow::Owned(AnswerMeta { revised_prompts, ..meta.clone() })
            }
        };
        serde_json::to_string(&*kept).expect("the meta is plain data")
    }
}

fn stored_list(list: ListPrice) -> gallerist_store::ListPrice {
    gallerist_store::ListPrice {
        amount: list.amount,
        doubtful: list.doubtful,
        trust: list.trust.map(|(confidence, as_of)| (confidence.as_str().to_owned(), as_of)),
    }
}
