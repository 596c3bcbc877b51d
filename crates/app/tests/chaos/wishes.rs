//! Clients that do as an SDK does, and what is wrong about an answer.
//!
//! A wish is one picture order with one `Idempotency-Key`. It is sent to the next replica where a connection
//! breaks or 502 or 503 is answered, unless the answer says that nobody should repeat it. Some of what was
//! delivered is asked for again, at another replica: the same request and the same pictures must come.

use crate::gateway::{KEY, MODELS};
use base64::Engine;
use gallerist_domain::{Chunks, ImageData, RequestId, Size, Ticks};
use gallerist_imaging::{CheckPolicy, Depth, inspect};
use serde_json::{Value, json};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two wishes of a client.
const PAUSE: Duration = Duration::from_millis(800);
/// After this long a client sends no further try.
const PATIENCE: Duration = Duration::from_secs(90);
const ONE_TRY: Duration = Duration::from_secs(75);

/// How a wish ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The request, its pictures by their hash, what it was told to have cost, and what may have been charged.
    Delivered {
        request: RequestId,
        pictures: Vec<u64>,
        charged: Ticks,
        disputed: Ticks,
    },
    /// A cap was in the way, maybe only of what was tried after an attempt that cost something.
    Capped {
        charged: Ticks,
        disputed: Ticks,
    },
    /// It failed, and nobody should repeat it: what may have been charged was said.
    Told {
        charged: Ticks,
        disputed: Ticks,
    },
    /// No replica had an answer in time.
    GivenUp,
    Wrong(String),
}

/// A wish with its end.
pub struct Ended {
    pub key: String,
    pub outcome: Outcome,
    pub took: Duration,
    pub tries: u32,
}

impl Ended {
    pub fn is_delivered(&self) -> bool {
        matches!(self.outcome, Outcome::Delivered { .. })
    }
}

struct Wish {
    key: String,
    body: Value,
    n: usize,
    size: Option<Size>,
}

impl Wish {
    fn new(client: usize, number: usize) -> Wish {
        let model = MODELS[(client + number) % MODELS.len()];
        let n = if number.is_multiple_of(4) { 2 } else { 1 };
        let key = format!("client-{client}-{number}");
        let mut body = json!({"model": model, "prompt": format!("a kite, {key}"), "n": n});
        let small = model.contains("flux") || model.contains("sdxl");
        if small {
            // Small pictures, because the stand-ins paint them beside everything else.
            body["size"] = json!("512x512");
        }
        // One user wants a seventh of everything; the others are many.
        body["user"] =
            json!(if client.is_multiple_of(7) { "eve".to_owned() } else { format!("user-{client}") });
        if number.is_multiple_of(5) {
            body["gallerist"] = json!({"tags": {"team": "red"}});
        }
        Wish { key, body, n, size: small.then_some(Size::new(512, 512)) }
    }
}

/// What an answer means for its wish.
enum Verdict {
    Final(Outcome),
    /// The next replica may know better, after a while.
    Again(Duration),
}

pub struct Client<'a> {
    number: usize,
    urls: Vec<String>,
    agent: ureq::Agent,
    over: &'a AtomicBool,
}

impl Client<'_> {
    pub fn new(number: usize, origins: Vec<String>, over: &AtomicBool) -> Client<'_> {
        let urls = origins.iter().map(|origin| format!("{origin}/v1/images/generations")).collect();
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(ONE_TRY)).build().into();
        Client { number, urls, agent, over }
    }

    /// Asks until the run is over; how its wishes ended.
    pub fn run(&self) -> Vec<Ended> {
        // Not all at once.
        std::thread::sleep(PAUSE * u32::try_from(self.number % 16).unwrap() / 16);
        let mut ended = Vec::new();
        for number in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let wish = Wish::new(self.number, number);
            let mut outcome = self.ask(&wish, number);
            if number % 5 == 1
                && let Outcome::Delivered { request, pictures, .. } = &outcome.outcome
                && let Some(told) = self.ask_again(&wish, number + 1, *request, pictures)
            {
                outcome.outcome = Outcome::Wrong(told);
            }
            ended.push(outcome);
            std::thread::sleep(PAUSE);
        }
        ended
    }

    fn ask(&self, wish: &Wish, first: usize) -> Ended {
        let (begun, mut tries) = (Instant::now(), 0);
        let outcome = loop {
            let url = &self.urls[(self.number + first + tries) % self.urls.len()];
            let answer = self.send(url, wish, tries);
            tries += 1;
            let verdict = match answer {
                Some(answer) => answer.judge(wish),
                None => Verdict::Again(Duration::from_millis(100)),
            };
            match verdict {
                Verdict::Final(outcome) => break outcome,
                Verdict::Again(_) if begun.elapsed() > PATIENCE => break Outcome::GivenUp,
                Verdict::Again(pause) => std::thread::sleep(pause),
            }
        };
        let tries = u32::try_from(tries).unwrap();
        Ended { key: wish.key.clone(), outcome, took: begun.elapsed(), tries }
    }

    /// What is wrong about the answer to a repetition.
    fn ask_again(&self, wish: &Wish, first: usize, before: RequestId, pictures: &[u64]) -> Option<String> {
        match self.ask(wish, first).outcome {
            Outcome::Delivered { request, pictures: now, .. } => {
                let same = request == before && now == pictures;
                (!same).then(|| format!("{}: first {before}, repeated {request} or other pictures", wish.key))
            }
            Outcome::GivenUp => None,
            other => Some(format!("{}: delivered as {before}, repeated {other:?}", wish.key)),
        }
    }

    fn send(&self, url: &str, wish: &Wish, retry: usize) -> Option<Answer> {
        let request = ureq::http::Request::builder()
            .method("POST")
            .uri(url)
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .header("idempotency-key", &wish.key)
            .header("x-stainless-retry-count", retry.to_string())
            .body(wish.body.to_string().into_bytes())
            .unwrap();
        let mut answer = self.agent.run(request).ok()?;
        let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec().ok()?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        let (should_retry, retry_after) = (header("x-should-retry"), header("retry-after"));
        Some(Answer { status: answer.status().as_u16(), should_retry, retry_after, body })
    }
}

struct Answer {
    status: u16,
    should_retry: Option<String>,
    /// Seconds.
    retry_after: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    fn judge(&self, wish: &Wish) -> Verdict {
        let wrong = |what: &str| {
            let shown = String::from_utf8_lossy(&self.body[..self.body.len().min(600)]).into_owned();
            Verdict::Final(Outcome::Wrong(format!("{}: {what}: {} {shown}", wish.key, self.status)))
        };
        let Ok(body) = serde_json::from_slice::<Value>(&self.body) else { return wrong("no JSON") };
        let known = &body["error"]["gallerist"];
        let amount = |name: &str| known[name].as_str().map_or(Ticks::ZERO, |text| text.parse().unwrap());
        let should_retry = self.should_retry.as_deref() != Some("false");
        match self.status {
            200 => match delivered(&body, wish) {
                Ok(outcome) => Verdict::Final(outcome),
                Err(what) => wrong(&what),
            },
            402 => match is_in_the_way(&known["budget"]) {
                true => {
                    let (charged, disputed) = (amount("charged_usd"), amount("disputed_usd"));
                    Verdict::Final(Outcome::Capped { charged, disputed })
                }
                false => wrong("a cap that is not in the way"),
            },
            502 | 503 | 504 | 429 if should_retry => {
                let seconds: u64 =
                    self.retry_after.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
                Verdict::Again(Duration::from_millis((seconds * 1_000).clamp(100, 2_000)))
            }
            502..=504 => {
                let (charged, disputed) = (amount("charged_usd"), amount("disputed_usd"));
                match self.status == 503 && (charged + disputed).is_zero() {
                    // A full house and a store that is away end by themselves: only money that may have gone out is a
                    // reason not to ask again.
                    true => wrong("a wait that may not be waited for"),
                    false => Verdict::Final(Outcome::Told { charged, disputed }),
                }
            }
            _ => wrong("unexpected"),
        }
    }
}

/// Whether what is asked for would pass the limit, by the refusal's own figures.
fn is_in_the_way(budget: &Value) -> bool {
    let amount = |name: &str| {
        let text = budget[name].as_str().map_or_else(|| budget[name].to_string(), str::to_owned);
        text.parse::<Ticks>().ok().map(Ticks::get)
    };
    let Some(limit) = amount("limit") else {
        // Of a budget that projects share, none is told the sums of the others.
        return amount("asked").zip(amount("left")).is_some_and(|(asked, left)| asked > left);
    };
    let used = ["settled", "held", "disputed", "asked"].map(amount).into_iter().sum::<Option<i64>>();
    used.is_some_and(|used| used > limit)
}

/// The pictures must be pictures, of the size that was asked for, and as many or with a word about the rest.
fn delivered(body: &Value, wish: &Wish) -> Result<Outcome, String> {
    let told = &body["gallerist"];
    let request = told["request_id"].as_str().and_then(|id| id.parse().ok()).ok_or("no request id")?;
    let charged = told["cost"]["charged_usd"].as_str().and_then(|text| text.parse().ok()).ok_or("no cost")?;
    let disputed = told["cost"]["disputed_usd"].as_str().map_or(Ticks::ZERO, |text| text.parse().unwrap());
    let images = body["data"].as_array().ok_or("no pictures")?;
    let missing = told["missing"]["count"].as_u64().unwrap_or(0);
    if images.is_empty() || images.len() + usize::try_from(missing).unwrap() != wish.n {
        return Err(format!("{} pictures and {missing} missing of {}", images.len(), wish.n));
    }
    let policy = CheckPolicy { expected_size: wish.size, depth: Depth::Header, ..CheckPolicy::default() };
    let picture = |image: &Value| {
        let text = image["b64_json"].as_str().ok_or("no b64_json")?;
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| error.to_string())?;
        let data = ImageData::Bytes(Chunks::from(bytes));
        inspect(&data, &policy).map_err(|fault| format!("{fault:?}"))?;
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Ok::<u64, String>(hasher.finish())
    };
    let pictures = images.iter().map(picture).collect::<Result<_, _>>()?;
    Ok(Outcome::Delivered { request, pictures, charged, disputed })
}
