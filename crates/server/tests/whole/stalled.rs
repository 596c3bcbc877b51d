//! Clients that take nothing of their answer, and clients that take it slowly.

use crate::house::House;
use gallerist_server::ServeLimits;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Answers of many kilobytes each; together more than the buffers of both systems hold.
const QUESTIONS: usize = 400;

/// Asks many times without reading, on a connection whose own buffer is small.
async fn asked(house: &House) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let mut stream = socket.connect(house.address).await.unwrap();
    let question = format!("GET /v1/prices HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", house.key);
    let many = format!("{question}\r\n").repeat(QUESTIONS - 1) + &question + "connection: close\r\n\r\n";
    // The server stops reading questions while it cannot write answers, and what it never read is lost.
    let sending = tokio::time::timeout(Duration::from_millis(300), stream.write_all(many.as_bytes())).await;
    assert!(sending.is_ok(), "the questions must fit into the buffers");
    stream
}

async fn with_one_place(write_stall_ms_max: u64) -> House {
    let limits =
        ServeLimits { connections_max: 1, write_stall_ms_max, grace_ms: 5_000, ..ServeLimits::default() };
    House::with(limits).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_loses_its_place() {
    let house = with_one_place(300).await;
    let stalled = asked(&house).await;
    // There is one place, so this answer means that the other connection is over.
    let answer = tokio::time::timeout(Duration::from_secs(20), house.get("/v1/models")).await;
    assert_eq!(answer.expect("the place is free again").status, 200);
    drop(stalled);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_gets_everything() {
    let house = with_one_place(1_000).await;
    let mut slow = asked(&house).await;
    let (mut buffer, mut read, mut ends) = (vec![0; 256 << 10], 0, 0);
    loop {
        let count = slow.read(&mut buffer).await.expect("it is not cut off");
        if count == 0 {
            break;
        }
        read += count;
        ends += buffer[..count].windows(12).filter(|window| window == b"HTTP/1.1 200").count();
        if read < 4 << 20 {
            // Longer than the limit, were it for the whole answer.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert!(read > 8 << 20, "only {read} bytes: it would fit into the buffers");
    assert!(ends >= QUESTIONS - 2, "{ends} answers");
    house.close().await;
}
