//! What providers count: the closed list of meters that price lines and usage speak about.
//!
//! Every quantity is a whole number of the meter's *base unit* (a pixel, a microsecond, a token, a
//! millionth of a credit), so that no quantity ever needs a fraction or a float.

use serde::{Deserialize, Serialize};

/// One billable kind of thing. The serialised name is what catalogue files use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// Upstream calls ("runs").
    Calls,
    /// Output images that were made.
    Images,
    /// Output pixels, per image.
    OutputPixels,
    /// Pixels of each input or reference image.
    InputPixels,
    /// Pixels inside the mask.
    MaskPixels,
    /// Input or reference images.
    InputImages,
    /// Sampling steps × images.
    ImageSteps,
    /// Output pixels × steps, per image.
    PixelSteps,
    /// Squares that cover the output, counted by started edges; the edge is said by the price line.
    OutputTiles,
    /// Output tiles × steps, per image.
    OutputTileSteps,
    /// Tiles of each input or reference image.
    InputTiles,
    /// Input tiles × steps.
    InputTileSteps,
    TextInputTokens,
    TextInputCachedTokens,
    ImageInputTokens,
    ImageInputCachedTokens,
    TextOutputTokens,
    ThinkingTokens,
    ImageOutputTokens,
    /// Partial images that were streamed.
    PartialImages,
    /// GPU time; base unit: a microsecond.
    GpuSeconds,
    /// GPU time of a cold start; base unit: a microsecond.
    ColdStartSeconds,
    /// What a provider itself counts and reports; base unit: a millionth.
    BillableUnits,
    /// A provider's credits; base unit: a millionth.
    Credits,
    Loras,
    ControlNets,
    IpAdapters,
    /// Calls of a tool, such as a web search.
    ToolCalls,
}

impl Meter {
    pub const ALL: &'static [Meter] = &[
        Meter::Calls,
        Meter::Images,
        Meter::OutputPixels,
        Meter::InputPixels,
        Meter::MaskPixels,
        Meter::InputImages,
        Meter::ImageSteps,
        Meter::PixelSteps,
        Meter::OutputTiles,
        Meter::OutputTileSteps,
        Meter::InputTiles,
        Meter::InputTileSteps,
        Meter::TextInputTokens,
        Meter::TextInputCachedTokens,
        Meter::ImageInputTokens,
        Meter::ImageInputCachedTokens,
        Meter::TextOutputTokens,
        Meter::ThinkingTokens,
        Meter::ImageOutputTokens,
        Meter::PartialImages,
        Meter::GpuSeconds,
        Meter::ColdStartSeconds,
        Meter::BillableUnits,
        Meter::Credits,
        Meter::Loras,
        Meter::ControlNets,
        Meter::IpAdapters,
        Meter::ToolCalls,
    ];

    /// Base units in one of what people say (a second has 10⁶ microseconds).
    pub const fn base_units_per_unit(self) -> i64 {
        match self {
            Meter::GpuSeconds | Meter::ColdStartSeconds | Meter::BillableUnits | Meter::Credits => 1_000_000,
            _ => 1,
        }
    }

    /// Whether it counts time of hardware, which is paid by the hour whoever uses it.
    pub const fn is_hardware_time(self) -> bool {
        matches!(self, Meter::GpuSeconds | Meter::ColdStartSeconds)
    }

    /// Whether it counts tokens.
    pub const fn is_tokens(self) -> bool {
        matches!(
            self,
            Meter::TextInputTokens
                | Meter::TextInputCachedTokens
                | Meter::ImageInputTokens
                | Meter::ImageInputCachedTokens
                | Meter::TextOutputTokens
                | Meter::ThinkingTokens
                | Meter::ImageOutputTokens
        )
    }

    /// The name that catalogue files, quotes and charges use.
    pub const fn name(self) -> &'static str {
        match self {
            Meter::Calls => "calls",
            Meter::Images => "images",
            Meter::OutputPixels => "output_pixels",
            Meter::InputPixels => "input_pixels",
            Meter::MaskPixels => "mask_pixels",
            Meter::InputImages => "input_images",
            Meter::ImageSteps => "image_steps",
            Meter::PixelSteps => "pixel_steps",
            Meter::OutputTiles => "output_tiles",
            Meter::OutputTileSteps => "output_tile_steps",
            Meter::InputTiles => "input_tiles",
            Meter::InputTileSteps => "input_tile_steps",
            Meter::TextInputTokens => "text_input_tokens",
            Meter::TextInputCachedTokens => "text_input_cached_tokens",
            Meter::ImageInputTokens => "image_input_tokens",
            Meter::ImageInputCachedTokens => "image_input_cached_tokens",
            Meter::TextOutputTokens => "text_output_tokens",
            Meter::ThinkingTokens => "thinking_tokens",
            Meter::ImageOutputTokens => "image_output_tokens",
            Meter::PartialImages => "partial_images",
            Meter::GpuSeconds => "gpu_seconds",
            Meter::ColdStartSeconds => "cold_start_seconds",
            Meter::BillableUnits => "billable_units",
            Meter::Credits => "credits",
            Meter::Loras => "loras",
            Meter::ControlNets => "control_nets",
            Meter::IpAdapters => "ip_adapters",
            Meter::ToolCalls => "tool_calls",
        }
    }
}

/// A counted quantity, in base units of its meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metered {
    pub meter: Meter,
    /// Base units; not negative.
    pub quantity: i64,
}
