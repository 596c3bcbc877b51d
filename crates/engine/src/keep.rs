//! Pictures in our own store: kept for clients that went away, for addresses, and for replays.

use crate::answer::{Answer, AnswerMeta, DeliveredImage};
use crate::persist::AWAITED_PAUSES;
use crate::shared::Shared;
use gallerist_domain::{Chunks, ImageData, RequestId};
use gallerist_imaging::decode_base64;
use gallerist_store::{NewPicture, Picture, StoreError};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use tokio::time::sleep;

impl Shared {
    /// Puts the pictures of an answer on disk for a while. Whether all of them are there.
    pub(crate) async fn keep(&self, answer: &Answer) -> bool {
        self.keep_from(answer.meta.request_id, 0, &answer.images).await
    }

    /// Puts pictures of a request on disk for a while, numbered from `first`. Whether all of them are there.
    pub(crate) async fn keep_from(&self, request: RequestId, first: u32, images: &[DeliveredImage]) -> bool {
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
            if let Err(error) = self.put_picture(picture).await {
                tracing::error!(%request, %error, "a picture could not be kept");
                all = false;
            }
        }
        all
    }

    /// Puts a picture on disk; a database that is restarted is waited for a little, because whoever repeats the
    /// request is promised the same pictures.
    async fn put_picture(&self, picture: NewPicture) -> Result<(), StoreError> {
        let mut pauses = AWAITED_PAUSES.iter();
        loop {
            match (self.store.put_picture(picture.clone()).await, pauses.next()) {
                (Err(StoreError::Away(_) | StoreError::Unanswered(_)), Some(pause)) => sleep(*pause).await,
                (written, _) => return written,
            }
        }
    }

    /// Until when a picture stays: a while, and as long as an idempotency key promises to replay it.
    async fn kept_until(&self, request: RequestId, now: Timestamp) -> Timestamp {
        let lifetime = SignedDuration::from_mins(self.limits.kept_picture_minutes);
        let a_while = now.checked_add(lifetime).unwrap_or(now);
        match self.store.bound_until(request).await {
            Ok(bound_until) => bound_until.map_or(a_while, |bound_until| bound_until.max(a_while)),
            Err(error) => {
                tracing::error!(%request, %error, "whether a key is bound to a request could not be read");
                a_while
            }
        }
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
