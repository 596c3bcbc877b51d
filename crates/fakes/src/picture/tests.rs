use super::*;

fn sample(width: u32, height: u32, seed: u64, format: PictureFormat) -> Bytes {
    render(&Picture {
        provider: "stability",
        model: "sd3.5-large",
        prompt: "a paper crane on a wet street",
        width,
        height,
        seed,
        format,
    })
}

fn decoded(file: &[u8]) -> image::RgbImage {
    image::load_from_memory(file).expect("a stand-in's picture decodes").to_rgb8()
}

#[test]
fn every_format_has_its_kind_and_exact_size() {
    for (format, kind) in [
        (PictureFormat::Png, image::ImageFormat::Png),
        (PictureFormat::Jpeg, image::ImageFormat::Jpeg),
        (PictureFormat::Webp, image::ImageFormat::WebP),
    ] {
        for (width, height) in [(512, 512), (344, 768), (64, 64), (9, 3), (1, 1)] {
            let file = sample(width, height, 7, format);
            assert_eq!(image::guess_format(&file).unwrap(), kind);
            assert_eq!(decoded(&file).dimensions(), (width, height));
        }
    }
}

#[test]
fn seeds_change_the_bytes_and_repeat_exactly() {
    assert_eq!(sample(256, 256, 1, PictureFormat::Png), sample(256, 256, 1, PictureFormat::Png));
    assert_ne!(sample(256, 256, 1, PictureFormat::Png), sample(256, 256, 2, PictureFormat::Png));
}

#[test]
fn prompts_change_the_picture_and_long_ones_fit() {
    let with = |prompt: &str| {
        let format = PictureFormat::Png;
        let picture =
            Picture { provider: "fal", model: "m", prompt, width: 320, height: 200, seed: 1, format };
        render(&picture)
    };
    assert_ne!(with("a lamp"), with("a lamb"));
    assert_eq!(decoded(&with(&"word ".repeat(2000))).dimensions(), (320, 200));
    assert_eq!(decoded(&with(&"x".repeat(2000))).dimensions(), (320, 200));
    assert_eq!(decoded(&with("")).dimensions(), (320, 200));
}

#[test]
fn a_whole_picture_is_neither_blank_nor_huge() {
    for format in [PictureFormat::Png, PictureFormat::Jpeg, PictureFormat::Webp] {
        let file = sample(1024, 1024, 3, format);
        assert!((30_000..900_000).contains(&file.len()), "{format:?} has {} bytes", file.len());
        let picture = decoded(&file);
        let colours: std::collections::HashSet<[u8; 3]> =
            picture.pixels().step_by(37).map(|pixel| pixel.0).collect();
        assert!(colours.len() > 300, "{format:?} has {} colours", colours.len());
    }
}

#[test]
fn broken_kinds_are_what_they_say() {
    let format = PictureFormat::Png;
    let picture =
        Picture { provider: "p", model: "m", prompt: "t", width: 200, height: 120, seed: 5, format };
    assert!(decoded(&black(20, 10, format)).pixels().all(|pixel| pixel.0 == [0, 0, 0]));
    assert!(decoded(&blank(20, 10, format)).pixels().all(|pixel| pixel.0 == [236, 236, 236]));
    let blurry = decoded(&blurred(&picture));
    assert_eq!(blurry.dimensions(), (200, 120));
    assert_eq!(blurry.get_pixel(0, 0), blurry.get_pixel(1, 1), "tiles have one colour");
    let (whole, part) = (decoded(&render(&picture)), decoded(&unfinished(&picture, 50)));
    assert_eq!(whole.get_pixel(10, 10), part.get_pixel(10, 10));
    assert_ne!(whole.get_pixel(10, 110), part.get_pixel(10, 110));
}

#[test]
fn formats_answer_to_the_names_that_providers_use() {
    assert_eq!(PictureFormat::from_name("jpg"), PictureFormat::from_name("jpeg"));
    assert_eq!(PictureFormat::from_name("gif"), None);
    for name in ["png", "jpeg", "webp"] {
        let format = PictureFormat::from_name(name).unwrap();
        assert_eq!(format.mime(), format!("image/{name}"));
        assert_eq!(PictureFormat::from_name(format.extension()), Some(format));
    }
}
