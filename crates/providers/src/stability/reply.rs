//! What Stability's answers mean: a file, base64 in JSON (v2beta), a list of artifacts (v1), an error.
//!
//! A filtered picture comes with status 200, blurred; here it is a fault (or withheld, when other
//! pictures of the same call are good). The form is known by the media type's beginning, because the
//! JSON variant calls itself `application/json; type=image/webp`. No reply says what it cost.

use crate::HttpReply;
use crate::dialect::json::Few;
use crate::dialect::{Figure, HeldText, Skeleton, faults, reply};
use gallerist_domain::{Fault, FaultKind, ImageData, MadeImage, Outcome, OutputFormat};
use serde::Deserialize;

/// The documented time-out after too many calls.
const RATE_LIMIT_MS: u64 = 60_000;

#[derive(Deserialize)]
struct Document<'a> {
    /// v2beta: the picture and what became of it.
    #[serde(borrow, default)]
    image: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    seed: Option<Figure<'a>>,
    /// v1: one entry per sample.
    #[serde(borrow, default)]
    artifacts: Option<Few<Artifact<'a>>>,
}

#[derive(Deserialize)]
struct Artifact<'a> {
    #[serde(borrow, default)]
    base64: Option<HeldText<'a>>,
    #[serde(borrow, default, rename = "finishReason")]
    finish_reason: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    seed: Option<Figure<'a>>,
}

/// How a generation ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    Success,
    Filtered,
    Failed,
}

/// The pictures of an answer, or why there are none.
pub(super) fn read(answer: &HttpReply) -> Result<Outcome, Fault> {
    if !(200..300).contains(&answer.status) {
        return Err(refusal(answer));
    }
    let media_type = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let made = if media_type.starts_with("image/") {
        vec![from_file(answer, &media_type)?]
    } else if media_type.starts_with("application/json") || answer.body.head(1) == b"{" {
        from_document(answer, &media_type)?
    } else {
        let detail = "the answer is neither a picture nor JSON";
        return Err(Fault::new(FaultKind::Malformed, detail).with_status(answer.status));
    };
    outcome(made, answer)
}

fn outcome(made: Vec<(Finish, Option<MadeImage>)>, answer: &HttpReply) -> Result<Outcome, Fault> {
    let count = |finish: Finish| made.iter().filter(|(each, _)| *each == finish).count();
    let filtered = count(Finish::Filtered);
    let failed = count(Finish::Failed);
    let images: Vec<MadeImage> = made.into_iter().filter_map(|(_, image)| image).collect();
    if images.is_empty() {
        let (kind, detail) = if filtered > 0 {
            (FaultKind::ModerationOutput, "the filter withheld what was made")
        } else if failed > 0 {
            (FaultKind::UpstreamError, "the generation ended with an error")
        } else {
            (FaultKind::NoImage, "the answer has no picture")
        };
        return Err(Fault::new(kind, detail).with_status(answer.status));
    }
    Ok(Outcome {
        images,
        withheld: u32::try_from(filtered).unwrap_or(u32::MAX),
        provider_request_id: reply::request_id(answer, &["x-request-id"]),
        ..Outcome::default()
    })
}

fn from_file(answer: &HttpReply, media_type: &str) -> Result<(Finish, Option<MadeImage>), Fault> {
    let finish = answer.header("finish-reason").map_or(Finish::Success, finish);
    if finish != Finish::Success || answer.body.is_empty() {
        return Ok((finish, None));
    }
    let seed = answer.header("seed").and_then(|seed| seed.trim().parse().ok());
    let data = ImageData::Bytes(answer.body.clone());
    Ok((finish, Some(MadeImage { data, format: reply::format(media_type), revised_prompt: None, seed })))
}

fn from_document(answer: &HttpReply, media_type: &str) -> Result<Vec<(Finish, Option<MadeImage>)>, Fault> {
    let skeleton = Skeleton::scan(&answer.body)?;
    let document: Document<'_> = skeleton.read()?;
    let end = |reason: &Option<HeldText<'_>>, header: Option<&str>| {
        let said = reason.as_ref().map(|reason| skeleton.text(reason));
        said.as_deref().or(header).map_or(Finish::Success, finish)
    };
    let image = |text: &Option<HeldText<'_>>, seed: Option<Figure<'_>>, format: Option<OutputFormat>| {
        let text = text.as_ref().filter(|text| !text.is_empty())?;
        let (base64, named) = reply::without_data_prefix(skeleton.base64(text));
        Some(MadeImage {
            data: ImageData::Base64(base64),
            format: named.or(format),
            revised_prompt: None,
            seed: seed.and_then(|seed| seed.seed()),
        })
    };
    if let Some(artifacts) = &document.artifacts {
        let read = |artifact: &Artifact<'_>| {
            let finish = end(&artifact.finish_reason, None);
            let made = image(&artifact.base64, artifact.seed, None);
            (finish, made.filter(|_| finish == Finish::Success))
        };
        return Ok(artifacts.0.iter().map(read).collect());
    }
    let finish = end(&document.finish_reason, answer.header("finish-reason"));
    // `application/json; type=image/webp`
    let format = media_type.split_once("type=").and_then(|(_, word)| reply::format(word));
    let made = image(&document.image, document.seed, format);
    Ok(vec![(finish, made.filter(|_| finish == Finish::Success))])
}

/// `SUCCESS`, `CONTENT_FILTERED` and v1's `ERROR`; a word that nobody knows keeps its picture.
fn finish(word: &str) -> Finish {
    match word.trim() {
        "CONTENT_FILTERED" => Finish::Filtered,
        "ERROR" => Finish::Failed,
        _ => Finish::Success,
    }
}

/// The fault of an error reply. 403 is a refused prompt or a missing permission; the name says which.
fn refusal(answer: &HttpReply) -> Fault {
    let said = faults::said(&answer.body);
    let kind = match answer.status {
        403 if said.kind.as_deref() == Some("content_moderation") => FaultKind::ModerationInput,
        status => faults::kind_of_status(status),
    };
    let fault = faults::fault(kind, answer, &said);
    let wait_ms = fault.retry_after_ms.or((kind == FaultKind::RateLimited).then_some(RATE_LIMIT_MS));
    fault.with_retry_after_ms(wait_ms)
}
