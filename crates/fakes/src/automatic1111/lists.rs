//! What this engine has installed: checkpoints, samplers and the like, in the shapes of `/sdapi/v1`.

use serde_json::{Value, json};

/// Title and name of each checkpoint; requests may use either, or the file name.
pub(super) const CHECKPOINTS: &[(&str, &str)] = &[
    ("sd_xl_base_1.0.safetensors [31e35c80fc]", "sd_xl_base_1.0"),
    ("v1-5-pruned-emaonly.safetensors [6ce0161689]", "v1-5-pruned-emaonly"),
    ("flux1-schnell-fp8.safetensors [ab2d6a3cf2]", "flux1-schnell-fp8"),
];

pub(super) const SAMPLERS: &[&str] = &[
    "DPM++ 2M",
    "DPM++ SDE",
    "DPM++ 2M SDE",
    "Euler a",
    "Euler",
    "LMS",
    "Heun",
    "DPM2",
    "DDIM",
    "UniPC",
    "LCM",
];

/// The title of the checkpoint that a request means.
pub(super) fn checkpoint(wanted: &str) -> Option<&'static str> {
    let names = |(title, name): &&(&str, &str)| {
        let file = title.split(' ').next();
        wanted == *title || wanted == *name || Some(wanted) == file
    };
    CHECKPOINTS.iter().find(names).map(|(title, _)| *title)
}

pub(super) fn models() -> Value {
    let shown = |(title, name): &(&str, &str)| {
        let (file, hash) = title.split_once(' ').unwrap_or((title, ""));
        json!({"title": title, "model_name": name, "hash": hash.trim_matches(['[', ']']), "sha256": null,
            "filename": format!("models/Stable-diffusion/{file}"), "config": null})
    };
    json!(CHECKPOINTS.iter().map(shown).collect::<Vec<_>>())
}

pub(super) fn samplers() -> Value {
    json!(SAMPLERS.iter().map(|name| json!({"name": name, "aliases": [], "options": {}})).collect::<Vec<_>>())
}

pub(super) fn schedulers() -> Value {
    let names = ["automatic", "uniform", "karras", "exponential", "sgm_uniform", "simple", "normal"];
    let shown = |name: &str| json!({"name": name, "label": name, "aliases": null, "default_rho": -1.0, "need_inner_model": false});
    json!(names.map(shown))
}

pub(super) fn upscalers() -> Value {
    json!([{"name": "None", "model_name": null, "model_path": null, "model_url": null, "scale": 4.0}])
}

pub(super) fn memory() -> Value {
    let (total, used) = (25_769_803_776_u64, 8_589_934_592_u64);
    let events = json!({"current": used, "peak": used});
    json!({
        "ram": {"free": total - used, "used": used, "total": total},
        "cuda": {
            "system": {"free": total - used, "used": used, "total": total},
            "active": events, "allocated": events, "reserved": events, "inactive": events,
            "events": {"retries": 0, "oom": 0},
        },
    })
}
