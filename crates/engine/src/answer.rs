//! What goes out: pictures in the buffers they came in, and everything there is to say about them.

use crate::refusal::Refusal;
use gallerist_domain::{Chunks, ImageData, OutputFormat, RequestId, Size, Ticks};
use gallerist_routing::ListPrice;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

/// A delivered request. Clones share everything.
#[derive(Clone, Debug)]
pub struct Answer {
    pub images: Vec<DeliveredImage>,
    pub meta: Arc<AnswerMeta>,
}

/// A picture that passed the check. `data` is `Base64` or `Bytes`, never an address.
#[derive(Clone, Debug)]
pub struct DeliveredImage {
    pub data: ImageData,
    pub format: OutputFormat,
    pub size: Size,
    pub revised_prompt: Option<String>,
    /// Address of the picture in our own store (path and query), when the client asked for one.
    pub url_path: Option<String>,
}

/// Everything but the pictures; stored with the request, so that an answer can be replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerMeta {
    pub request_id: RequestId,
    /// Seconds since 1970, as OpenAI's `created`.
    pub created: i64,
    pub provider: String,
    /// The model that made it.
    pub model: String,
    /// The name that the request called for; empty in rows of before this was kept.
    #[serde(default)]
    pub requested_model: String,
    /// The route that it is, or leads to.
    #[serde(default)]
    pub route: Option<String>,
    pub offer: String,
    pub size: Size,
    /// The vendor's label, empty where there is none.
    pub quality: String,
    pub output_format: OutputFormat,
    pub cost: Cost,
    /// Attempts that were made, this one included.
    pub attempts: u32,
    /// Against the list price of the configured baseline; absent where that cannot serve the request.
    pub saved_usd: Option<Ticks>,
    /// That list price, and what it rests on; absent in rows of before this was kept.
    #[serde(flatten)]
    pub list: Option<AnsweredList>,
    /// Whether this is a replay of an earlier answer.
    pub cached: bool,
    pub warnings: Vec<String>,
    pub missing: Option<Missing>,
    pub usage: Option<TokenUsage>,
    /// One place per picture, in order, so their number is that of the pictures: what a replay needs besides
    /// the files.
    pub revised_prompts: Vec<Option<String>>,
}

/// What the request would have cost at the baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredList {
    pub list_usd: Ticks,
    /// As [`CostLine::confidence`], of the least sure of what it rests on …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_confidence: Option<Cow<'static, str>>,
    /// … and the day on which that was read. Both are absent where no price line speaks of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_as_of: Option<Date>,
}

impl From<ListPrice> for AnsweredList {
    fn from(list: ListPrice) -> AnsweredList {
        AnsweredList {
            list_usd: list.amount,
            list_confidence: list.trust.map(|(confidence, _)| confidence.as_str().into()),
            list_as_of: list.trust.map(|(_, as_of)| as_of),
        }
    }
}

/// What the request cost, over all its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    pub charged_usd: Ticks,
    pub basis: String,
    pub lines: CostLines,
    /// Held because nobody knows whether it was billed; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disputed_usd: Option<Ticks>,
    /// What the provider charged beyond its published maximum.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub overrun_usd: Option<Ticks>,
}

/// One line of a charge: `quantity` at `unit_price_usd`, times `times`, makes `amount_usd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostLine {
    pub line: String,
    pub meter: String,
    pub quantity: String,
    pub unit_price_usd: String,
    /// The factors on it, such as a reseller's `1055/1000`; absent where nothing changes the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<String>,
    pub amount_usd: Ticks,
    pub source: String,
    /// How sure the price is (`official`, `third_party`, `derived`, `unverified`) …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Cow<'static, str>>,
    /// … and the day on which it was read. Both are absent where the provider itself said what it charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Date>,
}

/// The lines of a charge, written as JSON once: the same text goes into the books, into what a replay needs and
/// into the answer. Clones share it.
#[derive(Clone, Debug)]
pub struct CostLines {
    lines: Arc<[CostLine]>,
    json: Arc<RawValue>,
}

impl CostLines {
    /// Those of several charges, one after the other.
    pub(crate) fn joined<'a>(each: impl ExactSizeIterator<Item = &'a CostLines>) -> CostLines {
        let mut each = each.peekable();
        match (each.len(), each.peek()) {
            (1, Some(only)) => (*only).clone(),
            _ => CostLines::from(each.flat_map(|lines| lines.iter().cloned()).collect::<Vec<_>>()),
        }
    }
}

impl From<Vec<CostLine>> for CostLines {
    fn from(lines: Vec<CostLine>) -> CostLines {
        let json = serde_json::value::to_raw_value(&lines).expect("lines are plain data");
        CostLines { lines: lines.into(), json: json.into() }
    }
}

impl Deref for CostLines {
    type Target = [CostLine];

    fn deref(&self) -> &[CostLine] {
        &self.lines
    }
}

impl PartialEq for CostLines {
    fn eq(&self, other: &CostLines) -> bool {
        self.lines == other.lines
    }
}

impl Eq for CostLines {}

impl Serialize for CostLines {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CostLines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CostLines, D::Error> {
        Vec::deserialize(deserializer).map(CostLines::from)
    }
}

/// Pictures that were asked for and not delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub count: u32,
    pub reason: String,
}

/// Token counts in OpenAI's words, where the provider counts tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    pub text_input_tokens: i64,
    pub image_input_tokens: i64,
    pub text_output_tokens: i64,
    pub image_output_tokens: i64,
}

/// Where a stream's pictures come from; known before what they cost, so that a client which is cut off in the
/// middle knows under which id its picture is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOrigin {
    pub request_id: RequestId,
    pub provider: String,
    pub model: String,
}

/// What a streamed request sends, in this order: partials, then one `Completed` per picture; or `Failed`.
#[derive(Clone, Debug)]
pub enum StreamEvent {
    Partial {
        origin: Arc<StreamOrigin>,
        index: u32,
        image: Chunks,
        format: OutputFormat,
        size: Size,
        quality: String,
    },
    Completed {
        image: DeliveredImage,
        meta: Arc<AnswerMeta>,
    },
    Failed(Refusal),
}
