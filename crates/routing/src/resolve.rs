//! Whether an offer can honour a request, and with which explicit parameters.
//!
//! Each parameter is either honoured or a reason to leave the offer out; nothing is dropped silently.
//! What the client left open is filled from the catalogue, so that everything that affects the price is
//! sent. [`Resolved`] borrows; [`Resolved::call`] makes the complete call for the offers that are tried.

use crate::exclusion::{Reason, resolutions};
use crate::names::Target;
use gallerist_domain::id::STANDARD_TIER;
use gallerist_domain::{
    Background, Capabilities, ImageCall, ImageRequest, OptionWord, OutputFormat, QualityClass, RatioSize,
    Size, SizeChoice, Sizes, TierChoice,
};
use gallerist_pricing::catalogue::Redirect;
use gallerist_pricing::quantity::estimated;
use gallerist_pricing::{Facts, Offer, Unpriced, makes_size};
use jiff::Timestamp;

/// A request as one offer would serve it.
#[derive(Clone, Copy, Debug)]
pub struct Resolved<'a> {
    /// Facts of a full call; `facts.n` is the pictures of each full call.
    pub facts: Facts<'a>,
    pub class: Option<QualityClass>,
    pub upstream: &'a str,
    pub aspect_ratio: &'a str,
    pub size_named: bool,
    pub guidance_milli: Option<u32>,
    /// Full calls, each of `facts.n` pictures …
    pub full_calls: u32,
    /// … and pictures of one last, smaller call; 0 for none.
    pub rest: u32,
}

/// That an offer is served under the name of another one.
#[derive(Clone, Copy, Debug)]
pub struct SentOn<'a> {
    /// The offer that the name speaks of.
    pub named: &'a Offer,
    /// The last redirect on the way, which says the label that the name gets.
    pub redirect: &'a Redirect,
}

/// Length of a prompt, counted once per request.
#[derive(Clone, Copy, Debug)]
pub struct PromptLength {
    pub characters: i64,
    pub bytes: i64,
}

impl PromptLength {
    pub fn of(request: &ImageRequest) -> PromptLength {
        let negative = request.negative_prompt.as_deref().unwrap_or("");
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        PromptLength {
            characters: count(request.prompt.chars().count() + negative.chars().count()),
            bytes: count(request.prompt.len() + negative.len()),
        }
    }
}

/// Matches a request with the limits of the offer that serves it. `least` is the class that a route asks for.
///
/// # Errors
/// The first [`Reason`] that leaves the offer out.
pub fn resolve<'a>(
    request: &'a ImageRequest,
    target: &Target<'a>,
    least: QualityClass,
    length: PromptLength,
    offer: &'a Offer,
    sent_on: Option<SentOn<'a>>,
    at: Timestamp,
) -> Result<Resolved<'a>, Reason<'a>> {
    let able = offer.model.capabilities.of(request.operation);
    availability(request, target, offer, at)?;
    // A version that is named is one of the model that is named.
    let version = target.version_at(offer).filter(|_| sent_on.is_none());
    let upstream = version.map_or(&*offer.model.upstream, |version| upstream(version, offer));
    let (size, ratio_row, size_named) = choose_size(&request.size, able)?;
    let (aspect_ratio, resolution) =
        ratio_row.map_or(("", ""), |row| (row.ratio.as_str(), row.resolution.as_str()));
    let (quality, class) = match target.is_route() {
        true => least_quality(least, able, offer, resolution)?,
        false => named_quality(request, able, offer, sent_on, resolution)?,
    };
    let output_format = choose_format(request, able)?;
    parameters(request, able, length)?;
    ingredients(request, able)?;
    options(request, able, offer)?;
    let steps = choose(request.steps, able.steps, |range| Reason::StepsUnsupported { range })?.unwrap_or(0);
    let guidance_milli = choose(request.guidance_milli, able.guidance_milli, |range_milli| {
        Reason::GuidanceUnsupported { range_milli }
    })?;
    let n = request.n.min(able.images_per_call_max);
    let stream = request.stream && able.streaming && request.n == 1;
    let facts = Facts {
        operation: request.operation,
        n,
        size,
        quality,
        resolution,
        output_format,
        tier: &offer.id.tier,
        region: &offer.region,
        steps,
        guidance_milli,
        stream,
        partial_images: if stream { request.partial_images.min(able.partial_images_max) } else { 0 },
        prompt_characters: length.characters,
        prompt_bytes: length.bytes,
        cached_characters: i64::from(request.ingredients.cached_characters),
        options: option_words(request, offer),
        inputs: &request.ingredients.inputs,
        mask_pixels: request.ingredients.mask_pixels,
        loras: request.ingredients.loras,
        controls: request.ingredients.controls,
        ip_adapters: request.ingredients.ip_adapters,
        tool_calls: request.ingredients.tool_calls,
        learned: None,
    };
    Ok(Resolved {
        facts,
        class,
        upstream,
        aspect_ratio,
        size_named,
        guidance_milli,
        full_calls: request.n / n,
        rest: request.n % n,
    })
}

fn availability<'a>(
    request: &ImageRequest,
    target: &Target<'_>,
    offer: &'a Offer,
    at: Timestamp,
) -> Result<(), Reason<'a>> {
    let provider = &offer.id.provider;
    let named = |list: &[String]| list.iter().any(|name| name == provider);
    if (!request.providers_only.is_empty() && !named(&request.providers_only))
        || named(&request.providers_exclude)
    {
        return Err(Reason::ProviderExcluded);
    }
    if offer.is_retired(at) {
        return Err(Reason::Retired { successors: &offer.model.lifecycle.successors });
    }
    if let Some(why) = &offer.model.lifecycle.switched_off {
        return Err(Reason::SwitchedOff(why));
    }
    if let Some(from) = offer.not_released(at) {
        return Err(Reason::NotReleased { from });
    }
    // What has no price at all is left out before anything is worked out for it.
    if let Some(why) = &offer.model.sheet.unknown {
        return Err(Reason::PriceUnknown(Unpriced::Unknown(why)));
    }
    let fits = |choice: TierChoice| choice == TierChoice::Auto || offer.id.tier == choice.as_str();
    let by_route = target.route().map_or(TierChoice::Auto, |route| route.tier);
    let chosen = request.tier != TierChoice::Auto || by_route != TierChoice::Auto;
    // Another tier is slower or dearer than what was asked for, unless the name speaks of it.
    let by_itself = chosen || offer.id.tier == STANDARD_TIER || target.names_tier_of(offer);
    match fits(request.tier) && fits(by_route) && by_itself {
        true => Ok(()),
        false => Err(Reason::TierUnavailable { offer: &offer.id }),
    }
}

/// The vendor's id of a version.
fn upstream<'a>(version: &str, offer: &'a Offer) -> &'a str {
    let known = offer.model.versions.iter().find(|(name, _)| name == version);
    &known.expect("a name speaks only of offers that have its version").1
}

type ChosenSize<'a> = (Size, Option<&'a RatioSize>, bool);

fn choose_size<'a>(choice: &'a SizeChoice, able: &'a Capabilities) -> Result<ChosenSize<'a>, Reason<'a>> {
    let row_of = |size: Size| match &able.sizes {
        Sizes::Ratios(rows) => rows.iter().find(|row| row.size == size),
        _ => None,
    };
    match choice {
        SizeChoice::Auto => Ok((able.size_default, row_of(able.size_default), false)),
        SizeChoice::Exact(size) if makes_size(&able.sizes, *size) => Ok((*size, row_of(*size), true)),
        SizeChoice::Exact(size) => Err(Reason::SizeUnsupported { size: *size, default: able.size_default }),
        SizeChoice::Aspect { ratio, resolution } => {
            if let Some(asked) = resolution {
                check_resolution(able, *ratio, asked)?;
            }
            let size = aspect_size(able, *ratio, resolution.as_deref());
            let size = size.ok_or(Reason::AspectUnsupported { ratio: *ratio })?;
            Ok((size, row_of(size), false))
        }
    }
}

/// A resolution word is the provider's own, `2K` here and `2k` there: where it has none, or not this one, it cannot be
/// honoured.
fn check_resolution<'a>(able: &'a Capabilities, ratio: (u32, u32), asked: &'a str) -> Result<(), Reason<'a>> {
    match resolutions(&able.sizes, ratio).any(|word| word.eq_ignore_ascii_case(asked)) {
        true => Ok(()),
        false => Err(Reason::ResolutionUnsupported { asked, ratio, sizes: &able.sizes }),
    }
}

/// The size of this ratio that lies nearest to the default number of pixels.
fn aspect_size(able: &Capabilities, ratio: (u32, u32), resolution: Option<&str>) -> Option<Size> {
    let same_ratio = |size: &Size| {
        u64::from(size.width) * u64::from(ratio.1) == u64::from(size.height) * u64::from(ratio.0)
    };
    let distance = |size: &Size| (size.pixels() - able.size_default.pixels()).abs();
    match &able.sizes {
        Sizes::Listed(list) => {
            list.iter().filter(|size| same_ratio(size)).min_by_key(|size| distance(size)).copied()
        }
        Sizes::Ratios(rows) => {
            let default =
                rows.iter().find(|row| row.size == able.size_default).map_or("", |row| &row.resolution);
            let wanted = resolution.unwrap_or(default);
            let is_wanted =
                |row: &&RatioSize| row.is_ratio(ratio) && row.resolution.eq_ignore_ascii_case(wanted);
            rows.iter().find(is_wanted).map(|row| row.size)
        }
        Sizes::Free { multiple, .. } => {
            // The largest multiple of the reduced ratio that does not pass the default number of pixels.
            let unit = Size::new(ratio.0.checked_mul(*multiple)?, ratio.1.checked_mul(*multiple)?);
            let scales = (1..=u32::from(u16::MAX)).map_while(|scale| {
                let size = Size::new(unit.width.checked_mul(scale)?, unit.height.checked_mul(scale)?);
                (size.pixels() <= able.size_default.pixels().max(unit.pixels())).then_some(size)
            });
            scales.filter(|size| makes_size(&able.sizes, *size)).last()
        }
    }
}

/// On a model that is named, quality is the vendor's own word, whichever of its letters are capitals.
fn named_quality<'a>(
    request: &'a ImageRequest,
    able: &'a Capabilities,
    offer: &'a Offer,
    sent_on: Option<SentOn<'a>>,
    resolution: &str,
) -> Result<(&'a str, Option<QualityClass>), Reason<'a>> {
    let asked = request.quality.as_deref().filter(|asked| *asked != "auto");
    let label_of = |able: &'a Capabilities| match asked {
        None => Ok(able.quality_default.as_str()),
        Some(asked) => {
            let known =
                able.qualities.iter().find(|label| label.eq_ignore_ascii_case(asked)).map(String::as_str);
            known.ok_or(Reason::QualityUnsupported { asked, known: &able.qualities })
        }
    };
    let label = match sent_on.map(|sent_on| (sent_on, sent_on.redirect.quality.as_deref())) {
        Some((sent_on, Some(label))) => {
            // The word is one of the model that is named; the label is what that name gets today.
            label_of(sent_on.named.model.capabilities.of(request.operation))?;
            label
        }
        _ => label_of(able)?,
    };
    let class = offer.model.class_of(label, resolution);
    // A label is the vendor's word, but a class that was asked for is a promise.
    match (request.class, class) {
        (Some(asked), Some(best)) if best < asked => Err(Reason::ClassTooLow { asked, best: Some(best) }),
        _ => Ok((label, class)),
    }
}

/// On a route, it is the cheapest label that reaches the class.
fn least_quality<'a>(
    least: QualityClass,
    able: &'a Capabilities,
    offer: &'a Offer,
    resolution: &str,
) -> Result<(&'a str, Option<QualityClass>), Reason<'a>> {
    let model = &*offer.model;
    static UNLABELLED: [String; 1] = [String::new()];
    let labels: &[String] = if able.qualities.is_empty() { &UNLABELLED } else { &able.qualities };
    let mut best = None;
    for label in labels {
        let class = model.class_of(label, resolution);
        best = best.max(class);
        if class >= Some(least) {
            // Labels stand in ascending order, so the first that clears the bar is the cheapest.
            return Ok((label, class));
        }
    }
    Err(Reason::ClassTooLow { asked: least, best })
}

fn choose_format<'a>(request: &ImageRequest, able: &'a Capabilities) -> Result<OutputFormat, Reason<'a>> {
    let format = request.output_format.unwrap_or(able.format_default);
    // Where the provider chooses among several, none is promised.
    let promised = able.format_selectable || able.formats.len() == 1;
    if request.output_format.is_some() && !promised {
        return Err(Reason::FormatUnsupported { asked: format, known: &[] });
    }
    if !able.formats.contains(&format) {
        return Err(Reason::FormatUnsupported { asked: format, known: &able.formats });
    }
    // 100 is what everybody delivers anyway.
    if request.output_compression.is_some_and(|value| value != 100) && !able.compression {
        return Err(Reason::CompressionUnsupported);
    }
    let transparent = request.background == Some(Background::Transparent);
    if transparent && (!able.backgrounds.contains(&Background::Transparent) || format == OutputFormat::Jpeg) {
        return Err(Reason::TransparencyUnsupported);
    }
    Ok(format)
}

fn parameters(
    request: &ImageRequest,
    able: &Capabilities,
    length: PromptLength,
) -> Result<(), Reason<'static>> {
    if length.characters > i64::from(able.prompt_characters_max) {
        return Err(Reason::PromptTooLong { characters_max: able.prompt_characters_max });
    }
    let last_seed = request.seed.map(|seed| seed.saturating_add(u64::from(request.n) - 1));
    if last_seed.is_some_and(|seed| able.seed_max.is_none_or(|max| seed > max)) {
        return Err(Reason::SeedUnsupported { max: able.seed_max });
    }
    if request.negative_prompt.is_some() && !able.negative_prompt {
        return Err(Reason::NegativePromptUnsupported);
    }
    Ok(())
}

fn option_words<'a>(request: &'a ImageRequest, offer: &Offer) -> &'a [OptionWord] {
    request.provider_option_words.get(&offer.provider.kind).map_or(&[], Vec::as_slice)
}

/// What goes in besides words, against what the model takes.
fn ingredients<'a>(request: &ImageRequest, able: &'a Capabilities) -> Result<(), Reason<'a>> {
    let asked = &request.ingredients;
    if !able.operations.contains(&request.operation) {
        return Err(Reason::OperationUnsupported { asked: request.operation });
    }
    if asked.loras > able.loras_max {
        return Err(Reason::LorasUnsupported);
    }
    if asked.controls > able.controls_max || asked.ip_adapters > able.ip_adapters_max {
        return Err(Reason::ControlsUnsupported);
    }
    let inputs = u32::try_from(asked.inputs.len()).unwrap_or(u32::MAX);
    if request.references > 0 || inputs > able.inputs_max {
        return Err(Reason::ReferencesUnsupported);
    }
    if let Some(size) = asked.inputs.iter().find(|size| !able.each_input.hold(**size)) {
        return Err(Reason::InputSizeUnsupported { size: *size, limits: &able.each_input });
    }
    if asked.tool_calls > 0 && !able.tools {
        return Err(Reason::ToolsUnsupported);
    }
    Ok(())
}

/// Options are checked by name; they concern offers of their kind only.
fn options<'a>(
    request: &'a ImageRequest,
    able: &'a Capabilities,
    offer: &'a Offer,
) -> Result<(), Reason<'a>> {
    let words = option_words(request, offer);
    let unnamed = |option: &&String| !words.iter().any(|word| word.name == **option);
    if let Some(option) = able.options_required.iter().find(unnamed) {
        return Err(Reason::OptionMissing { kind: &offer.provider.kind, option });
    }
    let known = &able.options;
    match words.iter().find(|word| !known.contains(&word.name)) {
        Some(word) => Err(Reason::OptionUnknown { option: &word.name, known }),
        None => Ok(()),
    }
}

fn choose(
    asked: Option<u32>,
    limit: Option<gallerist_domain::capability::Limit>,
    reason: impl Fn(Option<(u32, u32)>) -> Reason<'static>,
) -> Result<Option<u32>, Reason<'static>> {
    match (asked, limit) {
        (None, limit) => Ok(limit.map(|limit| limit.default)),
        (Some(_), None) => Err(reason(None)),
        (Some(value), Some(limit)) if (limit.min..=limit.max).contains(&value) => Ok(Some(value)),
        (Some(_), Some(limit)) => Err(reason(Some((limit.min, limit.max)))),
    }
}

impl Resolved<'_> {
    /// Number of calls.
    pub fn calls(&self) -> u32 {
        self.full_calls + u32::from(self.rest > 0)
    }

    /// Pictures of call `index`, counted from 0.
    pub fn images_of(&self, index: u32) -> u32 {
        if index < self.full_calls { self.facts.n } else { self.rest }
    }

    /// The complete call for pictures `first..first + n` of the request.
    pub fn call(
        &self,
        request: &ImageRequest,
        offer: &Offer,
        first: u32,
        n: u32,
        at: Timestamp,
    ) -> ImageCall {
        let able = offer.model.capabilities.of(request.operation);
        let output_tokens_max = match able.extra_output_tokens_max {
            0 => 0,
            extra => {
                let meter = gallerist_domain::Meter::ImageOutputTokens;
                let picture = estimated(meter, &offer.model.sheet, &self.facts, at)
                    .map_or(0, |tokens| tokens.range.max);
                u32::try_from(picture).unwrap_or(0).saturating_add(extra)
            }
        };
        ImageCall {
            operation: request.operation,
            upstream_model: self.upstream.to_owned(),
            prompt: request.prompt.clone(),
            n,
            size: self.facts.size,
            size_named: self.size_named,
            aspect_ratio: self.aspect_ratio.to_owned(),
            resolution: self.facts.resolution.to_owned(),
            quality: self.facts.quality.to_owned(),
            class: self.class.unwrap_or(QualityClass::Draft),
            tier: offer.id.tier.clone(),
            output_format: self.facts.output_format,
            format_selectable: able.format_selectable,
            format_named: request.output_format.is_some(),
            output_compression: request.output_compression.filter(|_| able.compression),
            background: request.background.filter(|background| able.backgrounds.contains(background)),
            moderation: request.moderation.filter(|_| able.moderation),
            user: request.user.clone(),
            // Several calls with one seed would make one picture several times.
            seed: request.seed.map(|seed| seed.saturating_add(u64::from(first))),
            steps: self.facts.steps,
            guidance_milli: self.guidance_milli,
            negative_prompt: request.negative_prompt.clone(),
            stream: self.facts.stream,
            partial_images: self.facts.partial_images,
            output_tokens_max,
            provider_options: request.provider_options.get(&offer.provider.kind).cloned().unwrap_or_default(),
            option_words: self.facts.options.to_vec(),
            ingredients: request.ingredients.clone(),
            region: offer.region.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
