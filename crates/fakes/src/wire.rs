//! Answers that go wrong on the wire, and what a request knows of the front it came through.
//!
//! Owns the reset of a connection, the body that stops in the middle, the body that is no protocol, and the
//! page of a broken proxy. A reset is only marked here; the accept loop in `stand_in.rs` carries it out,
//! because a handler cannot reach its own socket. Refuses to decide when: that is the script's business.

use std::io;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};

/// Long enough for the first half to leave the machine before the connection ends.
const CUT_DELAY: Duration = Duration::from_millis(50);

/// The origin that the client used, as it wrote it: `http://localhost:9100`. In the extensions of each
/// request; links that must be on the same origin are built from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front(pub String);

/// Marks an answer that must not be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reset;

/// The connection is reset instead of an answer.
pub fn reset() -> Response {
    let mut answer = Response::new(Body::empty());
    answer.extensions_mut().insert(Reset);
    answer
}

/// The head says the true length, the body ends halfway.
pub async fn truncated(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    Response::from_parts(head, cut_after(vec![whole.slice(..whole.len() / 2)]))
}

/// A body of these pieces whose connection then breaks.
pub fn cut_after(pieces: Vec<Bytes>) -> Body {
    let sent = stream::iter(pieces.into_iter().map(Ok::<_, io::Error>));
    let broken = stream::once(async {
        tokio::time::sleep(CUT_DELAY).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    Body::from_stream(sent.chain(broken))
}

/// Status and content type stay, the body is no protocol any more.
pub fn malformed(answer: Response) -> Response {
    let (mut head, _) = answer.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from("{\"data\": [{\"b64_json\": \"iVBORw0KGgo<!-- upstream -->"))
}

/// HTTP 502 as proxies before a provider answer it: HTML.
pub fn bad_gateway() -> Response {
    const PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n\
        <body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
    (StatusCode::BAD_GATEWAY, [(header::CONTENT_TYPE, "text/html")], PAGE).into_response()
}
