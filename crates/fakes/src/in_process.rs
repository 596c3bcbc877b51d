//! Stand-ins without sockets: a request goes in as a value and its answer comes out, in whatever time tokio keeps.
//!
//! For simulations. What differs from `stand_in.rs` is the way in alone: handlers run in tasks of their own here
//! too, so that a client which goes away does not undo work that a provider would have finished and billed.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{Request, Response};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;

use crate::ctx::Ctx;
use crate::fakes::FAMILIES;
use crate::faults::Faults;
use crate::studio::Studio;
use crate::wire::{Front, Reset};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One of them.
#[derive(Clone, Debug)]
pub struct InProcess {
    pub kind: &'static str,
    /// The state itself: bill, faults, key, origin.
    pub ctx: Arc<Ctx>,
    router: Router,
}

impl InProcess {
    /// All kinds, each at an origin that nobody listens at. Their clock runs on from `now` with tokio's, their
    /// chance comes from `seed`, and their latency is this share of the usual one. Must be called inside tokio.
    pub fn all(seed: u64, latency_percent: u64, now: Timestamp) -> Vec<InProcess> {
        let one = |(index, family): (usize, &crate::Family)| {
            let faults = Faults::new(family.faults, family.manners);
            let latency_ms = family.latency_ms * latency_percent / 100;
            let mut ctx =
                Ctx::new(family.kind, faults, seed.wrapping_add(index as u64), latency_ms, Some(now));
            ctx.origin = format!("http://127.0.0.1:{}", 9_100 + index);
            ctx.studio = Studio::Stock;
            let ctx = Arc::new(ctx);
            InProcess { kind: family.kind, router: (family.router)(Arc::clone(&ctx)), ctx }
        };
        FAMILIES.iter().enumerate().map(one).collect()
    }

    /// Answers; `None` where the connection is reset instead. The work goes on when nobody waits any more.
    pub async fn answer<B>(&self, request: Request<B>) -> Option<Response<Body>>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Cause>,
    {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Front(self.ctx.origin.clone()));
        let service = TowerToHyperService::new(self.router.clone());
        let work = tokio::spawn(async move { service.call(request).await });
        let answer = work.await.ok()?.ok()?;
        answer.extensions().get::<Reset>().is_none().then_some(answer)
    }
}
