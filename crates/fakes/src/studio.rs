//! Where pictures are made: on threads, each anew; or, for simulations, at once and from a stock.
//!
//! A simulation in virtual time cannot wait for threads that it does not see, and asks for thousands of pictures.
//! It gets the same canvas for every picture of a size and format. The prompt stands in the file instead of on it,
//! in a place where the format has room for words, so that a mix-up of two requests still shows.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use bytes::Bytes;

use crate::picture::{self, Picture, PictureFormat};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Studio {
    #[default]
    Threads,
    Stock,
}

/// The canvases of the stock by width, height and format.
type Stock = HashMap<(u32, u32, PictureFormat), Bytes>;

static STOCK: LazyLock<Mutex<Stock>> = LazyLock::new(Mutex::default);

impl Studio {
    /// Does the work of painting where this studio does it.
    pub(crate) async fn make<T: Send + 'static>(self, paint: impl FnOnce() -> T + Send + 'static) -> T {
        match self {
            Studio::Threads => tokio::task::spawn_blocking(paint).await.expect("painting does not panic"),
            Studio::Stock => paint(),
        }
    }

    /// A whole picture.
    pub(crate) fn render(self, wanted: &Picture) -> Bytes {
        match self {
            Studio::Threads => picture::render(wanted),
            Studio::Stock => inscribed(&canvas(wanted), wanted.format, wanted.prompt),
        }
    }
}

fn canvas(wanted: &Picture) -> Bytes {
    let key = (wanted.width, wanted.height, wanted.format);
    let mut stock = STOCK.lock().expect("no holder of the stock panics");
    let canvas = stock.entry(key).or_insert_with(|| {
        picture::render(&Picture { model: "stock", prompt: "a canvas of the stock", seed: 1, ..*wanted })
    });
    canvas.clone()
}

/// The file with words in it: a comment of JPEG, a text chunk of PNG, a chunk of its own in WebP.
fn inscribed(file: &Bytes, format: PictureFormat, words: &str) -> Bytes {
    /// Signature and header of every PNG.
    const PNG_HEAD: usize = 33;
    /// The marker that begins every JPEG.
    const JPEG_HEAD: usize = 2;
    let (head, tail, part) = match format {
        PictureFormat::Png => (PNG_HEAD, file.len(), png_text(words)),
        PictureFormat::Jpeg => (JPEG_HEAD, file.len(), jpeg_comment(words)),
        PictureFormat::Webp => (file.len(), file.len(), riff_chunk(words)),
    };
    let mut whole = Vec::with_capacity(file.len() + part.len());
    whole.extend_from_slice(&file[..head]);
    whole.extend_from_slice(&part);
    whole.extend_from_slice(&file[head..tail]);
    if format == PictureFormat::Webp {
        let size = u32::try_from(whole.len() - 8).expect("a picture is shorter than 4 GB");
        whole[4..8].copy_from_slice(&size.to_le_bytes());
    }
    Bytes::from(whole)
}

fn png_text(words: &str) -> Vec<u8> {
    let mut chunk = b"tEXtComment\0".to_vec();
    chunk.extend_from_slice(words.as_bytes());
    let length = u32::try_from(chunk.len() - 4).expect("a prompt is shorter than 4 GB");
    let mut part = length.to_be_bytes().to_vec();
    part.extend_from_slice(&chunk);
    part.extend_from_slice(&picture::png_checksum(&chunk).to_be_bytes());
    part
}

fn jpeg_comment(words: &str) -> Vec<u8> {
    const ROOM: usize = 60_000;
    let words = &words.as_bytes()[..words.len().min(ROOM)];
    let length = u16::try_from(words.len() + 2).expect("it was cut to fit");
    let mut part = vec![0xff, 0xfe];
    part.extend_from_slice(&length.to_be_bytes());
    part.extend_from_slice(words);
    part
}

fn riff_chunk(words: &str) -> Vec<u8> {
    let length = u32::try_from(words.len()).expect("a prompt is shorter than 4 GB");
    let mut part = b"NOTE".to_vec();
    part.extend_from_slice(&length.to_le_bytes());
    part.extend_from_slice(words.as_bytes());
    part.resize(part.len().next_multiple_of(2), 0);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_the_stock_bears_its_own_prompt_and_can_be_decoded() {
        for format in [PictureFormat::Png, PictureFormat::Jpeg, PictureFormat::Webp] {
            for prompt in ["a heron", "a paper boat in the rain, number 7"] {
                let wanted =
                    Picture { provider: "p", model: "m", prompt, width: 64, height: 48, seed: 3, format };
                let file = Studio::Stock.render(&wanted);
                assert!(file.windows(prompt.len()).any(|part| part == prompt.as_bytes()), "{format:?}");
                let decoded = image::load_from_memory(&file).expect("it is a picture");
                assert_eq!((decoded.width(), decoded.height()), (64, 48), "{format:?}");
            }
        }
    }
}
