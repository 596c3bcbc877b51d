//! Bodies coming in: read up to a limit, or read and thrown away so that the sender hears the answer.
//!
//! Most HTTP clients write their whole body before they look at the answer; a server that answers and closes
//! early resets the connection under them. So what is too large is drained for a while, and only then
//! refused. A client that asks first (`Expect: 100-continue`) is told at once.

use crate::failure::Failure;
use crate::state::AppState;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{EXPECT, HeaderMap};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::time::Duration;

/// How long is drained at most.
const DRAIN_MS_MAX: u64 = 30_000;

/// The whole body, of at most `bytes_max`.
pub(crate) async fn read(
    state: &AppState,
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
) -> Result<Bytes, Failure> {
    let within = Duration::from_millis(state.settings().body_read_ms_max);
    match tokio::time::timeout(within, collect(&mut body, bytes_max)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => {
            let close = !drain(headers, body, state.settings().drain_bytes_max).await;
            let message = format!("The body is larger than the limit of {bytes_max} bytes.");
            Err(Failure {
                close,
                ..Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message)
            })
        }
        Ok(Err(_)) => {
            let message = "The body ended before its announced length, or is not well-formed.";
            Err(Failure { close: true, ..Failure::new(StatusCode::BAD_REQUEST, "incomplete_body", message) })
        }
        Err(_) => {
            let message = "The body took too long to arrive.";
            Err(Failure {
                close: true,
                ..Failure::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
            })
        }
    }
}

/// Reads the rest of a body that nobody needs. Whether it was read to its end, so that the connection can
/// serve another request.
pub(crate) async fn drain(headers: &HeaderMap, mut body: Body, bytes_max: usize) -> bool {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    if headers.contains_key(EXPECT) || body.size_hint().lower() > limit {
        return body.is_end_stream();
    }
    let rest = async {
        let mut left = bytes_max;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(less) => left = less,
                None => return false,
            }
        }
        true
    };
    tokio::time::timeout(Duration::from_millis(DRAIN_MS_MAX), rest).await.unwrap_or(false)
}

/// `None` when the body is larger than `bytes_max`.
async fn collect(body: &mut Body, bytes_max: usize) -> Result<Option<Bytes>, axum::Error> {
    let announced = body.size_hint().lower();
    if announced > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Ok(None);
    }
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.len() + joined.len() + data.len() > bytes_max {
            return Ok(None);
        }
        if first.is_empty() && joined.is_empty() {
            first = data;
        } else {
            if joined.is_empty() {
                joined.reserve(usize::try_from(announced).unwrap_or(0).max(2 * first.len()));
                joined.extend_from_slice(&first);
                first = Bytes::new();
            }
            joined.extend_from_slice(&data);
        }
    }
    Ok(Some(if joined.is_empty() { first } else { joined.freeze() }))
}
