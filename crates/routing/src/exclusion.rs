//! Why an offer is left out: a stable code, a reason for people, and the change that would admit it.

use gallerist_domain::id::STANDARD_TIER;
use gallerist_domain::{OfferId, Operation, OutputFormat, PictureLimits, QualityClass, Size, Sizes, Ticks};
use gallerist_pricing::Unpriced;
use jiff::civil::Date;
use std::fmt;

/// One offer that the plan leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exclusion<'a> {
    pub offer: &'a OfferId,
    pub reason: Reason<'a>,
    /// The route that demands it, where no change of the request would be enough.
    pub by_route: Option<&'a str>,
}

impl Exclusion<'_> {
    /// The change that would admit the offer, for people.
    pub fn change(&self) -> String {
        match self.by_route {
            Some(route) => format!("use another route, or change [routes.{route}]"),
            None => self.reason.change(),
        }
    }

    /// What the offer could cost, where that is why it is out.
    pub fn quote_over_limit(&self) -> Option<Ticks> {
        match self.reason {
            Reason::OverMaxCost { quote_max } => Some(quote_max),
            _ => None,
        }
    }

    /// The reason in a sentence's words, with the route that demands it.
    pub fn why(&self) -> impl fmt::Display {
        fmt::from_fn(|f| match self.by_route {
            Some(route) => write!(f, "{}, as the route {route} demands", self.reason),
            None => write!(f, "{}", self.reason),
        })
    }
}

/// The reason. It borrows from the offer and the request; texts are made only when somebody reads them, so
/// that leaving hundreds of offers out costs no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    ProviderExcluded,
    /// The key may use other providers only.
    ProviderForbidden {
        allowed: &'a [String],
    },
    /// The key may use other models only.
    ModelForbidden {
        allowed: &'a [String],
    },
    Retired {
        successors: &'a [String],
    },
    SwitchedOff(&'a str),
    NotReleased {
        from: Date,
    },
    SizeUnsupported {
        size: Size,
        default: Size,
    },
    AspectUnsupported {
        ratio: (u32, u32),
    },
    ResolutionUnsupported {
        asked: &'a str,
        ratio: (u32, u32),
        sizes: &'a Sizes,
    },
    QualityUnsupported {
        asked: &'a str,
        known: &'a [String],
    },
    ClassTooLow {
        asked: QualityClass,
        best: Option<QualityClass>,
    },
    FormatUnsupported {
        asked: OutputFormat,
        known: &'a [OutputFormat],
    },
    CompressionUnsupported,
    TransparencyUnsupported,
    SeedUnsupported {
        max: Option<u64>,
    },
    StepsUnsupported {
        range: Option<(u32, u32)>,
    },
    GuidanceUnsupported {
        range_milli: Option<(u32, u32)>,
    },
    NegativePromptUnsupported,
    OperationUnsupported {
        asked: Operation,
    },
    /// Its price is known, but the gateway cannot ask for this yet.
    NotServed,
    ToolsUnsupported,
    LorasUnsupported,
    ControlsUnsupported,
    ReferencesUnsupported,
    InputSizeUnsupported {
        size: Size,
        limits: &'a PictureLimits,
    },
    PromptTooLong {
        characters_max: u32,
    },
    OptionUnknown {
        option: &'a str,
        known: &'a [String],
    },
    /// One without which the provider refuses the call.
    OptionMissing {
        kind: &'a str,
        option: &'a str,
    },
    /// It is sold at its own tier alone.
    TierUnavailable {
        offer: &'a OfferId,
    },
    TooSlow {
        expected_ms: u64,
    },
    PriceUnknown(Unpriced<'a>),
    /// No price without a region, deployment or plan; this one has a price.
    RegionMissing {
        example: &'a str,
    },
    /// The account is of another region, or no price of it speaks of this one.
    RegionUnavailable {
        asked: &'a str,
        known: &'a [String],
    },
    OverMaxCost {
        quote_max: Ticks,
    },
    BreakerOpen {
        for_ms: u64,
    },
    /// The provider serves another model under this name, which cannot be had here.
    SentOn {
        to: &'a str,
    },
}

impl Reason<'_> {
    /// Stable; scripts may compare it.
    pub const fn code(&self) -> &'static str {
        match self {
            Reason::ProviderExcluded => "provider_excluded",
            Reason::ProviderForbidden { .. } => "provider_forbidden",
            Reason::ModelForbidden { .. } => "model_forbidden",
            Reason::Retired { .. } => "retired",
            Reason::SwitchedOff(_) => "switched_off",
            Reason::NotReleased { .. } => "not_released",
            Reason::SizeUnsupported { .. } => "size_unsupported",
            Reason::AspectUnsupported { .. } => "aspect_unsupported",
            Reason::ResolutionUnsupported { .. } => "resolution_unsupported",
            Reason::QualityUnsupported { .. } => "quality_unsupported",
            Reason::ClassTooLow { .. } => "class_too_low",
            Reason::FormatUnsupported { .. } => "format_unsupported",
            Reason::CompressionUnsupported => "compression_unsupported",
            Reason::TransparencyUnsupported => "transparency_unsupported",
            Reason::SeedUnsupported { .. } => "seed_unsupported",
            Reason::StepsUnsupported { .. } => "steps_unsupported",
            Reason::GuidanceUnsupported { .. } => "guidance_unsupported",
            Reason::NegativePromptUnsupported => "negative_prompt_unsupported",
            Reason::OperationUnsupported { .. } => "operation_unsupported",
            Reason::NotServed => "not_served",
            Reason::ToolsUnsupported => "tools_unsupported",
            Reason::LorasUnsupported => "loras_unsupported",
            Reason::ControlsUnsupported => "controls_unsupported",
            Reason::ReferencesUnsupported => "references_unsupported",
            Reason::InputSizeUnsupported { .. } => "input_size_unsupported",
            Reason::PromptTooLong { .. } => "prompt_too_long",
            Reason::OptionUnknown { .. } => "option_unknown",
            Reason::OptionMissing { .. } => "option_missing",
            Reason::TierUnavailable { .. } => "tier_unavailable",
            Reason::TooSlow { .. } => "too_slow",
            Reason::PriceUnknown(_) | Reason::RegionMissing { .. } => "price_unknown",
            Reason::RegionUnavailable { .. } => "region_unavailable",
            Reason::OverMaxCost { .. } => "over_max_cost",
            Reason::BreakerOpen { .. } => "breaker_open",
            Reason::SentOn { .. } => "sent_on",
        }
    }

    /// What would admit the offer.
    pub fn change(&self) -> String {
        match self {
            Reason::ProviderExcluded => "allow the provider in gallerist.providers".into(),
            Reason::ProviderForbidden { allowed } | Reason::ModelForbidden { allowed } => {
                format!("use {}, or a key that may use this", allowed.join(" or "))
            }
            Reason::Retired { successors: [] } => "choose another model".into(),
            Reason::Retired { successors } => format!("use {}", successors.join(" or ")),
            Reason::SwitchedOff(_) | Reason::NotReleased { .. } => "choose another model".into(),
            Reason::SizeUnsupported { default, .. } => {
                format!("ask for {default} or \"auto\", or set gallerist.size_match to \"aspect\"")
            }
            Reason::AspectUnsupported { .. } => "ask for another aspect ratio".into(),
            Reason::ResolutionUnsupported { ratio, sizes, .. } => {
                let known: Vec<&str> = resolutions(sizes, *ratio).collect();
                match known.is_empty() {
                    true => "leave out gallerist.resolution".into(),
                    false => format!("set gallerist.resolution to {}", known.join(" or ")),
                }
            }
            Reason::QualityUnsupported { known: [], .. } => "leave out quality".into(),
            Reason::QualityUnsupported { known, .. } => format!("use one of {}", known.join(", ")),
            Reason::ClassTooLow { best, .. } => match best {
                Some(best) => format!("set gallerist.class to \"{best}\""),
                None => "pin the model".into(),
            },
            Reason::FormatUnsupported { known: [], .. } => "leave out output_format".into(),
            Reason::FormatUnsupported { known, .. } => {
                let names: Vec<_> = known.iter().map(|format| format.as_str()).collect();
                format!("set output_format to {}", names.join(" or "))
            }
            Reason::CompressionUnsupported => "leave out output_compression".into(),
            Reason::TransparencyUnsupported => "leave out background, or ask for png or webp".into(),
            Reason::SeedUnsupported { max } => limit(max.map(|max| (0, max)), "gallerist.seed"),
            Reason::StepsUnsupported { range } => limit(*range, "gallerist.steps"),
            Reason::GuidanceUnsupported { range_milli: Some((low, high)) } => {
                format!("set gallerist.guidance between {} and {}", milli(*low), milli(*high))
            }
            Reason::GuidanceUnsupported { range_milli: None } => "leave out gallerist.guidance".into(),
            Reason::NegativePromptUnsupported => "leave out gallerist.negative_prompt".into(),
            Reason::OperationUnsupported { .. } => "choose a model that does it".into(),
            Reason::NotServed => "choose an offer that is served".into(),
            Reason::ToolsUnsupported => "leave out the tool calls".into(),
            Reason::LorasUnsupported => "leave out gallerist.loras".into(),
            Reason::ControlsUnsupported => "leave out gallerist.controls".into(),
            Reason::ReferencesUnsupported => "leave out gallerist.references".into(),
            Reason::InputSizeUnsupported { limits, .. } => format!("send pictures of {limits}"),
            Reason::PromptTooLong { characters_max } => {
                format!("shorten the prompt to {characters_max} characters")
            }
            Reason::OptionUnknown { .. }
            | Reason::OptionMissing { .. }
            | Reason::RegionMissing { .. }
            | Reason::RegionUnavailable { .. } => self.change_of_account(),
            Reason::TierUnavailable { offer } => match offer.tier.as_str() {
                STANDARD_TIER => "set gallerist.tier to \"auto\"".into(),
                tier @ ("batch" | "priority") => format!("set gallerist.tier to \"{tier}\""),
                tier => format!("name it, as {}#{tier}, and leave out gallerist.tier", offer.model),
            },
            Reason::TooSlow { expected_ms } => format!("raise gallerist.max_latency_ms to {expected_ms}"),
            Reason::PriceUnknown(_) => "add the price to the catalogue".into(),
            Reason::OverMaxCost { quote_max } => {
                format!("raise gallerist.max_cost_usd to {}", quote_max.short())
            }
            Reason::BreakerOpen { for_ms } => format!("wait {for_ms} ms"),
            Reason::SentOn { to } => format!("use {to}"),
        }
    }

    /// Of what one vendor knows alone: its options, and the regions of its accounts.
    fn change_of_account(&self) -> String {
        match self {
            Reason::OptionUnknown { known: [], .. } => {
                "leave out gallerist.provider_options for this provider".into()
            }
            Reason::OptionUnknown { known, .. } => format!("use only {}", known.join(", ")),
            Reason::OptionMissing { kind, option } => {
                format!("set gallerist.provider_options.{kind}.{option}")
            }
            Reason::RegionUnavailable { known, .. } if !known.is_empty() => {
                format!("set gallerist.region to {}", known.join(" or "))
            }
            Reason::RegionMissing { example } => format!("set gallerist.region, for example to {example}"),
            _ => "leave out gallerist.region".into(),
        }
    }
}

/// The provider's own words for the resolutions that it makes at this ratio; none where it has no such words.
pub(crate) fn resolutions(sizes: &Sizes, ratio: (u32, u32)) -> impl Iterator<Item = &str> {
    let rows = match sizes {
        Sizes::Ratios(rows) => rows.as_slice(),
        _ => &[],
    };
    let of_ratio = rows.iter().filter(move |row| row.is_ratio(ratio) && !row.resolution.is_empty());
    of_ratio.map(|row| row.resolution.as_str())
}

fn limit<T: fmt::Display>(range: Option<(T, T)>, name: &str) -> String {
    match range {
        Some((low, high)) => format!("set {name} between {low} and {high}"),
        None => format!("leave out {name}"),
    }
}

fn milli(value: u32) -> String {
    format!("{}.{:03}", value / 1000, value % 1000).trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::ProviderExcluded => f.write_str("the request leaves this provider out"),
            Reason::ProviderForbidden { .. } => f.write_str("the key may not use this provider"),
            Reason::ModelForbidden { .. } => f.write_str("the key may not use this model"),
            Reason::Retired { .. } => f.write_str("the model has been retired"),
            Reason::SwitchedOff(why) => write!(f, "switched off: {why}"),
            Reason::NotReleased { from } => write!(f, "it is offered from {from} on"),
            Reason::SizeUnsupported { size, .. } => write!(f, "it cannot make {size}"),
            Reason::AspectUnsupported { ratio: (w, h) } => {
                write!(f, "it cannot make the aspect ratio {w}:{h}")
            }
            Reason::ResolutionUnsupported { asked, .. } => write!(f, "it has no resolution {asked:?}"),
            Reason::QualityUnsupported { asked, .. } => write!(f, "it has no quality {asked:?}"),
            Reason::ClassTooLow { asked, best: Some(best) } => {
                write!(f, "its best class is {best}, not {asked}")
            }
            Reason::ClassTooLow { best: None, .. } => f.write_str("its quality class is not known"),
            Reason::FormatUnsupported { known: [], .. } => f.write_str("it chooses the format itself"),
            Reason::FormatUnsupported { asked, .. } => write!(f, "it does not deliver {asked}"),
            Reason::CompressionUnsupported => f.write_str("its compression cannot be set"),
            Reason::TransparencyUnsupported => f.write_str("it makes no transparent background"),
            Reason::SeedUnsupported { .. } => f.write_str("it does not take this seed"),
            Reason::StepsUnsupported { .. } => f.write_str("it does not take this number of steps"),
            Reason::GuidanceUnsupported { .. } => f.write_str("it does not take this guidance"),
            Reason::NegativePromptUnsupported => f.write_str("it takes no negative prompt"),
            Reason::OperationUnsupported { asked } => write!(f, "it does not do {asked}"),
            Reason::NotServed => f.write_str("its price is known, but this gateway cannot order it yet"),
            Reason::ToolsUnsupported => f.write_str("it calls no tools"),
            Reason::LorasUnsupported => f.write_str("it takes no LoRAs, or fewer"),
            Reason::ControlsUnsupported => f.write_str("it takes no controls, or fewer"),
            Reason::ReferencesUnsupported => f.write_str("it takes no such pictures as input, or fewer"),
            Reason::InputSizeUnsupported { size, .. } => {
                write!(f, "it does not take a picture of {size} as input")
            }
            Reason::PromptTooLong { characters_max } => {
                write!(f, "it takes prompts of at most {characters_max} characters")
            }
            Reason::OptionUnknown { option, .. } => write!(f, "it has no option {option:?}"),
            Reason::OptionMissing { option, .. } => write!(f, "it needs the option {option:?}"),
            Reason::TierUnavailable { .. } => f.write_str("it is not sold at this tier"),
            Reason::TooSlow { expected_ms } => write!(f, "it is expected to take {expected_ms} ms"),
            Reason::PriceUnknown(why) => write!(f, "its price is not known: {why}"),
            Reason::RegionMissing { .. } => f.write_str(
                "its price is not known: it depends on the region, deployment or plan of the account",
            ),
            Reason::RegionUnavailable { asked, .. } => write!(f, "it has no region or plan {asked:?}"),
            Reason::OverMaxCost { quote_max } => write!(f, "it could cost {} USD", quote_max.short()),
            Reason::BreakerOpen { for_ms } => write!(f, "it failed repeatedly and rests for {for_ms} ms"),
            Reason::SentOn { to } => write!(f, "its provider serves {to} in its place"),
        }
    }
}
