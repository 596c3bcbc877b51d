//! When a line or a factor applies, in words for people and for those who list prices.

use super::{Condition, CountRange, Period, Terms, Window};
use std::fmt::Display;

impl Condition {
    /// Everything that must hold, and the time in which it counts: `quality low, at least 1 LoRA`; `always` for
    /// nothing.
    pub fn told(&self, period: Period) -> String {
        let mut parts = Parts::default();
        if let Some(terms) = self.terms() {
            terms.tell(&mut parts);
        }
        parts.word("since", &period.since.map(|at| at.to_string()).unwrap_or_default());
        parts.word("until", &period.until.map(|at| at.to_string()).unwrap_or_default());
        if parts.0.is_empty() { "always".to_owned() } else { parts.0.join(", ") }
    }
}

impl Terms {
    fn tell(&self, parts: &mut Parts) {
        parts.any("operation", &self.operations);
        parts.any("quality", &self.qualities);
        parts.any("size", &self.sizes);
        parts.any("resolution", &self.resolutions);
        parts.any("format", &self.formats);
        parts.any("tier", &self.tiers);
        parts.range("pixels", self.pixels_min, self.pixels_max);
        parts.range("steps", self.steps_min.map(i64::from), self.steps_max.map(i64::from));
        let region = |word: &String| if word.is_empty() { "none named".to_owned() } else { word.clone() };
        parts.any("region", &self.regions.iter().map(region).collect::<Vec<_>>());
        parts.any("region other than", &self.regions_absent.iter().map(region).collect::<Vec<_>>());
        parts.range("inputs", self.inputs_min.map(i64::from), self.inputs_max.map(i64::from));
        parts.word("each input", &self.each_input.to_string());
        parts.count("LoRAs", self.loras);
        parts.count("ControlNets", self.controls);
        parts.count("IP-Adapters", self.ip_adapters);
        parts.range("thousandths of the mask", self.mask_per_mille_min, self.mask_per_mille_max);
        for option in &self.options {
            parts.any(&option.name, &option.values);
        }
        for option in &self.options_absent {
            parts.word("without", option);
        }
        parts.word("streamed", self.stream.map_or("", |stream| if stream { "yes" } else { "no" }));
        parts.word("daily", &self.window.as_ref().map(daily).unwrap_or_default());
    }
}

fn daily(window: &Window) -> String {
    let zone = window.zone.iana_name().unwrap_or("UTC");
    let days = window.weekdays.iter().map(|day| format!("{day:?}")).collect::<Vec<_>>();
    let on = if days.is_empty() { String::new() } else { format!(" on {}", days.join(", ")) };
    format!("{} to {} {zone}{on}", window.from, window.until)
}

#[derive(Default)]
struct Parts(Vec<String>);

impl Parts {
    /// Nothing is said of an empty word.
    fn word(&mut self, name: &str, word: &str) {
        if !word.is_empty() {
            self.0.push(format!("{name} {word}"));
        }
    }

    fn any<T: Display>(&mut self, name: &str, words: &[T]) {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        self.word(name, &words.join(" or "));
    }

    fn range(&mut self, name: &str, min: Option<i64>, max: Option<i64>) {
        match (min, max) {
            (None, None) => {}
            (Some(min), None) => self.0.push(format!("at least {min} {}", counted(min, name))),
            (None, Some(max)) => self.0.push(format!("at most {max} {}", counted(max, name))),
            (Some(min), Some(max)) => self.0.push(format!("{min} to {max} {name}")),
        }
    }

    fn count(&mut self, name: &str, range: CountRange) {
        self.range(name, range.min.map(i64::from), range.max.map(i64::from));
    }
}

/// One LoRA, two LoRAs.
fn counted(count: i64, name: &str) -> &str {
    if count == 1 { name.strip_suffix('s').unwrap_or(name) } else { name }
}

#[cfg(test)]
mod tests {
    use crate::testing::find;

    fn of(kind: &str, model: &str, line: &str) -> String {
        let (_, sheet) = find(kind, model);
        let line = sheet.sheet.lines.iter().find(|one| one.id == line).expect("the line is there");
        line.when.told(line.period)
    }

    #[test]
    fn conditions_are_told_whole() {
        assert_eq!(of("fal", "flux-1-dev-lora", "units"), "at least 1 LoRA");
        assert_eq!(of("fireworks", "sdxl", "steps-with-controlnet"), "at least 1 ControlNet");
        assert_eq!(of("recraft", "recraft-v4.1", "picture"), "always");
        assert_eq!(
            of("seedream", "seedream-5-pro", "china-first-picture-sent-in"),
            "region cn, at most 1 input"
        );
        let (_, flux) = find("bfl", "flux-3-image");
        let launch = &flux.sheet.factors[0];
        assert_eq!(launch.when.told(launch.period), "since 2026-10-01T15:00:00Z, until 2026-10-08T15:00:00Z");
    }

    #[test]
    fn a_window_of_the_clock_names_its_zone() {
        let catalogue = crate::catalogue::Origin { described: true, ..Default::default() }.whole().unwrap();
        let provider = catalogue.provider("described-anthropic").unwrap();
        let night = &provider.models[0].sheet.factors[0];
        assert_eq!(night.when.told(night.period), "tier batch, daily 02:00:00 to 06:00:00 UTC");
    }
}
