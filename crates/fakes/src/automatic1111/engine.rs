//! The one engine behind the API: its lock, its progress, its options and its pictures.
//!
//! Waiting is reckoned like work: a request that arrives while others are in line has waited for the whole
//! reckoned time of each of them, whatever the real clock says, so that reported seconds are repeatable. An
//! interrupt stops the running job, whoever owns it, and the job answers 200 with an unfinished picture.
//! Parameters are written into PNG files as a text chunk, as the engine does by default.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::effort::TenThousandths;
use super::lists;
use super::request::Order;
use crate::ctx::{Ctx, Motif};
use crate::faults::{Drawn, Fault};
use crate::picture::{self, PictureFormat};

#[derive(Debug)]
pub(super) struct Engine {
    lock: tokio::sync::Mutex<()>,
    /// Reckoned time of everything in line, the running job included.
    line: Arc<Mutex<TenThousandths>>,
    running: Mutex<Option<Running>>,
    stop: Notify,
    options: Mutex<Map<String, Value>>,
}

#[derive(Debug, Clone)]
struct Running {
    since: Instant,
    lasts: Duration,
    steps: u32,
    interrupted: bool,
}

impl Default for Engine {
    fn default() -> Engine {
        let options = json!({
            "sd_model_checkpoint": lists::CHECKPOINTS[0].0,
            "samples_format": "png",
            "enable_pnginfo": true,
            "CLIP_stop_at_last_layers": 1,
        });
        let Value::Object(options) = options else { unreachable!("the options are written as an object") };
        Engine {
            lock: tokio::sync::Mutex::new(()),
            line: Arc::default(),
            running: Mutex::default(),
            stop: Notify::new(),
            options: Mutex::new(options),
        }
    }
}

/// A place at the engine; dropping it lets the next request in.
pub(super) struct Turn<'a> {
    pub waited: TenThousandths,
    takes: TenThousandths,
    line: Arc<Mutex<TenThousandths>>,
    _lock: Option<tokio::sync::MutexGuard<'a, ()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut line = self.line.lock().expect("no holder of the line panics");
        line.0 -= self.takes.0;
    }
}

impl Engine {
    /// Waits for the lock.
    pub(super) async fn wait(&self, takes: TenThousandths) -> Turn<'_> {
        let waited = {
            let mut line = self.line.lock().expect("no holder of the line panics");
            let ahead = *line;
            *line = ahead + takes;
            ahead
        };
        // Made before the wait, so that a request that goes away in line gives its place back.
        let mut turn = Turn { waited, takes, line: Arc::clone(&self.line), _lock: None };
        turn._lock = Some(self.lock.lock().await);
        turn
    }

    /// Works, and says how many per cent were done: fewer than 100 after an interrupt.
    pub(super) async fn work(&self, ctx: &Ctx, drawn: &Drawn, order: &Order) -> u64 {
        let lasts = Duration::from_millis(ctx.latency_ms + drawn.latency_ms());
        let since = Instant::now();
        *self.running() = Some(Running { since, lasts, steps: order.steps, interrupted: false });
        let done = tokio::select! {
            biased;
            () = ctx.work(drawn) => 100,
            () = self.stop.notified() => percent(since.elapsed(), lasts),
        };
        *self.running() = None;
        done
    }

    pub(super) fn interrupt(&self) {
        if let Some(running) = self.running().as_mut() {
            running.interrupted = true;
            // Only the running job listens; without one the notice must not wait for the next.
            self.stop.notify_waiters();
        }
    }

    pub(super) fn progress(&self) -> Value {
        let running = self.running().clone();
        let done = running.as_ref().map_or(0, |job| percent(job.since.elapsed(), job.lasts));
        let steps = running.as_ref().map_or(0, |job| job.steps);
        let left =
            running.as_ref().map_or(Duration::ZERO, |job| job.lasts.saturating_sub(job.since.elapsed()));
        json!({
            "progress": done as f64 / 100.0,
            "eta_relative": left.as_secs_f64(),
            "state": {
                "skipped": false,
                "interrupted": running.as_ref().is_some_and(|job| job.interrupted),
                "stopping_generation": false,
                "job": if running.is_some() { "txt2img" } else { "" },
                "job_count": u32::from(running.is_some()),
                "job_no": 0,
                "job_timestamp": "20261122120000",
                "sampling_step": u64::from(steps) * done / 100,
                "sampling_steps": steps,
            },
            "current_image": null,
            "textinfo": null,
        })
    }

    pub(super) fn options(&self) -> Value {
        Value::Object(self.options.lock().expect("no holder of the options panics").clone())
    }

    /// Takes options over; an unknown checkpoint changes nothing.
    pub(super) fn set_options(&self, mut wanted: Map<String, Value>) -> Result<(), String> {
        if let Some(name) = wanted.get("sd_model_checkpoint").and_then(Value::as_str) {
            let title = lists::checkpoint(name).ok_or_else(|| name.to_owned())?;
            wanted.insert("sd_model_checkpoint".to_owned(), json!(title));
        }
        self.options.lock().expect("no holder of the options panics").extend(wanted);
        Ok(())
    }

    /// The checkpoint that a request runs on; without restoring, its choice stays.
    pub(super) fn checkpoint_for(&self, order: &Order) -> Result<String, String> {
        let wanted = order.overrides.get("sd_model_checkpoint").and_then(Value::as_str);
        let Some(wanted) = wanted else {
            let options = self.options.lock().expect("no holder of the options panics");
            return Ok(options["sd_model_checkpoint"].as_str().unwrap_or_default().to_owned());
        };
        let title = lists::checkpoint(wanted).ok_or_else(|| wanted.to_owned())?;
        if !order.restores {
            let mut options = self.options.lock().expect("no holder of the options panics");
            options.insert("sd_model_checkpoint".to_owned(), json!(title));
        }
        Ok(title.to_owned())
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().expect("no holder of the running job panics")
    }
}

/// A running job is between 1 and 99.
fn percent(elapsed: Duration, lasts: Duration) -> u64 {
    let share = elapsed.as_millis() * 100 / lasts.as_millis().max(1);
    u64::try_from(share).unwrap_or(99).clamp(1, 99)
}

/// All pictures of a request, seeds counting up from `seed`.
pub(super) async fn paint(
    ctx: &Arc<Ctx>,
    drawn: &Drawn,
    order: &Order,
    checkpoint: &str,
    seed: u64,
    done: u64,
) -> Vec<Bytes> {
    let mut files = Vec::new();
    for index in 0..u64::from(order.batch_size * order.batches) {
        let motif = Motif {
            model: checkpoint.to_owned(),
            prompt: order.prompt.clone(),
            width: order.width,
            height: order.height,
            seed: seed + index,
            format: PictureFormat::Png,
        };
        let spoilt = drawn.is(Fault::WrongSize) || drawn.is(Fault::Blank);
        let file = if done < 100 && !spoilt {
            unfinished(ctx, motif, done).await
        } else {
            ctx.paint(drawn, motif).await
        };
        files.push(with_text(&file, &infotext(order, checkpoint, seed + index)));
    }
    files
}

async fn unfinished(ctx: &Ctx, motif: Motif, done: u64) -> Bytes {
    let provider = ctx.kind;
    let paint = move || picture::unfinished(&motif.picture(provider), u32::try_from(done).unwrap_or(100));
    ctx.studio.make(paint).await
}

/// The `info` of an answer, before it becomes a string.
pub(super) fn info(order: &Order, checkpoint: &str, seed: u64) -> Value {
    let seeds: Vec<u64> =
        (0..u64::from(order.batch_size * order.batches)).map(|index| seed + index).collect();
    let texts: Vec<String> = seeds.iter().map(|seed| infotext(order, checkpoint, *seed)).collect();
    json!({
        "prompt": order.prompt,
        "all_prompts": vec![&order.prompt; seeds.len()],
        "negative_prompt": order.negative_prompt,
        "seed": seed,
        "all_seeds": seeds,
        "width": order.width,
        "height": order.height,
        "sampler_name": order.sampler,
        "cfg_scale": order.cfg_scale,
        "steps": order.steps,
        "batch_size": order.batch_size,
        "sd_model_name": checkpoint,
        "infotexts": texts,
        "index_of_first_image": 0,
    })
}

fn infotext(order: &Order, checkpoint: &str, seed: u64) -> String {
    let Order { prompt, negative_prompt, steps, sampler, cfg_scale, width, height, .. } = order;
    format!(
        "{prompt}\nNegative prompt: {negative_prompt}\nSteps: {steps}, Sampler: {sampler}, \
         CFG scale: {cfg_scale}, Seed: {seed}, Size: {width}x{height}, Model: {checkpoint}"
    )
}

/// The file with an `iTXt` chunk `parameters` behind its header, which is where prompts leak from.
fn with_text(png: &Bytes, text: &str) -> Bytes {
    // Signature and IHDR: 8 + 4 + 4 + 13 + 4 bytes in every PNG.
    const HEAD: usize = 33;
    let mut chunk = b"iTXtparameters\0\0\0\0\0".to_vec();
    chunk.extend_from_slice(text.as_bytes());
    let length = u32::try_from(chunk.len() - 4).expect("a prompt is shorter than 4 GB");
    let mut file = Vec::with_capacity(png.len() + chunk.len() + 8);
    file.extend_from_slice(&png[..HEAD]);
    file.extend_from_slice(&length.to_be_bytes());
    file.extend_from_slice(&chunk);
    file.extend_from_slice(&picture::png_checksum(&chunk).to_be_bytes());
    file.extend_from_slice(&png[HEAD..]);
    Bytes::from(file)
}
