//! A body as a list of parts: small JSON pieces, slices of the buffers a picture came in, and files that are
//! turned into base64 while they are sent.
//!
//! Nothing large is joined or copied. A file is encoded a frame at a time, when the connection wants the
//! next one, so no picture exists twice in memory; the length of the whole is known from the start.

use base64::Engine;
use base64::engine::general_purpose::PAD;
use bytes::Bytes;
use gallerist_domain::{Chunks, ImageData};
use std::collections::VecDeque;

/// Pictures up to this length are copied into the JSON around them: one write instead of several.
pub(crate) const COPY_BYTES_MAX: usize = 8 << 10;
/// Base64 text per frame; a multiple of four.
const FRAME_BYTES: usize = 64 << 10;

/// What is still to be sent.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    queue: VecDeque<Part>,
    length: u64,
}

#[derive(Debug)]
enum Part {
    Plain(Bytes),
    /// Bytes to be sent as base64: a multiple of three, except at the end of a file.
    Encode(Bytes),
}

impl Parts {
    /// Bytes that [`Parts::next_frame`] will give in all.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        if !bytes.is_empty() {
            self.length += length(bytes.len());
            self.queue.push_back(Part::Plain(bytes));
        }
    }

    /// The next bytes to send.
    pub(crate) fn next_frame(&mut self) -> Option<Bytes> {
        let frame = match self.queue.pop_front()? {
            Part::Plain(bytes) => bytes,
            Part::Encode(bytes) => self.encode_frame(bytes),
        };
        self.length -= length(frame.len());
        Some(frame)
    }

    /// Fills a frame from `first` and the parts behind it that are to be encoded too.
    fn encode_frame(&mut self, first: Bytes) -> Bytes {
        let engine = encoder();
        let mut frame = vec![0; FRAME_BYTES.min(4 * first.len().div_ceil(3).max(FRAME_BYTES / 8))];
        let (mut written, mut next) = (0, first);
        loop {
            let room = (frame.len() - written) / 4 * 3;
            let rest = if next.len() > room { next.split_off(room) } else { Bytes::new() };
            written += engine
                .encode_slice(&next, &mut frame[written..])
                .expect("the frame has room for four characters per three bytes");
            if !rest.is_empty() {
                self.queue.push_front(Part::Encode(rest));
                break;
            }
            match self.queue.pop_front() {
                Some(Part::Encode(more)) if written < frame.len() => next = more,
                Some(part) => {
                    self.queue.push_front(part);
                    break;
                }
                None => break,
            }
        }
        frame.truncate(written);
        Bytes::from(frame)
    }

    fn push_file(&mut self, file: &Chunks) {
        let mut straddling: Vec<u8> = Vec::with_capacity(3);
        for part in file.parts() {
            let mut rest = part.clone();
            if !straddling.is_empty() {
                let taken = rest.split_to(rest.len().min(3 - straddling.len()));
                straddling.extend_from_slice(&taken);
                if straddling.len() < 3 {
                    continue;
                }
                self.queue.push_back(Part::Encode(Bytes::from(std::mem::take(&mut straddling))));
            }
            let left = rest.split_off(rest.len() / 3 * 3);
            straddling.extend_from_slice(&left);
            if !rest.is_empty() {
                self.queue.push_back(Part::Encode(rest));
            }
        }
        if !straddling.is_empty() {
            self.queue.push_back(Part::Encode(Bytes::from(straddling)));
        }
        self.length += length(file.len().div_ceil(3) * 4);
    }
}

/// JSON that is being written, with the pictures in it.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    parts: Parts,
    small: Vec<u8>,
}

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer { parts: Parts::default(), small: Vec::with_capacity(1_024) }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.small.extend_from_slice(text.as_bytes());
    }

    /// A value as JSON. The values that answers are made of always serialise.
    pub(crate) fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.small, value).expect("plain data serialises into memory");
    }

    /// The base64 text of a picture, without quotes. An address has none.
    pub(crate) fn picture(&mut self, data: &ImageData) {
        match data {
            ImageData::Base64(text) => self.base64(text),
            ImageData::Bytes(file) if file.len() <= COPY_BYTES_MAX => {
                let at = self.small.len();
                self.small.resize(at + file.len().div_ceil(3) * 4, 0);
                encoder()
                    .encode_slice(file.to_vec(), &mut self.small[at..])
                    .expect("the buffer has room for four characters per three bytes");
            }
            ImageData::Bytes(file) => {
                self.cut();
                self.parts.push_file(file);
            }
            ImageData::Url(_) => {}
        }
    }

    /// Text that is base64 already.
    pub(crate) fn base64(&mut self, text: &Chunks) {
        if text.len() <= COPY_BYTES_MAX {
            text.parts().iter().for_each(|part| self.small.extend_from_slice(part));
            return;
        }
        self.cut();
        text.parts().iter().for_each(|part| self.parts.push(part.clone()));
    }

    pub(crate) fn finish(mut self) -> Parts {
        self.cut();
        self.parts
    }

    fn cut(&mut self) {
        self.parts.push(std::mem::take(&mut self.small));
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("lengths fit 64 bits")
}

/// Chooses its instructions at run time; the plain engine where the library has no fast one.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
fn encoder() -> base64::engine::Simd {
    base64::engine::Simd::standard(PAD)
}

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
fn encoder() -> base64::engine::GeneralPurpose {
    base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, PAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    fn drained(mut parts: Parts) -> Vec<u8> {
        let promised = parts.length();
        let mut out = Vec::new();
        while let Some(frame) = parts.next_frame() {
            assert!(!frame.is_empty());
            out.extend_from_slice(&frame);
        }
        assert_eq!(length(out.len()), promised);
        assert!(parts.is_empty() && parts.length() == 0);
        out
    }

    #[test]
    fn files_in_any_frames_become_one_text() {
        let file: Vec<u8> = (0..200_003u32).map(|at| (at * 7 % 251) as u8).collect();
        for frame in [1, 2, 3, 4, 5, 1_000, 1_448, 16_384, 100_000, 200_003] {
            for total in [0, 1, 2, 3, 8_191, 8_193, 49_152, 49_153, 98_305, 200_003] {
                if frame < 1_000 && total > 50_000 {
                    continue;
                }
                let data: Chunks = file[..total].chunks(frame).map(Bytes::copy_from_slice).collect();
                let mut writer = Writer::new();
                writer.text("<");
                writer.picture(&ImageData::Bytes(data));
                writer.text(">");
                let expected = format!("<{}>", STANDARD.encode(&file[..total]));
                assert!(
                    drained(writer.finish()) == expected.as_bytes(),
                    "{total} bytes in frames of {frame}"
                );
            }
        }
    }

    #[test]
    fn base64_text_is_sent_from_where_it_lies() {
        let frames = [Bytes::from(vec![b'A'; 10_000]), Bytes::from(vec![b'B'; 10_000])];
        let data: Chunks = frames.iter().cloned().collect();
        let mut writer = Writer::new();
        writer.text("\"");
        writer.picture(&ImageData::Base64(data));
        writer.text("\"");
        let mut parts = writer.finish();
        assert_eq!(parts.length(), 20_002);
        assert_eq!(parts.next_frame().unwrap(), "\"");
        let sent = parts.next_frame().unwrap();
        assert_eq!(sent.as_ptr(), frames[0].as_ptr());
    }

    #[test]
    fn small_pictures_are_one_frame_with_their_json() {
        let mut writer = Writer::new();
        writer.text("[\"");
        writer.picture(&ImageData::Base64(Chunks::from(Bytes::from_static(b"QUJD"))));
        writer.text("\",\"");
        writer.picture(&ImageData::Bytes(Chunks::from(Bytes::from_static(b"ABCD"))));
        writer.text("\"]");
        let mut parts = writer.finish();
        assert_eq!(parts.next_frame().unwrap(), "[\"QUJD\",\"QUJDRA==\"]");
        assert!(parts.next_frame().is_none());
    }
}
