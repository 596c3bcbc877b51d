//! Pictures that the stand-ins hand out: real files, drawn here, without any model.
//!
//! A picture has exactly the size and format that were asked for, and says in legible letters
//! which prompt, provider, model, size and seed it stands for, so that nobody can mistake it for
//! a bought one and a mix-up of two requests is visible at a glance. The background depends on
//! the seed alone and has enough texture to pass a plausibility check on bytes per pixel.
//! Besides whole pictures there are the broken kinds that providers are known to send: blank,
//! black, blurred and unfinished. Letters are in `picture/font.rs`, text layout in
//! `picture/lettering.rs`.

mod font;
mod lettering;
#[cfg(test)]
mod tests;

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// JPEG quality of every stand-in: the letters stay sharp, and coding takes a quarter less time than at 85.
const JPEG_QUALITY: u8 = 75;

/// A picture file format that some provider offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureFormat {
    Png,
    Jpeg,
    Webp,
}

impl PictureFormat {
    /// Reads the names that providers use: `png`, `jpeg`, `jpg`, `webp`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "png" => Some(Self::Png),
            "jpeg" | "jpg" => Some(Self::Jpeg),
            "webp" => Some(Self::Webp),
            _ => None,
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
        }
    }

    pub fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

/// What a picture shows and how it is stored.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    pub prompt: &'a str,
    pub width: u32,
    pub height: u32,
    pub seed: u64,
    pub format: PictureFormat,
}

/// A whole picture with its lettering.
pub fn render(picture: &Picture) -> Bytes {
    let mut canvas = Canvas::new(picture.width, picture.height);
    paint_background(&mut canvas, picture.seed);
    lettering::letter(&mut canvas, picture);
    canvas.encode(picture.format)
}

/// A picture of one light colour: what a failed decoder of a model tends to produce.
pub fn blank(width: u32, height: u32, format: PictureFormat) -> Bytes {
    solid(width, height, [236, 236, 236], format)
}

/// An all black picture: what safety checkers put in the place of a refused one.
pub fn black(width: u32, height: u32, format: PictureFormat) -> Bytes {
    solid(width, height, [0, 0, 0], format)
}

/// The picture blurred beyond recognition, as moderation filters return it: coarse tiles of the
/// background, without any letter.
pub fn blurred(picture: &Picture) -> Bytes {
    let tile = (picture.width.max(picture.height) / 24).max(2);
    let columns = picture.width.div_ceil(tile);
    let rows = picture.height.div_ceil(tile);
    let mut small = Canvas::new(columns, rows);
    paint_background(&mut small, picture.seed);
    let mut canvas = Canvas::new(picture.width, picture.height);
    for y in 0..picture.height {
        for x in 0..picture.width {
            canvas.set(x, y, small.get(x / tile, y / tile));
        }
    }
    canvas.encode(picture.format)
}

/// The picture as an engine leaves it that was interrupted after `percent` of its steps: the
/// lower part is still noise.
pub fn unfinished(picture: &Picture, percent: u32) -> Bytes {
    let mut canvas = Canvas::new(picture.width, picture.height);
    paint_background(&mut canvas, picture.seed);
    lettering::letter(&mut canvas, picture);
    let done = u64::from(picture.height) * u64::from(percent.min(100)) / 100;
    let mut noise = Mix(picture.seed ^ 0x5eed);
    for y in u32::try_from(done).unwrap_or(picture.height)..picture.height {
        for x in 0..picture.width {
            let [r, g, b, ..] = noise.next().to_le_bytes();
            canvas.set(x, y, [r, g, b]);
        }
    }
    canvas.encode(picture.format)
}

fn solid(width: u32, height: u32, colour: [u8; 3], format: PictureFormat) -> Bytes {
    let mut canvas = Canvas::new(width, height);
    for pixel in canvas.pixels.chunks_exact_mut(3) {
        pixel.copy_from_slice(&colour);
    }
    canvas.encode(format)
}

/// CRC-32 as PNG uses it.
pub(crate) fn png_checksum(bytes: &[u8]) -> u32 {
    let step =
        |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 }
            })
        };
    !bytes.iter().fold(!0, step)
}

/// An 8-bit RGB surface. Sizes of zero are raised to one, because no file format has them.
struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Self { width, height, pixels: vec![0; width as usize * height as usize * 3] }
    }

    fn offset(&self, x: u32, y: u32) -> usize {
        (y as usize * self.width as usize + x as usize) * 3
    }

    fn get(&self, x: u32, y: u32) -> [u8; 3] {
        let at = self.offset(x, y);
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]]
    }

    fn set(&mut self, x: u32, y: u32, colour: [u8; 3]) {
        let at = self.offset(x, y);
        self.pixels[at..at + 3].copy_from_slice(&colour);
    }

    /// The part of row `y` from `left` to `right`, cut to the surface.
    fn span(&mut self, y: u32, left: u32, right: u32) -> &mut [u8] {
        let right = right.min(self.width);
        let left = left.min(right);
        let (from, to) = (self.offset(left, y), self.offset(right, y));
        &mut self.pixels[from..to]
    }

    fn encode(&self, format: PictureFormat) -> Bytes {
        let mut file = Cursor::new(Vec::with_capacity(self.pixels.len() / 8));
        let (width, height, colour) = (self.width, self.height, ExtendedColorType::Rgb8);
        let written =
            match format {
                PictureFormat::Png => {
                    PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Up)
                        .write_image(&self.pixels, width, height, colour)
                }
                PictureFormat::Jpeg => JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY).write_image(
                    &self.pixels,
                    width,
                    height,
                    colour,
                ),
                PictureFormat::Webp => {
                    WebPEncoder::new_lossless(&mut file).write_image(&self.pixels, width, height, colour)
                }
            };
        written.expect("an RGB surface within the format's size limit can be written to memory");
        Bytes::from(file.into_inner())
    }
}

/// SplitMix64: tiny, seedable and the same on every machine.
struct Mix(u64);

impl Mix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit.max(1))).expect("a remainder is below its divisor")
    }
}

/// Rows that are alike: the background is woven from strips of this height. It costs a quarter of
/// the time, and the strips keep lossless files small, which fine noise would not.
const STRIP: u32 = 4;

/// Gradient, a few translucent discs and a woven grain, all from the seed.
fn paint_background(canvas: &mut Canvas, seed: u64) {
    let mut mix = Mix(seed);
    let mut strips = Canvas::new(canvas.width, canvas.height.div_ceil(STRIP));
    paint_gradient(&mut strips, &mut mix);
    for _ in 0..5 {
        paint_disc(&mut strips, &mut mix);
    }
    let (rows, strips) = (canvas.pixels.chunks_exact_mut(canvas.width as usize * 3), &strips.pixels);
    for (y, row) in rows.enumerate() {
        let strip = y / STRIP as usize * row.len();
        row.copy_from_slice(&strips[strip..strip + row.len()]);
    }
}

fn paint_gradient(canvas: &mut Canvas, mix: &mut Mix) {
    let (width, height) = (canvas.width, canvas.height);
    let top = [40 + mix.below(120), 40 + mix.below(120), 60 + mix.below(140)];
    let bottom = [60 + mix.below(150), 30 + mix.below(120), 30 + mix.below(150)];
    let drift = [mix.below(56), mix.below(56), mix.below(56)];
    let grain: Vec<u8> = (0..16 * 16 * 3).map(|_| mix.next().to_le_bytes()[0] % 10).collect();

    let across: Vec<[u32; 3]> = (0..width).map(|x| drift.map(|reach| reach * x / width)).collect();
    for (y, row) in (0..height).zip(canvas.pixels.chunks_exact_mut(width as usize * 3)) {
        let down = [0, 1, 2].map(|c: usize| (top[c] * (height - y - 1) + bottom[c] * y) / height);
        let woven = &grain[(y as usize % 16) * 48..][..48];
        for ((x, pixel), across) in row.chunks_exact_mut(3).enumerate().zip(&across) {
            let knot = &woven[(x % 16) * 3..][..3];
            for c in 0..3 {
                // At most 209 + 55 + 9: the cut only touches the lightest corner.
                pixel[c] = u8::try_from(down[c] + across[c] + u32::from(knot[c])).unwrap_or(u8::MAX);
            }
        }
    }
}

/// A disc on the finished picture, hence an ellipse that is flatter by `STRIP` on the strips.
fn paint_disc(canvas: &mut Canvas, mix: &mut Mix) {
    let side = canvas.width.min(canvas.height * STRIP);
    let radius = u64::from(side / 10 + mix.below(side / 4 + 1));
    let (centre_x, centre_y) = (u64::from(mix.below(canvas.width)), u64::from(mix.below(canvas.height)));
    let colour = [mix.next(), mix.next(), mix.next()].map(|value| value.to_le_bytes()[0]);
    for y in 0..canvas.height {
        let away = u64::from(y).abs_diff(centre_y) * u64::from(STRIP);
        if away > radius {
            continue;
        }
        let half = (radius * radius - away * away).isqrt();
        let as_pixel = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let row = canvas.span(y, as_pixel(centre_x.saturating_sub(half)), as_pixel(centre_x + half));
        for pixel in row.chunks_exact_mut(3) {
            for c in 0..3 {
                // A quarter of the disc's colour over three quarters of what lies below.
                let blend = (u16::from(pixel[c]) * 3 + u16::from(colour[c])) / 4;
                pixel[c] = u8::try_from(blend).expect("a mean of bytes is a byte");
            }
        }
    }
}
