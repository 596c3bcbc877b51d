//! What a well-formed file can still get wrong: limits that contradict each other, prices with gaps.

use super::raw::{RawOutcomes, RawWindow};
use super::read::Reader;
use super::{ModelSheet, ProviderSheet};
use crate::facts::Facts;
use crate::quantity::derived;
use crate::sheet::{EstimateForm, InputAdder, PriceLine, PriceSheet, Range, Window};
use gallerist_domain::{Capabilities, ChargeEvent, ImageCall, Meter, OutputFormat, Size, Sizes};
use std::ops::Range as Span;
use std::sync::Arc;

pub(super) fn capabilities(reader: &mut Reader<'_>, name: &str, span: Span<usize>, shape: &Capabilities) {
    let mut wrong = |message: String| reader.mistake(span.clone(), format!("shape {name:?}: {message}"));
    if shape.images_per_call_max == 0 {
        wrong("`images_per_call_max` is at least 1".into());
    }
    if !shape.formats.contains(&shape.format_default) {
        wrong("`format_default` must be one of `formats`".into());
    }
    if !shape.qualities.is_empty() && !shape.qualities.contains(&shape.quality_default) {
        wrong("`quality_default` must be one of `qualities`".into());
    }
    if shape.qualities.is_empty() && !shape.quality_default.is_empty() {
        wrong("`quality_default` is set, but there are no `qualities`".into());
    }
    if !makes(&shape.sizes, shape.size_default) {
        wrong(format!("`size_default` {} is not among `sizes`", shape.size_default));
    }
    if !shape.each_input.are_sound() {
        wrong(format!("no picture holds the limits of `each_input`: {}", shape.each_input));
    }
    if matches!(shape.sizes, Sizes::Free { multiple: 0, .. }) {
        wrong("`multiple` is at least 1".into());
    }
    if let Sizes::Ratios(rows) = &shape.sizes {
        for row in rows.iter().filter(|row| !is_ratio(&row.ratio)) {
            wrong(format!("{:?} is not a ratio such as \"16:9\"", row.ratio));
        }
    }
    for limit in [shape.steps, shape.guidance_milli].into_iter().flatten() {
        if !(limit.min..=limit.max).contains(&limit.default) {
            wrong(format!("the default {} is not within {} to {}", limit.default, limit.min, limit.max));
        }
    }
}

fn is_ratio(text: &str) -> bool {
    let side = |part: &str| part.parse::<u32>().is_ok_and(|side| side > 0);
    text.split_once(':').is_some_and(|(width, height)| side(width) && side(height))
}

/// Whether a model with these sizes can make exactly this one.
pub fn makes(sizes: &Sizes, size: Size) -> bool {
    match sizes {
        Sizes::Listed(list) => list.contains(&size),
        Sizes::Ratios(rows) => rows.iter().any(|row| row.size == size),
        Sizes::Free { multiple, edge_min, edge_max, pixels_min, pixels_max, ratio_max } => {
            let edge = |edge: u32| edge.is_multiple_of(*multiple) && (*edge_min..=*edge_max).contains(&edge);
            let ratio = *ratio_max == 0
                || u64::from(size.long_edge()) <= u64::from(size.short_edge()) * u64::from(*ratio_max);
            edge(size.width)
                && edge(size.height)
                && (*pixels_min..=*pixels_max).contains(&size.pixels())
                && ratio
        }
    }
}

/// What can be ordered must be something that is checked before it is paid for.
pub(super) fn served(reader: &mut Reader<'_>, sheet: &ProviderSheet) {
    for operation in &sheet.serves {
        let drawn = |model: &&Arc<ModelSheet>| {
            let able = model.capabilities.of(*operation);
            // One that draws nothing but lines is never ordered.
            able.operations.contains(operation)
                && able.formats.contains(&OutputFormat::Svg)
                && !model.draws_lines()
        };
        for model in sheet.models.iter().filter(drawn) {
            let message = format!(
                "model {:?} answers with svg, which no adapter can order: leave {operation} out of `serves`, or svg \
                 out of its `formats`",
                model.id
            );
            reader.mistake(0..0, message);
        }
    }
}

/// Every event needs a word: silence would be read as `unknown` by the machine and as `no` by people.
pub(super) fn outcomes(reader: &mut Reader<'_>, name: &str, span: Span<usize>, rows: &RawOutcomes) {
    let missing: Vec<String> = ChargeEvent::ALL
        .iter()
        .filter(|event| !rows.contains_key(event))
        .filter_map(|event| serde_json::to_string(event).ok())
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        reader.mistake(span, format!("outcomes {name:?}: say yes, no or unknown for {missing}"));
    }
}

/// `spans` are those of the lines; `whole` says that every entry of the sheet could be read.
pub(super) fn sheet(
    reader: &mut Reader<'_>,
    name: &str,
    sheet: &PriceSheet,
    spans: &[Span<usize>],
    whole: bool,
) {
    let probe = ImageCall::example("probe", Size::new(1024, 1024));
    for (index, (line, span)) in sheet.lines.iter().zip(spans).enumerate() {
        let mut wrong = |message: String| {
            reader.mistake(span.clone(), format!("sheet {name:?}: line {:?} {message}", line.id))
        };
        let overlaps = |earlier: &&PriceLine| earlier.period.and(line.period).is_some();
        if sheet.lines[..index].iter().filter(|earlier| earlier.id == line.id).any(|l| overlaps(&l)) {
            wrong("stands twice at the same time; give each its own id".to_owned());
        }
        let tiled = matches!(
            line.meter,
            Meter::OutputTiles | Meter::OutputTileSteps | Meter::InputTiles | Meter::InputTileSteps
        );
        if tiled != (line.tile_edge > 0) {
            wrong("counts tiles exactly if it says `tile_edge`".to_owned());
        }
        if line.from < 0 || line.up_to <= line.from {
            wrong(format!("bills nothing: its slice from {} up to {} is empty", line.from, line.up_to));
        }
        let known = derived(line, &Facts::of(&probe)).is_some()
            || line.only_reported
            || sheet.estimates.iter().any(|estimate| estimate.meter == line.meter);
        if !known && whole {
            let meter = line.meter.name();
            wrong(format!("cannot be quoted: add an estimate for {meter}, or set only_reported"));
        }
    }
}

pub(super) fn estimate(reader: &mut Reader<'_>, span: Span<usize>, form: &EstimateForm) {
    let ordered =
        |range: &Range| 0 <= range.min && range.min <= range.expected && range.expected <= range.max;
    let sound = match form {
        EstimateForm::Fixed(range) | EstimateForm::PerInput(range) | EstimateForm::Learned(range) => {
            ordered(range)
        }
        EstimateForm::Table(rows) => !rows.is_empty() && rows.iter().all(|row| ordered(&row.quantity)),
        EstimateForm::CanvasPixels { pixels_per_token, at_most }
        | EstimateForm::InputPixels { pixels_per_token, at_most } => *pixels_per_token > 0 && *at_most >= 0,
        EstimateForm::ScaledTiles { short_edge, tile_edge, base, per_tile, adds } => {
            let sound = |add: &InputAdder| add.quantity >= 0 && add.each_input.are_sound();
            *short_edge > 0 && *tile_edge > 0 && *base >= 0 && *per_tile >= 0 && adds.iter().all(sound)
        }
        EstimateForm::CanvasTokens { by_quality, min_per_mille, max_per_mille } => {
            !by_quality.is_empty()
                && by_quality.iter().all(|(_, factor)| (1..=1000).contains(factor))
                && (0..=1000).contains(min_per_mille)
                && (1000..=10_000).contains(max_per_mille)
        }
        EstimateForm::PromptTokens { characters_per_token, overhead } => {
            *characters_per_token > 0 && *overhead >= 0
        }
        EstimateForm::StartedPixels { first, further, pixels, pixels_for_min } => {
            *first >= 0 && *further >= 0 && *pixels_for_min >= *pixels && *pixels > 0
        }
        EstimateForm::WorkTime { base, per_megapixel_step, min_per_mille, max_per_mille, .. } => {
            *base >= 0
                && *per_megapixel_step >= 0
                && (0..=1000).contains(min_per_mille)
                && *max_per_mille >= 1000
        }
        EstimateForm::PerPartial { tokens } => *tokens >= 0,
    };
    if !sound {
        reader.mistake(
            span,
            "the figures of this estimate contradict each other (min ≤ expected ≤ max, none negative)",
        );
    }
}

pub(super) fn window(reader: &mut Reader<'_>, raw: RawWindow) -> Option<Window> {
    let zone = match &raw.zone {
        None => Some(jiff::tz::TimeZone::UTC),
        Some(name) => {
            let zone = jiff::tz::TimeZone::get(name.get_ref()).ok();
            if zone.is_none() {
                reader.mistake(
                    name.span(),
                    format!("{:?} is no time zone such as \"Europe/Paris\"", name.get_ref()),
                );
            }
            zone
        }
    };
    let mut weekdays = Vec::new();
    for word in &raw.weekdays {
        use jiff::civil::Weekday::*;
        let days = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
        match days.into_iter().find(|day| format!("{day:?}").to_lowercase() == *word.get_ref()) {
            Some(day) => weekdays.push(day),
            None => {
                reader.mistake(word.span(), format!("{:?} is no weekday such as \"monday\"", word.get_ref()))
            }
        }
    }
    let mut time = |text: &toml::Spanned<String>| {
        let time = text.get_ref().parse::<jiff::civil::Time>().ok();
        if time.is_none() {
            reader.mistake(text.span(), format!("{:?} is no time such as \"02:00\"", text.get_ref()));
        }
        time
    };
    let (from, until) = (time(&raw.from), time(&raw.until));
    Some(Window { zone: zone?, weekdays, from: from?, until: until? })
}

pub(super) fn models(reader: &mut Reader<'_>, models: &[(Span<usize>, Arc<ModelSheet>)]) {
    for (index, (span, model)) in models.iter().enumerate() {
        let names = std::iter::once(&model.id).chain(&model.aliases);
        for name in names {
            if models[..index].iter().any(|(_, earlier)| earlier.is_named(name)) {
                reader.mistake(span.clone(), format!("the model name {name:?} stands twice"));
            }
        }
        let lifecycle = &model.lifecycle;
        // Of what nobody could buy nobody needs another.
        let buyable = model.sheet.unknown.is_none();
        let ends = lifecycle.retires_on.is_some() || lifecycle.switched_off.is_some();
        if ends && buyable && lifecycle.successors.is_empty() {
            reader.mistake(span.clone(), format!("model {:?} retires: name its `successors`", model.id));
        }
        if let Some(redirect) = &lifecycle.redirect {
            let to = models.iter().map(|(_, other)| other).find(|other| other.is_named(&redirect.to));
            let labels = to.map(|to| &to.capabilities.qualities);
            let wrong = match (labels, &redirect.quality) {
                (None, _) => Some(format!("there is no model {:?} in this file", redirect.to)),
                (Some(known), Some(label)) if !known.contains(label) => {
                    Some(format!("{:?} has no quality {label:?}", redirect.to))
                }
                _ => None,
            };
            if let Some(wrong) = wrong {
                reader.mistake(span.clone(), format!("`redirect` of model {:?}: {wrong}", model.id));
            }
        }
        let released = lifecycle.released_on();
        if [lifecycle.deprecated_on, lifecycle.retires_on]
            .into_iter()
            .flatten()
            .any(|day| Some(day) < released)
        {
            reader.mistake(span.clone(), format!("model {:?} ends before it is released", model.id));
        }
        if model.classes.is_empty() && buyable {
            reader.mistake(span.clone(), format!("model {:?}: `classes` needs at least one row", model.id));
        }
    }
}
