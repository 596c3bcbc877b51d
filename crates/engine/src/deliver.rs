//! From a provider's outcome to delivered pictures: fetch what is an address, check everything.
//!
//! A picture counts as delivered only after the check. The cheap part runs at once; what looks blank, or
//! what the route wants decoded, goes to a blocking thread behind a permit. A picture that was made is paid:
//! one whose fetch fails in passing is asked for again, with growing pauses, while there is time.

use crate::answer::DeliveredImage;
use crate::books::Pictures;
use crate::shared::{ProviderRuntime, Shared};
use futures_util::future::join_all;
use gallerist_domain::{Fault, FaultKind, ImageCall, ImageData, MadeImage, Outcome, Retry};
use gallerist_imaging::{CheckFault, CheckFaultKind, CheckPolicy, Checked, Depth, check_pixels, inspect};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Times that a fetch is tried which was refused: a file host may lag behind its provider for a moment.
const REFUSED_FETCHES_MAX: u32 = 3;
/// How long a fetch that fails in passing is repeated; asking again costs nothing, buying again does.
const FETCH_FOR: Duration = Duration::from_secs(30);
/// First pause after a failed fetch, doubling up to the longest.
const FETCH_PAUSE: Duration = Duration::from_millis(200);
const FETCH_PAUSE_MAX: Duration = Duration::from_secs(4);

/// What became of the pictures of one call.
#[derive(Default)]
pub(crate) struct Brought {
    /// Made by the provider, and therefore charged.
    pub made: u32,
    /// The useful ones, each with its place in the call.
    pub images: Vec<(usize, DeliveredImage)>,
    pub rejected: Vec<Fault>,
}

/// Where pictures are brought in from, until when, and how they are checked.
#[derive(Clone, Copy)]
pub(crate) struct Delivery<'a> {
    pub shared: &'a Shared,
    pub provider: &'a ProviderRuntime,
    pub deadline: Instant,
    pub check_depth: Depth,
}

impl Delivery<'_> {
    /// Brings in the pictures of an outcome, which are taken out of it; of a call that failed those that had come
    /// before.
    pub(crate) async fn bring(
        self,
        call: &ImageCall,
        result: &mut Result<Outcome, Fault>,
        rescued: Vec<MadeImage>,
    ) -> Brought {
        let (made, images) = match result {
            Ok(outcome) => (Pictures::made_by(outcome), std::mem::take(&mut outcome.images)),
            Err(_) => (u32::try_from(rescued.len()).unwrap_or(u32::MAX), rescued),
        };
        let mut brought = Brought { made, ..Brought::default() };
        // More than was asked for would be charged, but is nobody's: it is not even fetched.
        let wanted = images.into_iter().take(call.n as usize);
        let delivered = join_all(wanted.map(|made| self.deliver(call, made)));
        for (place, image) in delivered.await.into_iter().enumerate() {
            match image {
                Ok(image) => brought.images.push((place, image)),
                Err(fault) => brought.rejected.push(fault),
            }
        }
        brought
    }

    /// Brings one made picture in and checks it.
    async fn deliver(self, call: &ImageCall, made: MadeImage) -> Result<DeliveredImage, Fault> {
        let Delivery { shared, provider, deadline, check_depth } = self;
        let data = match made.data {
            ImageData::Url(url) => ImageData::Bytes(fetch(shared, provider, &url, deadline).await?),
            data => data,
        };
        let policy = CheckPolicy {
            expected_size: call.size_named.then_some(call.size),
            depth: check_depth,
            pixels_max: shared.limits.picture_pixels_max,
            bytes_max: shared.limits.picture_bytes_max,
        };
        let inspected = inspect(&data, &policy).map_err(fault)?;
        let checked = inspected.checked;
        check_format(call, &checked)?;
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
}

impl Brought {
    /// Whether a picture could not be fetched that may well be there a moment later.
    pub(crate) fn may_come_later(&self) -> bool {
        self.rejected
            .iter()
            .any(|fault| fault.kind == FaultKind::ResultUnavailable && fault.retry == Retry::Later)
    }

    pub(crate) fn delivered(&self) -> u32 {
        u32::try_from(self.images.len()).unwrap_or(u32::MAX)
    }
}

/// Whoever named a format writes it into a file of that name; where none was named, the answer tells it.
fn check_format(call: &ImageCall, checked: &Checked) -> Result<(), Fault> {
    if !call.format_named || checked.format == call.output_format {
        return Ok(());
    }
    let detail = format!("the picture is {}, not {}", checked.format, call.output_format);
    Err(Fault::new(FaultKind::ImageRejected, detail))
}

async fn fetch(
    shared: &Shared,
    provider: &ProviderRuntime,
    url: &str,
    deadline: Instant,
) -> Result<gallerist_domain::Chunks, Fault> {
    let give_up_at = deadline.min(Instant::now() + FETCH_FOR);
    let bytes_max = shared.limits.picture_bytes_max;
    let mut tries = 0;
    let mut pause = FETCH_PAUSE;
    loop {
        tries += 1;
        let fetched = shared.transport.fetch(url, provider.own_host.as_ref(), bytes_max, deadline).await;
        let Err(fault) = fetched else { return fetched };
        // Without a status nobody was asked: the address itself will not do.
        let again = match (fault.retry, fault.status) {
            (Retry::Later, _) => true,
            (_, Some(_)) => tries < REFUSED_FETCHES_MAX,
            (_, None) => false,
        };
        if !again || Instant::now() + pause >= give_up_at {
            return Err(fault);
        }
        sleep(pause).await;
        pause = (pause * 2).min(FETCH_PAUSE_MAX);
    }
}

fn fault(fault: CheckFault) -> Fault {
    let kind = match fault.kind {
        CheckFaultKind::WrongSize => FaultKind::WrongSize,
        _ => FaultKind::ImageRejected,
    };
    Fault::new(kind, fault.detail)
}
