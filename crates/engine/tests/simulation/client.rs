//! Whoever asks: one request, repeated as the SDKs repeat it.

use crate::gateway::{Door, Gateway};
use crate::scenario::Wish;
use crate::world::World;
use gallerist_domain::{Clock, ImageData, Payer, ProjectId};
use gallerist_engine::{AnswerMeta, DeliveredImage, Incoming, Refusal, RefusalKind, StreamEvent};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// An answer with pictures.
pub struct Got {
    pub wish: usize,
    pub meta: Arc<AnswerMeta>,
    pub images: Vec<DeliveredImage>,
}

/// How one try ended.
enum Tried {
    Answered(Got),
    Refused(Box<Refusal>),
    /// The connection broke, or there was none.
    Broken,
    /// The client would not wait any longer.
    Left,
}

/// Lives through one wish; returns every answer that came.
pub async fn live(world: Arc<World>, door: Arc<Door>, wish: Wish) -> Vec<Got> {
    sleep(Duration::from_millis(wish.at_ms)).await;
    let mut got = Vec::new();
    got.extend(ask(&world, &door, &wish).await);
    if let Some(again_ms) = wish.again_ms {
        sleep(Duration::from_millis(again_ms)).await;
        world.transcript.meet("key used again");
        got.extend(ask(&world, &door, &wish).await);
    }
    got
}

async fn ask(world: &Arc<World>, door: &Door, wish: &Wish) -> Option<Got> {
    for retry in 0..wish.tries_max {
        let tried = one_try(world, door, wish, retry).await;
        let pause_ms = 500 << retry.min(3);
        let (again, pause_ms) = match tried {
            Tried::Answered(got) => return Some(got),
            Tried::Broken => (true, pause_ms),
            Tried::Left => (wish.returns, 10),
            Tried::Refused(refusal) => {
                let sends = matches!(refusal.kind.status(), 408 | 409 | 429 | 500..);
                let told = !refusal.may_have_charged();
                (sends && (told || wish.stubborn), refusal.retry_after_ms.unwrap_or(pause_ms))
            }
        };
        if !again {
            return None;
        }
        sleep(Duration::from_millis(pause_ms)).await;
    }
    None
}

async fn one_try(world: &Arc<World>, door: &Door, wish: &Wish, retry: u32) -> Tried {
    let number = wish.number;
    let Ok(gateway) = timeout(Duration::from_secs(3), door.found()).await else {
        world.transcript.note(format!("wish {number}, try {retry}: nobody listens"));
        return Tried::Broken;
    };
    world.transcript.note(format!("wish {number}, try {retry}: asks"));
    let patience = Duration::from_millis(wish.patience_ms.unwrap_or(600_000));
    let down = gateway.down.clone();
    let tried = tokio::select! {
        biased;
        () = down.cancelled() => Tried::Broken,
        answer = answer(gateway, wish, incoming(world, wish, retry)) => answer,
        () = sleep(patience) => Tried::Left,
    };
    tell(world, wish, retry, &tried);
    tried
}

async fn answer(gateway: Gateway, wish: &Wish, incoming: Incoming) -> Tried {
    let got = |meta, images| Tried::Answered(Got { wish: wish.number, meta, images });
    if !wish.request.stream {
        return match gateway.engine.generate(incoming).await {
            Ok(answer) => got(answer.meta, answer.images),
            Err(refusal) => Tried::Refused(Box::new(refusal)),
        };
    }
    let mut events = gateway.engine.generate_stream(incoming);
    let mut completed: Option<(Arc<AnswerMeta>, Vec<DeliveredImage>)> = None;
    while let Some(event) = events.recv().await {
        match event {
            StreamEvent::Completed { image, meta } => {
                completed.get_or_insert_with(|| (meta, Vec::new())).1.push(image);
            }
            StreamEvent::Failed(refusal) => return Tried::Refused(Box::new(refusal)),
            StreamEvent::Partial { .. } => {}
        }
    }
    completed.map_or(Tried::Broken, |(meta, images)| got(meta, images))
}

pub fn incoming(world: &World, wish: &Wish, retry_count: u32) -> Incoming {
    let payer = Payer { end_user: Some(wish.user.to_owned()), ..Payer::of(ProjectId::default_project()) };
    Incoming {
        payer: Arc::new(payer),
        allowance: Arc::default(),
        request: wish.request.clone(),
        fingerprint: fingerprint(wish.number),
        idempotency_key: wish.key.clone(),
        retry_count,
        accepted_at: world.clock.now(),
    }
}

/// Each wish has a body of its own.
pub fn fingerprint(wish: usize) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&(wish as u64 + 1).to_be_bytes());
    digest
}

fn tell(world: &World, wish: &Wish, retry: u32, tried: &Tried) {
    let transcript = &world.transcript;
    let start = format!("wish {}, try {retry}:", wish.number);
    match tried {
        Tried::Answered(Got { meta, images, .. }) => {
            transcript.meet("answered");
            if meta.cached {
                transcript.meet("retry joined");
            }
            let (cost, pictures) = (meta.cost.charged_usd, images.len());
            transcript.note(format!(
                "{start} {pictures} pictures of {}, {cost} USD, cached {}",
                meta.offer, meta.cached
            ));
        }
        Tried::Refused(refusal) => {
            transcript.meet(match refusal.kind {
                RefusalKind::BudgetExceeded => "cap refusal",
                RefusalKind::IdempotencyConflict => "key conflict",
                _ => "refused",
            });
            if refusal.replayed {
                transcript.meet("retry joined");
            }
            let (kind, charged, disputed) = (refusal.kind, refusal.charged, refusal.disputed);
            transcript.note(format!(
                "{start} {kind:?}, charged {charged}, disputed {disputed}: {}",
                refusal.message
            ));
        }
        Tried::Broken => {
            transcript.meet("client cut off");
            transcript.note(format!("{start} the connection broke"));
        }
        Tried::Left => {
            transcript.meet("client left");
            transcript.note(format!("{start} the client went away"));
        }
    }
}

/// The bytes of a picture, whatever it is held in.
pub fn bytes(image: &DeliveredImage) -> Vec<u8> {
    match &image.data {
        ImageData::Bytes(chunks) => chunks.to_vec(),
        ImageData::Base64(text) => gallerist_imaging::decode_base64(text).expect("base64").to_vec(),
        ImageData::Url(_) => panic!("a delivered picture is no address"),
    }
}
