//! A client for the tests of this crate: raw enough to see resets and cut bodies.
//!
//! One request per connection, the whole answer read to its end. Not public: users have better clients.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Fakes, FakesOptions, StandIn};

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Whether the body is shorter than declared.
    pub(crate) fn is_cut(&self) -> bool {
        self.header("content-length").is_some_and(|length| length.parse() != Ok(self.body.len()))
    }
}

/// Starts one kind of stand-in without latency at a fixed instant before any retirement of 2026-12.
pub(crate) async fn start(kind: &str) -> Fakes {
    let now = "2026-11-22T12:00:00Z".parse().expect("an instant");
    let options = FakesOptions { kinds: Some(vec![kind.to_owned()]), now: Some(now), ..Default::default() };
    Fakes::start(options).await.expect("a free port")
}

/// Sends one request; `headers` are whole lines such as `x-key: k`. A path that begins with `http` is taken
/// apart first, for links in answers.
pub(crate) async fn send(
    stand_in: &StandIn,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &[u8],
) -> io::Result<Answer> {
    let host = stand_in.origin.trim_start_matches("http://");
    let path = path.split_once("://").map_or(path, |(_, rest)| &rest[rest.find('/').unwrap_or(rest.len())..]);
    let mut stream = TcpStream::connect(host).await?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut whole = Vec::new();
    let ending = stream.read_to_end(&mut whole).await;
    if whole.is_empty() {
        ending?;
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(parse(&whole))
}

/// Sets the fault script through the admin door.
pub(crate) async fn script(stand_in: &StandIn, faults: Value) {
    let answer = send(stand_in, "PUT", "/_fake/faults", &[], faults.to_string().as_bytes()).await;
    assert_eq!(answer.expect("the admin door is open").status, 200);
}

fn parse(whole: &[u8]) -> Answer {
    let end = whole.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&whole[..end]).expect("an ASCII head");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let body = whole[end + 4..].to_vec();
    let mut answer = Answer { status: status.parse().expect("a status"), headers, body };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunked(&answer.body);
    }
    answer
}

/// Joins chunks; a missing last chunk shows as a body that ends early.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let size = size.expect("a chunk size");
        let from = end + 2;
        body.extend_from_slice(&rest[from..(from + size).min(rest.len())]);
        if size == 0 || from + size + 2 > rest.len() {
            break;
        }
        rest = &rest[from + size + 2..];
    }
    body
}
