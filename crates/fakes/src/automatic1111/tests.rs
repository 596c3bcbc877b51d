//! Replies in the engine's shapes, and seconds that are the bill.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::effort::TenThousandths;
use crate::money::{scaled, ticks, usd};
use crate::testing::{Answer, script, send, start};
use crate::{Fakes, FakesOptions, StandIn};

const PATH: &str = "/sdapi/v1/txt2img";

async fn make(stand_in: &StandIn, body: &Value) -> Answer {
    send(stand_in, "POST", PATH, &[], body.to_string().as_bytes()).await.unwrap()
}

/// What the header alone says that it costs: its digits times 1.10 dollars an hour.
fn cost_of_header(answer: &Answer) -> i64 {
    let digits = answer.header("x-process-time").unwrap().replace('.', "");
    scaled(ticks("1.10"), digits.parse().unwrap(), 36_000_000)
}

#[tokio::test]
async fn a_batch_has_seeds_that_count_up_and_info_in_a_string() {
    let fakes = start("automatic1111").await;
    let stand_in = fakes.get("automatic1111").unwrap();
    let body = json!({"prompt":"a stone bridge","negative_prompt":"people","steps":20,"cfg_scale":6,"seed":5,
        "width":768,"height":512,"batch_size":2});
    let answer = make(stand_in, &body).await;
    assert_eq!(answer.status, 200);
    let reply = answer.json();
    assert_eq!(reply["parameters"], body);
    let info: Value = serde_json::from_str(reply["info"].as_str().unwrap()).unwrap();
    assert_eq!((&info["seed"], &info["all_seeds"]), (&json!(5), &json!([5, 6])));
    assert_eq!(info["infotexts"].as_array().unwrap().len(), 2);
    let file = STANDARD.decode(reply["images"][1].as_str().unwrap()).unwrap();
    let picture = image::load_from_memory(&file).unwrap();
    assert_eq!((picture.width(), picture.height()), (768, 512));
    let text = b"parameters";
    assert!(file.windows(text.len()).any(|part| part == text), "the prompt is in the file");
    // 0.35 + 0.07 x 0.393216 x 20 x 2 passes x 2 pictures
    assert_eq!(answer.header("x-process-time"), Some("2.5520"));
    assert_eq!(usd(stand_in.ctx.bill.total_ticks()), usd(cost_of_header(&answer)));
    assert_eq!(usd(stand_in.ctx.bill.total_ticks()), "0.0007797778");
}

#[test]
fn seconds_times_rate_round_half_up_once() {
    let hour = TenThousandths(36_000_000);
    assert_eq!(hour.cost(ticks("1.10"), 3_600), ticks("1.10"));
    // 4.0 s at 3.99 dollars an hour: the sheet's worked example, 0.00443 rounded.
    assert_eq!(usd(TenThousandths(40_000).cost(ticks("3.99"), 3_600)), "0.0044333333");
    assert_eq!(TenThousandths(7_170).to_string(), "0.7170");
}

#[tokio::test]
async fn defaults_are_the_engines() {
    let fakes = start("automatic1111").await;
    let stand_in = fakes.get("automatic1111").unwrap();
    let reply = make(stand_in, &json!({"prompt": "x", "seed": -1})).await.json();
    let info: Value = serde_json::from_str(reply["info"].as_str().unwrap()).unwrap();
    assert_eq!((&info["steps"], &info["width"]), (&json!(50), &json!(512)));
    assert_eq!(info["sampler_name"], "Euler");
    assert!(info["seed"].as_u64().unwrap() < 1 << 32);
    let hidden = make(stand_in, &json!({"prompt": "x", "send_images": false})).await.json();
    assert_eq!(hidden["images"], json!([]));
}

#[tokio::test]
async fn mistakes_have_the_shapes_of_fastapi_and_are_free() {
    let fakes = start("automatic1111").await;
    let stand_in = fakes.get("automatic1111").unwrap();
    for (field, value) in [
        ("steps", json!("many")),
        ("steps", json!(0)),
        ("width", json!(513)),
        ("cfg_scale", json!("strong")),
        ("prompt", json!(3)),
        ("batch_size", json!(9)),
        ("override_settings", json!([])),
    ] {
        let answer = make(stand_in, &json!({field: value})).await;
        assert_eq!((answer.status, answer.json()["detail"][0]["loc"][1].as_str()), (422, Some(field)));
    }
    let sampler = make(stand_in, &json!({"prompt": "a", "sampler_name": "Magic"})).await;
    assert_eq!((sampler.status, sampler.json()["detail"].clone()), (404, json!("Sampler not found")));
    let script = make(stand_in, &json!({"prompt": "a", "script_name": "x/y"})).await;
    assert_eq!((script.status, script.json()["detail"].clone()), (422, json!("Script 'x/y' not found")));
    let model = json!({"prompt": "a", "override_settings": {"sd_model_checkpoint": "none"}});
    let unknown = make(stand_in, &model).await;
    assert_eq!((unknown.status, unknown.json()["error"].clone()), (500, json!("RuntimeError")));
    let broken = send(stand_in, "POST", PATH, &[], b"{").await.unwrap();
    assert_eq!(broken.status, 422);
    assert_eq!(stand_in.ctx.bill.total_ticks(), 0);
}

#[tokio::test]
async fn whoever_waits_for_the_lock_reports_the_wait() {
    let fakes = start("automatic1111").await;
    let stand_in = fakes.get("automatic1111").unwrap();
    script(stand_in, json!([{"fault": "latency", "ms": 300}])).await;
    let body = json!({"prompt": "a", "steps": 10, "seed": 1});
    let (one, two) = tokio::join!(make(stand_in, &body), make(stand_in, &body));
    let mut seconds = [&one, &two].map(|answer| answer.header("x-process-time").unwrap().to_owned());
    seconds.sort();
    // 0.35 + 0.07 x 0.262144 x 10 x 2
    assert_eq!(seconds, ["0.7170", "1.4340"]);
    assert_eq!(stand_in.ctx.bill.total_ticks(), cost_of_header(&one) + cost_of_header(&two));
}

#[tokio::test]
async fn an_interrupted_job_is_200_and_billed_in_part() {
    let fakes = start("automatic1111").await;
    let stand_in = fakes.get("automatic1111").unwrap();
    script(stand_in, json!([{"fault": "latency", "ms": 2_000}])).await;
    let body = json!({"prompt": "a", "steps": 20, "width": 256, "height": 256});
    let stop = async {
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        let progress = send(stand_in, "GET", "/sdapi/v1/progress", &[], b"").await.unwrap().json();
        let interrupted = send(stand_in, "POST", "/sdapi/v1/interrupt", &[], b"").await.unwrap();
        (progress, interrupted.json())
    };
    let (answer, (progress, interrupted)) = tokio::join!(make(stand_in, &body), stop);
    assert!(progress["progress"].as_f64().unwrap() >= 0.01);
    assert_eq!(progress["state"]["sampling_steps"], 20);
    assert_eq!(interrupted, json!({}));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["images"].as_array().unwrap().len(), 1);
    assert_eq!(stand_in.ctx.bill.total_ticks(), cost_of_header(&answer));
    assert!(answer.header("x-process-time").unwrap() < "0.5335", "less than the whole job");
    let idle = send(stand_in, "GET", "/sdapi/v1/progress", &[], b"").await.unwrap().json();
    assert_eq!(idle["progress"], 0.0);
}

#[tokio::test]
async fn running_out_of_memory_costs_the_loading() {
    let fakes = start("automatic1111").await;
    let stand_in = fakes.get("automatic1111").unwrap();
    script(stand_in, json!([{"fault": "oom"}])).await;
    let answer = make(stand_in, &json!({"prompt": "a"})).await;
    assert_eq!((answer.status, answer.json()["error"].clone()), (500, json!("OutOfMemoryError")));
    assert_eq!(answer.header("x-process-time"), Some("0.3500"));
    assert_eq!(stand_in.ctx.bill.total_ticks(), cost_of_header(&answer));
    script(stand_in, json!([{"fault": "500"}])).await;
    assert_eq!(make(stand_in, &json!({"prompt": "a"})).await.status, 500);
    assert_eq!(stand_in.ctx.bill.total_ticks(), cost_of_header(&answer));
}

#[tokio::test]
async fn options_and_lists_name_the_checkpoint() {
    let fakes = start("automatic1111").await;
    let stand_in = fakes.get("automatic1111").unwrap();
    let wanted = json!({"sd_model_checkpoint": "v1-5-pruned-emaonly"}).to_string();
    let set = send(stand_in, "POST", "/sdapi/v1/options", &[], wanted.as_bytes()).await.unwrap();
    assert_eq!((set.status, set.json()), (200, Value::Null));
    let options = send(stand_in, "GET", "/sdapi/v1/options", &[], b"").await.unwrap().json();
    assert_eq!(options["sd_model_checkpoint"], "v1-5-pruned-emaonly.safetensors [6ce0161689]");
    assert_eq!(options["samples_format"], "png");
    for (list, key) in
        [("sd-models", "title"), ("samplers", "name"), ("schedulers", "name"), ("upscalers", "name")]
    {
        let list = send(stand_in, "GET", &format!("/sdapi/v1/{list}"), &[], b"").await.unwrap().json();
        assert!(list[0][key].is_string(), "{list}");
    }
}

#[tokio::test]
async fn a_key_with_a_colon_switches_basic_auth_on() {
    let keys = [("automatic1111".to_owned(), "ann:secret".to_owned())].into();
    let kinds = Some(vec!["automatic1111".to_owned()]);
    let fakes = Fakes::start(FakesOptions { keys, kinds, ..Default::default() }).await.unwrap();
    let stand_in = fakes.get("automatic1111").unwrap();
    let refused = make(stand_in, &json!({"prompt": "a"})).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Basic")));
    let header = format!("authorization: Basic {}", STANDARD.encode("ann:secret"));
    let admitted = send(stand_in, "POST", PATH, &[&header], br#"{"prompt":"a"}"#).await.unwrap();
    assert_eq!(admitted.status, 200);
}
