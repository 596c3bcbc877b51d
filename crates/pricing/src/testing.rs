//! What the tests of this room share: the embedded catalogue, complete calls from a shape's defaults, and
//! amounts as text.
//!
//! A call that is built here has a prompt of exactly 40 ASCII characters, so that its tokens are easy to
//! reckon by hand. How a request becomes a call in the product is `routing`, not this.

use crate::catalogue::{Catalogue, ModelSheet, ProviderSheet};
use crate::facts::Facts;
use crate::quote::{Bounds, Unpriced, bounds};
use gallerist_domain::{ImageCall, Size, Sizes, Ticks};
use jiff::Timestamp;
use std::sync::{Arc, LazyLock};

pub static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::embedded);

/// Ten tokens at four characters each.
pub const PROMPT: &str = "a tin robot waters ferns in a greenhouse";

/// The day on which the sheets were read.
pub fn now() -> Timestamp {
    instant("2026-11-22T12:00:00Z")
}

pub fn instant(text: &str) -> Timestamp {
    text.parse().expect("tests write instants")
}

pub fn usd(text: &str) -> Ticks {
    text.parse().expect("tests write amounts")
}

pub fn find(kind: &str, model: &str) -> (Arc<ProviderSheet>, Arc<ModelSheet>) {
    let provider = CATALOGUE.provider(kind).unwrap_or_else(|| panic!("no provider {kind}"));
    let model = provider.models.iter().find(|sheet| sheet.is_named(model));
    (Arc::clone(provider), Arc::clone(model.expect("the model is in the catalogue")))
}

/// Models that can be bought at `at`.
pub fn active(at: Timestamp) -> Vec<(Arc<ProviderSheet>, Arc<ModelSheet>)> {
    let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let all = CATALOGUE.providers.iter().flat_map(|provider| {
        provider.models.iter().map(move |model| (Arc::clone(provider), Arc::clone(model)))
    });
    all.filter(|(_, model)| {
        let priced = model.sheet.unknown.is_none();
        let retired = model.lifecycle.retires_on.is_some_and(|day| day <= today);
        priced && !retired && model.lifecycle.switched_off.is_none()
    })
    .collect()
}

/// Of these, the models of kinds that the gateway can order from.
pub fn sold(at: Timestamp) -> Vec<(Arc<ProviderSheet>, Arc<ModelSheet>)> {
    active(at).into_iter().filter(|(provider, _)| !provider.serves.is_empty()).collect()
}

/// One picture with every default of the model.
pub fn default_call(model: &ModelSheet) -> ImageCall {
    let shape = &model.capabilities;
    let mut call = ImageCall::example(&model.upstream, shape.size_default);
    call.prompt = PROMPT.to_owned();
    call.quality = shape.quality_default.clone();
    call.steps = shape.steps.map_or(0, |limit| limit.default);
    call.output_format = shape.format_default;
    // One that is there for LoRAs has no price without any.
    call.ingredients.loras = u32::from(shape.loras_required);
    call.operation = shape.operations.first().copied().unwrap_or(call.operation);
    resize(&mut call, model, shape.size_default);
    call
}

/// Gives the call another size, with ratio and resolution word where the model has them.
pub fn resize(call: &mut ImageCall, model: &ModelSheet, size: Size) {
    call.size = size;
    if let Sizes::Ratios(rows) = &model.capabilities.sizes {
        let row = rows.iter().find(|row| row.size == size).expect("the size is in the table");
        call.aspect_ratio = row.ratio.clone();
        call.resolution = row.resolution.clone();
    }
}

/// Sizes that a model makes: all of a list or table, some of a range.
pub fn some_sizes(model: &ModelSheet) -> Vec<Size> {
    match &model.capabilities.sizes {
        Sizes::Listed(list) => list.clone(),
        Sizes::Ratios(rows) => rows.iter().map(|row| row.size).collect(),
        Sizes::Free { .. } => {
            let edges = [256, 512, 640, 768, 960, 1024, 1280, 1344, 1440, 1536, 2048, 2560, 3840];
            let pairs = edges.iter().flat_map(|width| edges.iter().map(|height| Size::new(*width, *height)));
            pairs.filter(|size| crate::makes_size(&model.capabilities.sizes, *size)).collect()
        }
    }
}

pub fn price<'a>(model: &'a ModelSheet, call: &ImageCall, at: Timestamp) -> Result<Bounds, Unpriced<'a>> {
    bounds(&model.sheet, &Facts::of(call), at)
}
