//! When a price line, a factor or an estimate applies.

use crate::facts::Facts;
use gallerist_domain::{Operation, OutputFormat, PictureLimits, Size};
use jiff::Timestamp;
use std::sync::Arc;

/// A half-open span of time; the price instant (acceptance of the request) is tested against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl Period {
    /// What both have in common; `None` when they never overlap.
    pub fn and(self, other: Period) -> Option<Period> {
        let latest = |a: Option<Timestamp>, b: Option<Timestamp>| a.max(b);
        let earliest = |a: Option<Timestamp>, b: Option<Timestamp>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let both =
            Period { since: latest(self.since, other.since), until: earliest(self.until, other.until) };
        let empty = matches!((both.since, both.until), (Some(since), Some(until)) if until <= since);
        (!empty).then_some(both)
    }

    pub fn contains(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// A recurring window of the clock, such as 02:00–06:00 UTC from Monday to Friday.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    pub zone: jiff::tz::TimeZone,
    /// Empty: every day.
    pub weekdays: Vec<jiff::civil::Weekday>,
    pub from: jiff::civil::Time,
    /// Exclusive; earlier than `from` means past midnight.
    pub until: jiff::civil::Time,
}

impl Window {
    pub fn contains(&self, at: Timestamp) -> bool {
        let local = at.to_zoned(self.zone.clone());
        let time = local.time();
        let over_midnight = self.until <= self.from;
        let inside = if over_midnight {
            time >= self.from || time < self.until
        } else {
            time >= self.from && time < self.until
        };
        // After midnight the window belongs to the day on which it began.
        let began_yesterday = over_midnight && time < self.until;
        let day = if began_yesterday { local.weekday().previous() } else { local.weekday() };
        inside && (self.weekdays.is_empty() || self.weekdays.contains(&day))
    }
}

/// When a line or a factor applies. Most do always; their condition is one empty word, so that a quote of the
/// whole catalogue goes past them without looking further.
#[derive(Clone, Debug, Default)]
pub struct Condition(Option<Arc<Terms>>);

impl From<Terms> for Condition {
    fn from(terms: Terms) -> Condition {
        Condition((terms != Terms::default()).then(|| Arc::new(terms)))
    }
}

/// What must hold for a condition to. Empty lists and absent limits do not restrict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    pub operations: Vec<Operation>,
    pub qualities: Vec<String>,
    pub sizes: Vec<Size>,
    pub resolutions: Vec<String>,
    pub formats: Vec<OutputFormat>,
    pub tiers: Vec<String>,
    /// Output pixels of one picture, inclusive.
    pub pixels_min: Option<i64>,
    pub pixels_max: Option<i64>,
    /// Steps, inclusive.
    pub steps_min: Option<u32>,
    pub steps_max: Option<u32>,
    pub stream: Option<bool>,
    /// Deployments or regions of the account.
    pub regions: Vec<String>,
    /// The account's is none of these.
    pub regions_absent: Vec<String>,
    /// Pictures that are sent in, inclusive.
    pub inputs_min: Option<u32>,
    pub inputs_max: Option<u32>,
    /// The shape of each picture that is sent in: all of them hold these, or there is none.
    pub each_input: PictureLimits,
    /// LoRAs, ControlNets and IP-Adapters, inclusive.
    pub loras: CountRange,
    pub controls: CountRange,
    pub ip_adapters: CountRange,
    /// Marked part of the output in thousandths, inclusive. An uncounted mask may be as large as the picture.
    pub mask_per_mille_min: Option<i64>,
    pub mask_per_mille_max: Option<i64>,
    /// Each must hold.
    pub options: Vec<OptionCondition>,
    /// None of these may be given.
    pub options_absent: Vec<String>,
    pub window: Option<Window>,
}

/// A number within limits, inclusive; without limits any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountRange {
    pub min: Option<u32>,
    pub max: Option<u32>,
}

impl CountRange {
    fn contains(self, count: u32) -> bool {
        self.min.is_none_or(|min| count >= min) && self.max.is_none_or(|max| count <= max)
    }
}

/// A vendor's own parameter has one of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionCondition {
    pub name: String,
    pub values: Vec<String>,
}

impl OptionCondition {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        facts.options.iter().any(|word| word.name == self.name && self.values.contains(&word.value))
    }
}

fn holds<T: PartialEq>(allowed: &[T], value: &T) -> bool {
    allowed.is_empty() || allowed.contains(value)
}

fn holds_word(allowed: &[String], value: &str) -> bool {
    allowed.is_empty() || allowed.iter().any(|word| word == value)
}

impl Condition {
    /// `None` where it always holds.
    pub fn terms(&self) -> Option<&Terms> {
        self.0.as_deref()
    }

    pub fn matches(&self, facts: &Facts<'_>, at: Timestamp) -> bool {
        self.terms().is_none_or(|terms| terms.hold(facts, at))
    }
}

impl Terms {
    /// Whether nothing but operation, size, steps, tier and region decides whether they hold.
    pub fn are_of_canvas(&self) -> bool {
        let counts = [self.loras, self.controls, self.ip_adapters];
        self.qualities.is_empty()
            && self.resolutions.is_empty()
            && self.formats.is_empty()
            && self.stream.is_none()
            && self.inputs_min.is_none()
            && self.inputs_max.is_none()
            && self.each_input == PictureLimits::default()
            && counts.iter().all(|count| *count == CountRange::default())
            && self.mask_per_mille_min.is_none()
            && self.mask_per_mille_max.is_none()
            && self.options.is_empty()
            && self.options_absent.is_empty()
            && self.window.is_none()
    }

    /// Numbers before words: most lines of a table are told apart by them, and comparing them is a single step.
    fn hold(&self, facts: &Facts<'_>, at: Timestamp) -> bool {
        let pixels = facts.size.pixels();
        holds(&self.operations, &facts.operation)
            && holds(&self.sizes, &facts.size)
            && self.pixels_min.is_none_or(|min| pixels >= min)
            && self.pixels_max.is_none_or(|max| pixels <= max)
            && self.steps_min.is_none_or(|min| facts.steps >= min)
            && self.steps_max.is_none_or(|max| facts.steps <= max)
            && self.stream.is_none_or(|stream| stream == facts.stream)
            && holds(&self.formats, &facts.output_format)
            && holds_word(&self.qualities, facts.quality)
            && holds_word(&self.resolutions, facts.resolution)
            && holds_word(&self.tiers, facts.tier)
            && holds_word(&self.regions, facts.region)
            && !self.regions_absent.iter().any(|word| word == facts.region)
            && self.inputs_min.is_none_or(|min| facts.input_count() >= i64::from(min))
            && self.inputs_max.is_none_or(|max| facts.input_count() <= i64::from(max))
            && facts.inputs.iter().all(|size| self.each_input.hold(*size))
            && self.mask_per_mille_min.is_none_or(|min| facts.mask_per_mille() >= min)
            && self.mask_per_mille_max.is_none_or(|max| facts.mask_per_mille() <= max)
            && self.loras.contains(facts.loras)
            && self.controls.contains(facts.controls)
            && self.ip_adapters.contains(facts.ip_adapters)
            && self.options.iter().all(|option| option.matches(facts))
            && !facts.options.iter().any(|word| self.options_absent.contains(&word.name))
            && self.window.as_ref().is_none_or(|window| window.contains(at))
    }
}
