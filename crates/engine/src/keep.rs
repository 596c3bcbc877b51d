//! Pictures in our own store: kept for clients that went away, for addresses, and for replays.

use crate::answer::{Answer, AnswerMeta, DeliveredImage};
use crate::persist::Patience;
use crate::shared::Shared;
use gallerist_domain::{Chunks, ImageData, RequestId};
use gallerist_imaging::decode_base64;
use gallerist_store::{IDEMPOTENCY_HOURS, NewPicture, Picture, StoreError};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

impl Shared {
    /// Puts the pictures of an answer on disk for a while. Whether all of them are there.
    pub(crate) async fn keep(&self, answer: &Answer) -> bool {
        self.keep_patiently(answer, &mut Patience::default()).await
    }

    /// As [`Shared::keep`], while a client waits that has waited already.
    pub(crate) async fn keep_patiently(&self, answer: &Answer, patience: &mut Patience) -> bool {
        self.keep_from(answer.meta.request_id, 0, &answer.images, patience).await
    }

    /// Puts pictures of a request on disk for a while, numbered from `first`. Whether all of them are there.
    pub(crate) async fn keep_from(
        &self,
        request: RequestId,
        first: u32,
        images: &[DeliveredImage],
        patience: &mut Patience,
    ) -> bool {
        let now = self.clock.now();
        let expires_at = self.kept_until(request, now).await;
        let mut all = true;
        for (index, image) in (first..).zip(images) {
            let data = match &image.data {
                ImageData::Bytes(chunks) => chunks.clone(),
                ImageData::Base64(text) => match decode_base64(text) {
                    Ok(bytes) => Chunks::from(bytes),
                    Err(error) => {
                        tracing::error!(%request, %error, "a picture could not be kept");
                        all = false;
                        continue;
                    }
                },
                ImageData::Url(_) => continue,
            };
            let picture = NewPicture { request, index, format: image.format, data, expires_at, now };
            if let Err(error) = self.put_picture(picture, patience).await {
                tracing::error!(%request, %error, "a picture could not be kept");
                all = false;
            }
        }
        all
    }

    /// Puts a picture on disk; a database that is restarted is waited for a little, because whoever repeats the
    /// request is promised the same pictures.
    async fn put_picture(&self, picture: NewPicture, patience: &mut Patience) -> Result<(), StoreError> {
        loop {
            let written = self.store.put_picture(picture.clone()).await;
            let away = matches!(written, Err(StoreError::Away(_) | StoreError::Unanswered(_)));
            if !away || !patience.pause().await {
                return written;
            }
        }
    }

    /// Until when a picture stays: a while, and as long as an idempotency key promises to replay it.
    async fn kept_until(&self, request: RequestId, now: Timestamp) -> Timestamp {
        let lifetime = SignedDuration::from_mins(self.limits.kept_picture_minutes);
        let bound_until = self.store.bound_until(request).await;
        if let Err(error) = &bound_until {
            tracing::error!(%request, %error, "whether a key is bound to a request could not be read");
        }
        stays_until(bound_until, lifetime, now)
    }

    /// Gives each kept picture its signed address, which lives as long as the picture.
    pub(crate) async fn with_addresses(&self, mut answer: Answer) -> Answer {
        let request = answer.meta.request_id;
        let expiries = self.store.picture_expiries(request).await.unwrap_or_else(|error| {
            tracing::error!(%request, %error, "kept pictures could not be looked up");
            Vec::new()
        });
        for ((index, image), expires_at) in (0u32..).zip(&mut answer.images).zip(expiries) {
            let expires = expires_at.as_second();
            let signature = self.signature(request, index, expires);
            image.url_path =
                Some(format!("/v1/pictures/{request}/{index}?expires={expires}&signature={signature}"));
        }
        answer
    }

    fn signature(&self, request: RequestId, index: u32, expires: i64) -> blake3::Hash {
        blake3::keyed_hash(&self.picture_secret, format!("{request}/{index}/{expires}").as_bytes())
    }

    /// The picture behind a signed address, while address and picture live.
    pub(crate) async fn picture_at(
        &self,
        request: RequestId,
        index: u32,
        expires: i64,
        signature: &str,
    ) -> Option<Picture> {
        let now = self.clock.now();
        let given = blake3::Hash::from_hex(signature).ok()?;
        // Hashes compare in constant time.
        if given != self.signature(request, index, expires) || now.as_second() >= expires {
            return None;
        }
        self.store.picture(request, index, now).await.ok().flatten()
    }

    /// An earlier answer from its stored meta and its kept pictures; `None` when a picture is gone, which is another
    /// thing than a store that cannot be read now.
    pub(crate) async fn answer_from_store(
        &self,
        meta: AnswerMeta,
        images: u32,
    ) -> Result<Option<Answer>, StoreError> {
        let now = self.clock.now();
        let mut delivered = Vec::new();
        for index in 0..images {
            let Some(picture) = self.store.picture(meta.request_id, index, now).await? else {
                return Ok(None);
            };
            let revised_prompt = meta.revised_prompts.get(index as usize).cloned().flatten();
            delivered.push(DeliveredImage {
                data: ImageData::Bytes(Chunks::from(picture.data)),
                format: picture.format,
                size: meta.size,
                revised_prompt,
                url_path: None,
            });
        }
        let mut meta = AnswerMeta { cached: true, ..meta };
        // What is stored may have lost them: prompts are not kept, and what a crash left has none.
        meta.revised_prompts.resize(delivered.len(), None);
        Ok(Some(Answer { images: delivered, meta: Arc::new(meta) }))
    }
}

/// What may be bound to a key is kept as long as what is.
fn stays_until(
    bound_until: Result<Option<Timestamp>, StoreError>,
    lifetime: SignedDuration,
    now: Timestamp,
) -> Timestamp {
    let after = |time: SignedDuration| now.checked_add(time).unwrap_or(Timestamp::MAX);
    let bound_until =
        bound_until.unwrap_or_else(|_| Some(after(SignedDuration::from_hours(IDEMPOTENCY_HOURS))));
    bound_until.into_iter().chain([after(lifetime)]).max().unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_bound_to_a_key_stays_as_long_as_what_is() {
        let (now, hour) = (Timestamp::UNIX_EPOCH, SignedDuration::from_hours(1));
        let hours = |hours| now.checked_add(SignedDuration::from_hours(hours)).expect("an instant");
        assert_eq!(stays_until(Ok(None), hour, now), hours(1));
        assert_eq!(stays_until(Ok(Some(hours(23))), hour, now), hours(23));
        assert_eq!(stays_until(Ok(Some(hours(0))), hour, now), hours(1));
        assert_eq!(stays_until(Err(StoreError::Closed), hour, now), hours(24));
    }
}
