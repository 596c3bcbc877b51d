use super::*;
use crate::encode_base64;
use bytes::Bytes;
use gallerist_domain::{Chunks, Size};
use image::{ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;
use std::io::Cursor;

const FORMATS: [(ImageFormat, OutputFormat); 3] = [
    (ImageFormat::Png, OutputFormat::Png),
    (ImageFormat::Jpeg, OutputFormat::Jpeg),
    (ImageFormat::WebP, OutputFormat::Webp),
];

/// Of an IHDR chunk with 65,535 x 65,535 pixels of three eight-bit samples.
const CHECKSUM_OF_THE_GIANT: [u8; 4] = 0x39674e07_u32.to_be_bytes();

fn file(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).expect("a picture can be written to memory");
    out.into_inner()
}

fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 7_u64;
    RgbImage::from_fn(width, height, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., red, green, blue] = state.to_be_bytes();
        Rgb([red, green, blue])
    })
}

fn flat(width: u32, height: u32) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb([236, 236, 236]))
}

fn held(bytes: &[u8]) -> Chunks {
    bytes.chunks(97).map(Bytes::copy_from_slice).collect()
}

fn as_bytes(file: &[u8]) -> ImageData {
    ImageData::Bytes(held(file))
}

fn as_text(file: &[u8]) -> ImageData {
    ImageData::Base64(held(&encode_base64(&held(file))))
}

fn sized(width: u32, height: u32) -> CheckPolicy {
    CheckPolicy { expected_size: Some(Size::new(width, height)), ..CheckPolicy::default() }
}

/// The kind of fault that `file` is refused with in both forms.
fn kind(file: &[u8], policy: &CheckPolicy) -> CheckFaultKind {
    let fault = check(&as_bytes(file), policy).expect_err("the file is faulty");
    assert_eq!(check(&as_text(file), policy), Err(fault.clone()), "base64 makes no difference");
    fault.kind
}

#[test]
fn pictures_of_every_format_pass_without_being_decoded() {
    for (written, format) in FORMATS {
        for (width, height) in [(17, 18), (64, 64), (200, 100)] {
            let file = file(&noise(width, height), written);
            let checked = Checked { format, size: Size::new(width, height), bytes: file.len() };
            for data in [as_bytes(&file), as_text(&file)] {
                let inspected = inspect(&data, &sized(width, height));
                assert_eq!(
                    inspected,
                    Ok(Inspected { checked, undecided: false }),
                    "{format} {width}x{height}"
                );
                let deep = CheckPolicy { depth: Depth::Pixels, ..CheckPolicy::default() };
                assert_eq!(check(&data, &deep), Ok(checked));
            }
        }
    }
}

#[test]
fn blank_pictures_are_suspected_and_refused() {
    for (written, format) in FORMATS {
        for edge in [16, 64, 512, 1_024] {
            let file = file(&flat(edge, edge), written);
            assert_eq!(kind(&file, &CheckPolicy::default()), CheckFaultKind::Blank, "{format} {edge}");
        }
    }
}

#[test]
fn flat_drawings_are_decoded_and_pass() {
    let mut drawing = flat(512, 512);
    for x in 100..200 {
        drawing.put_pixel(x, 300, Rgb([200, 30, 30]));
    }
    for (written, format) in FORMATS {
        let file = file(&drawing, written);
        let inspected = inspect(&as_bytes(&file), &CheckPolicy::default()).expect("the header is whole");
        assert!(inspected.undecided, "{format}");
        assert!(check(&as_text(&file), &CheckPolicy::default()).is_ok(), "{format}");
    }
}

#[test]
fn another_size_than_asked_is_a_failed_delivery() {
    let file = file(&noise(64, 32), ImageFormat::Png);
    assert_eq!(kind(&file, &sized(32, 64)), CheckFaultKind::WrongSize);
    assert!(check(&as_bytes(&file), &CheckPolicy::default()).is_ok(), "no size was named");
}

#[test]
fn a_file_without_its_end_is_refused() {
    for (written, format) in FORMATS {
        let file = file(&noise(64, 64), written);
        for length in [20, 40, 200, file.len() / 2, file.len() - 1] {
            let refused = kind(&file[..length], &CheckPolicy::default());
            assert_eq!(refused, CheckFaultKind::Truncated, "{format} cut to {length} of {}", file.len());
        }
    }
}

#[test]
fn padding_after_the_end_is_tolerated() {
    for (written, format) in FORMATS {
        let mut file = file(&noise(64, 64), written);
        file.extend([0; 37]);
        assert!(check(&as_text(&file), &CheckPolicy::default()).is_ok(), "{format}");
    }
}

#[test]
fn metadata_before_the_pixels_is_walked_over_and_hides_nothing() {
    let jpeg = |picture: &RgbImage| {
        let plain = file(picture, ImageFormat::Jpeg);
        let mut out = plain[..2].to_vec();
        for _ in 0..4 {
            out.extend([0xff, 0xe2, 0xff, 0xff]);
            out.extend(vec![0x41; 0xffff - 2]);
        }
        out.extend(&plain[2..]);
        out
    };
    let png = |picture: &RgbImage| {
        let plain = file(picture, ImageFormat::Png);
        let mut out = plain[..33].to_vec();
        out.extend(300_000_u32.to_be_bytes());
        out.extend(b"caBX");
        out.extend(vec![0x41; 300_004]);
        out.extend(&plain[33..]);
        out
    };
    for with_metadata in [&jpeg as &dyn Fn(&RgbImage) -> Vec<u8>, &png] {
        let inspected = inspect(&as_text(&with_metadata(&noise(64, 64))), &sized(64, 64));
        assert!(inspected.is_ok_and(|inspected| !inspected.undecided));
        let blank = inspect(&as_text(&with_metadata(&flat(512, 512))), &CheckPolicy::default());
        assert!(blank.is_ok_and(|inspected| inspected.undecided));
    }
}

#[test]
fn limits_come_before_decoding() {
    let mut file = file(&flat(64, 64), ImageFormat::Png);
    let few = CheckPolicy { bytes_max: 50, ..CheckPolicy::default() };
    assert_eq!(kind(&file, &few), CheckFaultKind::TooLarge);
    let small = CheckPolicy { pixels_max: 4_095, depth: Depth::Pixels, ..CheckPolicy::default() };
    assert_eq!(kind(&file, &small), CheckFaultKind::TooLarge);
    // A header that claims four thousand million pixels, with a checksum that holds.
    file[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    assert_eq!(kind(&file, &CheckPolicy::default()), CheckFaultKind::NotAPicture, "the checksum is wrong");
    file[29..33].copy_from_slice(&CHECKSUM_OF_THE_GIANT);
    assert_eq!(kind(&file, &CheckPolicy::default()), CheckFaultKind::TooLarge);
}

#[test]
fn what_is_no_picture_is_named() {
    for (bytes, word) in [
        (&b""[..], "empty"),
        (b"GIF89a...", "GIF"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b" {\"error\": \"no\"}", "JSON"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"some text", "first bytes"),
    ] {
        let fault = check(&as_text(bytes), &CheckPolicy::default()).expect_err("no picture");
        assert_eq!(fault.kind, CheckFaultKind::NotAPicture);
        assert!(fault.detail.contains(word), "{}", fault.detail);
    }
    let text = ImageData::Base64(Chunks::from(b"not base64 at all".to_vec()));
    assert_eq!(check(&text, &CheckPolicy::default()).expect_err("no text").kind, CheckFaultKind::NotAPicture);
    let unfetched = ImageData::Url("https://example.com/a.png".to_owned());
    assert!(check(&unfetched, &CheckPolicy::default()).is_err());
}

#[test]
fn animations_are_refused() {
    let png = file(&noise(64, 64), ImageFormat::Png);
    let mut animated = png[..33].to_vec();
    animated.extend(b"\0\0\0\x08acTL\0\0\0\x02\0\0\0\0\0\0\0\0");
    animated.extend(&png[33..]);
    assert_eq!(kind(&animated, &CheckPolicy::default()), CheckFaultKind::Animated);

    let mut film = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x3f\0\0\x3f\0\0".to_vec();
    film.extend([0; 100]);
    let riff = u32::try_from(film.len() - 8).expect("a short file");
    film[4..8].copy_from_slice(&riff.to_le_bytes());
    assert_eq!(kind(&film, &CheckPolicy::default()), CheckFaultKind::Animated);
}

#[test]
fn pixels_that_cannot_be_decoded_are_found_by_the_deep_check() {
    let mut file = file(&noise(64, 64), ImageFormat::Png);
    let middle = file.len() / 2;
    file[middle..middle + 40].fill(0x55);
    assert!(check(&as_bytes(&file), &CheckPolicy::default()).is_ok());
    let deep = CheckPolicy { depth: Depth::Pixels, ..CheckPolicy::default() };
    assert_eq!(kind(&file, &deep), CheckFaultKind::Undecodable);
}

proptest! {
    #[test]
    fn damaged_files_never_panic(
        which in 0_usize..3,
        blank in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let picture = if blank { flat(40, 30) } else { noise(40, 30) };
        let mut file = file(&picture, FORMATS[which].0);
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if cuts {
            file.truncate(cut.index(file.len()));
        }
        for depth in [Depth::Header, Depth::Pixels] {
            let policy = CheckPolicy { depth, pixels_max: 1_000_000, ..CheckPolicy::default() };
            let _ = check(&as_bytes(&file), &policy);
            let _ = check(&as_text(&file), &policy);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_pass_without_panic(
        start in prop::sample::select(vec![&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"[..], b"\xff\xd8\xff", b"RIFF\x40\0\0\0WEBP", b""]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let file = [start, &rest].concat();
        let _ = check(&as_bytes(&file), &CheckPolicy::default());
        let _ = check(&ImageData::Base64(held(&file)), &CheckPolicy::default());
    }
}
