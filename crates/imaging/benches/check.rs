//! What the gate costs per picture, and base64 in both directions.

use bytes::Bytes;
use divan::{Bencher, black_box, counter::BytesCount};
use gallerist_domain::{Chunks, ImageData};
use gallerist_imaging::{CheckPolicy, Depth, check, decode_base64, encode_base64};
use image::{ImageFormat, RgbImage};
use std::io::Cursor;

/// Bytes per network frame.
const FRAME: usize = 64 << 10;

fn main() {
    divan::main();
}

/// A picture of noise, whose PNG takes three bytes per pixel.
fn noise(edge: u32, format: ImageFormat) -> Vec<u8> {
    let mut state = 1_u64;
    let picture = RgbImage::from_fn(edge, edge, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., red, green, blue] = state.to_be_bytes();
        image::Rgb([red, green, blue])
    });
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).expect("a picture can be written to memory");
    file.into_inner()
}

fn frames(bytes: &[u8]) -> Chunks {
    bytes.chunks(FRAME).map(Bytes::copy_from_slice).collect()
}

/// The edge of a square PNG of noise of about so many bytes.
fn edge(bytes: u32) -> u32 {
    (bytes / 3).isqrt()
}

#[divan::bench(args = [1_000, 200_000, 1_500_000, 4_000_000])]
fn header_of_base64_png(bencher: Bencher, bytes: u32) {
    let text = encode_base64(&frames(&noise(edge(bytes), ImageFormat::Png)));
    let data = ImageData::Base64(frames(&text));
    let policy = CheckPolicy::default();
    bencher.bench(|| check(black_box(&data), &policy));
}

#[divan::bench(args = [1_500_000])]
fn header_of_png_bytes(bencher: Bencher, bytes: u32) {
    let data = ImageData::Bytes(frames(&noise(edge(bytes), ImageFormat::Png)));
    let policy = CheckPolicy::default();
    bencher.bench(|| check(black_box(&data), &policy));
}

#[divan::bench(args = [1_024])]
fn header_of_base64_jpeg(bencher: Bencher, edge: u32) {
    let text = encode_base64(&frames(&noise(edge, ImageFormat::Jpeg)));
    let data = ImageData::Base64(frames(&text));
    let policy = CheckPolicy::default();
    bencher.bench(|| check(black_box(&data), &policy));
}

#[divan::bench(args = [1_500_000])]
fn pixels_of_base64_png(bencher: Bencher, bytes: u32) {
    let text = encode_base64(&frames(&noise(edge(bytes), ImageFormat::Png)));
    let data = ImageData::Base64(frames(&text));
    let policy = CheckPolicy { depth: Depth::Pixels, ..CheckPolicy::default() };
    bencher.bench(|| check(black_box(&data), &policy));
}

#[divan::bench(args = [1_500_000])]
fn encode(bencher: Bencher, bytes: usize) {
    let held = frames(&vec![7; bytes]);
    bencher.counter(BytesCount::new(bytes)).bench(|| encode_base64(black_box(&held)));
}

#[divan::bench(args = [1_500_000])]
fn decode(bencher: Bencher, bytes: usize) {
    let text = frames(&encode_base64(&frames(&vec![7; bytes])));
    bencher.counter(BytesCount::new(bytes)).bench(|| decode_base64(black_box(&text)));
}
