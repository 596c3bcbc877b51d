use super::*;
use image::{Rgb, RgbImage, Rgba, RgbaImage};

#[test]
fn pictures_of_one_colour_are_blank() {
    let mut nearly = RgbImage::from_pixel(8, 8, Rgb([100, 100, 100]));
    nearly.put_pixel(3, 3, Rgb([103, 98, 100]));
    assert!(!is_blank(&DynamicImage::ImageRgb8({
        let mut drawn = nearly.clone();
        drawn.put_pixel(4, 4, Rgb([90, 100, 100]));
        drawn
    })));
    assert!(is_blank(&DynamicImage::ImageRgb8(nearly.clone())));
    assert!(is_blank(&DynamicImage::ImageRgb8(nearly).grayscale()));
}

#[test]
fn what_nobody_sees_is_blank() {
    let mut hidden = RgbaImage::from_pixel(8, 8, Rgba([1, 2, 3, 0]));
    hidden.put_pixel(2, 2, Rgba([200, 200, 200, 0]));
    assert!(is_blank(&DynamicImage::ImageRgba8(hidden.clone())));
    // A silhouette of one colour on nothing is a picture.
    hidden.put_pixel(2, 2, Rgba([0, 0, 0, 255]));
    assert!(!is_blank(&DynamicImage::ImageRgba8(hidden)));
}
