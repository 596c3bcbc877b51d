//! The accept loop: connections with limits, HTTP/1.1 on each, and an orderly end.
//!
//! It owns every connection's task. A slow sender of headers is cut off by time, and so is a client that takes
//! nothing of its answer; the number of connections is bounded by a semaphore, a panic in a handler ends in an
//! answer of 500 and a line in the log. When `shutdown` is cancelled nothing new is accepted, idle connections
//! close, and answers under way get their time. A client that goes away while its request runs drops the
//! handler; what was bought goes on in the engine.

use crate::failure::Failure;
use crate::routes;
use crate::state::AppState;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;

/// Limits of the accept loop; [`ServeLimits::default`] gives what each doc line says.
#[derive(Clone, Debug)]
pub struct ServeLimits {
    /// Connections at once; further ones wait in the system's queue. Default 4,096.
    pub connections_max: usize,
    /// From the end of an answer (or the accept) to the end of the next request's headers, in milliseconds;
    /// so it also ends idle connections. Default 60,000.
    pub header_read_ms_max: u64,
    /// How long a client may take nothing of its answer, in milliseconds; then the connection is closed, and
    /// its place and its pictures' memory are free. The system reports progress by thirds of its buffer, so
    /// this is not a limit for slow lines, only for those that stand still. Default 60,000.
    pub write_stall_ms_max: u64,
    /// What running answers get after a shutdown, in milliseconds. Default 30,000.
    pub grace_ms: u64,
}

impl Default for ServeLimits {
    fn default() -> ServeLimits {
        ServeLimits {
            connections_max: 4_096,
            header_read_ms_max: 60_000,
            write_stall_ms_max: 60_000,
            grace_ms: 30_000,
        }
    }
}

/// Serves until `shutdown` is cancelled and the last answer is out or out of time. The engine is not shut
/// down with it.
pub async fn serve(listener: TcpListener, state: AppState, shutdown: CancellationToken, limits: ServeLimits) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_read_ms_max))
        .keep_alive(true);
    let router = TowerToHyperService::new(routes::router(state.clone()));
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let answering = Answering { router: router.clone(), state: state.clone() };
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(Duration::from_millis(limits.write_stall_ms_max)));
        connections.spawn(connection(stream, place, builder.clone(), answering, shutdown.clone()));
    }
    state.stop();
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_millis(limits.grace_ms), drained).await.is_err() {
        tracing::warn!(left = connections.len(), "connections are closed with answers under way");
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Only a latency is lost where it cannot be set.
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(error) => {
            // Out of file descriptors, most likely: others must close first.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(
    stream: TimeoutWriter<TcpStream>,
    place: OwnedSemaphorePermit,
    builder: http1::Builder,
    answering: Answering,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request| {
        let answering = answering.clone();
        async move { Ok::<_, Infallible>(answering.answer(request).await) }
    });
    let stream = pin!(stream);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
    drop(place);
}

#[derive(Clone)]
struct Answering {
    router: TowerToHyperService<axum::Router>,
    state: AppState,
}

impl Answering {
    async fn answer(&self, request: Request<Incoming>) -> Response {
        let openai = routes::speaks_openai(request.uri().path());
        let images = routes::is_images(request.uri().path());
        let metrics = self.state.metrics();
        let _running = metrics.begin();
        let answered = AssertUnwindSafe(self.router.call(request.map(Body::new))).catch_unwind().await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Err(_) => {
                // The panic hook has logged where; the payload could hold anything.
                tracing::error!("a handler panicked");
                let failure = Failure::internal();
                if openai { failure.openai() } else { failure.problem() }
            }
        };
        metrics.answered(images, response.status().as_u16());
        response
    }
}
