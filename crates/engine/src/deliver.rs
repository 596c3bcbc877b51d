//! From a provider's outcome to delivered pictures: fetch what is an address, check everything.
//!
//! A picture counts as delivered only after the check. The cheap part runs at once; what looks blank, or
//! what the route wants decoded, goes to a blocking thread behind a permit.

use crate::answer::DeliveredImage;
use crate::shared::{ProviderRuntime, Shared};
use gallerist_domain::{Fault, FaultKind, ImageCall, ImageData, MadeImage};
use gallerist_imaging::{CheckFault, CheckFaultKind, CheckPolicy, Depth, check_pixels, inspect};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Times that fetching a made picture is tried; asking again costs nothing.
const FETCHES_MAX: u32 = 3;

/// Brings one made picture in and checks it.
pub(crate) async fn deliver(
    shared: &Shared,
    provider: &ProviderRuntime,
    call: &ImageCall,
    made: MadeImage,
    deadline: Instant,
) -> Result<DeliveredImage, Fault> {
    let data = match made.data {
        ImageData::Url(url) => ImageData::Bytes(fetch(shared, provider, &url, deadline).await?),
        data => data,
    };
    let policy = CheckPolicy {
        expected_size: call.size_named.then_some(call.size),
        depth: shared.check_depth,
        pixels_max: shared.limits.picture_pixels_max,
        bytes_max: shared.limits.picture_bytes_max,
    };
    let inspected = inspect(&data, &policy).map_err(fault)?;
    let checked = inspected.checked;
    let data = if inspected.undecided || policy.depth == Depth::Pixels {
        let permit = shared.decodes.acquire().await;
        let decoded = tokio::task::spawn_blocking(move || {
            let verdict = check_pixels(&data, &policy, &checked);
            verdict.map(|()| data)
        });
        let verdict = decoded
            .await
            .map_err(|_| Fault::new(FaultKind::ImageRejected, "the picture broke the decoder"))?;
        drop(permit);
        verdict.map_err(fault)?
    } else {
        data
    };
    Ok(DeliveredImage {
        data,
        format: checked.format,
        size: checked.size,
        revised_prompt: made.revised_prompt,
        url_path: None,
    })
}

async fn fetch(
    shared: &Shared,
    provider: &ProviderRuntime,
    url: &str,
    deadline: Instant,
) -> Result<gallerist_domain::Chunks, Fault> {
    let mut tries = 0;
    loop {
        tries += 1;
        let bytes_max = shared.limits.picture_bytes_max;
        let fetched =
            shared.transport.fetch(url, provider.private_host.as_deref(), bytes_max, deadline).await;
        match fetched {
            Err(_) if tries < FETCHES_MAX => sleep(Duration::from_millis(100 << tries)).await,
            result => return result,
        }
    }
}

fn fault(fault: CheckFault) -> Fault {
    let kind = match fault.kind {
        CheckFaultKind::WrongSize => FaultKind::WrongSize,
        _ => FaultKind::ImageRejected,
    };
    Fault::new(kind, fault.detail)
}
