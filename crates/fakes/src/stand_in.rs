//! One running stand-in: its listeners, its accept loop and its end.
//!
//! Owns the sockets. Requests run in tasks of their own, so that a client which goes away does not undo work
//! that a provider would have finished and billed. A handler that answers `wire::reset()` has its connection
//! reset here (linger zero, so the client really sees a reset). Refuses HTTP/2 and graceful endings: tests
//! want their ports back at once. Next: `fakes.rs` starts all of them, `ctx.rs` is what the handlers see.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::ctx::Ctx;
use crate::feeds;
use crate::wire::{Front, Reset};

/// What any provider takes in one request at most; beyond it the answer is 413.
const BODY_BYTES_MAX: usize = 256 << 20;

/// One running stand-in. Dropping it ends it; [`StandIn::shutdown`] also waits for the end.
#[derive(Debug)]
pub struct StandIn {
    pub kind: &'static str,
    /// `http://127.0.0.1:PORT`
    pub origin: String,
    /// `https://127.0.0.1:PORT`, when TLS was asked for.
    pub tls_origin: Option<String>,
    pub key: String,
    /// The state itself, so that tests in the same process need no admin requests.
    pub ctx: Arc<Ctx>,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl StandIn {
    /// Serves `router` and the admin doors on the listener, and on the second one behind TLS.
    pub(crate) fn start(
        ctx: Arc<Ctx>,
        router: Router,
        listener: TcpListener,
        tls: Option<(TcpListener, TlsAcceptor)>,
    ) -> io::Result<StandIn> {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let router = router
            .merge(admin::router(Arc::clone(&ctx)))
            .merge(feeds::router(Arc::clone(&ctx)))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
        let door = Door { router, origin: ctx.origin.clone(), tasks: tasks.clone(), stop: stop.clone() };
        let mut tls_origin = None;
        if let Some((tls_listener, acceptor)) = tls {
            let origin = format!("https://{}", tls_listener.local_addr()?);
            tls_origin = Some(origin.clone());
            let tls_door = Door { origin, ..door.clone() };
            tasks.spawn(tls_door.accept(tls_listener, Some(acceptor)));
        }
        tasks.spawn(door.accept(listener, None));
        Ok(StandIn {
            kind: ctx.kind,
            origin: ctx.origin.clone(),
            tls_origin,
            key: ctx.key.clone(),
            ctx,
            tasks,
            stop: stop.drop_guard(),
        })
    }

    /// Ends it at once, running answers included, and waits until its tasks are gone.
    pub async fn shutdown(self) {
        drop(self.stop);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// One listener's view of the stand-in.
#[derive(Clone)]
struct Door {
    router: Router,
    origin: String,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Door {
    async fn accept(self, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            // Accepting fails when descriptors run out; they come back.
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let (door, acceptor) = (self.clone(), acceptor.clone());
            self.tasks.spawn(async move {
                let stop = door.stop.clone();
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = door.serve(stream, acceptor) => {}
                }
            });
        }
    }

    async fn serve(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        match acceptor {
            None => {
                if let Some(stream) = self.speak(stream).await {
                    let _ = stream.set_zero_linger();
                }
            }
            Some(acceptor) => {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                if let Some(stream) = self.speak(stream).await {
                    let _ = stream.get_ref().0.set_zero_linger();
                }
            }
        }
    }

    /// Speaks HTTP until the connection ends; gives the stream back when it must be reset.
    async fn speak<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) -> Option<S> {
        let must_reset = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&must_reset);
        let service = service_fn(move |request| {
            let (door, flag) = (self.clone(), Arc::clone(&flag));
            async move {
                let answer = door.answer(request).await;
                if answer.extensions().get::<Reset>().is_some() {
                    flag.store(true, Ordering::Release);
                    return Err(io::Error::from(io::ErrorKind::ConnectionReset));
                }
                Ok(answer)
            }
        });
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let _ = (&mut connection).await;
        must_reset.load(Ordering::Acquire).then(|| connection.into_parts().io.into_inner())
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Response {
        let front = self.front(&request);
        request.extensions_mut().insert(front);
        let service = TowerToHyperService::new(self.router.clone());
        let stop = self.stop.clone();
        let work = self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => None,
                answer = service.call(request.map(Body::new)) => answer.ok(),
            }
        });
        // A handler that panics is a mistake of ours and shall look like one.
        let broken = || (StatusCode::INTERNAL_SERVER_ERROR, "the stand-in failed\n").into_response();
        work.await.ok().flatten().unwrap_or_else(broken)
    }

    fn front(&self, request: &Request<Incoming>) -> Front {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let scheme = self.origin.split("://").next().unwrap_or("http");
        Front(host.map_or_else(|| self.origin.clone(), |host| format!("{scheme}://{host}")))
    }
}

#[cfg(test)]
mod tests;
