//! Other people's price lists, read into neutral rows: for each entry exact prices, or why there are none.
//!
//! One file a format reads the words of its list; [`compare`] holds the rows against our catalogue and finds
//! mistaken units; [`write`] makes catalogue files of what is sound, and [`plan`] tells beforehand what of it would
//! be new. Figures are read from their digits. This room opens no file and refuses to guess: what it does not
//! understand of an entry is said beside it.

pub mod compare;
mod draft;
mod form;
pub(crate) mod json;
mod known;
mod litellm;
mod openrouter;
pub mod plan;
mod portkey;
pub mod write;

pub use form::NotAList;

use gallerist_domain::{Decimal, Meter, Price, Size, Ticks};
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Pixels of a megapixel where a host counts whole ones of 1024 × 1024.
pub(crate) const BINARY_MEGAPIXEL: i64 = 1 << 20;

/// Whose list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `model_prices_and_context_window.json`.
    Litellm,
    /// The answer of `/api/v1/models`, or of `/api/v1/images/models/…/endpoints`.
    Openrouter,
    /// `pricing/PROVIDER.json`; amounts in cents.
    Portkey,
}

impl Format {
    pub const fn name(self) -> &'static str {
        match self {
            Format::Litellm => "litellm",
            Format::Openrouter => "openrouter",
            Format::Portkey => "portkey",
        }
    }
}

/// What a row is the price of, beyond its meter. Absent: whatever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub quality: Option<String>,
    pub size: Option<Size>,
    pub resolution: Option<String>,
    /// Up to this many steps.
    pub steps_max: Option<u32>,
    /// A service tier besides the standard one.
    pub tier: Option<String>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.size.map(|size| size.to_string());
        let steps = self.steps_max.map(|steps| format!("up to {steps} steps"));
        let words = [&self.quality, &size, &self.resolution, &steps, &self.tier];
        let words: Vec<&str> = words.into_iter().filter_map(|word| word.as_deref()).collect();
        f.write_str(&words.join(" "))
    }
}

/// One price of the list: dollars per units of a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub meter: Meter,
    pub price: Price,
    /// A started multiple of this many base units counts whole; 1 for none.
    pub round_up: i64,
    pub key: Key,
    /// What the list calls it.
    pub field: String,
    /// What the list books for a whole picture where nobody counted its tokens; not added to them.
    pub typical: bool,
    /// Qualities that the list prices in rows of their own, where this one names none: it is not their price.
    pub besides: BTreeSet<String>,
}

impl Row {
    /// One at its face: of what the meter counts, and of nothing else.
    fn new(meter: Meter, price: Price, key: Key, field: &str) -> Row {
        let (field, besides) = (field.to_owned(), BTreeSet::new());
        Row { meter, price, round_up: 1, key, field, typical: false, besides }
    }

    /// Whether it is the price of a whole picture, or of its pixels.
    pub fn of_picture(&self) -> bool {
        matches!(self.meter, Meter::Images | Meter::OutputPixels)
    }

    /// The price of one picture of this many pixels, where that is what the row prices.
    pub fn picture(&self, pixels: i64) -> Option<Ticks> {
        let quantity = match self.meter {
            Meter::Images | Meter::Calls => 1,
            Meter::OutputPixels => pixels.checked_add(self.round_up - 1)? / self.round_up * self.round_up,
            _ => return None,
        };
        self.price.times(quantity)
    }
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As the list names it.
    pub id: String,
    /// The provider as the list names it.
    pub provider: String,
    /// Our kind of provider, where there is one.
    pub kind: Option<String>,
    /// The vendor's id, without what the list puts before it.
    pub model: String,
    pub retires_on: Option<Date>,
    /// The page that the list itself names.
    pub page: Option<String>,
    /// Whether it is for changing pictures only.
    pub edits_only: bool,
    pub verdict: Verdict,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

impl Entry {
    /// The rows, where the entry is priced.
    pub fn rows(&self) -> &[Row] {
        match &self.verdict {
            Verdict::Priced(rows) => rows,
            Verdict::Unpriced(_) => &[],
        }
    }
}

/// What is to be said of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// At least one row.
    Priced(Vec<Row>),
    Unpriced(Reason),
}

/// Why an entry has no price for us. An unknown price is never zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("the list names no price")]
    NoPrice,
    #[error("its only prices are zero: an unknown price is not free")]
    OnlyZero,
    #[error("priced by text tokens alone, which stands for something that the list cannot say")]
    TokenPlaceholder,
    #[error("retired on {0}")]
    Retired(Date),
    #[error("{0:?} in its name is no figure")]
    OpaqueKey(String),
    #[error("it makes no pictures")]
    NoPictures,
    #[error("{field} is negative: {text}")]
    Negative { field: String, text: String },
    #[error("{field} is not a number: {text}")]
    NotANumber { field: String, text: String },
    #[error("{field} is {text}, which is no amount that can be held exactly")]
    TooFine { field: String, text: String },
    #[error("currency is {0}, not USD")]
    Currency(String),
    #[error("{0} is a price that this reader does not know")]
    UnknownField(String),
    /// A field that every entry has is missing or is something else; names it.
    #[error("{0}")]
    Malformed(String),
}

impl Reason {
    /// Stable; scripts may compare it.
    pub const fn code(&self) -> &'static str {
        match self {
            Reason::NoPrice => "no_price",
            Reason::OnlyZero => "only_zero",
            Reason::TokenPlaceholder => "token_placeholder",
            Reason::Retired(_) => "retired",
            Reason::OpaqueKey(_) => "opaque_key",
            Reason::NoPictures => "no_pictures",
            Reason::Negative { .. } | Reason::NotANumber { .. } | Reason::TooFine { .. } => "unreadable",
            Reason::Currency(_) => "currency",
            Reason::UnknownField(_) => "unknown_field",
            Reason::Malformed(_) => "malformed",
        }
    }
}

/// Reads a whole list. `provider` is whose prices they are, where the list itself does not say (Portkey has a
/// file a provider); what is retired on `today` has no price.
///
/// # Errors
/// When the text as a whole is not of this format, or no entry of it can be understood; single entries that cannot
/// be are listed as such.
pub fn read(format: Format, text: &str, provider: &str, today: Date) -> Result<Vec<Entry>, NotAList> {
    let entries = match format {
        Format::Litellm => litellm::read(text, today),
        Format::Openrouter => openrouter::read(text),
        Format::Portkey => portkey::read(text, provider),
    };
    let mut entries =
        entries.and_then(form::understood).map_err(|detail| NotAList::of(format, text, detail))?;
    tell_apart(&mut entries);
    Ok(entries)
}

/// Tells each price that names no quality which qualities of its model the list prices in rows of their own.
fn tell_apart(entries: &mut [Entry]) {
    let mut named: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for entry in entries.iter() {
        let qualities = entry.rows().iter().filter(|row| row.of_picture());
        let of_model = named.entry((entry.provider.clone(), entry.model.clone())).or_default();
        of_model.extend(qualities.filter_map(|row| row.key.quality.clone()));
    }
    for entry in entries {
        let Some(qualities) = named.get(&(entry.provider.clone(), entry.model.clone())) else { continue };
        let Verdict::Priced(rows) = &mut entry.verdict else { continue };
        for row in rows.iter_mut().filter(|row| row.of_picture() && row.key.quality.is_none()) {
            row.besides = qualities.clone();
        }
    }
}

/// Our kind of a provider as the lists name them; `None` where they name one that we have no prices of.
pub fn kind_of(provider: &str) -> Option<String> {
    let kind = match provider {
        "black_forest_labs" => "bfl",
        "fal_ai" | "fal-ai" => "fal",
        "fireworks_ai" | "fireworks-ai" => "fireworks",
        "gemini" | "google" | "vertex_ai" | "vertex-ai" | "vertex_ai-language-models" => "google",
        "dashscope" | "qwencloud" | "qwen_ai_platform" => "qwen",
        "azure-openai" => "azure",
        "mistral-ai" => "mistral",
        "open-ai" => "openai",
        "workers-ai" => "cloudflare",
        "stability-ai" => "stability",
        "together-ai" | "together_ai" => "together",
        "recraft-ai" => "recraft",
        "x-ai" => "xai",
        "azure" | "bedrock" | "bfl" | "cloudflare" | "fal" | "fireworks" | "ideogram" | "mistral"
        | "openai" | "openrouter" | "qwen" | "recraft" | "replicate" | "runware" | "stability"
        | "together" | "xai" => provider,
        _ => return None,
    };
    Some(kind.to_owned())
}

/// A figure per unit as a price of whole ticks: per ten, a hundred … units where it is finer than a tick.
/// `None` where nothing holds it.
pub(crate) fn exact_price(dollars: Decimal, units: i64) -> Option<Price> {
    let (mut mantissa, mut scale) = (dollars.mantissa(), dollars.scale());
    while scale > 0 && mantissa % 10 == 0 {
        (mantissa, scale) = (mantissa / 10, scale - 1);
    }
    let mut per = units;
    while scale > 10 {
        (scale, per) = (scale - 1, per.checked_mul(10)?);
    }
    let amount =
        Decimal::new(mantissa, scale).to_ticks_exact().ok().filter(|amount| !amount.is_negative())?;
    Some(Price { amount, per })
}

/// A figure per token as people write it: per million.
fn per_million(dollars: Decimal) -> Option<Price> {
    exact_price(product(dollars, Decimal::new(1_000_000, 0))?, 1_000_000)
}

/// The exact product of two figures.
pub(crate) fn product(a: Decimal, b: Decimal) -> Option<Decimal> {
    let scale = a.scale().checked_add(b.scale()).filter(|scale| *scale <= 34)?;
    Some(Decimal::new(a.mantissa().checked_mul(b.mantissa())?, scale))
}

#[cfg(test)]
mod tests;
