//! What a client asked for, checked and typed, before anybody decides who makes it.

use crate::money::Ticks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Width and height in pixels, both 1 to 65,535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    pub const fn new(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    pub const fn pixels(self) -> i64 {
        (self.width as i64).saturating_mul(self.height as i64)
    }

    pub fn long_edge(self) -> u32 {
        self.width.max(self.height)
    }

    pub fn short_edge(self) -> u32 {
        self.width.min(self.height)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Size, String> {
        let edge = |part: &str| -> Option<u32> {
            let plain = part.len() <= 5 && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            part.parse().ok().filter(|n| plain && (1..=65_535).contains(n))
        };
        text.split_once('x')
            .and_then(|(width, height)| Some(Size::new(edge(width)?, edge(height)?)))
            .ok_or_else(|| format!("{text:?} is not a size such as 1024x1024"))
    }
}

impl Serialize for Size {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Defines a closed list of words with their texts.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The word for `text`, if it is one.
            pub fn from_word(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }

            /// All words, for error messages: `a, b, c`.
            pub fn words() -> String {
                Self::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(", ")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

words!(
    /// What is done.
    Operation {
        Generate = "generate",
        /// By words, from one or more pictures, without a mask.
        Edit = "edit",
        /// Within a mask.
        Inpaint = "inpaint",
        /// Beyond the edges.
        Outpaint = "outpaint",
        /// What a mask marks is taken away.
        Erase = "erase",
        /// What words describe is replaced.
        SearchReplace = "search_replace",
        /// What words describe gets another colour.
        Recolor = "recolor",
        RemoveBackground = "remove_background",
        ReplaceBackground = "replace_background",
        Upscale = "upscale",
        Variation = "variation",
        /// Guided by a sketch, edges, depth or a pose.
        Control = "control",
        StyleTransfer = "style_transfer",
        Relight = "relight",
        /// A picture is traced.
        Vectorize = "vectorize",
        /// A picture is taken apart into layers.
        Layerize = "layerize",
        /// Words about a picture.
        Describe = "describe",
        Classify = "classify",
        /// Both in one call, where a provider sells them together.
        GenerateAndClassify = "generate_and_classify",
    }
);
words!(
    /// File formats that are delivered.
    OutputFormat {
        Png = "png",
        Jpeg = "jpeg",
        Webp = "webp",
        /// A drawing of lines. It has a price where it is sold, but no adapter orders one yet.
        Svg = "svg",
    }
);
words!(Background { Auto = "auto", Opaque = "opaque", Transparent = "transparent" });
words!(Moderation { Auto = "auto", Low = "low" });
words!(
    /// What the plan is sorted by.
    Objective { Cost = "cost", Latency = "latency", Quality = "quality" }
);
words!(
    /// How good a picture is, in three steps; ordered.
    QualityClass { Draft = "draft", Standard = "standard", High = "high" }
);
words!(
    /// The service tier that a client asks for.
    TierChoice { Auto = "auto", Batch = "batch", Standard = "standard", Priority = "priority" }
);
words!(SizeMatch { Exact = "exact", Aspect = "aspect" });
words!(ResponseFormat { Base64 = "b64_json", Url = "url" });

impl OutputFormat {
    pub const fn media_type(self) -> &'static str {
        match self {
            OutputFormat::Png => "image/png",
            OutputFormat::Jpeg => "image/jpeg",
            OutputFormat::Webp => "image/webp",
            OutputFormat::Svg => "image/svg+xml",
        }
    }
}

/// Which size the client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SizeChoice {
    /// We choose, and send our choice explicitly.
    Auto,
    /// Exactly these pixels.
    Exact(Size),
    /// The ratio (reduced, width : height) and, if named, the provider's resolution word such as `2K`.
    Aspect { ratio: (u32, u32), resolution: Option<String> },
}

/// A vendor's own parameter, as far as a price may depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionWord {
    pub name: String,
    pub value: String,
}

/// What goes into a picture besides words, as far as it is counted and priced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingredients {
    /// Pixels of the pictures that are sent in: the one to change first, then references.
    pub inputs: Vec<Size>,
    /// Pixels that the mask marks; absent where there is none or they were not counted.
    pub mask_pixels: Option<i64>,
    pub loras: u32,
    /// ControlNets and their like.
    pub controls: u32,
    pub ip_adapters: u32,
    /// Calls of a tool, such as a web search, that are allowed.
    pub tool_calls: u32,
    /// Characters at the start of the prompt that the provider is known to hold in its cache.
    pub cached_characters: u32,
}

impl Ingredients {
    pub fn is_empty(&self) -> bool {
        *self == Ingredients::default()
    }
}

/// A checked request. Defaults are filled; what the client left open stays open as `None` or `Auto`.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRequest {
    pub operation: Operation,
    /// `auto`, another route, a canonical model, `provider/model`, `model@version`.
    pub model: String,
    /// 1 to 32,000 characters.
    pub prompt: String,
    /// Pictures wanted; 1 to 10.
    pub n: u32,
    pub size: SizeChoice,
    /// The literal word; on a route a least class, on a pinned model the vendor's own label.
    pub quality: Option<String>,
    pub output_format: Option<OutputFormat>,
    /// 0 to 100.
    pub output_compression: Option<u8>,
    pub background: Option<Background>,
    pub moderation: Option<Moderation>,
    /// End user (`safety_identifier`, else `user`); passed on where the provider takes it.
    pub user: Option<String>,
    /// What its cost is told apart by; no provider sees them.
    pub tags: BTreeMap<String, String>,
    pub response_format: ResponseFormat,
    pub stream: bool,
    /// 0 to 3; only with `stream`.
    pub partial_images: u8,
    pub objective: Option<Objective>,
    pub max_cost: Option<Ticks>,
    pub max_latency_ms: Option<u64>,
    pub providers_only: Vec<String>,
    pub providers_exclude: Vec<String>,
    pub tier: TierChoice,
    /// Only accounts of this region, deployment or plan; for prices alone, also what is not configured at that region.
    pub region: Option<String>,
    pub seed: Option<u64>,
    pub steps: Option<u32>,
    /// Guidance in thousandths (3.5 is 3500).
    pub guidance_milli: Option<u32>,
    pub negative_prompt: Option<String>,
    /// References whose pixels are not known yet; they exclude every offer.
    pub references: u32,
    /// What goes in besides words.
    pub ingredients: Ingredients,
    /// The least class that a route may choose.
    pub class: Option<QualityClass>,
    /// By provider kind: what only that vendor knows, as JSON text of an object.
    pub provider_options: BTreeMap<String, String>,
    /// The names in each of those objects with their plain values as text (`"true"`, `"7"`; empty for lists
    /// and objects), for the check against the catalogue and for prices that depend on them.
    pub provider_option_words: BTreeMap<String, Vec<OptionWord>>,
}

impl ImageRequest {
    /// A request with nothing but a prompt.
    pub fn new(model: &str, prompt: &str) -> ImageRequest {
        ImageRequest {
            operation: Operation::Generate,
            model: model.to_owned(),
            prompt: prompt.to_owned(),
            n: 1,
            size: SizeChoice::Auto,
            quality: None,
            output_format: None,
            output_compression: None,
            background: None,
            moderation: None,
            user: None,
            tags: BTreeMap::new(),
            response_format: ResponseFormat::Base64,
            stream: false,
            partial_images: 0,
            objective: None,
            max_cost: None,
            max_latency_ms: None,
            providers_only: Vec::new(),
            providers_exclude: Vec::new(),
            tier: TierChoice::Auto,
            region: None,
            seed: None,
            steps: None,
            guidance_milli: None,
            negative_prompt: None,
            references: 0,
            ingredients: Ingredients::default(),
            class: None,
            provider_options: BTreeMap::new(),
            provider_option_words: BTreeMap::new(),
        }
    }
}
