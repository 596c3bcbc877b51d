//! Server-sent events: reading a provider's stream, and the sink towards a streaming client.

use crate::answer::{StreamEvent, StreamOrigin};
use bytes::Bytes;
use gallerist_domain::{Chunks, Fault, FaultKind, ImageCall, OfferId, OutputFormat, RequestId};
use gallerist_providers::ServerEvent;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Cuts a byte stream into events. Events end with an empty line; lines end with LF or CRLF.
pub(crate) struct EventReader {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that hold no end of a line.
    searched: usize,
    name: String,
    data: Vec<u8>,
    ready: VecDeque<ServerEvent>,
    bytes_max: usize,
}

impl EventReader {
    pub(crate) fn new(bytes_max: usize) -> EventReader {
        EventReader {
            buffer: Vec::new(),
            searched: 0,
            name: String::new(),
            data: Vec::new(),
            ready: VecDeque::new(),
            bytes_max,
        }
    }

    /// Takes the next frame.
    pub(crate) fn push(&mut self, frame: &[u8]) -> Result<(), Fault> {
        if self.buffer.len() + self.data.len() + frame.len() > self.bytes_max {
            return Err(Fault::new(FaultKind::Malformed, "an event of the stream is too large"));
        }
        self.buffer.extend_from_slice(frame);
        let mut start = 0;
        while let Some(found) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + found;
            let line =
                self.buffer[start..end].strip_suffix(b"\r").unwrap_or(&self.buffer[start..end]).to_vec();
            self.line(&line);
            start = end + 1;
            self.searched = start;
        }
        self.buffer.drain(..start);
        self.searched = self.buffer.len();
        Ok(())
    }

    fn line(&mut self, line: &[u8]) {
        let value = |rest: &[u8]| rest.strip_prefix(b" ").unwrap_or(rest).to_vec();
        if line.is_empty() {
            if !self.data.is_empty() {
                let data = Chunks::from(Bytes::from(std::mem::take(&mut self.data)));
                self.ready.push_back(ServerEvent { name: std::mem::take(&mut self.name), data });
            }
            self.name.clear();
        } else if let Some(rest) = line.strip_prefix(b"event:") {
            self.name = String::from_utf8_lossy(&value(rest)).into_owned();
        } else if let Some(rest) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(&value(rest));
        }
    }

    pub(crate) fn next_event(&mut self) -> Option<ServerEvent> {
        self.ready.pop_front()
    }
}

/// Events that may wait for a client. More than one request can send, so that a client which reads slowly,
/// or never, delays no settlement.
pub(crate) const EVENTS_MAX: usize = 32;
/// Of these, places that partial pictures leave free: the most pictures of one request.
const PLACES_FOR_WHOLE: usize = 12;

/// Where a streaming client listens.
pub(crate) struct EventSink {
    sender: mpsc::Sender<StreamEvent>,
    /// Of the call that is running; each call of a request sets its own.
    origin: Option<Arc<StreamOrigin>>,
    /// Whether anything was forwarded: then the offer is committed.
    pub committed: bool,
}

impl EventSink {
    pub(crate) fn new(sender: mpsc::Sender<StreamEvent>) -> EventSink {
        EventSink { sender, origin: None, committed: false }
    }

    /// Says where the pictures that follow come from.
    pub(crate) fn begin(&mut self, request_id: RequestId, offer: &OfferId) {
        let (provider, model) = (offer.provider.clone(), offer.model.clone());
        self.origin = Some(Arc::new(StreamOrigin { request_id, provider, model }));
    }

    /// Forwards a partial picture, unless too many wait already.
    pub(crate) fn partial(&mut self, index: u32, image: Chunks, format: OutputFormat, call: &ImageCall) {
        let origin = Arc::clone(self.origin.as_ref().expect("a call begins before its pictures come"));
        let (size, quality) = (call.size, call.quality.clone());
        let event = StreamEvent::Partial { origin, index, image, format, size, quality };
        self.committed = true;
        if self.sender.capacity() > PLACES_FOR_WHOLE {
            // A client that has gone does not stop the reading.
            let _ = self.sender.try_send(event);
        }
    }

    /// False when the client has gone.
    pub(crate) async fn send(&mut self, event: StreamEvent) -> bool {
        self.committed = true;
        self.sender.send(event).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_however_the_stream_is_cut() {
        let text =
            b": hello\r\nevent: one\r\ndata: {\"a\":1}\r\n\r\ndata:x\ndata: y\n\n\nevent: three\ndata: z\n\n";
        for size in 1..text.len() {
            let mut reader = EventReader::new(1_000);
            let mut events = Vec::new();
            for frame in text.chunks(size) {
                reader.push(frame).expect("it is small");
                while let Some(event) = reader.next_event() {
                    events.push((event.name, String::from_utf8(event.data.to_vec()).expect("text")));
                }
            }
            let expected = [("one", "{\"a\":1}"), ("", "x\ny"), ("three", "z")];
            let expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            assert_eq!(events, expected, "frames of {size} bytes");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = EventReader::new(100);
        assert!((0..20).any(|_| reader.push(b"data: xxxxxxxxxx").is_err()));
    }
}
