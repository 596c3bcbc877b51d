//! What came back from a provider: pictures, and every sign of what it cost.

use crate::held::Chunks;
use crate::meter::Metered;
use crate::money::Decimal;
use crate::request::OutputFormat;

/// A picture as the provider handed it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageData {
    /// Base64 text without prefix, still in the buffers of the answer.
    Base64(Chunks),
    /// The file itself.
    Bytes(Chunks),
    /// Where the file can be fetched, without credentials.
    Url(String),
}

/// One made picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeImage {
    pub data: ImageData,
    /// The provider's word for the format, if it said one.
    pub format: Option<OutputFormat>,
    pub revised_prompt: Option<String>,
    pub seed: Option<u64>,
}

/// A charge as the provider states it, in its own currency (`USD`, `credit`), digits kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedCost {
    pub amount: Decimal,
    pub currency: String,
}

/// A finished call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub images: Vec<MadeImage>,
    /// Pictures that a filter withheld although the call as a whole succeeded.
    pub withheld: u32,
    /// What the provider counted. A meter that is listed is settled by this count.
    pub usage: Vec<Metered>,
    pub reported: Option<ReportedCost>,
    /// The model id that the provider says it executed.
    pub model_executed: Option<String>,
    /// The provider's own id of the call or job.
    pub provider_request_id: Option<String>,
}
