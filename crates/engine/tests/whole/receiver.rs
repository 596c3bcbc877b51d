//! A receiver of webhooks on loopback: answers by a script, keeps what it got, and checks signatures by itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the receiver does with one delivery.
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16),
    /// A status with a header.
    With(u16, &'static str, String),
    /// Keeps the connection open and says nothing.
    Silence,
    /// Takes the delivery and hangs up.
    HangUp,
}

#[derive(Clone, Debug)]
pub struct Delivery {
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Delivery {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body in JSON")
    }

    /// Which of the signatures this secret has made, if any: HMAC after RFC 2104 by hand.
    pub fn signed_by(&self, secret: &[u8]) -> bool {
        let mut inner = [0x36_u8; 64];
        let mut outer = [0x5c_u8; 64];
        assert!(secret.len() <= 64, "longer keys would be hashed first");
        for (at, byte) in secret.iter().enumerate() {
            inner[at] ^= byte;
            outer[at] ^= byte;
        }
        let content = [
            self.header("webhook-id").as_bytes(),
            b".",
            self.header("webhook-timestamp").as_bytes(),
            b".",
            &self.body,
        ]
        .concat();
        let first = Sha256::digest([&inner[..], &content].concat());
        let expected = format!("v1,{}", STANDARD.encode(Sha256::digest([&outer[..], &first[..]].concat())));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

pub struct Receiver {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    /// Answers by the script, and with 200 when that is over.
    pub async fn start(script: Vec<Answer>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("an address");
        let got = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let all = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receive(stream, Arc::clone(&all), Arc::clone(&script)));
            }
        });
        Receiver { address, got }
    }

    pub fn url(&self) -> String {
        format!("http://{}/alerts?token=1", self.address)
    }

    pub fn got(&self) -> Vec<Delivery> {
        self.got.lock().expect("nobody panicked").clone()
    }

    /// Waits until so many deliveries came.
    pub async fn until(&self, count: usize) -> Vec<Delivery> {
        for _ in 0..1_000 {
            let got = self.got();
            if got.len() >= count {
                return got;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} of {count} deliveries came", self.got().len());
    }
}

async fn receive(
    mut stream: TcpStream,
    got: Arc<Mutex<Vec<Delivery>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
) {
    let Some(delivery) = read(&mut stream).await else { return };
    let answer = script.lock().expect("nobody panicked").pop_front().unwrap_or(Answer::Status(200));
    got.lock().expect("nobody panicked").push(delivery);
    let text = match answer {
        Answer::Status(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nok"),
        Answer::With(status, name, value) => {
            format!("HTTP/1.1 {status} x\r\n{name}: {value}\r\ncontent-length: 0\r\n\r\n")
        }
        Answer::Silence => {
            tokio::time::sleep(Duration::from_secs(120)).await;
            return;
        }
        Answer::HangUp => return,
    };
    // The sender may have gone.
    let _ = stream.write_all(text.as_bytes()).await;
}

async fn read(stream: &mut TcpStream) -> Option<Delivery> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0_u8; 4_096];
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&bytes[..end]).expect("a head in ASCII");
        assert!(head.starts_with("POST /alerts?token=1 HTTP/1.1"), "{head}");
        let headers: BTreeMap<String, String> = head
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers["content-length"].parse().expect("a length");
        if bytes.len() >= end + 4 + length {
            return Some(Delivery { headers, body: bytes[end + 4..end + 4 + length].to_vec() });
        }
    }
}
