//! What goes into a picture besides words, said in numbers: for quotes, which need no pictures.
//!
//! `gallerist.operation` and `gallerist.ingredients` price an edit, an upscaling or a picture with references
//! before there is anything to send. What cannot be ordered yet is refused by planning, not here.

use super::extension::PARTS_MAX;
use super::fault::{Faults, code, shown};
use super::read;
use gallerist_domain::{ImageRequest, Operation, Size};
use serde_json::value::RawValue;

/// The most pixels that a mask can mark: 65,535 × 65,535.
const MASK_PIXELS_MAX: u64 = 65_535 * 65_535;
const CACHED_CHARACTERS_MAX: u64 = 1_000_000;

/// `gallerist.operation`.
pub(super) fn read_operation(value: &RawValue, request: &mut ImageRequest, faults: &mut Faults) {
    let words = Operation::words();
    let operation = read::word("gallerist.operation", value, Operation::from_word, &words, faults);
    request.operation = operation.unwrap_or(request.operation);
}

/// `gallerist.ingredients`.
pub(super) fn read_ingredients(value: &RawValue, request: &mut ImageRequest, faults: &mut Faults) {
    const PATH: &str = "gallerist.ingredients";
    let Some(members) = read::object(PATH, value, faults) else { return };
    let parts_max = u64::try_from(PARTS_MAX).unwrap_or(u64::MAX);
    for (name, value) in &members {
        let path = format!("{PATH}.{name}");
        let mut count = |most: u64| read::integer(&path, value, 0, most, faults);
        let small = |count: Option<u64>| count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        let found = &mut request.ingredients;
        match name.as_ref() {
            "inputs" => found.inputs = sizes(&path, value, faults),
            "mask_pixels" => found.mask_pixels = count(MASK_PIXELS_MAX).and_then(|n| i64::try_from(n).ok()),
            // What is listed by name is there, whatever this says.
            "loras" => found.loras = found.loras.max(small(count(parts_max))),
            "controls" => found.controls = found.controls.max(small(count(parts_max))),
            "ip_adapters" => found.ip_adapters = small(count(parts_max)),
            "tool_calls" => found.tool_calls = small(count(parts_max)),
            "cached_characters" => found.cached_characters = small(count(CACHED_CHARACTERS_MAX)),
            _ => {
                let known =
                    "inputs, mask_pixels, loras, controls, ip_adapters, tool_calls, cached_characters";
                let message = format!("{PATH} has no field {}; known are {known}", shown(name));
                faults.add(&path, code::UNKNOWN, message);
            }
        }
    }
}

fn sizes(path: &str, value: &RawValue, faults: &mut Faults) -> Vec<Size> {
    let mut sizes = Vec::new();
    for (at, item) in read::array(path, value, PARTS_MAX, faults).unwrap_or_default().into_iter().enumerate()
    {
        let path = format!("{path}[{at}]");
        let Some(text) = read::label(&path, item, 16, faults) else { continue };
        match text.parse() {
            Ok(size) => sizes.push(size),
            Err(error) => faults.add(&path, code::VALUE, format!("{path}: {error}")),
        }
    }
    sizes
}
